"""Writes records to the store. While the store cannot be reached, the records wait in memory and are written later.

Only records of past facts may wait: audit rows, and the ends of commands. The oldest record is written first, so the
records of one command stay in order. If MAX_ENTRIES records wait, a new one is dropped and counted in the log. A minor
record, such as that of a read or a refusal, is already dropped if half of that number wait. Records that still wait
when the process ends never reach the store, but their audit rows are in the log, in full.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from core import errors
from core.lazy_dataclass import dataclass

log = structlog.get_logger(__name__)
MAX_ENTRIES = 5_000


class DeferredWrites:
    """Writes records now or later. `dropped` counts the records that were lost."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self.dropped = 0
        self._max_entries = max_entries
        self._waiting: deque[DeferredWrite] = deque()
        self._lock = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    async def write(self, entry: DeferredWrite) -> None:
        """Writes the record now if that is possible, else later. Raises nothing, because what it describes has
        happened."""
        reason = "an earlier entry of the same command is waiting"
        if not any(entry.invocation and each.invocation == entry.invocation for each in self._waiting):
            try:
                await entry.write()
            except errors.StoreError as error:
                reason = error.message
            else:
                return
        for row in entry.rows:
            log.warning("An audit row could not be stored yet.", action="spool", reason=reason, row=dict(row))
        most = self._max_entries // 2 if entry.minor else self._max_entries
        if len(self._waiting) < most:
            self._waiting.append(entry)
        else:
            self._drop(entry, f"more than {most} entries are waiting for the store")

    async def flush(self) -> None:
        """Writes what is waiting, oldest first. Raises StoreDown; the remaining records then wait on."""
        async with self._lock:
            while self._waiting:
                entry = self._waiting[0]
                try:
                    await entry.write()
                except errors.StoreDown:
                    raise
                except errors.StoreError as error:
                    self._drop(entry, error.message)  # the store is there and rejects it: it would block the others
                self._waiting.popleft()

    def _drop(self, entry: DeferredWrite, reason: str) -> None:
        self.dropped += 1
        log.error(
            "A record of a command was dropped. It is not in the store.",
            action="spool",
            invocation=entry.invocation,
            rows=len(entry.rows),
            dropped=self.dropped,
            reason=reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DeferredWrite:
    """Holds one call to the store that may wait. `write` raises StoreError when it fails, and may be repeated. `rows`:
    the audit rows in it, for the log. `minor`: it is the first to be dropped."""

    write: Callable[[], Awaitable[object]]
    invocation: str = ""
    rows: Sequence[Mapping[str, str]] = ()
    minor: bool = False
