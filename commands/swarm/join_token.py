"""`swarm join-token ROLE`: shows how a machine joins a Swarm; with `--rotate`, makes a new token instead.

Only the requester sees a token, because it is a secret: whoever has it can add a machine, which then sees what the
Swarm runs. A rotation is announced like every change, so its reply does not contain the new token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import changes, formatting, swarms
from commands.spec import Arg, ArgType, Command, Context, Result
from core.model.actions import Action, Risk
from core.model.replies import Ending, Lines, Reply, Text, Tone
from core.model.swarm import ReadJoinToken, RotateJoinToken, Token


async def plan(context: Context) -> Sequence[Action[Any]]:
    role = context.args["role"]
    if context.args["rotate"]:
        return [RotateJoinToken(engine=swarms.choose_swarm(context, RotateJoinToken.verb), role=role)]
    engine = swarms.choose_swarm(context, ReadJoinToken.verb)
    return [ReadJoinToken(engine=engine, role=role)]


def render(context: Context, results: Sequence[Result]) -> Reply:
    (result,) = results
    if isinstance(result.action, RotateJoinToken):
        return changes.render_outcomes(
            changes.Wording(done=f"given a new {result.action.role} token"), results, context
        )
    if result.error is not None:
        text = Text(text=result.error.full_message(), tone=Tone.BAD)
        return Reply(blocks=(text,), ending=formatting.failed_ending(results))
    if not isinstance(result.value, Token):
        return Reply(blocks=(Text(text=result.value.detail, tone=Tone.BAD),), ending=Ending.FAILED)
    token = result.value
    text = Text(text=f"On the machine that joins {result.action.engine} as a {token.role}:")
    return Reply(blocks=(text, Lines(lines=(token.line,), secret=True)))


command = Command(
    name="swarm join-token",
    summary="show how a machine joins a Swarm, or create a new token",
    examples=(
        "swarm join-token worker",
        "swarm join-token manager --engine swarm",
        "swarm join-token --rotate worker",
    ),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    doing="reading a join token of",
    verbs=(ReadJoinToken.verb, RotateJoinToken.verb),
    verb_conditions=(("with --rotate", RotateJoinToken.verb),),
    args=(
        Arg(name="role", required=True, choices=("worker", "manager"), help="role that the machine gets in the Swarm"),
        Arg(name="--rotate", type=ArgType.FLAG, help="create a new token; the current token stops working"),
        swarms.ONE_HOST,
        swarms.ONE_ENGINE,
    ),
)
