"""What running an action returns: log pages, documents, outcomes."""

from __future__ import annotations

from typing import Any

import msgspec

from core.model.refs import Ref


class Document(msgspec.Struct, frozen=True):
    """The engine's own words about one thing, as decoded JSON with the values of environment variables hidden."""

    ref: Ref
    data: dict[str, Any]


class LogLine(msgspec.Struct, frozen=True):
    """One line a container wrote. `at`: RFC 3339 with nanoseconds as the engine gave it; `stream`: stdout or stderr."""

    at: str
    stream: str
    text: str


class LogPage(msgspec.Struct, frozen=True):
    """Lines, oldest first. `dropped`: older lines left out to keep the page bounded; `cursor`: read on from here (an
    opaque word; a datetime would lose nanoseconds); `end`: the container has ended, nothing more can follow."""

    lines: tuple[LogLine, ...]
    cursor: str = ""
    dropped: int = 0
    end: bool = False


class Outcome(msgspec.Struct, frozen=True):
    """How a change ended. `status` is one of core.model.replies.Status; `took` is seconds."""

    status: str
    detail: str = ""
    took: float = 0.0


class ExecResult(msgspec.Struct, frozen=True):
    """How a program in a container ended. Texts are cut at 64 KiB each, `cut` tells by how many bytes in all. Where the
    engine keeps both streams apart `stderr` has its own."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    cut: int = 0
    took: float = 0.0
