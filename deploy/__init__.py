"""The ways to run Quarterdeck: image, demo, Swarm, systemd and Quadlet. Nothing of the product imports from here."""
