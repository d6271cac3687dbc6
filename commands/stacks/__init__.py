"""Commands about stacks of Swarms."""
