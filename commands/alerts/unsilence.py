"""`unsilence`: ends a silence of incidents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, Command, Context, Result
from core.model.actions import Action, Risk
from core.model.alert_actions import RemoveSilence
from core.model.replies import Reply, Text, Tone
from core.model.silences import Silence


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (RemoveSilence(id=context.args["id"]),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    silence: Silence = result.value
    return Reply(
        blocks=(Text(text=f"Incidents about {silence.owner} are posted again.", tone=Tone.GOOD),), everyone=True
    )


command = Command(
    name="unsilence",
    summary="end a silence of incidents",
    examples=("unsilence s-3fa92c", "unsilence s-0b71d3"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(RemoveSilence.verb,),
    args=(Arg(name="id", required=True, help="id of the silence, as `silences` shows it"),),
)
