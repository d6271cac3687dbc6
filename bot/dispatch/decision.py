"""Decides whether a plan may run: asks the policy about each target, adds the built-in confirmations (brakes), and
returns the strictest decision.

A brake is a built-in rule that asks the requester for a confirmation. There are three: for changes that cannot be
undone, for changes of many targets, and for changes whose command names no target. Such a command names a whole engine,
or only --label, --host or --engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bot.access import policy
from bot.dispatch.visible_fleet import VisibleFleet
from bot.dispatch.visible_rows import Lookup
from core import errors
from core.model import bot_actions
from core.model.actions import Action, Risk
from core.model.host_access import ReachHost
from core.model.policy import Decision, Verdict
from core.model.refs import Ref

WILDCARDS = frozenset("*?/")


def decide(plan: Sequence[Action[Any]], view: VisibleFleet, *, max_unconfirmed: int) -> Decision:
    """Returns the strictest decision of all. Built-in brakes ask for a confirmation of what cannot be undone and of
    more than `max_unconfirmed` changes at once. Raises EngineError if it is not known whether a protected container
    would end."""
    decisions = [view.decide(action, ref) for action in plan for ref in action.targets()]
    decisions += [
        decide_need(view, needed, ref) for action in plan for needed in action.needs() for ref in needed.targets()
    ]
    decisions += [view.decide_effect(action, effect) for action in plan for effect in action.effects or ()]
    changes = [action for action in plan if action.risk is not Risk.READ and action.engine != bot_actions.BOT]
    if reason := next(filter(None, (action.confirm_reason() for action in changes)), ""):
        decisions.append(_brake("brake:destroy", f"this {reason}"))
    elif len(changes) > max_unconfirmed:
        decisions.append(_brake("brake:many", f"this changes {len(changes)} resources at once"))
    elif changes and (reason := _width(changes, view.lookups)):
        decisions.append(_brake("brake:all", reason))
    return policy.combine_decisions(decisions)


def decide_need(view: VisibleFleet, needed: Action[Any], ref: Ref) -> Decision:
    """Returns the decision on what an action needs beside its own verb. A denial says what would reach the host."""
    decision = view.decide(needed, ref)
    if decision.verdict is not Verdict.DENY or not isinstance(needed, ReachHost):
        return decision
    return replace(decision, reason=f"{decision.reason} {ref.name} {', '.join(needed.reaches)}.")


def _width(changes: Sequence[Action[Any]], lookups: Sequence[Lookup]) -> str:
    """Returns why these changes are wide, however few they are: no name was given, or a pattern or the name of a group
    selected all that an engine has. Who names each resource by itself means all of them."""
    if any(not lookup.query.names for lookup in lookups):
        return "no name was given, so this changes everything that matches"
    targets = {ref.key for action in changes for ref in action.targets()}
    for lookup in lookups:
        for engine, everything, running in lookup.by_engine():
            covered = next((some for some in (everything, running) if some and some <= targets), None)
            if covered and not covered <= {key for each in lookups for key in each.named_alone()}:
                return f"this changes every {lookup.query.kind} of {engine}"
    return ""


def strictest(*decisions: Decision) -> Decision:
    """Returns the strictest of several decisions on one plan."""
    return policy.combine_decisions(decisions)


def refuse_bare_wildcard(args: Mapping[str, Any]) -> None:
    """Raises BadUsage if a target of a change is nothing but wildcards."""
    targets = args.get("target") or ()
    for target in (targets,) if isinstance(targets, str) else targets:
        name = target.partition("@")[0].partition("#")[0]
        if name and set(name) <= WILDCARDS:
            raise errors.BadUsage(
                f"“{target}” would change everything, but a change must name its targets.",
                hint="Give names, a pattern such as web-*, or --label.",
            )


def denial(error: errors.QuarterdeckError) -> Decision:
    """Returns, for the audit, the decision of a refusal that was made before or beside the policy."""
    rule = getattr(error, "rule", "") or type(error).__name__.lower()
    return Decision(verdict=Verdict.DENY, rule=rule, reason=error.message)


def _brake(rule: str, reason: str) -> Decision:
    return Decision(verdict=Verdict.CONFIRM, rule=rule, reason=reason)
