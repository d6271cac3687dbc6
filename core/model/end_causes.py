"""Defines the cause of a container's end: why it ended, in one vocabulary for all engines."""

from __future__ import annotations

import enum

import msgspec


class CauseKind(enum.StrEnum):
    """Why a container ended."""

    REQUESTED = "requested"
    REPLACED = "replaced"
    FINISHED = "finished"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    LOST = "lost"
    UNKNOWN = "unknown"

    __hash__ = str.__hash__  # that of Enum is written in Python


class Cause(msgspec.Struct, frozen=True, gc=False):
    """The cause of one end. `text`: the cause in words, without a full stop. `by`: the id of the person whose command
    ended the container through Quarterdeck; empty otherwise."""

    kind: CauseKind
    text: str
    by: str = ""
