"""`rules`: lists the alert rules, with what they report and what they saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Command, Context, Result
from core.model.actions import Action
from core.model.alert_actions import ListRules, RuleState
from core.model.replies import Reply, Table, Text


async def plan(_: Context) -> Sequence[Action[Any]]:
    return (ListRules(),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    rows = [_row(rule) for rule in result.value]
    columns = ("RULE", "SEVERITY", "FOR", "FIRING", "FIRED", "WHAT IT REPORTS")
    notes = [Text(text="FOR: how long the trouble must last. FIRED: how often it fired since the bot was started.")]
    return Reply(blocks=(Table(columns=columns, rows=rows, empty="All alert rules are switched off."), *notes))


def _row(rule: RuleState) -> Sequence[str | int]:
    firing = f"{rule.firing} (+{rule.waiting} soon)" if rule.waiting else str(rule.firing)
    hold = formatting.span(rule.hold.total_seconds()) if rule.hold else "-"
    return (rule.name, str(rule.severity), hold, firing, rule.fired, rule.summary)


command = Command(
    name="rules",
    summary="list the alert rules",
    examples=("rules", "/deck rules"),
    plan=plan,
    render=render,
    verbs=(ListRules.verb,),
)
