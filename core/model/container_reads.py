"""Defines the actions that read a container's processes and changed files, and that wait for its end."""

from __future__ import annotations

from typing import Any

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import TargetAction

MAX_PROCESSES = 1_000  # of one reply
MAX_CHANGES = 2_000
MAX_WAIT_SECONDS = 540  # a job that only reads is followed a little longer


class Processes(msgspec.Struct, frozen=True):
    """The processes of a container as a table: `titles`, and `rows` with one text for each title. `missing`: how many
    rows are left out."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    missing: int = 0


class FileChange(msgspec.Struct, frozen=True, gc=False):
    """One path that differs from the image. `kind` is `added`, `changed` or `deleted`."""

    kind: str
    path: str


class FileChanges(msgspec.Struct, frozen=True):
    """The paths that differ from the image, in the engine's order. `missing`: how many are left out."""

    changes: tuple[FileChange, ...]
    missing: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadProcesses(TargetAction[Processes]):
    """Lists the processes in a container, as seen from its host. Command lines may contain secrets."""

    verb = "container.top"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFileChanges(TargetAction[FileChanges]):
    """Lists the files that a container added, changed or deleted since it was created."""

    verb = "container.diff"

    def timeout_seconds(self) -> float:
        return 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitForEnd(TargetAction[Any]):
    """Waits, as a job that changes nothing, until a container has ended. The job's outcome says how it ended.
    `timeout`: seconds, at most MAX_WAIT_SECONDS."""

    verb = "container.wait"
    timeout: int = 300
