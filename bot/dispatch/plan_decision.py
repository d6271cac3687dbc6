"""Decides on the plan of a command: checks permission, then the freeze, and leaves out actions that an engine cannot do
or that change nothing.

A refusal is recorded in the audit before it is raised or shown. If something is left out, the rest is checked again, so
that a question is asked about the rest alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bot.dispatch import (
    change_targets,
    engine_refusals,
    freeze_check,
    preflight_checks,
    question_answers,
    reply_formatting,
)
from bot.dispatch.audit import Audit
from bot.dispatch.change_targets import ChangeTargets
from bot.dispatch.command_state import CommandState
from bot.dispatch.group_and_name_lookup import CurrentPeople
from bot.dispatch.pending_questions import Question
from bot.dispatch.visible_fleet import VisibleFleet
from core import errors
from core.model.actions import Action
from core.model.invocation import Invocation
from core.model.policy import Verdict
from runtimes.inventory.fleet import Fleet


async def decide_plan(  # noqa: PLR0917 (what is decided, and for whom)
    plan: Sequence[Action[Any]],
    question: Question | None,
    view: VisibleFleet,
    inv: Invocation,
    state: CommandState,
    audit: Audit,
    fleet: Fleet,
    *,
    people: CurrentPeople,
    every: bool,
    max_unconfirmed: int,
) -> ChangeTargets:
    """Returns what is left of the plan, and stores the plan and the decision in `state`. `question`: whose answer it
    is; then nothing is left out. `every`: what does not run is meant too. Raises NotPermitted and Frozen."""
    state.plan = plan
    # If an answer is refused, its question stays open: it is removed when its plan begins.
    asked = await question_answers.people_of_question(question, people)
    decided = question_answers.decide_permission(question, asked, plan, view, inv, max_unconfirmed=max_unconfirmed)
    state.decision, state.verdict = decided, decided.verdict.name.lower()
    if decided.verdict is Verdict.DENY:
        await audit.refusal(inv, plan[0].verb, reply_formatting.format_targets(plan), decided)
        raise errors.NotPermitted(decided.reason, rule=decided.rule, hint=decided.hint)
    await freeze_check.refuse_if_frozen(audit, inv, plan, state.frozen)
    if question is not None:
        return ChangeTargets(plan)

    def decide_rest(rest: Sequence[Action[Any]]) -> None:
        again = question_answers.decide_permission(None, (), rest, view, inv, max_unconfirmed=max_unconfirmed)
        state.plan, state.decision, state.verdict = rest, again, again.verdict.name.lower()

    able, unable = engine_refusals.split_refused_actions(plan, fleet, asks=decided.verdict is not Verdict.ALLOW)
    if unable and able:
        decide_rest(able)
    asks = state.decision.verdict is not Verdict.ALLOW
    known = await preflight_checks.check_plan(able, view, fleet) if asks else {}
    hit = await change_targets.find_targets(able, view, known, every=every, asks=asks)
    if hit.plan and hit.notes:
        decide_rest(hit.plan)
    if not hit.plan and (hit.refused or unable):
        await audit.refusal(
            inv, plan[0].verb, reply_formatting.format_targets(plan), engine_refusals.denial(hit.notes, unable)
        )
        state.verdict = "refused"
    return replace(hit, unable=unable)
