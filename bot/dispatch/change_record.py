"""Records in the store how a change proceeds: the locks on its targets (leases), its audit rows and its phase.

A change on one target needs two round trips to the store. `begin` takes the leases, writes the intent and sets the
phase INTENT. `end` writes the outcome, releases the leases and sets the phase ENDED. If a plan has several actions,
each outcome is written when its action ends; `end` writes the last outcome. The leases are renewed while the change
runs. `close` releases them in every case, also after an error.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from bot.dispatch import (
    audit,
    execution,
    freeze_check,
    lease_renewal,
    reply_formatting,
    unfinished_commands,
    write_retry,
)
from commands.spec import Result
from core import errors, tasks
from core.model.actions import Action
from core.model.freezes import is_frozen
from core.model.invocation import Invocation
from core.model.policy import Decision, Verdict
from core.model.refs import Kind, Ref
from core.model.replies import Reply, Status
from core.store.client import Store
from core.store.records import FreezeConflict, Lease, LeaseConflict, LeaseRequest, OutcomeRow

log = structlog.get_logger(__name__)
LOST_ANSWER = "The store's answer was lost. Nothing was sent to the engine."
NOT_SEEN = "Quarterdeck did not see it end."


class ChangeRecord:
    """Records one accepted plan. Call `begin`, then `record` for each result, then `end`. Always call `close` last."""

    def __init__(
        self,
        inv: Invocation,
        plan: Sequence[Action[Any]],
        decision: Decision,
        *,
        store: Store,
        records: audit.Audit,
        clock: Callable[[], datetime],
    ) -> None:
        self._inv = inv
        self._plan = plan
        self._decision = decision
        self._store = store
        self._audit = records
        self._clock = clock
        self._state = _State.NEW
        self._leases: Sequence[Lease] = ()
        self._ended: set[int] = set()
        self._unwritten: dict[int, OutcomeRow] = {}
        self._lease_seconds = lease_renewal.lease_seconds(execution.maximum_plan_seconds(plan))
        self._renewal: asyncio.Task[None] | None = None

    async def begin(self, question: str = "") -> None:
        """Takes the leases, writes the intent and removes the `question` that was answered (its token), all or nothing.
        If this raises, nothing was sent to an engine. Raises Busy if another change holds one of the targets (audited
        as a refusal; the question stays open), Frozen, Expired if the question is gone, StoreDown, and LeaseLost if
        another process has answered this invocation."""
        self._state = _State.BEGINNING
        try:
            answer = await self._store.begin_change(
                self._inv.id,
                leases=self._lease_requests().values(),
                intents=[self._audit.row(self._inv, "intent", action, self._decision) for action in self._plan],
                detail=msgspec.json.encode([audit.describe(action) for action in self._plan]),
                question=question,
                free=[_key(group) for action in self._plan for group in action.groups],
                freezable=any(map(is_frozen, self._plan)),
            )
        except errors.Expired:
            self._state = _State.CLOSED
            raise
        except errors.StoreDown as error:
            raise reply_formatting.make_store_failure_error(error) from error
        if isinstance(answer, FreezeConflict):
            self._state = _State.CLOSED
            raise await freeze_check.refusal(self._audit, self._inv, self._plan, answer.record)
        if isinstance(answer, LeaseConflict):
            self._state = _State.CLOSED
            raise await self._busy(answer)
        self._state, self._leases = _State.BEGUN, answer
        if answer:
            renewing = lease_renewal.renew_leases(self._store, answer, self._lease_seconds)
            self._renewal = tasks.start(f"lease_renewal {self._inv.id}", renewing)
        self._audit.count("intent", len(self._plan))

    async def record(self, index: int, result: Result) -> None:
        """Writes the outcome of the action number `index` of the plan. `end` writes the last outcome in its own round
        trip, and also each outcome that the store does not accept now."""
        self._add(index, *reply_formatting.format_ending(result))
        if len(self._ended) < len(self._plan):
            outcome = self._unwritten[index]
            try:
                await self._store.record_outcomes(self._inv.id, [outcome])
            except errors.StoreError as error:
                log.warning(
                    "The outcome of a change could not be stored yet.",
                    action="record",
                    reason=error.message,
                    row=dict(outcome.row),
                )
            else:
                del self._unwritten[index]

    async def end(self, reply: Reply) -> None:
        """Writes the end of the change. Call it before the redacted `reply` is sent. An action without a result counts
        as UNKNOWN."""
        if self._state is not _State.BEGUN:
            return
        for index in range(len(self._plan)):
            if index not in self._ended:
                self._add(index, str(Status.UNKNOWN), NOT_SEEN)
        await self._write(unfinished_commands.ended(reply))

    async def close(self) -> None:
        """Releases the leases of a change that was interrupted. Its phase stays INTENT, so that the next process
        reports the actions without an outcome as UNKNOWN."""
        if self._state is _State.BEGINNING:
            self._state = _State.CLOSED
            status = str(Status.FAILED)
            rows = [
                self._audit.row(self._inv, "outcome", action, self._decision, status=status, detail=LOST_ANSWER)
                for action in self._plan
            ]
            keys = list(self._lease_requests())
            await self._audit.deferred.write(
                write_retry.DeferredWrite(
                    write=lambda: self._store.cancel_change(self._inv.id, leases=keys, outcomes=rows),
                    invocation=self._inv.id,
                )
            )
        elif self._state is _State.BEGUN:
            await self._write(None)

    async def _write(self, detail: bytes | None) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])
        outcomes, leases = sorted(self._unwritten.values(), key=lambda outcome: outcome.index), self._leases
        await self._audit.deferred.write(
            write_retry.DeferredWrite(
                write=lambda: self._store.end_change(self._inv.id, outcomes=outcomes, leases=leases, detail=detail),
                invocation=self._inv.id,
                rows=[outcome.row for outcome in outcomes],
            )
        )
        self._state = _State.CLOSED

    def _add(self, index: int, status: str, detail: str) -> None:
        row = self._audit.row(self._inv, "outcome", self._plan[index], self._decision, status=status, detail=detail)
        self._ended.add(index)
        self._unwritten[index] = OutcomeRow(index=index, status=status, row=row)
        self._audit.count("outcome", 1)

    def _lease_requests(self) -> dict[str, LeaseRequest]:
        """Returns a lease for everything that the plan acts on, so that replicas change it one at a time. Quarterdeck's
        own state has no lease."""
        return {
            _key(ref): LeaseRequest(key=_key(ref), record=self._record(action), ttl=self._lease_seconds)
            for action in self._plan
            for ref in _held(action)
        }

    def _record(self, action: Action[Any]) -> bytes:
        return msgspec.json.encode({"who": self._inv.who.name, "doing": action.verb, "at": self._clock().timestamp()})

    async def _busy(self, conflict: LeaseConflict) -> errors.Busy:
        action, ref = next(
            (action, ref)
            for action in self._plan
            for ref in (*_held(action), *action.groups)
            if _key(ref) == conflict.key
        )
        target = action.targets()[0]
        # The requester may not be allowed to list what belongs to the target.
        name = ref.name if ref in (*action.targets(), *action.groups) else f"a part of {target.name}"
        other = msgspec.json.decode(conflict.record)
        ago = timedelta(seconds=self._clock().timestamp() - other["at"])
        busy = errors.Busy(name, other["who"], other["doing"], ago)
        refused = Decision(verdict=Verdict.DENY, rule="busy", reason=busy.message)
        await self._audit.refusal(self._inv, action.verb, str(ref), refused)
        return busy


class _State(enum.Enum):
    NEW = enum.auto()
    BEGINNING = enum.auto()
    BEGUN = enum.auto()
    CLOSED = enum.auto()


def _held(action: Action[Any]) -> list[Ref]:
    """Returns the targets, the containers that belong to them, and whatever else the action changes."""
    refs = (*action.targets(), *action.members, *(effect.ref for effect in action.effects or ()))
    return [ref for ref in refs if ref.kind is not Kind.BOT]


def _key(ref: Ref) -> str:
    # The ids of a Swarm are unique, but two processes may name its engine differently.
    engine = ref.engine.kind if ref.engine.kind == "swarm" else str(ref.engine)
    return f"{ref.kind}:{engine}/{ref.id}"
