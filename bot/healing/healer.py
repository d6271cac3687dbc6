"""Runs command lines when alerts fire, as the healing policies of the configuration define.

Each policy has its own identity. Its command lines pass the same checks as every command: permissions, guards, limits,
leases, the freeze and the audit. Nobody can be asked, so a command that needs a confirmation is refused. Guards that
were in force when the policy was saved count as confirmed. Before an attempt, the process records it in the store, so
only one of several processes acts. If the process is killed between the record and the command, that attempt is not
repeated.

The time between two attempts doubles. After the last attempt, the policy gives up, fires an alert and ignores the
incident for a time. It does nothing while somebody takes care of the incident, in maintenance and during a rollout.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from bot.healing import command_lines
from bot.healing.command_runner import AttemptResult, CommandRunner, RunCommandLine
from bot.healing.decision_input import DecisionInput
from bot.healing.healing_state_store import HealingStateStore
from bot.notify.alert_settings import read_settings
from bot.notify.incident_writer import change_incident, decode_incident
from collectors import quarterdeck_labels
from collectors.alert_evaluator import Evaluator
from core import errors, metrics, shared_ticks, supervise, tasks, unexpected_errors
from core.model import healing
from core.model.alerts import Alert
from core.model.containers import SWARM_SERVICE_LABEL, Container
from core.model.events import HEALED, HEALING_GAVE_UP, Event, EventKind, Origin
from core.model.healing import HealingPolicy, Step
from core.model.incidents import IncidentNote, IncidentState, add_note, incident_key
from core.model.owners import project_of
from core.model.policy import Policy
from core.model.refs import EngineRef, Kind
from core.model.resource_facts import ResourceFacts
from core.repeated_log import RepeatedLog
from core.store.client import Store
from core.text import durations, redact, text_timestamps
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger(__name__)
TICK_SECONDS = 1.0
MAX_RUNNING = 5  # tries at once in one process
LOOK_SECONDS = 5.0  # between two looks at the store about one incident
ROLLOUTS = frozenset({"updating", "rollback_started"})


class Healer:
    """Acts while `run` runs. `run_line`: runs a command line. `in_force`: the policy in force, which also says what to
    heal. `changed` is called after a note was added to an incident. `now`: our clock, in seconds since the epoch."""

    def __init__(
        self,
        *,
        store: Store,
        evaluator: Evaluator,
        mirrors: Callable[[], Sequence[Mirror]],
        run_line: RunCommandLine,
        in_force: Callable[[], Policy],
        counts: metrics.Metrics,
        changed: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._records = HealingStateStore(store)
        self._evaluator = evaluator
        self._mirrors = mirrors
        self._runner = CommandRunner(run_line, now)
        self._in_force = in_force
        self._counts = counts
        self._changed = changed
        self._now = now
        self._next_look: dict[tuple[str, str], float] = {}
        self._active: dict[tuple[str, str], Alert] = {}  # what was looked at and still fires
        self._newest: dict[EngineRef, Mapping[str, Container]] = {}
        self._saved: set[HealingPolicy] = set()
        self._running: set[asyncio.Task[None]] = set()
        self._bugs = unexpected_errors.BugReporter()
        self._store_down = RepeatedLog()

    async def run(self) -> None:
        """Acts until it is cancelled."""
        try:
            while True:
                await self.tick()
                await shared_ticks.sleep_to_tick(TICK_SECONDS)
        finally:
            for task in self._running:
                task.cancel()
            await self.idle()

    async def idle(self) -> None:
        """Waits until no try runs in this process."""
        while self._running:
            await asyncio.wait(self._running)

    async def tick(self) -> None:
        """Looks once at what fires. Does not raise if the store fails."""
        try:
            await self._tick()
        except errors.StoreError as error:
            if times := self._store_down.due(error.message):
                log.warning(
                    "Self-healing was paused, because the store did not answer.", reason=error.message, times=times
                )
        else:
            self._store_down.ended()

    async def _tick(self) -> None:
        in_force = self._in_force()
        for policy in in_force.healing:
            if policy not in self._saved:
                await self._records.save(policy, in_force)
                self._saved = {each for each in self._saved if each.name != policy.name} | {policy}
        firing: dict[tuple[str, str], tuple[HealingPolicy, Alert]] = {}
        for alert in self._evaluator.firing if in_force.healing else ():
            for policy in in_force.healing:
                if policy.covers(alert.rule):
                    firing.setdefault((policy.name, incident_key(alert)), (policy, alert))
        for over in self._active.keys() - firing.keys():
            state = await self._records.forget(*over, self._now())
            if state is not None and state.gave_up_until:
                self._observe(self._active[over], HEALED, "")
            del self._active[over]
        self._next_look = {key: at for key, at in self._next_look.items() if key in firing}
        self._newest.clear()
        async for key, (policy, alert) in supervise.in_turns(firing.items()):
            if self._now() >= self._next_look.get(key, 0.0):
                self._next_look[key] = self._now() + min(LOOK_SECONDS, policy.wait)
                case = await self._case(policy, key[1], alert)
                if case is not None:
                    self._active[key] = alert
                    await self._step(case)

    async def _case(self, policy: HealingPolicy, key: str, alert: Alert) -> DecisionInput | None:
        """Returns what to decide on; None if the policy has nothing to do with it, or not now."""
        mirror = next((each for each in self._mirrors() if each.ref == alert.subject.engine), None)
        containers: Mapping[str, Container] = mirror.containers if mirror is not None and mirror.live else {}
        row: Container | None = None
        if alert.subject.kind is Kind.CONTAINER:
            row = containers.get(alert.subject.id)
            if row is None:
                newest = await self._newest_of(alert.subject.engine, containers)
                row = command_lines.find_container_of_alert(alert, containers, newest)
        if row is None and alert.subject.kind is Kind.CONTAINER:
            return None  # it was removed, or its engine does not answer
        if quarterdeck_labels.healing_is_off(row.labels if row is not None else alert.labels):
            return None
        if not self._selects(policy, alert, row):
            return None
        raw = await self._store.incident(key)
        incident = None if raw is None else decode_incident(raw)
        if incident is None or incident.state is not IncidentState.FIRING:
            return None
        stored, record = await self._records.read(policy.name)
        return DecisionInput(
            policy=policy,
            alert=alert,
            incident=incident,
            row=row,
            containers=containers,
            stored=stored,
            record=record,
            state=healing.state_of(record, key, f"{incident.id}/{incident.opened}", self._now()),
        )

    async def _newest_of(self, engine: EngineRef, containers: Mapping[str, Container]) -> Mapping[str, Container]:
        """Returns the newest container of each owner on this engine, computed once in a tick."""
        if engine not in self._newest:
            self._newest[engine] = await command_lines.newest_of_owners(containers)
        return self._newest[engine]

    async def _step(self, case: DecisionInput) -> None:
        policy, state = case.policy, case.state
        match healing.next_step(policy, case.record, state, self._now()):
            case Step.ACT:
                await self._try(case)
            case Step.LOST if await self._records.put(case, healing.ended(state, self._now())):
                self._count("unknown")
                lost = "its process ended, or it took too long. Its outcome is not known, and it is not repeated"
                await self._note(case, f"try {state.tries} of {policy.tries}: {lost}")
            case Step.GIVE_UP if await self._records.put(case, healing.gave_up(policy, state, self._now())):
                self._count("gave_up")
                why = f"{policy.name} tried {policy.tries} times to {policy.do} it"
                self._observe(case.alert, HEALING_GAVE_UP, why, case.row)
                pause = durations.in_units(policy.pause)
                await self._note(case, f"gave up: {why}. It does nothing for {pause}. Find the cause and mend it.")
            case Step.SPENT:
                await self._tell_once(case, f"its budget of {policy.budget} an hour is used up")
            case Step.WAIT if case.key not in case.record.targets:
                await self._records.put(case, state)
            case _:
                pass

    async def _try(self, case: DecisionInput) -> None:
        if case.row is not None:
            lines = command_lines.lines(case.policy, case.row, case.containers)
        else:
            lines = command_lines.service_line(case.policy, case.alert.subject)
        if reason := await self._reason_against(case, lines):
            await self._tell_once(case, reason)
            return
        if len(self._running) >= MAX_RUNNING:
            return
        taken = healing.begun(case.record, case.key, case.state, self._now())
        if not await self._records.replace(case, taken):
            return  # another process was faster
        act = self._act(case, lines, taken.targets[case.key].began)
        task = tasks.start(f"heal {case.incident.id}", act)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _act(self, case: DecisionInput, lines: Sequence[str], began: float) -> None:
        """Runs the lines of a try that was taken, and records how they ended."""
        try:
            result = await self._runner.run(case, lines, began)
            await self._ended(case, result, began)
        except errors.StoreError as error:
            log.warning(
                "The result of a self-healing action was not stored.",
                incident=case.incident.id,
                rule=case.policy.name,
                reason=error.message,
            )
        except Exception as error:
            self._bugs.report(error, "heal", rule=case.policy.name)

    async def _ended(self, case: DecisionInput, result: AttemptResult, began: float) -> None:
        policy = case.policy
        self._count(result.outcome)
        refused = result.text if result.outcome == "refused" else ""
        state = await self._records.end(policy, case.key, began, self._now(), refused=refused)
        if state is None:
            return
        if refused:
            if refused != case.state.told:
                await self._note(case, f"not done: {refused}")
            return
        wait = durations.in_units(policy.wait_after(state.tries))
        more = f"the next try is in {wait}" if state.tries < policy.tries else f"it gives up in {wait}"
        await self._note(
            case, f"try {state.tries} of {policy.tries}: {result.text} (If the trouble continues, {more}.)"
        )

    async def _reason_against(self, case: DecisionInput, lines: Sequence[str]) -> str:
        """Returns why nothing may be done now; empty if something may."""
        policy, subject = case.policy, case.alert.subject
        if not lines:
            return f"it cannot {policy.do} the {subject.kind} {subject.name}"
        if len(lines) > policy.at_most:
            return f"it would {policy.do} {len(lines)} containers, and at most {policy.at_most} are allowed (at_most)"
        return await self._maintenance(case) or self._rollout(case)

    async def _maintenance(self, case: DecisionInput) -> str:
        """Returns a reason while a maintenance window covers the incident."""
        now = self._now()
        found = (await read_settings(self._store, now)).maintenance_of(case.incident, now)
        if found is None:
            return ""
        window, interval = found
        return f"maintenance {window.id} lasts until {text_timestamps.format_timestamp(interval.end)}"

    def _rollout(self, case: DecisionInput) -> str:
        """Returns a reason while the Swarm updates the service."""
        row = case.row
        service = row.labels.get(SWARM_SERVICE_LABEL, "") if row is not None else case.alert.subject.id
        for mirror in self._mirrors():
            for state in mirror.swarm_state.services if mirror.swarm_state is not None else ():
                if service in (state.id, state.name) and state.update in ROLLOUTS:
                    return f"the service {state.name} is being updated"
        return ""

    def _selects(self, policy: HealingPolicy, alert: Alert, row: Container | None) -> bool:
        if row is not None:
            return policy.on.matches(row.ref, row.facts(datetime.fromtimestamp(self._now(), UTC))) is True
        project = project_of(alert.labels) or None
        facts = ResourceFacts(labels=alert.labels, project=project, service=alert.subject.name)
        return policy.on.matches(alert.subject, facts) is True

    def _observe(self, alert: Alert, action: str, why: str, row: Container | None = None) -> None:
        """Reports to the alert rules that a policy gave up, or that the trouble is over."""
        subject = row.ref if row is not None else alert.subject
        at, attrs = int(self._now() * 1e9), ({"why": why} if why else {})
        event = Event(
            at, EventKind.OTHER, subject, Origin.LIVE, "healing", action, attrs, labels=dict(alert.labels) or None
        )
        self._evaluator.observe([event], {} if row is None else {row.ref.id: row})

    async def _tell_once(self, case: DecisionInput, reason: str) -> None:
        """Says why nothing is done, if that was not said before."""
        if case.state.told == reason:
            return
        if await self._records.put(case, msgspec.structs.replace(case.state, told=reason)):
            self._count("refused")
            await self._note(case, f"not done: {reason}")

    async def _note(self, case: DecisionInput, text: str) -> None:
        """Shows in the incident what was done."""
        note = IncidentNote(int(self._now() * 1e9), redact.redact(f"Healing rule {case.policy.name}: {text}"))
        try:
            await change_incident(self._store, case.key, lambda known: add_note(known, note))
        except errors.NotFound:
            log.debug(
                "A note of self-healing was not stored, because the incident was removed.", incident=case.incident.id
            )
        self._changed()
        log.info("Self-healing recorded a step for an incident.", incident=case.incident.id, what=note.text)

    def _count(self, outcome: str) -> None:
        self._counts.healing_acts_total.labels(outcome).inc()
