"""Commands about Compose projects."""
