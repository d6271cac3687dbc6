"""Reads and changes the silences in the store."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

import msgspec

from bot.notify.alert_settings import decoded
from core import errors
from core.model.alert_actions import AddSilence
from core.model.silences import MAX_SILENCES, Silence
from core.store.incidents import IncidentStore

KEEP_SECONDS = 3_600.0


async def list_silences_in_force(store: IncidentStore, now: float | None = None) -> Sequence[Silence]:
    """Returns the silences that are in force, the one that ends first at the top, and removes those that are over. A
    snooze that is over stays for the process that reminds people of it. Raises StoreError."""
    now = time.time() if now is None else now
    stored = await store.silences()
    if not stored:
        return ()
    found = [silence for value in stored.values() if (silence := decoded(value, Silence)) is not None]
    kept = {each.id for each in found if each.until > now or (each.reminds and each.until > now - KEEP_SECONDS)}
    await store.remove_silences(sorted(stored.keys() - kept))
    return sorted((each for each in found if each.until > now), key=lambda silence: silence.until)


async def add_silence(
    store: IncidentStore, action: AddSilence, now: float | None = None, *, reminds: bool = False
) -> Silence:
    """Stores a silence. `reminds`: it is a snooze. Raises UserError if there are too many, and StoreError."""
    now = time.time() if now is None else now
    if len(await list_silences_in_force(store, now)) >= MAX_SILENCES:
        raise errors.UserError(
            f"The silence was not added: there are {MAX_SILENCES} already, which is the limit.",
            hint="End a silence that is not needed: find its id with `silences`, then give: unsilence ID",
        )
    silence = Silence(
        id=f"s-{secrets.token_hex(3)}",
        owner=action.owner,
        rule=action.rule,
        reason=action.reason,
        until=now + action.seconds,
        by=action.by.id,
        by_name=action.by.name or action.by.id,
        until_resolved=action.until_resolved,
        matchers=action.matchers,
        reminds=reminds,
    )
    await store.put_silence(silence.id, msgspec.json.encode(silence))
    return silence


async def remove_silence(store: IncidentStore, id: str) -> Silence:  # noqa: A002
    """Removes a silence and returns it. Raises NotFound, StoreError."""
    found = next((each for each in await list_silences_in_force(store) if each.id == id), None)
    if found is None or not await store.remove_silences([id]):
        raise errors.NotFound(f"There is no silence “{id}”.", hint="List the silences with: silences")
    return found
