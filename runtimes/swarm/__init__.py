"""Connects Quarterdeck to Docker Swarm: one engine for each Swarm, reached through any of its managers."""
