"""Commands about secrets and configs."""
