"""Runs one subcommand of `quarterdeck`: loads the configuration, runs the event loop, prints an expected error and
returns the exit code.

This module imports little, so that `quarterdeck do` starts fast when it only sends its command to a running bot.
"""

from __future__ import annotations

import os
import sys

from bot.console import command_client
from core import import_speed

TYPE_CHECKING = False  # the import of `typing` takes longer than this module
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path
    from typing import Any

    from core.config.load import Config

INVALID_CONFIG = 78  # EX_CONFIG of sysexits.h
FAILED = 5  # the same as in bot.plain_text.EXIT
INTERRUPTED = 130


def run_subcommand(subcommand: Callable[[], int]) -> int:
    """Runs a subcommand, and prints an expected error as a sentence. Returns its exit code."""
    import_speed.turn_garbage_collector_off()
    try:
        return subcommand()
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        from core import errors  # noqa: PLC0415

        if not isinstance(error, errors.QuarterdeckError):
            raise
        print(error.full_message(), file=sys.stderr)  # noqa: T201
        # A UserError here comes from an invalid address or name in the configuration.
        return INVALID_CONFIG if isinstance(error, errors.ConfigError | errors.UserError) else FAILED
    finally:
        import_speed.skip_search_at_exit()


def load_settings(path: Path | None) -> Config:
    """Loads the configuration, and configures the log as it says. Raises ConfigError."""
    from core import logs  # noqa: PLC0415
    from core.config import load  # noqa: PLC0415

    settings = load.load(path)
    logs.configure_logging(settings.log.level, settings.log.format)
    return settings


def run_until_done(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine in an event loop, and returns its result. It calls `import_speed.turn_collector_on` after its
    imports.
    """
    import asyncio  # noqa: PLC0415

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:  # typer would print “Aborted!”
        sys.exit(INTERRUPTED)


def run_do_subcommand(request: command_client.Request) -> int:
    """Runs one command: through the bot that runs here, otherwise in this process. Returns the exit code."""
    code = command_client.send(request, os.environ)
    if code is not None:
        return code
    from pathlib import Path  # noqa: PLC0415

    settings = load_settings(Path(request.named) if request.named else None)
    from bot.console import do_without_bot  # noqa: PLC0415

    work = do_without_bot.run_command(
        settings, request.words, as_json=request.as_json, yes=request.yes, verify=request.verify
    )
    return int(run_until_done(work))
