"""Who did what: one row per action, the intent before the outcome, in an append-only stream of the store.

A change does not run unless its intent was recorded. Reads and refusals are recorded afterwards, best effort: when the
store is away they are in the log instead. Equal refusals repeated within a while are one row with a count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import structlog

from core import errors
from core.model.actions import Action
from core.model.identity import Invocation
from core.model.policy import Decision
from core.store.client import Store
from core.text import redact, secret_patterns

log = structlog.get_logger(__name__)
FOLD = timedelta(minutes=10)


class Counter(Protocol):
    def __call__(self, phase: str) -> None: ...


class Audit:
    def __init__(self, store: Store, *, clock: Callable[[], datetime], count: Counter) -> None:
        self._store = store
        self._clock = clock
        self._count = count

    async def intent(self, inv: Invocation, plan: Sequence[Action[Any]], decision: Decision) -> None:
        """All rows or none: raises StoreDown, and then nothing may run."""
        rows = [self._row(inv, "intent", action, decision) for action in plan]
        await self._store.append_audits(rows)
        self._counted("intent", len(rows))

    async def outcomes(
        self, inv: Invocation, phase: str, ends: Sequence[tuple[Action[Any], str, str]], decision: Decision
    ) -> None:
        """`ends`: (action, status, detail). The thing has happened: a store that is away now must not hide it, so the
        rows go to the log in full instead."""
        rows = [
            self._row(inv, phase, action, decision, status=status, detail=detail) for action, status, detail in ends
        ]
        try:
            await self._store.append_audits(rows)
        except errors.StoreError as error:
            for row in rows:
                log.warning("an audit row could not be stored and stands here instead", reason=error.message, **row)
        self._counted(phase, len(rows))

    async def refusal(self, inv: Invocation, verb: str, target: str, decision: Decision) -> None:
        row = self._base(inv, "refused") | {
            "verb": verb,
            "target": target,
            "verdict": decision.verdict.name.lower(),
            "rule": decision.rule,
            "reason": redact.redact(decision.reason),
        }
        try:
            await self._store.fold_refusal(
                row, key="\0".join((inv.who.id, row["line"], decision.rule)), window=FOLD.total_seconds()
            )
        except errors.StoreError as error:
            log.warning("an audit row could not be stored and stands here instead", reason=error.message, row=row)
        self._counted("refused", 1)

    async def lost(self, record: Mapping[str, str], targets: Sequence[Mapping[str, str]], detail: str) -> None:
        """An invocation whose process ended between intent and outcome; `targets` as `told` wrote them. Raises
        StoreDown."""
        end = {"at": self._now(), "phase": "outcome", "status": "unknown", "detail": detail}
        await self._store.append_audits([dict(record) | dict(target) | end for target in targets])
        self._counted("outcome", len(targets))

    def _row(
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
            **_told(action),
            "verdict": decision.verdict.name.lower(),
            "rule": decision.rule,
            "status": status,
            "detail": redact.redact(detail),
        }

    def _base(self, inv: Invocation, phase: str) -> dict[str, str]:
        return {
            "at": self._now(),
            "phase": phase,
            "invocation": inv.id,
            "who": inv.who.id,
            "place": inv.place.channel,
            "line": said(inv),
        }

    def _counted(self, phase: str, rows: int) -> None:
        for _ in range(rows):
            self._count(phase)

    def _now(self) -> str:
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds")


def said(inv: Invocation) -> str:
    """The words as they may be kept: secrets hidden, and the first admin's code, which is one."""
    line = redact.redact(inv.line)
    head, gap, rest = line.partition("claim ")
    return f"{head}claim {secret_patterns.MASK}" if gap and rest and not head.strip().removeprefix("/deck") else line


def told(plan: Sequence[Action[Any]]) -> list[dict[str, str]]:
    """What each action of a plan does to what, in the words of the audit."""
    return [_told(action) for action in plan]


def _told(action: Action[Any]) -> dict[str, str]:
    return {"verb": action.verb, "target": ", ".join(str(ref) for ref in action.targets())}
