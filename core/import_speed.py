"""Speeds up the start and the end of a process: turns the garbage collector off during imports.

During imports, the garbage collector finds nothing and takes a tenth of the time. After the imports it is turned on,
and skips the imported objects. This module imports nothing large itself, because the start takes most of the time of
`quarterdeck do` if a bot runs already.
"""

from __future__ import annotations

import gc

# The first number: how many new objects start a collection. So many objects need at most a few megabytes.
COLLECTION_THRESHOLDS = 10_000, 10, 10


def turn_garbage_collector_off() -> None:
    """Turns the garbage collector off, at the start of the process."""
    gc.disable()


def turn_collector_on() -> None:
    """Turns the garbage collector on, once all that the process uses is imported. It then runs less
    often than by default, which saves a twentieth of the work for each event."""
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)
    gc.enable()


def skip_search_at_exit() -> None:
    """Keeps the interpreter from searching through all modules when it ends. Nothing else may follow."""
    gc.disable()
    gc.freeze()
