"""Opens, lists and ends maintenance windows in the store. Removes windows that ended long ago."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

import msgspec

from bot.notify.alert_settings import decoded
from core import errors
from core.model.alert_setting_actions import AddMaintenance
from core.model.maintenance import MAX_WINDOWS, Maintenance
from core.store.alert_settings import AlertSettingsStore

# A window whose end could not be announced, because no process posts, is removed after this time.
KEEP_SECONDS = 86_400.0


async def list_maintenance_windows(store: AlertSettingsStore, now: float | None = None) -> Sequence[Maintenance]:
    """Returns the windows that are open or will be, the open ones first, and removes those that are long over. Raises
    StoreError."""
    now = time.time() if now is None else now
    found: list[Maintenance] = []
    for id_, value in (await store.maintenance()).items():
        window = decoded(value, Maintenance)
        if window is None or (window.is_over(now) and now - (window.ended_at or window.end) > KEEP_SECONDS):
            await store.change_maintenance(id_, value, None)
        elif not window.is_over(now):
            found.append(window)
    return sorted(found, key=lambda each: (each.open_at(now) is None, each.begin, each.id))


async def add_maintenance(store: AlertSettingsStore, action: AddMaintenance, now: float | None = None) -> Maintenance:
    """Stores a window. Raises UserError if there are too many, and StoreError."""
    now = time.time() if now is None else now
    if len(await list_maintenance_windows(store, now)) >= MAX_WINDOWS:
        raise errors.UserError(
            f"The maintenance window was not added: there are {MAX_WINDOWS} already, which is the limit.",
            hint="End a window that is not needed: find its id with `maintenance list`, then give: maintenance end ID",
        )
    begin = action.begin or now
    window = Maintenance(
        id=f"m-{secrets.token_hex(3)}",
        by=action.by.id,
        by_name=action.by.name or action.by.id,
        target=action.target,
        host=action.host,
        engine=action.engine_pattern,
        reason=action.reason,
        place=action.place,
        told_place=bool(action.place) and not action.begin and action.hours is None,
        begin=0.0 if action.hours is not None else begin,
        end=0.0 if action.hours is not None else begin + action.seconds,
        hours=action.hours,
    )
    await store.put_maintenance(window.id, msgspec.json.encode(window))
    return window


async def end_maintenance(store: AlertSettingsStore, id: str, now: float | None = None) -> Maintenance:  # noqa: A002
    """Ends a window for good. If it is open, its end is announced. Raises NotFound, StoreError."""
    now = time.time() if now is None else now
    while True:
        value = (await store.maintenance()).get(id)
        window = decoded(value, Maintenance) if value is not None else None
        if value is None or window is None or window.is_over(now):
            raise errors.NotFound(
                f"There is no maintenance window “{id}”.", hint="List the windows with: maintenance list"
            )
        ended = msgspec.structs.replace(window, ended_at=now)
        announced = window.announced_begin > window.announced_end
        if await store.change_maintenance(id, value, msgspec.json.encode(ended) if announced else None):
            return ended
