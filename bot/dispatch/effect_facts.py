"""Collects the facts that are needed to predict what a plan will affect: lists of images and tasks, and inspections of
containers.

core.model.effects uses these facts for the prediction. If a fact is unknown, the effects that depend on it are marked
as uncertain.

In three cases the command fails if the engine does not answer. These are the tasks of a node that is to be drained, and
the containers of an engine that may all end. The third is the inspection of a container in which a command runs,
because the container may reach its host.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from core import errors
from core.model import bot_actions, change_applicability, effects, target_facts
from core.model.actions import Action, InspectContainer, Risk
from core.model.containers import Container
from core.model.inside_containers import UNKNOWN_REACH, InsideAction
from core.model.refs import EngineRef, Key, Kind
from core.model.service_actions import UpdateService
from core.ports import Call, Query
from runtimes.base.concurrent_map import map_concurrently
from runtimes.inventory import fleet

MAX_INSPECTIONS = 20  # in one plan; a larger plan asks for a confirmation anyway
MAX_LOOKS = 50  # at containers that may have ended since they were listed, in one plan
LISTS_LATE = frozenset({"docker", "podman"})  # engines with a list that may be behind their inspections


class EffectFacts:
    """Finds what is known for one command. `remember` is called with the rows of each further list, and `protect` with
    each further list of containers, so that the protected ones are known."""

    def __init__(
        self,
        engines: fleet.Fleet,
        call: Call,
        remember: Callable[[Sequence[Any]], None],
        protect: Callable[[fleet.FleetRows], None],
    ) -> None:
        self._fleet = engines
        self._call = call
        self._remember = remember
        self._protect = protect
        self._listings: dict[tuple[Kind, EngineRef], fleet.FleetRows] = {}

    async def with_effects(
        self, plan: Sequence[Action[Any]], row_of: Callable[[Key], Any], containers: Sequence[Container]
    ) -> Sequence[Action[Any]]:
        """Returns the plan with the effects of each change, and with the reaches of each action inside a container.
        `row_of` returns the listed row of a target, or None. Raises the error of an engine that does not list what
        would end, or does not inspect a container."""
        plan = await asyncio.gather(*(self._with_reaches(action) for action in plan))
        changes = list(filter(_is_change, plan))
        rows = {action.targets()[0].key: row_of(action.targets()[0].key) for action in changes}
        unknown = [
            action.targets()[0].key
            for action in changes
            if Kind.CONTAINER in effects.TABLE[action.verb].needs
            and isinstance(row := rows[action.targets()[0].key], Container)
            and row.auto_remove is None
        ]
        if len(unknown) <= MAX_INSPECTIONS:
            rows |= dict(
                zip(unknown, await asyncio.gather(*(self._inspected(rows[key]) for key in unknown)), strict=True)
            )
        return [
            effects.with_effects(action, await self._known(action, rows[action.targets()[0].key], containers))
            if _is_change(action)
            else action
            for action in plan
        ]

    async def with_present_states(self, rows: Sequence[Container]) -> Sequence[Container]:
        """Returns listed containers, those that have ended meanwhile with that state. The list of Docker from 26 on is
        some milliseconds behind the end of a container. At most MAX_LOOKS are inspected."""
        return await map_concurrently(self._with_present_state, rows[:MAX_LOOKS])

    async def _with_present_state(self, row: Container) -> Container:
        if row.ref.engine.kind not in LISTS_LATE:
            return row
        try:
            found = await self._fleet.run(InspectContainer(engine=row.ref.engine, target=row.ref), self._call)
        except errors.QuarterdeckError:
            return row
        state = found.data.get("State")
        if not isinstance(state, dict) or state.get("Status") not in change_applicability.ENDED:
            return row
        return msgspec.structs.replace(row, state="exited", status="", exit_code=None, health="")

    async def _with_reaches(self, action: Action[Any]) -> Action[Any]:
        if not isinstance(action, InsideAction):
            return action
        inspect = InspectContainer(engine=action.engine, target=action.target)
        try:
            found = (await self._fleet.run(inspect, self._call)).reaches
        except errors.Refused:  # the owner of the engine does not allow that
            found = None
        return replace(action, reaches=(UNKNOWN_REACH,) if found is None else found)

    async def _known(self, action: Action[Any], row: Any, containers: Sequence[Container]) -> target_facts.TargetFacts:
        needs = effects.TABLE[action.verb].needs
        images = await self._list(Kind.IMAGE, action.engine) if Kind.IMAGE in needs else None
        tasks = await self._list(Kind.TASK, action.engine) if Kind.TASK in needs else None
        if Kind.CONTAINER in needs and action.targets()[0].kind is Kind.ENGINE:
            every = await self._list(Kind.CONTAINER, action.engine)
            if every.missing:
                raise next(iter(every.missing.values()))
            containers = every.rows
        if tasks is not None and tasks.missing:
            raise next(iter(tasks.missing.values()))
        for kind in {ref.kind for ref in getattr(row, "values", ())} if isinstance(action, UpdateService) else ():
            await self._list(kind, action.engine)  # the policy looks at the labels of what an update makes readable
        return target_facts.TargetFacts(
            row=row,
            containers=containers,
            images=None if images is None or images.missing else images.rows,
            tasks=() if tasks is None else tasks.rows,
        )

    async def _list(self, kind: Kind, engine: EngineRef) -> fleet.FleetRows:
        found = self._listings.get((kind, engine))
        if found is None:
            found = await self._fleet.list_rows(Query(kind=kind), self._call, only=engine)
            self._listings[kind, engine] = found
            self._remember(found.rows)
            if kind is Kind.CONTAINER:
                self._protect(found)
        return found

    async def _inspected(self, row: Container) -> Container:
        """Returns the row with `auto_remove`, which Docker's list does not contain."""
        try:
            found = await self._fleet.run(InspectContainer(engine=row.ref.engine, target=row.ref), self._call)
        except errors.QuarterdeckError:
            return row
        host = found.data.get("HostConfig")
        auto_remove = host.get("AutoRemove") if isinstance(host, dict) else None
        return msgspec.structs.replace(row, auto_remove=auto_remove if isinstance(auto_remove, bool) else None)


def _is_change(action: Action[Any]) -> bool:
    return action.risk is not Risk.READ and action.engine != bot_actions.BOT
