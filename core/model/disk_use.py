"""Defines the resources of one engine as numbers: how many there are, and how much of the disk they use.

None stands for a number that the engine does not report. Sizes are bytes, times are unix seconds.
"""

from __future__ import annotations

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action


class DiskUse(msgspec.Struct, frozen=True, gc=False):
    """How much of the disk an engine's resources use, as the engine itself measures it. `images`: the layers of all
    images, each counted once; `volumes`: all volumes; `unused_volumes`: the number of volumes that no container uses;
    `build_cache`: what builds left behind; `writable`: what containers wrote outside of volumes. `read_at`: when the
    engine was asked; `took`: how many seconds it needed."""

    images: int | None = None
    volumes: int | None = None
    unused_volumes: int | None = None
    build_cache: int | None = None
    writable: int | None = None
    read_at: float = 0.0
    took: float = 0.0


class ResourceCounts(msgspec.Struct, frozen=True, gc=False):
    """How many images, volumes and networks an engine has. `dangling_images`: those without a tag."""

    images: int | None = None
    dangling_images: int | None = None
    volumes: int | None = None
    networks: int | None = None


class DataRoot(msgspec.Struct, frozen=True, gc=False):
    """Where an engine stores its data. `path`: the folder, as the engine reports it. `socket`: the path of the unix
    socket at which this engine listens: the process that serves it shows whether the folder is on this machine."""

    path: str
    socket: str


class Filesystem(msgspec.Struct, frozen=True, gc=False):
    """The size of one file system, and how much of it ordinary users can still write. `device`: the kernel's number of
    it; 0 if it is not known."""

    size: int
    free: int
    device: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDiskUse(Action[DiskUse]):
    """Measures the disk use. A large engine needs minutes for it, so a cached measurement answers if it is not older
    than `max_age` seconds. The default is longer than the time after which the schedule measures again, so that the
    question of a person does not start a measurement beside that of another process."""

    verb = "engine.disk-use"
    max_age: float = 20 * 60.0

    def timeout_seconds(self) -> float:
        return 120.0
