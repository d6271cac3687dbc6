"""Leaves out the buttons of a reply that offer what its requester may not do, or what no engine can do.

Each offered line is parsed and planned as if it was typed, and then decided by the policy. Nothing is run. A click is
decided again. This takes a limited time. A button that is not decided by then is left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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


async def keep_allowed(reply: Reply, state: CommandState, catalogue: Any, fleet: Fleet) -> Reply:
    """Returns the reply without the offers that the requester could not accept. Raises nothing."""
    if not any(button.offered for button in reply.buttons):
        return reply
    allowed: set[Button] = set()
    try:
        async with asyncio.timeout(SECONDS):
            for button in reply.buttons:
                if button.offered and await _is_possible(button.line, state, catalogue, fleet):
                    allowed.add(button)
    except TimeoutError:
        log.info("Some buttons were left out, because an engine was slow.", action="offer")
    except Exception as error:  # the reply is shown without its offers
        fleet.bugs.report(error, "offer")
    return replace(reply, buttons=tuple(one for one in reply.buttons if not one.offered or one in allowed))


async def _is_possible(line: str, state: CommandState, catalogue: Any, fleet: Fleet) -> bool:
    """Whether the line can be planned, an engine has one of its verbs, and the policy does not deny it."""
    if state.view is None or state.context is None:
        return False
    try:
        parsed = parser.parse(line, catalogue)
        command = parsed.command
        if state.frozen and command.risk is not Risk.READ:
            return False
        planned = await command.plan(replace(state.context, args=parsed.args))
        plan = partial_plan.needed(command, await state.view.with_effects(planned))
        able = any(action.verb in fleet.runtime(action.engine).verbs for action in plan)
        # The brakes only ask for a confirmation, so their limit does not matter here.
        return able and _verdict(plan, state.view) is not Verdict.DENY
    except errors.QuarterdeckError:
        return False


def _verdict(plan: Sequence[Action[Any]], view: VisibleFleet) -> Verdict:
    return decision.decide(plan, view, max_unconfirmed=len(plan)).verdict
