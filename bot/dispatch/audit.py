"""Writes the audit: one row per action in an append-only stream, which says who did what and how it ended.

Before a change runs, an audit row with its intent is stored; if that fails, the change does not run.
`bot.dispatch.change_record` writes the rows of a change together with its leases and its phase. Reads, questions and
refusals are recorded afterwards. If the store does not answer, those rows wait in `deferred`. Equal refusals within the
period FOLD become one row with a count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.dispatch import deferred_writes
from core.model.actions import Action, Risk
from core.model.identity import Invocation
from core.model.policy import Decision
from core.store.client import Store
from core.text import redact

FOLD = timedelta(minutes=10)
MAX_EFFECTS = 50  # shown in one row


class Audit:
    """Writes audit rows to the store. `deferred` holds the rows that could not be stored yet."""

    def __init__(self, store: Store, *, clock: Callable[[], datetime], count: Callable[[str], None]) -> None:
        self.deferred = deferred_writes.DeferredWrites()
        self._store = store
        self._clock = clock
        self._count = count

    async def record(
        self, inv: Invocation, phase: str, endings: Sequence[tuple[Action[Any], str, str]], decision: Decision
    ) -> None:
        """Records what has happened: `endings` are (action, status, detail)."""
        rows = [
            self.row(inv, phase, action, decision, status=status, detail=detail) for action, status, detail in endings
        ]
        await self.deferred.write(
            deferred_writes.DeferredWrite(write=lambda: self._store.append_audit(rows), rows=rows)
        )
        self.count(phase, len(rows))

    async def refusal(self, inv: Invocation, verb: str, target: str, decision: Decision) -> None:
        row = self._base(inv, "refused") | {
            "verb": verb,
            "target": target,
            "verdict": decision.verdict.name.lower(),
            "rule": decision.rule,
            "reason": redact.redact(decision.reason),
        }
        key = "\0".join((inv.who.id, row["line"], decision.rule))
        await self.deferred.write(
            deferred_writes.DeferredWrite(
                write=lambda: self._store.fold_refusal(row, key=key, window=FOLD.total_seconds()), rows=(row,)
            )
        )
        self.count("refused", 1)

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
        return self._base(inv, phase) | {
            **describe(action),
            "verdict": decision.verdict.name.lower(),
            "rule": decision.rule,
            "status": status,
            "detail": redact.redact(detail),
        }

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
