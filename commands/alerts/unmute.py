"""`unmute me`: mentions the requester in messages about incidents again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, Command, Context, Result
from core.model.actions import Action, Risk
from core.model.alert_setting_actions import MuteRequester
from core.model.replies import Reply, Text, Tone


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (MuteRequester(by=context.who, seconds=0.0),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    text = "Incidents mention you again, and are sent to you, as the configuration requires."
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),))


command = Command(
    name="unmute",
    summary="let incidents mention you again",
    examples=("unmute me", "/deck unmute me"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(MuteRequester.verb,),
    args=(Arg(name="who", required=True, choices=("me",), help="write this word; you can do this only for yourself"),),
)
