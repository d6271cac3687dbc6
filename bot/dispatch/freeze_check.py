"""Refuses changes while all changes are frozen, and records each refusal in the audit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.dispatch import audit, reply_formatting
from core import errors
from core.model.actions import Action
from core.model.freezes import decode_freeze, is_frozen
from core.model.invocation import Invocation
from core.model.policy import Decision, Verdict

RULE = "freeze"


async def refuse_if_frozen(rows: audit.Audit, inv: Invocation, plan: Sequence[Action[Any]], record: bytes) -> None:
    """Raises Frozen if a freeze refuses this plan. `record`: of the freeze that is in force; empty without one."""
    if record and any(map(is_frozen, plan)):
        raise await refusal(rows, inv, plan, record)


async def refusal(rows: audit.Audit, inv: Invocation, plan: Sequence[Action[Any]], record: bytes) -> errors.Frozen:
    """Returns the error for a plan that a freeze refuses, after it was recorded."""
    error = errors.Frozen(decode_freeze(record).sentence())
    decision = Decision(verdict=Verdict.DENY, rule=RULE, reason=error.message)
    await rows.refusal(inv, plan[0].verb, reply_formatting.format_targets(plan), decision)
    return error
