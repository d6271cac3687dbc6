"""Encodes actions to bytes for the store, and decodes them: a versioned JSON envelope around one action.

`{"v": 1, "verb": "container.restart", "body": {…}}`. The decoder accepts the versions in `READABLE`. The decoder raises
InvalidResponse for any other version and for an unknown verb, so that an old process never guesses what a newer process
wrote.
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


def encode_action(action: actions.Action[Any]) -> bytes:
    """Encodes one action with its verb and the version of the format."""
    return msgspec.json.encode({"v": VERSION, "verb": action.verb, "body": msgspec.Raw(msgspec.json.encode(action))})


def decode_action(data: bytes) -> actions.Action[Any]:
    """Decodes one action. Raises InvalidResponse for another version, an unknown verb or an invalid body."""
    try:
        envelope = msgspec.json.decode(data, type=_Envelope)
        if envelope.v not in READABLE:
            raise _unreadable(
                f"A stored action has the format v{envelope.v}, which this version of Quarterdeck cannot read."
            )
        kind = _kinds().get(envelope.verb)
        if kind is None:
            raise _unreadable(
                f"A stored action has the verb “{envelope.verb[:64]}”, which this version of Quarterdeck does not have."
            )
        action: actions.Action[Any] = msgspec.json.decode(envelope.body, type=kind)
        return action
    except msgspec.MsgspecError as error:
        raise _unreadable("A stored action cannot be decoded.") from error


def _unreadable(message: str) -> errors.InvalidResponse:
    return errors.InvalidResponse(
        message, sent=False, hint="Give the command again. Run the same version of Quarterdeck on all replicas."
    )


@functools.cache
def _kinds() -> Mapping[str, type[actions.Action[Any]]]:
    return {kind.verb: kind for kind in actions.all_actions()}
