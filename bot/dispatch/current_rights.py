"""Finds what a requester may see and do now, for commands that take minutes, such as following a log."""

from __future__ import annotations

import contextlib
from typing import Any

from bot.access.policy_in_force import PolicyInForce
from bot.dispatch.group_and_name_lookup import CurrentPeople
from bot.dispatch.visible_fleet import VisibleFleet
from core import errors
from core.model.actions import Action
from core.model.freezes import decode_freeze, is_frozen
from core.store.client import Store


class CurrentRights:
    """Reads the policy of now, and the person's groups of now."""

    def __init__(self, policies: PolicyInForce, store: Store, people: CurrentPeople) -> None:
        self._policies = policies
        self._store = store
        self._people = people

    async def refusal(self, view: VisibleFleet, action: Action[Any]) -> str:
        """Returns why this may not go on, as the end of a sentence; empty if it may. Raises StoreDown."""
        if freeze := await self.freeze(action):
            return freeze
        policy = await self._policies.refresh(await self._store.policy_version())
        try:
            reason = view.refusal(action, policy, await self._people.current(view.who))
        except errors.NotPermitted as error:
            reason = error.message
        return f"the permission for it was taken away: {reason}" if reason else ""

    async def freeze(self, action: Action[Any]) -> str:
        """Returns the sentence about the freeze that refuses this action; empty without one. Raises StoreDown."""
        if not is_frozen(action) or (record := await self._store.freeze()) is None:
            return ""
        return decode_freeze(record).sentence()

    async def view(self, view: VisibleFleet) -> VisibleFleet:
        """Returns what the requester may see now. While the store is away, the last policy stays. Raises
        NotPermitted."""
        with contextlib.suppress(errors.StoreError):
            await self._policies.refresh(await self._store.policy_version())
        return view.under(self._policies.policy, await self._people.current(view.who))
