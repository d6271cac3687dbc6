"""Finds out what a requester may see and do now, for commands that take minutes, such as following a log."""

from __future__ import annotations

import contextlib
from typing import Any

from bot.access.policy_in_force import PolicyInForce
from bot.dispatch.current_people import CurrentPeople
from bot.dispatch.visible_fleet import VisibleFleet
from core import errors
from core.model.actions import Action
from core.store.client import Store


class CurrentRights:
    """Reads the policy of now, and the person's groups of now."""

    def __init__(self, policies: PolicyInForce, store: Store, people: CurrentPeople) -> None:
        self._policies = policies
        self._store = store
        self._people = people

    async def refusal(self, view: VisibleFleet, action: Action[Any]) -> str:
        """Returns why the requester may not do this any more; empty if they may. Raises StoreDown."""
        policy = await self._policies.refresh(await self._store.policy_version())
        try:
            return view.refusal(action, policy, await self._people.current(view.who))
        except errors.NotPermitted as error:
            return error.message

    async def view(self, view: VisibleFleet) -> VisibleFleet:
        """Returns what the requester may see now. While the store is away, the last policy stays. Raises
        NotPermitted."""
        with contextlib.suppress(errors.StoreError):
            await self._policies.refresh(await self._store.policy_version())
        return view.under(self._policies.policy, await self._people.current(view.who))
