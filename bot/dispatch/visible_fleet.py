"""Finds the targets of a command, checks whether the requester may act on each, and removes from lists what the
requester may not see.

Permission is checked on the list rows from which the targets were chosen, so each engine is asked once. A resource that
the requester may not list never appears in a reply. What contains a protected container is protected too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from bot.access import policy, protected_resources
from bot.dispatch import effect_facts, unused_resources, visible_rows
from core import errors
from core.model import actions, list_action_by_kind
from core.model.actions import Action, DescribeEngine, Effect, Risk
from core.model.background_jobs import FollowResult
from core.model.containers import Container
from core.model.events import Event, EventList
from core.model.invocation import Identity, Place
from core.model.policy import Decision, Policy, Verdict
from core.model.prune import FindUnused, Prune
from core.model.refs import EngineRef, Key, Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.ports import Call, Query, UnusedFound
from runtimes.inventory import fleet

# Engines that know everything about the containers that they list. The others may list containers of these.
KNOWS_ITS_OWN = frozenset({"docker", "podman"})
Subjects = Sequence[tuple[Ref, ResourceFacts | None]]


class VisibleFleet:
    """Shows the engines and resources that one person may list, during one command. Implements core.ports.Finder.
    `decide` returns the decision of the policy on one target."""

    def __init__(
        self, *, engines: fleet.Fleet, in_force: Policy, who: Identity, place: Place, call: Call, now: datetime
    ) -> None:
        self.call, self.who = call, who
        self.lookups: list[visible_rows.Lookup] = []
        self._fleet, self._policy, self._place, self._now = engines, in_force, place, now
        self._resolved: dict[tuple[str, Risk, bool | None], policy.ResolvedPolicy] = {}
        self._visible_rows: dict[tuple[Kind, str, str], Sequence[Any]] = {}
        self._ages: dict[EngineRef, float] = {}  # of the rows of engines that do not answer: old labels are not trusted
        self._rows: dict[Key, Any] = {}
        self._listings: dict[tuple[Kind, str, str], fleet.FleetRows] = {}
        self._protected = protected_resources.ProtectedSet(in_force)
        self._effect_sources = effect_facts.EffectFacts(engines, call, self._remember, self._protected.add_listing)
        self._containers: Sequence[Container] = ()  # of all engines, once a resource that holds containers was listed

    def engines(self, query: Query) -> Sequence[EngineRef]:
        try:
            found = self._fleet.engines(query)
        except errors.NotFound as error:
            known = [str(runtime.ref) for runtime in self._fleet.runtimes if self._may_list(runtime.ref)]
            hint = f"Use one of these engines: {', '.join(known)}." if known else ""
            raise errors.NotFound(error.message, hint=hint) from None
        if not query.verb:
            return found
        # If none is allowed, one is left for the refusal that names the missing grant; the others are not mentioned.
        return [engine for engine in found if self.may_somewhere(query.verb, engine)] or found[:1]

    async def find(self, query: Query) -> Sequence[Ref]:
        rows = await self._select(query)
        if not query.members:
            return [row.ref for row in rows]
        containers = await self._select(Query(host=query.host, engine=query.engine))
        return [one.ref for one in containers if any(row.contains(one) for row in rows)]

    def row(self, ref: Ref) -> Any:
        """Returns the row of a target as it was listed last; None if it was not listed."""
        return self._rows.get(ref.key)

    async def _select(self, query: Query) -> Sequence[Any]:
        self.engines(query)
        key = (query.kind, query.host, query.engine)
        if key not in self._listings:
            self._listings[key] = await self._list(query)
        listing = self._listings[key]
        if key not in self._visible_rows:
            self._visible_rows[key] = await visible_rows.select_rows(listing.rows, self._visible)
        visible = replace(listing, rows=self._visible_rows[key])
        rows = fleet.resolve(query, visible, lambda row: True)
        self.lookups.append(visible_rows.Lookup(query, visible.rows))
        self._remember(rows)
        return rows

    async def unused(self, prune: Prune) -> UnusedFound:
        """Finds what the engine of `prune` does not use and the requester may remove by it."""
        if not self.may_somewhere(prune.verb, prune.engine):
            raise policy.refusal(self._resolve(prune.verb, prune.risk), prune.targets()[0])
        kinds, engine = {Kind.CONTAINER, *prune.kinds}, str(prune.engine)
        listings = [await self._list(Query(kind=kind, engine=engine), fresh=True) for kind in kinds]
        self._remember(row for listing in listings for row in listing.rows)
        return await unused_resources.select_removable_resources(
            *(prune, await self._fleet.run(FindUnused(engine=prune.engine, kinds=prune.kinds), self.call), listings),
            row_of=self._rows.get,
            visible=self._visible,
            own=self._protected.is_part,
            decide=self.decide,
            decide_effect=self.decide_effect,
        )

    def decide(self, action: Action[Any], ref: Ref) -> Decision:
        """Returns the decision on one target. Raises EngineError if it is not known whether a protected container would
        end with the target."""
        resolved = self._resolve(action.verb, action.risk)
        if action.listing:
            return policy.evaluate_list(resolved, ref)  # if any row could be; `filter` then decides each row
        if (requested := action.prospective_facts(ref, self._now)) is not None:
            return policy.evaluate(resolved, ref, requested, self._now)
        decision = self._strictest_of(resolved, self._subjects_of(ref))
        if action.destroys() and action.risk is not Risk.DESTROY:
            more = self._strictest_of(self._resolve(action.verb, Risk.DESTROY), self._subjects_of(ref))
            decision = policy.combine_decisions((decision, more))
        if decision.verdict is not Verdict.DENY and action.verb in policy.PROTECTED_VERBS:
            self._protected.check_members_known(ref)
        if decision.verdict is not Verdict.DENY and action.verb in policy.ADMIN_READ_VERBS and not resolved.admin:
            self._protected.check_parts_known(ref)
        return decision

    def decide_effect(self, action: Action[Any], effect: Effect) -> Decision:
        """Returns the decision on one effect of an action."""
        resolved = self._resolve(effect.verb, effect.risk, effect.ends)
        decision = policy.combine_decisions(
            policy.evaluate_effect(resolved, effect.ref, facts, self._now) for _, facts in self._subjects_of(effect.ref)
        )
        if decision.rule == policy.SELF_PROTECTION:
            # The requester may not be allowed to list what the target holds.
            return replace(decision, reason=policy.protected_reason(action.targets()[0].name))
        return decision

    def as_seen_by(self, who: Identity, place: Place) -> VisibleFleet:
        """Returns what another person may do, with the same lists."""
        other = copy.copy(self)
        other.who, other._place, other._resolved = who, place, {}
        return other

    def refusal(self, action: Action[Any], in_force: Policy, who: Identity) -> str:
        """Returns why another policy does not allow an action that this one has allowed, on the facts that were known
        then; empty if it does. `who`: the same person, with the groups of now."""
        other = self.under(in_force, who)
        decided = (other.decide(each, ref) for each in (action, *action.needs()) for ref in each.targets())
        return next((decision.reason for decision in decided if decision.verdict is Verdict.DENY), "")

    def under(self, in_force: Policy, who: Identity) -> VisibleFleet:
        """Returns what this person may see and do under another policy, on the facts that are known here."""
        other = copy.copy(self)
        other._policy, other.who, other._resolved = in_force, who, {}
        return other

    async def with_effects(self, plan: Sequence[Action[Any]]) -> Sequence[Action[Any]]:
        """Returns the plan with the effects of each change, from the lists that its targets were found in. Raises the
        error of an engine that does not list what a change would end."""
        return await self._effect_sources.with_effects(plan, self._rows.get, self._containers)

    async def filter(self, action: Action[Any], value: Any) -> Any:
        """Returns the rows of a list that the requester may see; None for a single resource that they may not see."""
        if not action.listing:
            return value
        if isinstance(action, DescribeEngine):
            # The name the engine reports: the action may hold a guess from before the first contact.
            return value if self._may_list(value.ref) else None
        resolved = self._resolve(action.verb, action.risk)
        if isinstance(value, FollowResult):
            return value  # the events were filtered while they were followed
        if isinstance(value, EventList):
            return await self.filter_events(action, value)
        if resolved.allows_all:
            return value
        if getattr(value, "missing", ""):
            self._ages[action.engine] = getattr(value, "age", 0.0)
        if isinstance(action, visible_rows.ABOUT_RESOURCES):
            return await self._filter_by_subject(action, value, resolved)
        allowed = await visible_rows.select_rows(
            value.rows, lambda row: self._row_allowed(resolved, row, action.engine)
        )
        return msgspec.structs.replace(value, rows=tuple(allowed))

    async def filter_events(self, action: Action[Any], listed: EventList) -> EventList:
        """Returns the events that the requester may see. An event of a network names the container that it is about, if
        the requester may see that one, too."""
        resolved = self._resolve(action.verb, action.risk)
        seen: EventList = listed if resolved.allows_all else await self._filter_by_subject(action, listed, resolved)
        if not any("container" in event.attrs for event in seen.rows):
            return seen
        listing = await self._fleet.list_rows(Query(), self.call, only=action.engine)
        self._remember(listing.rows)
        names = visible_rows.container_names(listed.rows, [row.ref for row in listing.rows])
        return msgspec.structs.replace(
            seen,
            rows=tuple(
                visible_rows.add_container_name(
                    event, names, lambda ref: self._allowed(resolved, self._subjects_of(ref))
                )
                for event in seen.rows
            ),
        )

    async def refresh(self, plan: Sequence[Action[Any]]) -> Sequence[Action[Any]]:
        """Lists the targets of an earlier plan again, by their ids. Returns the plan without those that are gone, or
        raises Expired if an action needs them."""
        pinned = [
            (ref, action)
            for planned in plan
            for action in (planned, *planned.needs())
            for ref in action.targets()
            if ref.kind in list_action_by_kind.LISTS and action.prospective_facts(ref, self._now) is None
        ]
        gone: frozenset[Ref] = frozenset()
        for kind in dict.fromkeys(ref.kind for ref, _ in pinned):
            listing = await self._list(Query(kind=kind), fresh=True)
            self._remember(listing.rows)
            present = {row.ref.key for row in listing.rows}
            for ref, action in pinned:
                if ref.kind is not kind or ref.key in present:
                    continue
                if ref.engine in listing.missing:
                    raise listing.missing[ref.engine]
                if action.without(gone := gone | {ref}) is not None:
                    continue
                name = f"{ref.name} ({ref.id[:12]})" if kind is Kind.CONTAINER else ref.name
                hint = "If another resource has this name now, give the command again."
                raise errors.Expired(f"{name} was removed after you gave the command. Nothing was done.", hint=hint)
        return [(action.without(gone) or action) if gone else action for action in plan]

    def forget_lists(self) -> None:
        """Lets the next search list the resources again."""
        self._listings, self._visible_rows = {}, {}

    async def look_again(self, rows: Sequence[Container]) -> None:
        """Inspects containers: a list may be a moment behind their end."""
        self._remember(await self._effect_sources.with_present_states(rows))

    async def _filter_by_subject(self, action: Action[Any], value: Any, resolved: policy.ResolvedPolicy) -> Any:
        """Keeps the rows about resources that the requester may see."""
        subjects = [(row.subject if isinstance(row, Event) else row.ref, row) for row in value.rows]
        for kind in {ref.kind for ref, _ in subjects} & list_action_by_kind.LISTS.keys():
            listing = await self._fleet.list_rows(Query(kind=kind), self.call, only=action.engine)
            self._remember(listing.rows)
        seen = await visible_rows.select_rows(
            subjects, lambda subject: self._allowed(resolved, self._subjects_of(subject[0]))
        )
        return msgspec.structs.replace(value, rows=tuple(row for _, row in seen))

    async def _list(self, query: Query, *, fresh: bool = False) -> fleet.FleetRows:
        if query.kind in protected_resources.HOLDERS or (query.kind is Kind.CONTAINER and self._is_partial(query)):
            # On all engines: a service's containers run on engines that may not list services, and containerd or runc
            # know neither the labels nor the service of a container that Docker created.
            containers = await self._fleet.list_rows(Query(), self.call, fresh=fresh)
            self._protected.add_listing(containers)
            self._remember(containers.rows)
            self._containers = containers.rows
        listing = await self._fleet.list_rows(query, self.call, fresh=fresh)
        if query.kind is Kind.CONTAINER:
            self._protected.add_listing(listing)
        self._ages.update(listing.ages)
        return listing

    def _reported_at(self, engine: EngineRef) -> datetime:
        return self._now - timedelta(seconds=self._ages.get(engine, 0.0))

    def _is_partial(self, query: Query) -> bool:
        """Whether the query leaves out engines that may know more about its containers."""
        engines = self._fleet.engines(query) if query.host or query.engine else ()
        return any(engine.kind not in KNOWS_ITS_OWN for engine in engines)

    def _remember(self, rows: Iterable[Any]) -> None:
        self._rows.update((row.ref.key, row) for row in rows if hasattr(row, "ref"))

    def _visible(self, row: Any) -> bool:
        listed = list_action_by_kind.LISTS[row.ref.kind]
        return self._row_allowed(self._resolve(listed.verb, listed.risk), row, row.ref.engine)

    def _row_allowed(self, resolved: policy.ResolvedPolicy, row: Any, engine: EngineRef) -> bool:
        """A row that the policy cannot be applied to, because of a bug, is hidden; the other rows are not."""
        try:
            return self._allowed(resolved, self._subjects_in(row, engine))
        except errors.QuarterdeckError:
            raise
        except Exception as error:
            self._fleet.bugs.report(error, "permission", engine=str(engine))
            return False

    def _allowed(self, resolved: policy.ResolvedPolicy, subjects: Subjects) -> bool:
        return resolved.allows_all or self._strictest_of(resolved, subjects).verdict is not Verdict.DENY

    def _strictest_of(self, resolved: policy.ResolvedPolicy, subjects: Subjects) -> Decision:
        """Returns the strictest decision: all subjects must be allowed."""
        return policy.combine_decisions(policy.evaluate(resolved, ref, facts, self._now) for ref, facts in subjects)

    def may_somewhere(self, verb: str, engine: EngineRef) -> bool:
        """Whether any grant allows this verb on that engine."""
        risk = next(kind.risk for kind in actions.all_actions() if kind.verb == verb)
        return any(grant.on.matches_engine(engine) for grant in self._resolve(verb, risk).grants)

    def _may_list(self, engine: EngineRef) -> bool:
        ref = Ref(engine=engine, kind=Kind.ENGINE, id=str(engine), name=str(engine))
        return self._allowed(self._resolve(DescribeEngine.verb, DescribeEngine.risk), [(ref, None)])

    def _subjects_in(self, row: Any, engine: EngineRef) -> Sequence[tuple[Ref, ResourceFacts]]:
        return list_action_by_kind.permission_targets(row, engine, self._reported_at(engine))

    def _subjects_of(self, ref: Ref) -> Subjects:
        if (row := self._rows.get(ref.key)) is None:
            return [(ref, None)]
        return self._protected.with_protection(row, ref.engine, self._reported_at(ref.engine))

    def _resolve(self, verb: str, risk: Risk, ends: bool | None = None) -> policy.ResolvedPolicy:
        key = (verb, risk, ends)
        if key not in self._resolved:
            self._resolved[key] = policy.resolve(self._policy, self.who, self._place, verb, risk, ends)
        return self._resolved[key]
