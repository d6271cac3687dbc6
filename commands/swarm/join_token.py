"""`swarm join-token ROLE`: shows how a machine joins a Swarm. Only the requester sees it, because the token is a
secret: whoever has it can add a machine, which then sees what the Swarm runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting, swarms
from commands.spec import ENGINE, HOST, Arg, Command, Context, Result
from core.model.actions import Action, Risk
from core.model.replies import Ending, Lines, Reply, Text, Tone
from core.model.swarm import ReadJoinToken, Token


async def plan(context: Context) -> Sequence[Action[Any]]:
    engine = swarms.one_swarm(context, ReadJoinToken.verb)
    return [ReadJoinToken(engine=engine, role=context.args["role"])]


def render(context: Context, results: Sequence[Result]) -> Reply:
    (result,) = results
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
    summary="show how a machine joins a Swarm",
    examples=("swarm join-token worker", "swarm join-token manager --engine swarm"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    doing="reading a join token of",
    verbs=(ReadJoinToken.verb,),
    args=(
        Arg(name="role", required=True, choices=("worker", "manager"), help="role of the machine"),
        HOST,
        ENGINE,
    ),
)
