"""Writes the audit: an append-only stream of rows that record who did what, and the outcome.

A change has one row for each action. Before a change runs, rows are stored that say what it will do (its intent); if
that fails, the change does not run. `bot.dispatch.change_record` writes these rows. In the same step it locks the
targets (takes their leases) and stores the phase of the change.

A command that only reads has one row, and so has a question (a request for a confirmation or an approval). These rows,
and those of refusals, are written afterwards. If the store does not answer, they wait in memory (`Audit.deferred`).
Equal reads within ten minutes (`FOLD`) become one row with a count, and so do equal refusals. Refusals that are faster
than REFUSALS_PER_SECOND are counted in memory and written together. core.store.audit_trail limits the number of stored
rows. Each field of a row has a limited length.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from bot.dispatch import write_retry
from core.model.actions import Action, Risk
from core.model.invocation import Invocation
from core.model.policy import Decision, Verdict
from core.store.client import Store
from core.text import redact

log = structlog.get_logger(__name__)
FOLD = timedelta(minutes=10)
REFUSALS_BURST, REFUSALS_PER_SECOND = 200, 20
MAX_REFUSALS_IN_MEMORY = 1_000
MAX_FIELD, MAX_TARGET_FIELD = 1_000, 4_000  # characters
MAX_TARGETS = 40  # of the row of a question
MAX_EFFECTS = 50  # shown in one row


class Audit:
    """Writes audit rows to the store. `deferred` holds the rows that could not be stored yet."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime], count: Callable[[str], None]) -> None:
        self.deferred = write_retry.DeferredWrites()
        self._store = store
        self._clock = clock
        self._count = count
        self._refusals: dict[str, tuple[dict[str, str], int]] = {}  # by key: those not written yet, and how often
        self._allowed, self._allowed_at = float(REFUSALS_BURST), clock()

    async def record(
        self, inv: Invocation, phase: str, endings: Sequence[tuple[Action[Any], str, str]], decision: Decision
    ) -> None:
        """Records what has happened: `endings` are (action, status, detail)."""
        rows = [
            self.row(inv, phase, action, decision, status=status, detail=detail) for action, status, detail in endings
        ]
        await self._append(phase, rows)

    async def read(self, inv: Invocation, endings: Sequence[tuple[Action[Any], str, str]], decision: Decision) -> None:
        """Records in one row that a command read something, whatever the number of its actions. Equal commands within
        FOLD are one row with a count."""
        actions = [action for action, _, _ in endings]
        targets = list(dict.fromkeys(str(ref) for action in actions for ref in action.targets()))
        more = f"{len(targets)} targets in all" if len(targets) > MAX_TARGETS else ""
        failures = dict.fromkeys(detail for _, _, detail in endings if detail)
        statuses = dict.fromkeys(status for _, status, _ in endings)
        row = self.row(
            inv,
            "read",
            actions[0],
            decision,
            status=next(iter(statuses)) if len(statuses) == 1 else "partly failed",
            detail="; ".join(filter(None, (more, *failures))),
        )
        row |= {"verb": ", ".join(dict.fromkeys(action.verb for action in actions))}
        row |= {"target": ", ".join(targets[:MAX_TARGETS])}
        row = _limited(row)
        key = "\0".join((inv.who.id, row["line"], row["place"], row["rule"], row["status"]))
        window = FOLD.total_seconds()
        await self.deferred.write(
            write_retry.DeferredWrite(
                write=lambda: self._store.fold_read(row, key=key, window=window), rows=(row,), minor=True
            )
        )
        self.count("read", 1)

    async def question(
        self, inv: Invocation, phase: str, plan: Sequence[Action[Any]], token: str, decision: Decision
    ) -> None:
        """Records in one row that a question was asked, approved or cancelled, whatever the number of its actions."""
        targets = [str(ref) for action in plan for ref in action.targets()]
        more = f"; {len(targets)} targets in all" if len(targets) > MAX_TARGETS else ""
        verbs = dict.fromkeys(action.verb for action in plan)
        row = self.row(inv, phase, plan[0], decision, detail=f"question {token}{more}")
        row |= {"verb": ", ".join(verbs), "target": ", ".join(targets[:MAX_TARGETS])}
        await self._append(phase, [_limited(row)])

    async def reading(self, inv: Invocation, readings: Sequence[str]) -> None:
        """Records that the requester was asked which of several command lines was meant."""
        row = self._base(inv, "asked") | {
            "verdict": Verdict.CONFIRM.name.lower(),
            "rule": "formatting",
            "detail": "which command is meant: " + " or ".join(redact.redact(line) for line in readings),
        }
        await self._append("asked", [_limited(row)])

    async def refusal(self, inv: Invocation, verb: str, target: str, decision: Decision) -> None:
        row = self._base(inv, "refused") | {
            "verb": verb,
            "target": target,
            "verdict": decision.verdict.name.lower(),
            "rule": decision.rule,
            "reason": redact.redact(decision.reason),
        }
        row = _limited(row)
        key = "\0".join((inv.who.id, row["line"], decision.rule))
        _, times = self._refusals.pop(key, (row, 0))
        self._refusals[key] = (row, times + 1)
        if self._may_write():
            await self._write_refusal(key)
        elif len(self._refusals) > MAX_REFUSALS_IN_MEMORY:
            first, times = self._refusals.pop(next(iter(self._refusals)))
            log.warning(
                "Refusals were not recorded in the audit trail, because too many were waiting.",
                action="audit",
                who=first["who"],
                line=first["line"],
                rule=first["rule"],
                times=times,
            )
        self.count("refused", 1)

    async def flush(self) -> None:
        """Writes what is waiting: refusals, and rows that the store did not accept. Raises StoreDown."""
        for key in list(self._refusals):
            await self._write_refusal(key)
        await self.deferred.flush()

    def row(
        self,
        inv: Invocation,
        phase: str,
        action: Action[Any],
        decision: Decision,
        *,
        status: str = "",
        detail: str = "",
    ) -> dict[str, str]:
        return _limited(
            self._base(inv, phase)
            | {
                **describe(action),
                "verdict": decision.verdict.name.lower(),
                "rule": decision.rule,
                "status": status,
                "detail": redact.redact(detail),
            }
        )

    def unknown_rows(
        self, record: Mapping[str, str], targets: Sequence[Mapping[str, str]], detail: str
    ) -> list[dict[str, str]]:
        """Rows for a change whose process ended between intent and outcome; `targets` as `describe` wrote them."""
        end = {"at": self._now(), "phase": "outcome", "status": "unknown", "detail": detail}
        return [dict(record) | dict(target) | end for target in targets]

    def count(self, phase: str, rows: int) -> None:
        """Counts written rows in the metrics."""
        for _ in range(rows):
            self._count(phase)

    async def _append(self, phase: str, rows: Sequence[Mapping[str, str]]) -> None:
        await self.deferred.write(
            write_retry.DeferredWrite(write=lambda: self._store.append_audit(rows), rows=rows, minor=True)
        )
        self.count(phase, len(rows))

    def _may_write(self) -> bool:
        """Returns whether another refusal may be written now."""
        now = self._clock()
        passed = max(0.0, (now - self._allowed_at).total_seconds())
        self._allowed = min(REFUSALS_BURST, self._allowed + passed * REFUSALS_PER_SECOND)
        self._allowed_at = now
        if self._allowed < 1:
            return False
        self._allowed -= 1
        return True

    async def _write_refusal(self, key: str) -> None:
        if (waiting := self._refusals.pop(key, None)) is None:
            return
        row, times = waiting
        window = FOLD.total_seconds()
        await self.deferred.write(
            write_retry.DeferredWrite(
                write=lambda: self._store.fold_refusal(row, key=key, window=window, times=times),
                rows=(row,),
                minor=True,
            )
        )

    def _base(self, inv: Invocation, phase: str) -> dict[str, str]:
        return {
            "at": self._now(),
            "phase": phase,
            "invocation": inv.id,
            "who": inv.who.id,
            "place": inv.place.channel,
            "line": redacted_line(inv),
        }

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds")


def redacted_line(inv: Invocation) -> str:
    """The command line as it may be stored: secrets are hidden, and so is the first admin's code."""
    line = redact.redact(inv.line)
    head, gap, rest = line.partition("claim ")
    return f"{head}claim {redact.MASK}" if gap and rest and not head.strip().removeprefix("/deck") else line


def describe(action: Action[Any]) -> dict[str, str]:
    """The audit's fields for what an action does to which targets, and what it may destroy with that."""
    fields = {"verb": action.verb, "target": ", ".join(str(ref) for ref in action.targets())}
    destroyed = [f"{each.verb} {each.ref}" for each in action.effects or () if each.risk is Risk.DESTROY]
    return fields | ({"destroys": ", ".join(destroyed[:MAX_EFFECTS])} if destroyed else {})


def _limited(row: Mapping[str, str]) -> dict[str, str]:
    """Cuts each field that is too long: a stranger's line may have 40,000 characters."""
    limited = {}
    for name, value in row.items():
        limit = MAX_TARGET_FIELD if name == "target" else MAX_FIELD
        excess = len(value) - limit
        limited[name] = f"{value[:limit]}… ({excess:,} more characters)" if excess > 0 else value
    return limited
