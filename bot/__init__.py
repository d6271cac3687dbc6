"""The bot: runs commands from Slack and the console under a policy, and serves the HTTP pages."""
