"""Runs the actions on alerts that need no container engine: list rules and incidents, acknowledge, silence, and fire a
test alert.

A requester sees an incident only if the policy lets them list its resource in this channel (or in the console).
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.access import policy
from bot.access.policy_in_force import PolicyInForce
from bot.access.unlisted_resource_facts import build_unlisted_resource_facts
from bot.notify.alert_settings import named_channel
from bot.notify.incident_writer import change_incident, newest_incidents, stored_incidents
from bot.notify.silences import add_silence, list_silences_in_force, remove_silence
from bot.rule_tests import RuleTestRunner
from collectors.alert_evaluator import Evaluator
from core import errors
from core.model import list_action_by_kind
from core.model.actions import DescribeEngine, Risk
from core.model.alert_actions import (
    AcknowledgeIncident,
    AddSilence,
    FireTestAlert,
    IncidentPage,
    ListIncidents,
    ListRules,
    ListSilences,
    RemoveSilence,
    RuleState,
)
from core.model.alert_routes import Routing
from core.model.alerts import Alert, AlertState, Severity
from core.model.bot_actions import BOT
from core.model.incidents import Incident, IncidentState, acknowledge
from core.model.invocation import Identity, Place
from core.model.policy import Verdict
from core.model.refs import EngineRef, Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.model.rule_tests import ReplayRule, RuleTest
from core.model.silences import Silence
from core.ports import Call, Query, Runtime
from core.store.client import Store
from runtimes.base.base_adapter import BaseAdapter, does
from runtimes.inventory.fleet import Fleet
from runtimes.inventory.mirror import Mirror
from runtimes.inventory.stored_coverage import FRESH_NS

TEST_INCIDENT = Incident(
    id="",
    key="",
    alerts=(
        Alert(
            fingerprint="test",
            rule="test",
            topic="test",
            severity=Severity.LOW,
            state=AlertState.FIRING,
            subject=Ref(engine=BOT, kind=Kind.BOT, id="quarterdeck", name="quarterdeck"),
            owner="quarterdeck",
            since_ns=0,
            at_ns=0,
            text="a test",
        ),
    ),
    began_ns=0,
    changed_ns=0,
)
"""An incident such as a test alert makes."""
IDENTIFY_SECONDS = 3.0
NAMED_SECONDS = 120.0  # since a process recorded that it watches an engine, which it does every 30 s
NO_RULES = "This process evaluates no alert rules."


class AlertActionRunner(BaseAdapter):
    """Runs the actions about alerts, for BuiltinRuntime. Set `evaluator` if this process evaluates rules."""

    _policies: PolicyInForce
    _store: Store
    _clock: Callable[[], datetime]
    evaluator: Evaluator | None = None
    rule_tests: RuleTestRunner | None = None
    fleet: Fleet | None
    routing = Routing()
    """Where incidents are posted, as configured."""

    @does(ListRules)
    async def rules(self, action: ListRules, seconds: float) -> tuple[RuleState, ...]:
        if self.evaluator is None:
            raise errors.UserError(NO_RULES, hint="Give this command to a running bot. To start a bot: quarterdeck run")
        statistics = self.evaluator.statistics
        firing = [alert.rule for alert in self.evaluator.firing]
        waiting = [alert.rule for alert in self.evaluator.waiting]
        return tuple(
            RuleState(
                name=rule.name,
                summary=rule.summary,
                severity=rule.severity,
                hold=rule.hold,
                settle=rule.settle,
                firing=firing.count(rule.name),
                waiting=waiting.count(rule.name),
                fired=statistics.fired[rule.name],
                asked=statistics.asked[rule.name],
                held_back=statistics.held_back[rule.name],
                last_ns=statistics.last_ns.get(rule.name, 0),
                threshold=f"{rule.threshold:g} {rule.threshold_unit}" if rule.threshold is not None else "",
            )
            for rule in self.evaluator.rules
        )

    @does(ReplayRule)
    async def replay_rule(self, action: ReplayRule, seconds: float) -> RuleTest:
        if self.rule_tests is None or self.fleet is None:
            raise errors.UserError(NO_RULES, hint="Give this command to a running bot. To start a bot: quarterdeck run")
        now = self._clock()
        call = Call(id="rules test", who="", deadline=now + timedelta(seconds=seconds), invocation="")
        rows = (await self.fleet.list_rows(Query(), call)).rows

        def may_list(subject: Ref, facts: ResourceFacts | None) -> bool:
            return self._may_list(subject, facts, action.who, action.place, now)

        return await self.rule_tests.run(action, self.fleet.runtimes, rows, may_list, now)

    @does(ListIncidents)
    async def incidents(self, action: ListIncidents, seconds: float) -> IncidentPage:
        now = self._clock()
        shown, found = await newest_incidents(
            self._store,
            action.limit,
            lambda each: (
                (action.resolved or each.state is not IncidentState.RESOLVED)
                and _has_name(each, action.name)
                and self._may_see(each, action.who, action.place, now)
            ),
        )
        return IncidentPage(
            incidents=shown,
            hidden=found - len(shown),
            channel=await self._some_channel(),
            unwatched=await self._unwatched_engines(action.who, action.place),
        )

    @does(AcknowledgeIncident)
    async def acknowledge(self, action: AcknowledgeIncident, seconds: float) -> Incident:
        found = await self._open_incident(action.id, action.by, action.place, "nobody needs to take care of it")
        return await change_incident(
            self._store, found.key, lambda incident: acknowledge(incident, action.by.id, action.by.name)
        )

    @does(FireTestAlert)
    async def fire_test(self, action: FireTestAlert, seconds: float) -> str:
        if self.evaluator is None:
            raise errors.UserError(NO_RULES, hint="Give this command to a running bot. To start a bot: quarterdeck run")
        self.evaluator.fire_test(BOT, f"a test by {action.by.name or action.by.id}; nothing is wrong")
        routing = replace(self.routing, default=self.routing.default or await named_channel(self._store))
        return ", ".join(each.to for each in routing.destinations(TEST_INCIDENT))

    @does(AddSilence)
    async def silence(self, action: AddSilence, seconds: float) -> Silence:
        place, now = action.place, self._clock()
        if action.until_resolved and place is not None:
            _, matching = await newest_incidents(
                self._store,
                0,
                lambda each: (
                    each.state is not IncidentState.RESOLVED
                    and _may_match(action, each)
                    and self._may_see(each, action.by, place, now)
                ),
            )
            if not matching:
                what = "these options" if action.owner == "*" else action.owner
                raise errors.NotFound(
                    f"No open incident matches {what}, so no silence was set.",
                    hint="To silence later incidents, leave out --until-resolved. List the open incidents with:"
                    " incidents",
                )
        return await add_silence(self._store, action)

    @does(ListSilences)
    async def silences(self, action: ListSilences, seconds: float) -> tuple[Silence, ...]:
        return tuple(await list_silences_in_force(self._store))

    @does(RemoveSilence)
    async def unsilence(self, action: RemoveSilence, seconds: float) -> Silence:
        return await remove_silence(self._store, action.id)

    async def _open_incident(self, id: str, who: Identity, place: Place, why: str) -> Incident:  # noqa: A002
        """Returns an open incident that the requester may see, by its id or the start of it. Raises NotFound,
        Ambiguous, and UserError for one that is over; `why`: what follows from that."""
        found = await self._visible_incident(id, who, place)
        if found.state is IncidentState.RESOLVED:
            raise errors.UserError(
                f"The incident {found.id} is over, so {why}.", hint="List the open incidents with: incidents"
            )
        return found

    async def _visible_incident(self, id: str, who: Identity, place: Place) -> Incident:  # noqa: A002
        """Returns an incident as `_open_incident`, also one that is over."""
        now = self._clock()
        found = await stored_incidents(
            self._store, lambda each: each.id.startswith(id) and self._may_see(each, who, place, now)
        )
        matching = [each for each in found if each.id == id] or found
        if len(matching) > 1:
            raise errors.Ambiguous(id, [each.id for each in matching])
        if not matching:
            raise errors.NotFound(f"There is no incident “{id}”.", hint="List the incidents with: incidents --all")
        return matching[0]

    async def _some_channel(self) -> str:
        """Returns a place where incidents are posted; empty if they are posted nowhere."""
        routed = (to for route in self.routing.routes for to in route.to)
        return self.routing.default or next(routed, "") or await named_channel(self._store)

    async def _unwatched_engines(self, who: Identity, place: Place) -> tuple[str, ...]:
        """Returns the engines that the requester may list and that no process watches now."""
        now = self._clock()
        engines = [each for each in (self.fleet.runtimes if self.fleet is not None else ()) if not _is_live(each)]
        await self._identify(engines, now)
        spans = await self._store.watch_spans([_engine_id(each) for each in engines])
        # An engine that does not answer has no id here, but whoever watches it has recorded its name.
        named = await self._store.watched_engines(now.timestamp() - NAMED_SECONDS)
        return tuple(
            str(each.ref)
            for each, span in zip(engines, spans, strict=True)
            if not (span.running and now.timestamp() * 1e9 - span.until_ns < FRESH_NS)
            and (_engine_id(each) or str(each.ref) not in named)
            and self._may_list(engine_target(each.ref), None, who, place, now)
        )

    async def _identify(self, engines: Sequence[Runtime], now: datetime) -> None:
        """Contacts engines whose id is not known yet, because the store knows engines by their ids."""
        call = Call(id="identify", who="", deadline=now + timedelta(seconds=IDENTIFY_SECONDS), invocation="")
        unknown = [each for each in engines if not _engine_id(each)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(IDENTIFY_SECONDS):
                described = (each.run(DescribeEngine(engine=each.ref), call) for each in unknown)
                await asyncio.gather(*described, return_exceptions=True)

    def _may_see(self, incident: Incident, who: Identity, place: Place, now: datetime) -> bool:
        """Whether the requester may list the subjects of all its alerts."""
        return all(self._may_list(each.subject, _facts(each, now), who, place, now) for each in incident.alerts)

    def _may_list(self, subject: Ref, facts: ResourceFacts | None, who: Identity, place: Place, now: datetime) -> bool:
        listing = list_action_by_kind.LISTS.get(subject.kind, DescribeEngine)
        resolved = policy.resolve(self._policies.policy, who, place, listing.verb, Risk.READ)
        return policy.evaluate(resolved, subject, facts, now).verdict is Verdict.ALLOW


def _is_live(runtime: Runtime) -> bool:
    """Whether this process watches the engine now."""
    return isinstance(runtime, Mirror) and runtime.live


def _engine_id(runtime: Runtime) -> str:
    """Returns the id under which the store knows an engine; empty before its first contact."""
    return str(getattr(runtime, "engine_id", ""))


def engine_target(engine: EngineRef) -> Ref:
    """Returns the engine as the target of an action."""
    return Ref(engine=engine, kind=Kind.ENGINE, id=str(engine), name=str(engine))


def _facts(alert: Alert, now: datetime) -> ResourceFacts | None:
    return build_unlisted_resource_facts(alert.subject, alert.labels if alert.labels_known else None, now)


def _may_match(action: AddSilence, incident: Incident) -> bool:
    """Whether the silence would hold back this incident."""
    silence = Silence(id="", owner=action.owner, rule=action.rule, matchers=action.matchers, until=math.inf, by="")
    return silence.matches(incident, 0.0)


def _has_name(incident: Incident, pattern: str) -> bool:
    if not pattern:
        return True
    names = {incident.id, incident.main.owner, *(alert.subject.name for alert in incident.alerts)}
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)
