"""Runs the actions about the freeze of all changes: freeze, unfreeze and frozen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from core import errors
from core.model.actions import Risk
from core.model.freezes import (
    MAX_REASON,
    NOT_FROZEN,
    Freeze,
    LiftAnyFreeze,
    LiftFreeze,
    SetFreeze,
    ShowFreeze,
    decode_freeze,
)
from core.store.client import Store
from runtimes.base.base_adapter import BaseAdapter, does


class FreezeActionRunner(BaseAdapter):
    """Runs the actions about the freeze, for BuiltinRuntime."""

    _store: Store
    _clock: Callable[[], datetime]

    @does(SetFreeze)
    async def freeze(self, action: SetFreeze, seconds: float) -> Freeze:
        now = self._clock().timestamp()
        wanted = Freeze(
            by=action.by.id,
            by_name=action.by.name or action.by.id,
            since=now,
            until=now + action.seconds if action.seconds else 0.0,
            reason=action.reason[:MAX_REASON],
        )
        done, record = await self._store.set_freeze(action.by.id, msgspec.json.encode(wanted), action.seconds)
        if done:
            return wanted
        raise errors.Refused(
            f"The freeze was not changed: {decode_freeze(record).sentence()}",
            hint="Ask that person to change the freeze.",
        )

    @does(LiftFreeze)
    async def lift(self, action: LiftFreeze, seconds: float) -> Freeze:
        done, record = await self._store.lift_freeze(action.by.id)
        if not done and record:
            raise errors.NotPermitted(
                f"The freeze was not ended: {decode_freeze(record).sentence()}",
                rule="own-freeze",
                hint="Ask that person to end the freeze. With the permission freeze.lift-any, give: unfreeze --force",
            )
        return _lifted(done, record)

    @does(LiftAnyFreeze)
    async def lift_any(self, action: LiftAnyFreeze, seconds: float) -> Freeze:
        return _lifted(*await self._store.lift_freeze())

    async def freeze_of(self, verbs: Sequence[tuple[str, Risk]]) -> str:
        """Returns the sentence about the freeze that refuses one of these verbs; empty if they are allowed."""
        if all(risk is Risk.READ or verb in NOT_FROZEN for verb, risk in verbs):
            return ""
        try:
            record = await self._store.freeze()
        except errors.StoreError as error:
            return f"changes are refused while they cannot be recorded. {error.message}"
        return "" if record is None else decode_freeze(record).sentence()

    @does(ShowFreeze)
    async def frozen(self, action: ShowFreeze, seconds: float) -> Freeze | None:
        try:
            record = await self._store.freeze()
        except errors.StoreError as error:
            raise type(error)(
                f"Quarterdeck cannot read whether changes are frozen: {error.message}",
                hint="Every change is refused until the store answers.",
            ) from error
        return None if record is None else decode_freeze(record)


def _lifted(done: bool, record: bytes) -> Freeze:
    if not done:
        raise errors.NotFound("Changes are not frozen.", hint="See what was changed and refused with: audit")
    return decode_freeze(record)
