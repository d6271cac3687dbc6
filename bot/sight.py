"""What one asker may see and touch during one command: the Finder given to its plan, and the judge of each target.

It looks once: the rows a plan was made from are the facts it is decided on. What the asker may not list does not exist
here, in names, candidates and “did you mean” alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from bot import policy
from core import errors
from core.model.actions import Action, DescribeEngine, ListContainers, ListEvents, ListServices, Risk
from core.model.events import Event
from core.model.people import Identity, Place
from core.model.policy import Decision, Policy, Verdict
from core.model.refs import EngineRef, Facts, Kind, Ref
from core.model.things import Container, Containers, Service, Services
from core.ports import Call, Query
from runtimes import fleet


class Sight:
    def __init__(
        self, *, engines: fleet.Fleet, in_force: Policy, who: Identity, place: Place, call: Call, now: datetime
    ) -> None:
        self.call = call
        self._fleet = engines
        self._policy = in_force
        self._who = who
        self._place = place
        self._now = now
        self._stands: dict[str, policy.Stand] = {}
        self._rows: dict[str, Container] = {}
        self._ours: set[str] = set()  # ids among all rows seen
        self._services: dict[Ref, Service] = {}
        self._looked: dict[tuple[str, str], fleet.Survey[Service]] = {}

    def engines(self, query: Query) -> Sequence[EngineRef]:
        try:
            return self._fleet.engines(query)
        except errors.NotFound as error:
            known = [str(runtime.ref) for runtime in self._fleet.runtimes if self._listed(runtime.ref)]
            raise errors.NotFound(error.message, hint=f"Engines here: {', '.join(known)}." if known else "") from None

    async def find(self, query: Query) -> Sequence[Ref]:
        self.engines(query)
        if query.kind is Kind.SERVICE:
            return await self._find_services(query)
        survey = await self._survey(query)
        rows = fleet.select(query, survey, self._visible)
        self._rows.update((row.ref.id, row) for row in rows)
        return [row.ref for row in rows]

    def decide(self, action: Action[Any], ref: Ref) -> Decision:
        stand = self._stand(action.verb, action.risk)
        if action.listing:
            # A list is allowed if any row could be; the rows are then judged one by one.
            return policy.anything(stand, ref)
        # All a service's parts must be allowed, and the strictest of what is asked for any of them holds.
        return policy.strictest(policy.judge(stand, ref, facts, self._now) for facts in self._facts(ref))

    async def filter(self, action: Action[Any], value: Any) -> Any:
        """The part of a list the asker may see; None where it is a single thing they may not."""
        if isinstance(action, ListContainers):
            stand = self._stand(action.verb, action.risk)
            if stand.open:
                return value
            listed: Containers = value
            return Containers(
                rows=tuple(row for row in listed.rows if self._visible(row)), source=listed.source, age=listed.age
            )
        if isinstance(action, ListServices):
            told: Services = value
            return msgspec.structs.replace(told, rows=tuple(row for row in told.rows if self._shown(row)))
        if isinstance(action, ListEvents):
            return await self._seen(action, value)
        if isinstance(action, DescribeEngine):
            # Its own word on its name: the action may hold our guess from before the first contact.
            return value if self._listed(value.ref) else None
        return value

    async def look_again(self, plan: Sequence[Action[Any]]) -> None:
        """Fresh facts for a plan made earlier. Raises Expired when a target is gone: a plan is never moved to whatever
        carries the name now."""
        touched = [ref for action in plan for ref in action.touches()]
        if services := [ref for ref in touched if ref.kind is Kind.SERVICE]:
            await self._look_at_services(services)
        pinned = [ref for ref in touched if ref.kind is Kind.CONTAINER]
        if not pinned:
            return
        survey = await self._survey(Query(), fresh=True)
        rows = {row.ref.id: row for row in survey.rows}
        for ref in pinned:
            if ref.engine in survey.missing:
                raise survey.missing[ref.engine]
            if ref.id not in rows:
                raise errors.Expired(
                    f"{ref.name} ({ref.id[:12]}) is gone since you asked; nothing was done.",
                    hint="If another took its name, give the command again.",
                )
            self._rows[ref.id] = rows[ref.id]

    async def _find_services(self, query: Query) -> Sequence[Ref]:
        key = (query.host, query.engine)
        if key not in self._looked:
            self._looked[key] = await self._survey_services(query)
        rows = fleet.select_services(query, self._looked[key], self._shown)
        self._services.update((row.ref, row) for row in rows)
        return [row.ref for row in rows]

    async def _survey_services(self, query: Query) -> fleet.Survey[Service]:
        if self._policy.self_ids or self._policy.self_name:
            await self._survey(Query(), fresh=True)  # which of all containers are ours
        return await self._fleet.survey_services(query, self.call)

    async def _look_at_services(self, pinned: Sequence[Ref]) -> None:
        survey = await self._survey_services(Query())
        rows = {row.ref: row for row in survey.rows}
        for ref in pinned:
            if ref not in rows and ref.engine in survey.missing:
                raise survey.missing[ref.engine]
            if ref not in rows:
                raise errors.Expired(f"{ref.name} is gone since you asked; nothing was done.")
            self._services[ref] = rows[ref]

    def _visible(self, row: Container) -> bool:
        stand = self._stand(ListContainers.verb, Risk.READ)
        return stand.open or policy.judge(stand, row.ref, row.facts(self._now), self._now).verdict is not Verdict.DENY

    def _shown(self, row: Service) -> bool:
        stand = self._stand(ListServices.verb, Risk.READ)
        judged = (policy.judge(stand, row.ref, facts, self._now) for facts in row.facts(self._now))
        return stand.open or policy.strictest(judged).verdict is not Verdict.DENY

    def _listed(self, engine: EngineRef) -> bool:
        ref = Ref(engine=engine, kind=Kind.ENGINE, id=str(engine), name=str(engine))
        stand = self._stand(DescribeEngine.verb, DescribeEngine.risk)
        return policy.judge(stand, ref, None, self._now).verdict is not Verdict.DENY

    def _facts(self, ref: Ref) -> Sequence[Facts | None]:
        if ref.kind is Kind.SERVICE:
            found = self._services.get(ref)
            return (None,) if found is None else found.facts(self._now, self._ours)
        row = self._rows.get(ref.id)
        if row is None:
            return (None,)
        facts = row.facts(self._now)
        return (replace(facts, protected=True) if ref.id in self._ours else facts,)

    async def _survey(self, query: Query, *, fresh: bool = False) -> fleet.Survey[Container]:
        survey = await self._fleet.survey(query, self.call, fresh=fresh)
        self._ours |= policy.ours(self._policy, survey.rows)
        return survey

    async def _seen(self, action: ListEvents, events: Sequence[Event]) -> Sequence[Event]:
        stand = self._stand(action.verb, action.risk)
        if stand.open:
            return events
        survey = await self._survey(Query())
        self._rows.update((row.ref.id, row) for row in survey.rows)
        return tuple(
            event
            for event in events
            if policy.judge(stand, event.subject, self._facts(event.subject)[0], self._now).verdict is not Verdict.DENY
        )

    def _stand(self, verb: str, risk: Risk) -> policy.Stand:
        found = self._stands.get(verb)
        if found is None:
            found = self._stands[verb] = policy.stand(self._policy, self._who, self._place, verb, risk)
        return found
