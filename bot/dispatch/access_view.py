"""What one asker may see and touch during one command: the Finder given to its plan, and the judge of each target.

It looks once: the rows a plan was made from are the facts it is decided on. What the asker may not list does not exist
here, in names, candidates and “did you mean” alike. Every kind of thing goes the same way: core.model.listings knows
how it is listed and what of a row is judged. What holds a container of ours or a protected one is protected with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from bot.access import policy, protection
from core import errors
from core.model import actions, listings
from core.model.actions import Action, DescribeEngine, ListEvents, Risk
from core.model.facts import Facts
from core.model.identity import Identity, Place
from core.model.policy import Decision, Policy, Verdict
from core.model.refs import EngineRef, Kind, Ref
from core.model.usage import ReadUsage
from core.ports import Call, Query
from runtimes.inventory import fleet

# Lists of what happened to things, or of what they use: judged on the things, which are listed for that.
ABOUT_THINGS = (ListEvents, ReadUsage)
Key = tuple[EngineRef, Kind, str]


class AccessView:
    def __init__(
        self, *, engines: fleet.Fleet, in_force: Policy, who: Identity, place: Place, call: Call, now: datetime
    ) -> None:
        self.call = call
        self._fleet = engines
        self._policy = in_force
        self._who = who
        self._place = place
        self._now = now
        self._stands: dict[str, policy.ResolvedPolicy] = {}
        self._found: dict[Key, Any] = {}
        self._looked: dict[tuple[Kind, str, str], fleet.Listing] = {}
        self._kept = protection.ProtectedSet(in_force)

    def engines(self, query: Query) -> Sequence[EngineRef]:
        try:
            found = self._fleet.engines(query)
        except errors.NotFound as error:
            known = [str(runtime.ref) for runtime in self._fleet.runtimes if self._listed(runtime.ref)]
            raise errors.NotFound(error.message, hint=f"Engines here: {', '.join(known)}." if known else "") from None
        if not query.verb:
            return found
        # Where none is allowed one is left, for the refusal that says what is missing; no other is told of.
        return [engine for engine in found if self._reaches(query.verb, engine)] or found[:1]

    async def find(self, query: Query) -> Sequence[Ref]:
        self.engines(query)
        key = (query.kind, query.host, query.engine)
        if key not in self._looked:
            self._looked[key] = await self._survey(query)
        rows = fleet.select(query, self._looked[key], self._visible)
        self._know(rows)
        return [row.ref for row in rows]

    def decide(self, action: Action[Any], ref: Ref) -> Decision:
        """Raises EngineError where it cannot be known whether something of ours would end with the thing."""
        stand = self._stand(action.verb, action.risk)
        if action.listing:
            # A list is allowed if any row could be; the rows are then judged one by one.
            return policy.evaluate_list(stand, ref)
        if (requested := action.prospective_facts(ref, self._now)) is not None:
            return policy.evaluate(stand, ref, requested, self._now)
        decision = self._strictest(stand, self._judged(ref))
        if decision.verdict is not Verdict.DENY and action.verb in policy.PROTECTED_VERBS:
            self._kept.must_know(ref)
        return decision

    async def filter(self, action: Action[Any], value: Any) -> Any:
        """The part of a list the asker may see; None where it is a single thing they may not."""
        if not action.listing:
            return value
        if isinstance(action, DescribeEngine):
            # Its own word on its name: the action may hold our guess from before the first contact.
            return value if self._listed(value.ref) else None
        stand = self._stand(action.verb, action.risk)
        if stand.open:
            return value
        if isinstance(action, ABOUT_THINGS):
            return await self._about_things(action, value, stand)
        kept = tuple(row for row in value.rows if self._allowed(stand, self._seen_as(row, action.engine)))
        return msgspec.structs.replace(value, rows=kept)

    async def look_again(self, plan: Sequence[Action[Any]]) -> None:
        """Fresh facts for a plan made earlier. Raises Expired when a target is gone: a plan is never moved to whatever
        carries the name now."""
        pinned = [
            ref
            for action in plan
            for ref in action.targets()
            if ref.kind in listings.LISTS and action.prospective_facts(ref, self._now) is None
        ]
        for kind in dict.fromkeys(ref.kind for ref in pinned):
            survey = await self._survey(Query(kind=kind), fresh=True)
            self._know(survey.rows)
            there = {_key(row.ref) for row in survey.rows}
            for ref in pinned:
                if ref.kind is not kind or _key(ref) in there:
                    continue
                if ref.engine in survey.missing:
                    raise survey.missing[ref.engine]
                which = f" ({ref.id[:12]})" if kind is Kind.CONTAINER else ""
                raise errors.Expired(
                    f"{ref.name}{which} is gone since you asked; nothing was done.",
                    hint="If another took its name, give the command again.",
                )

    async def _about_things(self, action: Action[Any], value: Any, stand: policy.ResolvedPolicy) -> Any:
        """Rows that each tell of a thing which is listed elsewhere."""
        events = isinstance(action, ListEvents)
        told = [(row.subject if events else row.ref, row) for row in (value if events else value.rows)]
        for kind in {ref.kind for ref, _ in told} & listings.LISTS.keys():
            survey = await self._fleet.list_all(Query(kind=kind), self.call, only=action.engine)
            self._know(survey.rows)
        kept = tuple(row for ref, row in told if self._allowed(stand, self._judged(ref)))
        return kept if events else msgspec.structs.replace(value, rows=kept)

    async def _survey(self, query: Query, *, fresh: bool = False) -> fleet.Listing:
        if query.kind in protection.HOLDERS:
            # Anywhere: a service's containers are on engines that may not know of services.
            self._kept.learn(await self._fleet.list_all(Query(), self.call, fresh=fresh))
        survey = await self._fleet.list_all(query, self.call, fresh=fresh)
        if query.kind is Kind.CONTAINER:
            self._kept.learn(survey)
        return survey

    def _know(self, rows: Iterable[Any]) -> None:
        self._found.update((_key(row.ref), row) for row in rows if hasattr(row, "ref"))

    def _visible(self, row: Any) -> bool:
        listed = listings.LISTS[row.ref.kind]
        return self._allowed(self._stand(listed.verb, listed.risk), self._seen_as(row, row.ref.engine))

    def _allowed(self, stand: policy.ResolvedPolicy, judged: Sequence[tuple[Ref, Facts | None]]) -> bool:
        return stand.open or self._strictest(stand, judged).verdict is not Verdict.DENY

    def _strictest(self, stand: policy.ResolvedPolicy, judged: Sequence[tuple[Ref, Facts | None]]) -> Decision:
        """All a thing's parts must be allowed, and the strictest of what is asked for any of them holds."""
        return policy.strictest(policy.evaluate(stand, ref, facts, self._now) for ref, facts in judged)

    def _reaches(self, verb: str, engine: EngineRef) -> bool:
        """Whether this may be done to something on that engine."""
        risk = next(kind.risk for kind in actions.all_actions() if kind.verb == verb)
        return any(grant.on.matches_engine(engine) for grant in self._stand(verb, risk).grants)

    def _listed(self, engine: EngineRef) -> bool:
        ref = Ref(engine=engine, kind=Kind.ENGINE, id=str(engine), name=str(engine))
        return self._allowed(self._stand(DescribeEngine.verb, DescribeEngine.risk), [(ref, None)])

    def _seen_as(self, row: Any, engine: EngineRef) -> Sequence[tuple[Ref, Facts]]:
        return listings.permission_targets(row, engine, self._now)

    def _judged(self, ref: Ref) -> Sequence[tuple[Ref, Facts | None]]:
        row = self._found.get(_key(ref))
        return [(ref, None)] if row is None else self._kept.judged(row, ref.engine, self._now)

    def _stand(self, verb: str, risk: Risk) -> policy.ResolvedPolicy:
        found = self._stands.get(verb)
        if found is None:
            found = self._stands[verb] = policy.stand(self._policy, self._who, self._place, verb, risk)
        return found


def _key(ref: Ref) -> Key:
    return (ref.engine, ref.kind, ref.id)
