"""Saves alerts that could not be written to the store to a file, so that they survive the end of the process.

Each process has one file and replaces it completely at each save. The next process reads all files and deletes each one
when its alerts are in the store. To read an alert twice is harmless: the incident ignores duplicates. Files of other
users are not read. The file size is limited, and each disk call has a timeout.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

from core import file_thread, metrics, untrusted_files
from core.model.alerts import Alert
from core.repeated_log import RepeatedLog

log = structlog.get_logger(__name__)
R = TypeVar("R")
MAX_BYTES = 16 << 20  # of one file
MAX_ALERTS = 10_000  # of one file
MAX_FILES = 100  # that are read
DISK_SECONDS = 5.0
_NAME = re.compile(r"alerts-[\w-]{1,80}\.json")
_encode = msgspec.json.Encoder().encode


class _Saved(msgspec.Struct, frozen=True):
    alerts: tuple[Alert, ...]
    version: int = 1


_decode = msgspec.json.Decoder(_Saved).decode


class UnstoredAlertsFile:
    """The file of one process. `folder`: its absolute path; it is created with the first file. `process`: the name of
    this process."""

    def __init__(self, folder: Path, process: str, counts: metrics.Metrics) -> None:
        self._folder = folder
        self._name = f"alerts-{process}.json"
        self._counts = counts
        self._thread = file_thread.FileThread("alert spool")
        self._others: Sequence[str] = ()  # whose alerts were read
        self._failing = RepeatedLog()
        self.saved = 0

    async def save(self, alerts: Sequence[Alert]) -> bool:
        """Replaces the file by one with these alerts, at most MAX_ALERTS of them. Returns whether that worked."""
        kept = alerts[:MAX_ALERTS]
        data = _encode(_Saved(alerts=tuple(kept)))
        while len(data) > MAX_BYTES:
            kept = kept[: len(kept) // 2]
            data = _encode(_Saved(alerts=tuple(kept)))
        if await self._on_disk(lambda: self._write(data)) is None:
            return False
        self.saved = len(kept)
        others = set(self._others)
        # The new file has the alerts of the files that were read: otherwise each restart without a store would add one.
        if others and len(kept) == len(alerts) and await self._on_disk(lambda: self._remove(others)) is not None:
            self._others = ()
        return True

    async def load(self) -> Sequence[Alert]:
        """Returns the alerts in the files of all processes."""
        found: list[Alert] = []
        for name in await self._on_disk(self._names) or ():
            data = await self._on_disk(functools.partial(self._read, name))
            if data is None:
                continue
            try:
                found += _decode(data).alerts
            except (msgspec.DecodeError, ValueError):
                log.error(
                    "A spool file with unstored alerts was damaged. Its alerts were lost.",
                    action="spool",
                    file=str(self._folder / name),
                )
                self._counts.alerts_lost_total.labels("damaged_file").inc()
            self._others = (*self._others, name)
        return found

    async def clear(self) -> None:
        """Removes the files whose alerts are stored."""
        names = {*self._others, *([self._name] if self.saved else [])}
        if names and await self._on_disk(lambda: self._remove(names)) is not None:
            self._others, self.saved = (), 0

    async def _on_disk(self, function: Callable[[], R]) -> R | None:
        """Returns what the function returns; None if the disk fails."""
        try:
            result = await self._thread.run(function, DISK_SECONDS)
        except (OSError, TimeoutError) as error:
            reason = getattr(error, "strerror", None) or "the disk did not answer in time"
            if times := self._failing.due(reason):
                log.error(
                    "The spool file for unstored alerts could not be read or written.",
                    action="spool",
                    folder=str(self._folder),
                    reason=reason,
                    times=times,
                )
            return None
        self._failing.ended()
        return result

    # ── in the thread ────────────────────────────────────────────────────────────────────────────────────────────

    def _open_folder(self) -> int:
        folder = untrusted_files.open_folder(str(self._folder), real_parents=1)
        found = os.fstat(folder)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            os.close(folder)
            raise untrusted_files.UntrustedFileError("the folder is not private", str(self._folder))
        return folder

    def _write(self, data: bytes) -> int:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder, new = self._open_folder(), f".{self._name}"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(new, dir_fd=folder)
            handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            try:
                with os.fdopen(handle, "wb") as opened:
                    opened.write(data)
                    opened.flush()
                    os.fsync(opened.fileno())
                os.rename(new, self._name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                os.unlink(new, dir_fd=folder)  # a full disk
                raise
        finally:
            os.close(folder)
        return len(data)

    def _names(self) -> Sequence[str]:
        if not self._folder.exists():
            return ()
        folder = self._open_folder()
        try:
            names = [entry.name for entry in Path(untrusted_files.folder_path(folder)).iterdir()]
        finally:
            os.close(folder)
        return sorted(name for name in names if _NAME.fullmatch(name))[:MAX_FILES]

    def _read(self, name: str) -> bytes:
        path = str(self._folder / name)
        return untrusted_files.read_file(path, {os.geteuid()}, max_bytes=MAX_BYTES, real_parents=1)

    def _remove(self, names: set[str]) -> int:
        folder = self._open_folder()
        try:
            for name in names:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
        finally:
            os.close(folder)
        return len(names)
