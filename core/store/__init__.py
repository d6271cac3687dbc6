"""The Redis-protocol store: its client, and the server that Quarterdeck starts when no URL is configured."""
