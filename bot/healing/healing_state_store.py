"""Reads and replaces the stored record of each healing policy. Several processes can change one record."""

from __future__ import annotations

import msgspec

from bot.healing.decision_input import DecisionInput
from core.model import healing
from core.model.healing import HealingPolicy, HealingRecord, TargetState
from core.model.policy import Policy
from core.store.healing import HealingStore

MAX_CONFLICTS = 20
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(HealingRecord).decode


class HealingStateStore:
    """The records of all policies. Methods raise StoreError."""

    def __init__(self, store: HealingStore) -> None:
        self._store = store

    async def read(self, policy: str) -> tuple[bytes | None, HealingRecord]:
        """Returns the record as stored, and decoded."""
        stored = await self._store.healing_record(policy)
        return stored, _decoded(stored)

    async def put(self, case: DecisionInput, state: TargetState) -> bool:
        """Replaces the state of an incident. Returns False if another process was faster."""
        return await self.replace(case, healing.with_state(case.record, case.key, state))

    async def replace(self, case: DecisionInput, record: HealingRecord) -> bool:
        """Replaces the record that the case was decided on. Returns False if another process was faster."""
        return await self._store.change_healing(case.policy.name, case.stored, _encode(record))

    async def save(self, policy: HealingPolicy, in_force: Policy) -> None:
        """Records which guards were in force when the policy was saved."""
        for _ in range(MAX_CONFLICTS):
            stored, record = await self.read(policy.name)
            now = healing.saved(policy, record, in_force.guards)
            if now == record or await self._store.change_healing(policy.name, stored, _encode(now)):
                return

    async def end(
        self, policy: HealingPolicy, key: str, began: float, now: float, *, refused: str
    ) -> TargetState | None:
        """Records the end of a try, unless that was done meanwhile. A refused try is not part of the budget. Returns
        the state after it; None if somebody else has recorded its end."""
        for _ in range(MAX_CONFLICTS):
            stored, record = await self.read(policy.name)
            state = record.targets.get(key)
            if state is None or state.began != began:
                return None
            state = healing.ended(state, now, refused=refused)
            acts = tuple(at for at in record.acts if not (refused and at == began))
            record = healing.with_state(msgspec.structs.replace(record, acts=acts), key, state)
            if await self._store.change_healing(policy.name, stored, _encode(record)):
                return state
        return None

    async def forget(self, policy: str, key: str, now: float) -> TargetState | None:
        """Forgets an incident that is over. Keeps one that the policy has given up and leaves alone, in case it comes
        back. Returns its last state; None if it had no record."""
        for _ in range(MAX_CONFLICTS):
            stored, record = await self.read(policy)
            state = record.targets.get(key)
            if state is None or now < state.gave_up_until:
                return state
            if await self._store.change_healing(policy, stored, _encode(healing.with_state(record, key, None))):
                return state
        return None


def _decoded(value: bytes | None) -> HealingRecord:
    """Returns a new record if there is no stored one, or if another version wrote one that this version cannot read."""
    try:
        return HealingRecord() if value is None else _decode(value)
    except (msgspec.DecodeError, ValueError):
        return HealingRecord()
