"""Makes the imports at the start of a process, and its end, take less time.

While modules are imported, the garbage collector finds nothing and takes a tenth of the time, so it is off. After the
imports it is on, and skips what was imported. Imports nothing large itself: beside a running bot, `quarterdeck do` is
nothing but a start and an end.
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
