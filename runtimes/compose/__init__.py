"""Services of docker compose: recognised by their labels, and scaled."""
