"""Splits the plan of a command into the actions that run now and the optional actions that are left out.

A command declares the verbs without which its reply is still useful (`Command.optional`). An optional action is left
out if its requester may not run it, or if it needs a question first. The command's reply then mentions it or does not
need it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bot.dispatch import decision, execution
from bot.dispatch.visible_fleet import VisibleFleet
from commands.spec import Command, Result
from core import errors
from core.model.actions import Action
from core.model.policy import Decision, Verdict


def split_plan(
    command: Command, plan: Sequence[Action[Any]], view: VisibleFleet
) -> tuple[Sequence[Action[Any]], Sequence[Result]]:
    """Returns the actions that run, and a result with an error for each that is left out. If nothing would be left,
    returns the whole plan, so that the command is refused. Raises EngineError as `decision.decide` does."""
    kept: list[Action[Any]] = []
    left_out: list[Result] = []
    for action in plan:
        decided = _decision_on_part(command, action, view)
        if decided.verdict is Verdict.ALLOW:
            kept.append(action)
        else:
            hint = decided.hint or execution.MISSING_PART_HINT
            error = errors.NotPermitted(decided.reason, rule=decided.rule, hint=hint)
            left_out.append(Result(action=action, error=error))
    return (kept, left_out) if kept else (plan, ())


def needed(command: Command, plan: Sequence[Action[Any]]) -> Sequence[Action[Any]]:
    """Returns the actions that decide whether the command may run: all but its optional parts, if there are others."""
    return [action for action in plan if action.verb not in command.optional] or plan


def _decision_on_part(command: Command, action: Action[Any], view: VisibleFleet) -> Decision:
    if action.verb not in command.optional:
        return Decision(verdict=Verdict.ALLOW, rule="", reason="")  # it is decided with the whole plan
    return decision.decide([action], view, max_unconfirmed=1)
