"""Configures logging: one line on stderr for each message, as plain text on a terminal and as JSON elsewhere.

Secrets in values are hidden and long values are cut, because a value may come from outside. The middle of a long
traceback is left out. Messages of other libraries (warning and above) get the same format. If stderr is closed, lines
are lost, but the program continues.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MAX_VALUE_LENGTH = 2_000
MAX_TRACE_LENGTH = 8_000
MAX_DEPTH = 4


def configure_logging(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Configures all loggers. `level`: debug, info, warning or error; `form`: auto, console or json. The last call
    applies."""
    out = stream or sys.stderr
    console = form == "console" or (form == "auto" and out.isatty())
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    output: list[Processor] = [
        structlog.processors.format_exc_info,
        _SafeValues(one_line=console),
        *_renderer(console, out),
    ]
    structlog.configure(
        processors=[*shared, *output],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_names: _StreamWriter(out),
        cache_logger_on_first_use=False,  # loggers that were created at import must use a later configuration
    )
    _route_stdlib(shared, output, out, max(number, logging.WARNING))


def _renderer(console: bool, out: TextIO) -> list[Processor]:
    if not console:
        return [structlog.processors.EventRenamer("message"), structlog.processors.JSONRenderer(ensure_ascii=False)]
    colours = out.isatty() and not os.environ.get("NO_COLOR")
    return [
        structlog.dev.ConsoleRenderer(
            colors=colours, timestamp_key="at", exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    ]


def _route_stdlib(shared: list[Processor], output: list[Processor], out: TextIO, level: int) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *output],
        )
    )
    handler.set_name("quarterdeck")
    root = logging.getLogger()
    for old in [old for old in root.handlers if old.get_name() == "quarterdeck"]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)


class _SafeValues:
    """Converts every value to a redacted, bounded string, a number or a boolean. `one_line` also removes control
    characters."""

    def __init__(self, *, one_line: bool) -> None:
        self.one_line = one_line

    def __call__(self, _logger: WrappedLogger, _name: str, fields: EventDict) -> EventDict:
        # Imported late, because a program that never logs need not load them.
        from core.text import redact, sanitize  # noqa: PLC0415

        def safe(value: Any, depth: int) -> Any:
            if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
                return value
            if depth < MAX_DEPTH and isinstance(value, Mapping):
                return {str(key): safe(inner, depth + 1) for key, inner in list(value.items())[:100]}
            if depth < MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
                return [safe(inner, depth + 1) for inner in list(value)[:100]]
            text = redact.redact(value if isinstance(value, str) else _text(value))
            text = sanitize.single_line(text, MAX_VALUE_LENGTH) if self.one_line else text
            return text if len(text) <= MAX_VALUE_LENGTH else f"{text[: MAX_VALUE_LENGTH - 1]}…"

        trace = fields.pop("exception", None)
        cleaned: EventDict = {str(key): safe(value, 0) for key, value in fields.items()}
        if isinstance(trace, str):
            cleaned["exception"] = _trace(redact.redact(trace))
        return cleaned


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # an object whose str() fails must not lose the log message
        return f"<{type(value).__name__}: {type(error).__name__}>"


def _trace(text: str) -> str:
    if len(text) <= MAX_TRACE_LENGTH:
        return text
    # The start shows where the error came from, the end what it is.
    return f"{text[: MAX_TRACE_LENGTH // 4]}\n…\n{text[-MAX_TRACE_LENGTH * 3 // 4 :]}"


class _StreamWriter:
    """Writes the lines of structlog to a stream."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def msg(self, text: str) -> None:
        try:
            self.out.write(f"{text}\n")
            self.out.flush()
        except (OSError, ValueError):  # closed, or a full disk: there is no other place to report it
            pass

    debug = info = warning = error = critical = exception = log = msg
