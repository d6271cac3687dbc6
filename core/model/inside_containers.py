"""Defines the actions inside one container: run a program, copy a file out, export its file system, and commit it to an
image.

A program in a container can do everything that the container can. If the container can access its host, the program can
too, and a copied file may be one of the host. So these two actions need the verb `host.reach` in addition to their own
verb. `reaches` lists the access to the host that an inspection has shown. The dispatcher fills it in before the policy
decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from core.lazy_dataclass import dataclass
from core.model import host_access
from core.model.actions import Action, R_co, Risk, TargetAction
from core.model.results import ExecResult

MAX_SHOWN_FILE = 1 << 20  # bytes of a file that a reply shows as text
MAX_FILE = 64 << 20  # bytes of a file that a console can save; it is in memory once
MAX_EXPORT = 16 << 30  # bytes of a file system that a console can save; they are in a temporary file
MAX_PATH = 4_096  # bytes of a path in a container, as in Linux
EXEC_SECONDS, MAX_EXEC_SECONDS = 30, 600
UNKNOWN_REACH = "may reach its host, because an inspection does not show whether it does"


@dataclass(frozen=True, slots=True, kw_only=True)
class InsideAction(TargetAction[R_co]):
    """An action with all that its container has. `reaches`: a phrase for each thing that the container takes from its
    host, as in `host_access.reaches_of`."""

    reaches: tuple[str, ...] = ()

    def needs(self) -> Sequence[Action[Any]]:
        return host_access.needs(self.engine, self.target, None, self.reaches)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec(InsideAction[ExecResult]):
    """Runs a program in a container to its end, without a terminal or input. `user`: as `USER[:GROUP]`, empty: the
    container's own; `workdir`: empty: the container's own; `environment`: added to the container's own. `timeout`:
    seconds; on some engines a program that takes longer continues to run in the container."""

    verb = "container.exec"
    risk = Risk.CHANGE
    command: tuple[str, ...]
    user: str = ""
    workdir: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    timeout: int = EXEC_SECONDS

    def timeout_seconds(self) -> float:
        return self.timeout + 5.0


def more_time(action: Exec) -> str:
    """Returns how a program gets more time, as a sentence with a space before it; empty if it had the longest time."""
    longer = action.timeout < MAX_EXEC_SECONDS
    return f" To give it more time, add --timeout SECONDS, at most {MAX_EXEC_SECONDS}." if longer else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedFile:
    """A file that was copied out of a container. `size`: bytes; `modified_at`: Unix seconds; `sha256`: in hex. `text`:
    its content; None if it is not UTF-8 text. `content`: the same bytes, at position 0."""

    path: str
    size: int
    sha256: str
    modified_at: float
    text: str | None
    content: BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyFile(InsideAction[CopiedFile]):
    """Copies one ordinary file out of a container. `path`: absolute; `max_bytes`: a larger file is refused."""

    verb = "container.copy"
    path: str
    max_bytes: int = MAX_SHOWN_FILE

    def timeout_seconds(self) -> float:
        return 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFiles:
    """The file system of a container as a tar archive. `content`: an open temporary file without a name, at position
    0, which the system removes when it is closed."""

    size: int
    sha256: str
    content: BinaryIO


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportContainer(TargetAction[ExportedFiles]):
    """Reads the whole file system of a container, without its volumes and mounts. `timeout`: seconds."""

    verb = "container.export"
    timeout: int = 1_800

    def timeout_seconds(self) -> float:
        return self.timeout + 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitContainer(TargetAction[Any]):
    """Makes an image of a container's file system, without its volumes and mounts, as a job. The outcome's detail is
    the id of the image. `tag`: the name of the image; empty: it has none. `changes`: Dockerfile instructions. `pause`:
    whether the container is paused meanwhile; None: as the engine's own client does. `timeout`: seconds."""

    verb = "container.commit"
    risk = Risk.CHANGE
    tag: str = ""
    message: str = ""
    author: str = ""
    changes: tuple[str, ...] = ()
    pause: bool | None = None
    timeout: int = 600

    @property
    def pauses(self) -> bool:
        """Whether the container is paused. docker pauses it by default, podman does not."""
        return self.engine.kind != "podman" if self.pause is None else self.pause

    def timeout_seconds(self) -> float:
        return self.timeout + 30.0
