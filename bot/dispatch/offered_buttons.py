"""Removes a button from a reply if the requester may not give the button's command, or if no engine can run it.

The command line of each button is parsed, planned and checked by the policy as if it was typed. Nothing is run. A click
is checked again. The checks have a time limit. A button that was not checked in that time is removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence, Set
from dataclasses import replace
from typing import Any

import structlog

from bot.dispatch import decision, partial_plan
from bot.dispatch.command_state import CommandState
from bot.dispatch.visible_fleet import VisibleFleet
from bot.parsing import parser
from core import errors
from core.model.actions import Action, Risk
from core.model.policy import Verdict
from core.model.replies import Button, Reply
from runtimes.inventory.fleet import Fleet

log = structlog.get_logger(__name__)
SECONDS = 1.0  # for all buttons of a reply


async def keep_allowed_buttons(reply: Reply, state: CommandState, catalogue: Any, fleet: Fleet) -> Reply:
    """Returns the reply without the offers that the requester could not accept, and without those that name something
    that does not exist. Raises nothing."""
    offered = [button for button in reply.buttons if button.offered]
    if not offered:
        return reply
    allowed: dict[Button, Set[str]] = {}  # with the names in each line
    missing: set[str] = set()
    if state.view is not None and (state.change is not None or any(map(_lasts, state.plan))):
        state.view.forget_lists()  # what the command was about may not exist any more
    try:
        async with asyncio.timeout(SECONDS):
            for button in offered:
                parsed = parser.parse(button.line, catalogue)
                try:
                    if await _is_possible(parsed, state, fleet):
                        allowed[button] = _names(parsed)
                except errors.NotFound:
                    missing |= _names(parsed)
                except errors.QuarterdeckError:
                    continue
    except TimeoutError:
        left_out = [button.line for button in offered if button not in allowed]
        log.info("Some buttons were left out, because an engine was slow.", action="offer", lines=left_out)
    except Exception as error:  # the reply is shown without its offers
        fleet.bugs.report(error, "offer")
    # Events of something that was removed could be listed, but nothing is offered by its name.
    kept = [one for one in reply.buttons if not one.offered or (one in allowed and not allowed[one] & missing)]
    return replace(reply, buttons=tuple(kept))


def _lasts(action: Action[Any]) -> bool:
    """Whether the action goes on for a long time, such as to follow a log."""
    return bool(getattr(action, "follow", False))


def _names(parsed: parser.Parsed) -> Set[str]:
    given = parsed.args.get("target") or ()
    return frozenset((given,) if isinstance(given, str) else given)


async def _is_possible(parsed: parser.Parsed, state: CommandState, fleet: Fleet) -> bool:
    """Whether the line can be planned, an engine has one of its verbs, and the policy does not deny it. Raises the
    errors of the plan."""
    if state.view is None or state.context is None or (state.frozen and parsed.command.risk is not Risk.READ):
        return False
    planned = await parsed.command.plan(replace(state.context, args=parsed.args))
    plan = partial_plan.needed(parsed.command, await state.view.with_effects(planned))
    able = any(action.verb in fleet.runtime(action.engine).verbs for action in plan)
    # The brakes only ask for a confirmation, so their limit does not matter here.
    return able and _verdict(plan, state.view) is not Verdict.DENY


def _verdict(plan: Sequence[Action[Any]], view: VisibleFleet) -> Verdict:
    return decision.decide(plan, view, max_unconfirmed=len(plan)).verdict
