"""Defines the results of actions: log pages, JSON documents, and the outcomes of changes."""

from __future__ import annotations

from typing import Any

import msgspec

from core.model.refs import Ref


class Document(msgspec.Struct, frozen=True):
    """The engine's own description of one resource: decoded JSON, with values of environment variables hidden.
    `summary`: what most people want to know of it, name → text, made from `data`; a text may have several lines.
    `reaches`: what a container takes from its host, as in `host_access.reaches_of`; None if the engine does not report
    that."""

    ref: Ref
    data: dict[str, Any]
    summary: dict[str, str] = {}
    reaches: tuple[str, ...] | None = None


MAX_PAGE_CHARACTERS = 2 << 20
"""The most characters of one page of a log."""


DIVIDER = "divider"
"""The `stream` of a line that Quarterdeck adds to a followed log: it says that the container was restarted."""


class LogLine(msgspec.Struct, frozen=True):
    """One line of output. `at`: RFC 3339 with nanoseconds, from the engine; `stream`: stdout, stderr or DIVIDER."""

    at: str
    stream: str
    text: str


class LogRun(msgspec.Struct, frozen=True):
    """One run of a container, from a start to an end. `number`: the first run is 1; 0 if it is not known. Times are
    nanoseconds since the epoch, 0 if they are not known; a run that has not ended has no `ended_ns`."""

    number: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    exit_code: int | None = None
    out_of_memory: bool = False


class LogPage(msgspec.Struct, frozen=True):
    """Lines, oldest first. `dropped`: number of older lines that did not fit, by their number or by their characters;
    `cursor`: where the next page begins (opaque text; a datetime would lose nanoseconds); `end`: the container has
    ended, so there is no next page. `runs`: the runs of the container that the lines may belong to, oldest first, as
    far as they are known; `notes`: sentences about what the engine does not know."""

    lines: tuple[LogLine, ...]
    cursor: str = ""
    dropped: int = 0
    end: bool = False
    runs: tuple[LogRun, ...] = ()
    notes: tuple[str, ...] = ()


class Outcome(msgspec.Struct, frozen=True):
    """How a change ended. `status` is one of core.model.replies.Status; `took`: seconds. `killed`: the names of the
    containers and tasks that did not end within their grace after the stop signal, and were killed."""

    status: str
    detail: str = ""
    took: float = 0.0
    killed: tuple[str, ...] = ()


class ExecResult(msgspec.Struct, frozen=True):
    """How a program in a container ended. Each text is cut at 64 KiB; `cut`: number of bytes that are missing. `stderr`
    is empty if the engine does not separate the streams."""

    exit_code: int
    stdout: str = ""
    stderr: str = ""
    cut: int = 0
    took: float = 0.0
