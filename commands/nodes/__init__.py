"""Commands about the nodes of a Swarm."""
