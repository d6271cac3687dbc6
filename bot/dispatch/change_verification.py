"""Verifies what an accepted change has started, and adds the verdict to its reply.

Before the verification begins, the change has ended, its outcome is in the audit and its leases are released. So
everybody can change the containers again. The verification is a job on each engine. It ends with the last verdict, when
somebody stops the job, when the requester ends it, and when Quarterdeck stops. It changes nothing. If it fails, only
the verdict is missing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from bot.access import policy_in_force
from bot.dispatch import audit, job_follower, rendering
from bot.dispatch.current_rights import CurrentRights
from bot.dispatch.safe_responder import SafeResponder
from bot.dispatch.visible_fleet import VisibleFleet
from commands.spec import Command, Context, Result
from core import errors, tasks
from core.lazy_dataclass import dataclass
from core.model.actions import Action, ListContainers, ReadLogs, Restart, Start
from core.model.containers import LIVE_STATES
from core.model.create_container import CreateContainer
from core.model.invocation import Invocation
from core.model.policy import Verdict
from core.model.project_actions import RestartProject
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Reply, Status
from core.model.results import LogLine, LogPage, Outcome
from core.model.verification import RunState, RunVerdict, VerifyRuns
from core.ports import Call, Query, Watched
from core.store.client import Store
from core.text import sanitize
from runtimes.base import run_verification
from runtimes.inventory.fleet import Fleet

log = structlog.get_logger(__name__)
MAX_RUNS = 500  # containers of one change
READ_SECONDS = 5.0  # of a list before, and of a log after the watching
MAX_LOGS = 3
MAX_LOG_LINE = 300  # characters
NEW_RUNS = (Start, Restart, CreateContainer, RestartProject)  # what begins a new run of each container
ENDED_BY_REQUESTER = "the watching was ended"
_NEW_ID = re.compile(r"\b[0-9a-f]{12,64}\b")
_RUN = (*LIVE_STATES, "restarting")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationTools:
    """What every watching needs."""

    fleet: Fleet
    store: Store
    policies: policy_in_force.PolicyInForce
    rights: CurrentRights
    audit: audit.Audit
    stopping: asyncio.Event


class ChangeVerification:
    """Watches what one change has started. `results`: those of its plan; `finish`: makes a reply ready to be shown,
    with its secrets hidden."""

    def __init__(
        self,
        tools: VerificationTools,
        inv: Invocation,
        command: Command,
        context: Context,
        results: Sequence[Result],
        *,
        view: VisibleFleet,
        responder: SafeResponder | None,
        finish: Callable[[Reply], Awaitable[Reply]],
    ) -> None:
        self._tools, self._inv, self._command, self._context = tools, inv, command, context
        self._results, self._view, self._responder, self._finish = results, view, responder, finish
        self._bugs = tools.fleet.bugs
        self._runs: dict[int, list[Ref]] = {}  # by the number of the result
        self._verdicts: dict[Ref, RunVerdict] = {}
        self._why: dict[EngineRef, str] = {}  # why a watching ended without all verdicts
        self._jobs: list[str] = []
        self._end = asyncio.Event()

    async def run(self, reply: Reply) -> Reply:
        """Returns the complete, redacted reply once the watching has ended; `reply` if there is nothing to watch."""
        with self._bugs.logged("verify", command=self._command.name):
            try:
                return await self._run(reply)
            except errors.QuarterdeckError as error:
                log.info("The outcome of a change was not verified.", line=self._inv.line, reason=error.message)
        return reply

    async def _run(self, reply: Reply) -> Reply:
        await self._find_runs()
        if not self._runs:
            return reply
        await self._watch(self._actions())
        for refs in self._runs.values():
            for ref in refs:
                why = self._why.get(ref.engine, ENDED_BY_REQUESTER)
                self._verdicts.setdefault(ref, RunVerdict(ref=ref, state=RunState.UNWATCHED, why=why))
        if self._responder is not None and self._responder.is_private():
            await self._read_logs()
        return await self._reply()

    # ── what is watched ──────────────────────────────────────────────────────────────────────────────────────────

    async def _find_runs(self) -> None:
        left = MAX_RUNS
        for number, result in enumerate(self._results):
            if left <= 0 or result.error is not None or not isinstance(result.value, Outcome):
                continue
            if result.value.status == Status.DONE:
                refs = list(await self._runs_of(result.action, result.value.detail))[:left]
                left -= len(refs)
                if refs:
                    self._runs[number] = refs

    async def _runs_of(self, action: Action[Any], detail: str) -> Sequence[Ref]:
        """Returns what is watched of the targets of one action. `detail`: of its outcome."""
        try:
            call = self._call(READ_SECONDS)
            if isinstance(action, RestartProject):
                listed = await self._tools.fleet.list_rows(Query(), call, fresh=True, only=action.engine)
                running = {row.ref.id for row in listed.rows if row.state in _RUN}
                return [ref for ref in action.containers if ref.id in running]
            target = action.targets()[0]
            if isinstance(action, CreateContainer):
                created = _NEW_ID.search(detail) if action.start else None
                query = Query(names=(created[0],) if created else (), engine=str(action.engine))
                return await self._view_now(call).find(query) if created else ()
            if target.kind is Kind.CONTAINER or action.engine.kind == "swarm":
                return [target]
            query = Query(names=(target.name,), engine=str(action.engine), kind=target.kind, members=True)
            return await self._view_now(call).find(query)
        except errors.QuarterdeckError:
            return ()

    def _actions(self) -> list[VerifyRuns]:
        """One action for each engine; for a Swarm, one for each service."""
        by_engine: dict[tuple[EngineRef, bool, str], dict[Ref, None]] = {}
        for number, refs in self._runs.items():
            started = isinstance(self._results[number].action, NEW_RUNS)
            for ref in refs:
                service = "" if ref.kind is Kind.CONTAINER else ref.id
                by_engine.setdefault((ref.engine, started, service), {})[ref] = None
        return [
            VerifyRuns(engine=engine, runs=tuple(refs), started=started)
            for (engine, started, _), refs in by_engine.items()
        ]

    # ── watching ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _watch(self, actions: Sequence[VerifyRuns]) -> None:
        """Runs these actions until all of them have ended, or until the watching is ended."""
        following = {tasks.start(f"verify {one.engine}", self._follow(one)) for one in actions}
        ending = tasks.start_awaited("end_of_verification", self._end.wait())
        started = {*following, ending}
        try:
            while not (ending.done() or all(task.done() for task in following)):
                await asyncio.wait({task for task in started if not task.done()}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in started:
                task.cancel()
            await asyncio.wait(started)

    async def _follow(self, action: VerifyRuns) -> None:
        with self._bugs.logged("verify", engine=str(action.engine)):
            try:
                started = await self._tools.fleet.run(action, self._call(action.timeout_seconds()))
                self._jobs.append(f"{started.job}@{action.engine}")
                await self._show()
                end = await job_follower.follow_job(
                    self._tools.fleet,
                    self._tools.store,
                    action,
                    started,
                    call=self._view.call,
                    responder=None,
                    everyone=False,
                    stopping=self._tools.stopping,
                    refusal=lambda: self._tools.rights.refusal(self._view, ListContainers(engine=action.engine)),
                    texts=self._take,
                )
            except errors.QuarterdeckError as error:
                self._why[action.engine] = error.full_message()
            else:
                self._why[action.engine] = ENDED_BY_REQUESTER if end.why == "was stopped" else end.why

    async def _take(self, lines: Sequence[LogLine]) -> Sequence[str]:
        """Takes the verdicts of a page of the job. Nothing of it is shown as lines."""
        for line in lines:
            if (verdict := run_verification.decode(line)) is not None:
                self._verdicts[verdict.ref] = verdict
        await self._show()
        return ()

    async def _show(self) -> None:
        """Shows the reply so far, as long as there is something to wait for."""
        waits = any(ref not in self._verdicts for refs in self._runs.values() for ref in refs)
        if self._responder is not None and waits and not self._end.is_set():
            reply = await self._reply()
            stop = f"job stop {' '.join(self._jobs)}"
            self._responder.watching(Watched(reply=reply, stop=stop, end=self._end.set))

    # ── the reply ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _reply(self) -> Reply:
        results = [
            replace(result, runs=[self._verdict(ref) for ref in self._runs.get(number, ())])
            for number, result in enumerate(self._results)
        ]
        reply = rendering.render(self._command, self._context, results, self._bugs, self._inv)
        return await self._finish(reply)

    def _verdict(self, ref: Ref) -> RunVerdict:
        return self._verdicts.get(ref) or RunVerdict(ref=ref, state=RunState.WATCHED)

    async def _read_logs(self) -> None:
        """Reads the last line of the log of containers that did not do well, if the requester may read logs."""
        failed = [
            verdict for verdict in self._verdicts.values() if verdict.failed and verdict.ref.kind is Kind.CONTAINER
        ]
        for verdict in failed[:MAX_LOGS]:
            action = ReadLogs(engine=verdict.ref.engine, target=verdict.ref, tail=1)
            try:
                decision = (await self._tools.rights.view(self._view)).decide(action, verdict.ref)
                if decision.verdict is not Verdict.ALLOW:
                    continue
                page = await self._tools.fleet.run(action, self._call(READ_SECONDS))
            except errors.QuarterdeckError:
                continue
            await self._tools.audit.read(self._inv, [(action, str(Status.DONE), "")], decision)
            if isinstance(page, LogPage) and page.lines:
                text = sanitize.single_line(page.lines[-1].text, MAX_LOG_LINE)
                self._verdicts[verdict.ref] = msgspec.structs.replace(verdict, log=text)

    def _view_now(self, call: Call) -> VisibleFleet:
        """Returns what the requester may see now. It has not read any list yet."""
        return VisibleFleet(
            engines=self._tools.fleet,
            in_force=self._tools.policies.policy,
            who=self._inv.who,
            place=self._inv.place,
            call=call,
            now=datetime.now(UTC),
        )

    def _call(self, seconds: float) -> Call:
        return replace(self._view.call, deadline=datetime.now(UTC) + timedelta(seconds=seconds))
