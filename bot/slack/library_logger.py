"""Creates the logger of Slack's libraries."""

from __future__ import annotations

import logging


def make_library_logger() -> logging.Logger:
    """The logger of Slack's libraries. It logs their warnings without tracebacks, because the bot
    reconnects by design."""
    logger = logging.getLogger("quarterdeck.slack")
    logger.setLevel(logging.WARNING)
    if not logger.filters:
        logger.addFilter(_without_traceback)
    return logger


def _without_traceback(record: logging.LogRecord) -> bool:
    if "SLACK_BOT_TOKEN env variable" in str(record.msg) or "`token` will be unused" in str(record.msg):
        return False  # Bolt found a token in the environment; Quarterdeck passes it another way
    if record.exc_info:
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
