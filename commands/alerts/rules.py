"""`rules`: lists the alert rules and how often each was evaluated and fired. `rules test` tests a rule on the past."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from commands._shared import formatting, rule_test
from commands.spec import Arg, Command, Context, Result
from core import errors
from core.model.actions import Action
from core.model.alert_actions import ListRules, RuleState
from core.model.replies import Reply, Table, Text
from core.model.rule_tests import ReplayRule

TEST = "test"
NOTES = (
    "FOR: how long the trouble must last. FIRED: how often it fired since the bot was started. HELD BACK: what it found"
    " and did not report, because it was over too soon or the rule rested. SAW: the events that it was asked about."
)


async def plan(context: Context) -> Sequence[Action[Any]]:
    if context.args["do"] == TEST:
        return await rule_test.plan(context)
    if given := [arg.name for arg in rule_test.ARGS if context.args[arg.key] not in (None, (), arg.default)]:
        raise errors.BadUsage(
            f"The option {given[0]} is only for `rules test`, and this command only lists the rules.",
            hint=f"Leave out {given[0]}, or test a rule, for example: rules test crash --since 2h",
        )
    return (ListRules(),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    if context.args["do"] == TEST:
        return rule_test.render(context, results)
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    rows = [_row(rule, context.now) for rule in result.value]
    columns = ("RULE", "SEVERITY", "FOR", "FIRING", "FIRED", "HELD BACK", "LAST", "SAW", "WHAT IT REPORTS")
    notes = [Text(text=NOTES)]
    return Reply(
        blocks=(
            Table(
                columns=columns,
                rows=rows,
                wrap=True,
                priority=("RULE", "SEVERITY"),
                empty="All alert rules are switched off.",
            ),
            *notes,
        )
    )


def _row(rule: RuleState, now: datetime) -> Sequence[str | int]:
    firing = f"{rule.firing} (+{rule.waiting} soon)" if rule.waiting else str(rule.firing)
    hold = formatting.span(rule.hold.total_seconds()) if rule.hold else "-"
    last = formatting.moment(rule.last_ns / 1e9) if rule.last_ns else "-"
    summary = f"{rule.summary} From {rule.threshold} on." if rule.threshold else rule.summary
    return (rule.name, str(rule.severity), hold, firing, rule.fired, rule.held_back, last, rule.asked, summary)


command = Command(
    name="rules",
    summary="list the alert rules, or test one on past events",
    examples=(
        "rules",
        "rules test crash",
        "rules test crash-loop --threshold 5 --since 2h",
        "rules test --on died --where exit_code=137 --count 3 --within 10m",
    ),
    plan=plan,
    render=render,
    verbs=(ListRules.verb, ReplayRule.verb),
    verb_conditions=(("with test", ReplayRule.verb),),
    args=(
        Arg(
            name="do",
            choices=(TEST,),
            help="write this word to see what a rule would have reported in the past",
        ),
        *rule_test.ARGS,
    ),
)
