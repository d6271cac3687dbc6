"""The only codec between values and bytes: a versioned envelope around one action.

`{"v": 1, "verb": "container.restart", "body": {…}}`. A reader accepts this version and the one before it; anything
else, and any verb this build does not know, raises InvalidResponse: an old process never guesses at a newer one's
words.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec

from core import errors
from core.model import actions

VERSION = 1
READABLE = (VERSION,)


class _Envelope(msgspec.Struct):
    v: int
    verb: str
    body: msgspec.Raw


def encode(action: actions.Action[Any]) -> bytes:
    return msgspec.json.encode({"v": VERSION, "verb": action.verb, "body": msgspec.Raw(msgspec.json.encode(action))})


def decode(data: bytes) -> actions.Action[Any]:
    """Raises InvalidResponse for another version, an unknown verb or a body of another shape."""
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
        if envelope.v not in READABLE:
            raise errors.InvalidResponse(f"This was written by another version of Quarterdeck (v{envelope.v}).")
        kind = _kinds().get(envelope.verb)
        if kind is None:
            raise errors.InvalidResponse(f"This version of Quarterdeck does not know “{envelope.verb[:64]}”.")
        action: actions.Action[Any] = msgspec.json.decode(envelope.body, type=kind)
        return action
    except msgspec.MsgspecError as error:
        raise errors.InvalidResponse("A stored action cannot be read.") from error


@functools.cache
def _kinds() -> Mapping[str, type[actions.Action[Any]]]:
    return {kind.verb: kind for kind in actions.all_actions()}
