"""Reads and changes the silences in the store."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

import msgspec

from core import errors
from core.model.alert_actions import AddSilence
from core.model.silences import MAX_SILENCES, Silence
from core.store.incidents import IncidentStore

_decode = msgspec.json.Decoder(Silence).decode


async def silences_in_force(store: IncidentStore, now: float | None = None) -> Sequence[Silence]:
    """Returns the silences that are in force, the one that ends first at the top, and removes those that are over.
    Raises StoreError."""
    now = time.time() if now is None else now
    stored = await store.silences()
    if not stored:
        return ()
    found = [silence for value in stored.values() if (silence := _decoded(value)) is not None and silence.until > now]
    await store.remove_silences(sorted(stored.keys() - {silence.id for silence in found}))
    return sorted(found, key=lambda silence: silence.until)


async def add_silence(store: IncidentStore, action: AddSilence, now: float | None = None) -> Silence:
    """Stores a silence. Raises UserError if there are too many, and StoreError."""
    now = time.time() if now is None else now
    if len(await silences_in_force(store, now)) >= MAX_SILENCES:
        raise errors.UserError(
            f"There are {MAX_SILENCES} silences already, which is the limit.",
            hint="End one of them: silences, then unsilence ID",
        )
    silence = Silence(
        id=f"s-{secrets.token_hex(3)}",
        owner=action.owner,
        rule=action.rule,
        reason=action.reason,
        until=now + action.seconds,
        by=action.by.id,
        by_name=action.by.name or action.by.id,
    )
    await store.put_silence(silence.id, msgspec.json.encode(silence))
    return silence


async def remove_silence(store: IncidentStore, id: str) -> Silence:  # noqa: A002
    """Removes a silence and returns it. Raises NotFound, StoreError."""
    found = next((each for each in await silences_in_force(store) if each.id == id), None)
    if found is None or not await store.remove_silences([id]):
        raise errors.NotFound(f"There is no silence “{id}”.", hint="List the silences with: silences")
    return found


def _decoded(value: bytes) -> Silence | None:
    """Decodes a stored silence; None for one that another version wrote and this one cannot read."""
    try:
        return _decode(value)
    except (msgspec.DecodeError, ValueError):
        return None
