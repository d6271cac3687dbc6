"""Separates the actions that an engine can do from those that it always refuses, before anything is asked, locked or
recorded.

An engine always refuses a verb that it does not have, a verb that its owner does not allow, and an invalid argument.
The adapters know this without a request, so a refusal costs no time, even if the engine does not answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bot.dispatch import change_targets, decision, job_follower
from bot.dispatch.visible_fleet import VisibleFleet
from commands.spec import ArgType, Command, Context, Result
from core import errors
from core.model import bot_actions
from core.model.actions import Action, Risk
from core.model.policy import Decision, Verdict
from core.name_matching import match
from core.ports import Query
from runtimes.inventory.fleet import Fleet

STATE_RULE = "state"
"""The rule of a refusal because of the present state of a target, in the audit."""


def split_refused_actions(
    plan: Sequence[Action[Any]], fleet: Fleet, *, asks: bool
) -> tuple[Sequence[Action[Any]], Sequence[Result]]:
    """Returns the actions that the engines can do, and a result with an error for each of the others. `asks`: a
    question would be asked about the plan. A plan that only reads is not split: its reply shows the errors of some
    engines. It is refused if a question would be asked and no engine can do it."""
    results = [(action, _refusal(action, fleet)) for action in plan]
    able = [action for action, error in results if error is None]
    unable = [Result(action=action, error=error) for action, error in results if error is not None]
    if all(action.risk is Risk.READ for action in plan) and (able or not asks):
        return plan, ()
    return able, unable


async def make_plan(command: Command, context: Context, view: VisibleFleet, fleet: Fleet) -> Sequence[Action[Any]]:
    """Returns the plan of a command, by the names of its targets. Raises Unsupported or Disallowed if no engine in its
    scope has its verbs, instead of an error that says that there is no such resource; and what the command raises."""
    try:
        plan = await command.plan(context)
    except (errors.NotFound, errors.Unsupported) as error:
        if isinstance(error, errors.Unsupported) and error.verb in command.verbs:
            raise
        if isinstance(error, errors.NotFound) and not _selects(command, context.args):
            raise  # it says what the command looked for, such as a Swarm
        refused = _lacking(command, context.args, view, fleet)
        if refused is None:
            raise
        raise refused from error
    refused = None if plan else _lacking(command, context.args, view, fleet)
    if refused is not None:
        raise refused
    return change_targets.sort_by_name(plan)


def denial(notes: Sequence[str], unable: Sequence[Result]) -> Decision:
    """Returns, for the audit, the decision of a refusal. `notes`: the sentences about the states of targets."""
    if unable and unable[0].error is not None:
        return decision.denial(unable[0].error)
    return Decision(verdict=Verdict.DENY, rule=STATE_RULE, reason=" ".join(notes))


def _refusal(action: Action[Any], fleet: Fleet) -> errors.QuarterdeckError | None:
    if action.engine == bot_actions.BOT or isinstance(action, job_follower.STOPS):
        return None
    try:
        return fleet.refusal(action)
    except errors.NotFound:  # the engine was removed meanwhile
        return None


def _lacking(
    command: Command, args: Mapping[str, Any], view: VisibleFleet, fleet: Fleet
) -> errors.QuarterdeckError | None:
    """Returns why no engine in the scope of a command does it; None if one does, or if the requester may not use it on
    any of them."""
    if not command.verbs:
        return None
    named = dict.fromkeys(match.parse(text).engine for text in _targets(args))
    first: errors.QuarterdeckError | None = None
    for pattern in named or ("",):
        try:
            scope = fleet.engines(Query(engine=args.get("engine") or pattern, host=args.get("host") or ""))
        except errors.NotFound:
            return None
        for ref in scope:
            refusals = [fleet.runtime(ref).verb_refusal(verb) for verb in command.verbs]
            if None in refusals:
                return None
            if first is None and any(view.may_somewhere(verb, ref) for verb in command.verbs):
                first = refusals[0]
    # The process may not have created the built-in runtime yet, so it is looked at last.
    is_own = first is not None and fleet.builtin is not None and not fleet.builtin.verbs.isdisjoint(command.verbs)
    return None if is_own else first


def _selects(command: Command, args: Mapping[str, Any]) -> bool:
    """Whether the command line selects resources, or an engine."""
    return bool(args.get("engine") or args.get("host")) or any(arg.type is ArgType.TARGET for arg in command.args)


def _targets(args: Mapping[str, Any]) -> Sequence[str]:
    targets = args.get("target") or ()
    return (targets,) if isinstance(targets, str) else tuple(targets)
