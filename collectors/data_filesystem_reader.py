"""Reads the size and the free space of the file system that holds each local engine's data, and stores them in the
mirror: the copy of the engine's state in memory.

Each engine has a thread of its own for this, so that a disk that does not respond delays only its own engine.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from collectors import engine_polling
from core.file_thread import FileThread
from core.model.disk_use import Filesystem
from runtimes.base import data_filesystem
from runtimes.inventory.mirror import Mirror

TIMEOUT_SECONDS = 5.0


class DataFilesystemReader:
    """Reads the file systems of all engines. `close` ends its threads."""

    def __init__(self, mirrors: Callable[[], Sequence[Mirror]]) -> None:
        self._mirrors = mirrors
        self._threads: dict[str, FileThread] = {}

    async def run(self) -> engine_polling.PollingRound:
        mirrors = [mirror for mirror in self._mirrors() if mirror.engine_id and mirror.data_root is not None]
        for gone in self._threads.keys() - {mirror.engine_id for mirror in mirrors}:
            self._threads.pop(gone).close()
        return await engine_polling.ask_each(mirrors, self._read, seconds=TIMEOUT_SECONDS + 1)

    def close(self) -> None:
        while self._threads:
            self._threads.popitem()[1].close()

    async def _read(self, mirror: Mirror) -> None:
        root = mirror.data_root
        assert root is not None
        thread = self._threads.get(mirror.engine_id)
        if thread is None:
            thread = self._threads[mirror.engine_id] = FileThread(f"file system of {mirror.ref}")
        found: Filesystem | None = None
        try:
            found = await thread.run(
                functools.partial(data_filesystem.read_filesystem, root, mirror.ref.host), TIMEOUT_SECONDS
            )
        finally:  # after a failure, the old value must not look like a present one
            mirror.resources.filesystem = found
