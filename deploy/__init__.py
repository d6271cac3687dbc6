"""Contains the ways to run Quarterdeck: image, demo, Swarm, systemd and Quadlet. The product does not import it."""
