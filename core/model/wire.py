"""Encodes and decodes actions: a versioned JSON envelope around one action.

`{"v": 1, "verb": "container.restart", "body": {…}}`. The reader accepts the versions in `READABLE`. Any other version,
and any unknown verb, raises InvalidResponse, so that an old process never guesses what a newer one wrote.
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
    """Decodes one action. Raises InvalidResponse for another version, an unknown verb or an invalid body."""
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
        if envelope.v not in READABLE:
            raise errors.InvalidResponse(f"This action was stored by another version of Quarterdeck (v{envelope.v}).")
        kind = _kinds().get(envelope.verb)
        if kind is None:
            raise errors.InvalidResponse(f"This version of Quarterdeck has no verb “{envelope.verb[:64]}”.")
        action: actions.Action[Any] = msgspec.json.decode(envelope.body, type=kind)
        return action
    except msgspec.MsgspecError as error:
        raise errors.InvalidResponse("A stored action is invalid.") from error


@functools.cache
def _kinds() -> Mapping[str, type[actions.Action[Any]]]:
    return {kind.verb: kind for kind in actions.all_actions()}
