"""Caches the decoded files of one state directory of runc or crun, and limits how much of them is read.

Of a directory of another user, at most MAX_USER_BYTES are read.
"""

from __future__ import annotations

import os
from collections.abc import Set
from dataclasses import field

from core import untrusted_files
from core.lazy_dataclass import dataclass
from runtimes.oci.decode import DecodedState

MAX_USER_BYTES = 64 << 20  # of the files in one directory of another user


@dataclass(slots=True)
class CachedState:
    """Holds the decoded files of one container. `version`: inode, time and size of the state file when it was read."""

    version: tuple[int, int, int]
    stored: DecodedState
    id: str
    owners: tuple[str, ...]
    started_ns: int | None = None


@dataclass(slots=True)
class StateDir:
    """Describes one state directory. `uid`: its owner. By container: `stored`, `faults` (why it is left out) and
    `sizes` (the bytes of its files)."""

    root: str
    uid: int
    stored: dict[str, CachedState] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    size: int = 0  # the sum of `sizes`

    def forget_all_but(self, names: Set[str]) -> None:
        for gone in (self.stored.keys() | self.sizes.keys() | self.faults.keys()) - names:
            self.forget(gone)
            self.faults.pop(gone, None)

    def forget(self, name: str) -> None:
        self.stored.pop(name, None)
        self.size -= self.sizes.pop(name, 0)

    def read(self, path: str, name: str, *, first: bool = False) -> bytes:
        """Reads one file of a container. `first`: the container's other files are read again, too. Raises OSError."""
        if first:
            self.size -= self.sizes.pop(name, 0)
        if self.uid not in (0, os.geteuid()) and self.size >= MAX_USER_BYTES:
            raise untrusted_files.UntrustedFileError(
                f"the directory has more than {MAX_USER_BYTES >> 20} MiB of files", path
            )
        data = untrusted_files.read_file(path, (self.uid,))
        self.sizes[name] = self.sizes.get(name, 0) + len(data)
        self.size += len(data)
        return data
