"""What people talk to: the one road from words to action, Slack, the console and the HTTP server."""
