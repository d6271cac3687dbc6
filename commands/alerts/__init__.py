"""Commands about alert rules and incidents."""
