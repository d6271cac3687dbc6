"""`alerts test`: fires a test alert, to see where alerts are posted and what they look like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, Command, Context, Result
from core.model.actions import Action, Risk
from core.model.alert_actions import FireTestAlert
from core.model.replies import Reply, Text, Tone

NOWHERE = (
    "The test alert fires, but alerts are posted nowhere. Name a Slack channel in quarterdeck.yaml, and restart"
    " Quarterdeck: alerts: {to: C0123ABCD}"
)


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (FireTestAlert(by=context.who),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    channel: str = result.value
    if not channel:
        return Reply(blocks=(Text(text=NOWHERE, tone=Tone.WARN),))
    text = f"The test alert fires in the channel {channel}, and resolves after a minute."
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),))


command = Command(
    name="alerts",
    summary="fire a test alert",
    examples=("alerts test", "/deck alerts test"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(FireTestAlert.verb,),
    args=(Arg(name="do", required=True, choices=("test",), help="fire a test alert, which resolves after a minute"),),
)
