"""The bot: runs commands from Slack and the console under a policy, and serves the HTTP pages."""

import core as _core  # noqa: F401 (before structlog, which loads more if it comes first)
