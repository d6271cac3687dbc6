"""`alerts test|here|nowhere`: fires a test alert, or chooses the channel of alerts if the configuration names none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, Command, Context, Result
from core import errors
from core.model.actions import Action, Risk
from core.model.alert_actions import FireTestAlert
from core.model.alert_setting_actions import AlertChannel, SetAlertChannel
from core.model.replies import Button, Reply, Text, Tone

NOWHERE = (
    "The test alert fires, but alerts are not posted in any channel. Give the command `alerts here` in a channel, or"
    " name one in quarterdeck.yaml: alerts: {to: C0123ABCD}"
)


async def plan(context: Context) -> Sequence[Action[Any]]:
    match context.args["do"]:
        case "test":
            return (FireTestAlert(by=context.who),)
        case "nowhere":
            return (SetAlertChannel(by=context.who, channel=""),)
    if context.place.kind != "channel":
        raise errors.BadUsage(
            "The command `alerts here` works only in a Slack channel.",
            hint="Give it in the channel where alerts must be posted, or name that channel in quarterdeck.yaml: alerts:"
            " {to: C0123ABCD}",
        )
    return (SetAlertChannel(by=context.who, channel=context.place.channel),)


def render(_: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    if isinstance(result.action, SetAlertChannel):
        return _moved(result.value)
    channel: str = result.value
    if not channel:
        return Reply(blocks=(Text(text=NOWHERE, tone=Tone.WARN),))
    text = f"The test alert fires in the channel {channel}, and resolves after a minute."
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),))


def _moved(named: AlertChannel) -> Reply:
    if not named.channel:
        text = "Alerts are not posted in any channel now. List the incidents with: incidents"
        return Reply(blocks=(Text(text=text, tone=Tone.WARN),), everyone=True)
    before = f" Before, they were posted in {named.before}." if named.before not in ("", named.channel) else ""
    text = f"Alerts are posted in this channel from now on, unless a route names another channel.{before}"
    buttons = (Button(label="Test it", line="alerts test"), Button(label="Undo", line="alerts nowhere"))
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),), buttons=buttons, everyone=True)


command = Command(
    name="alerts",
    summary="choose the Slack channel for alerts, or send a test alert",
    examples=("alerts test", "/deck alerts here"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(FireTestAlert.verb, SetAlertChannel.verb),
    verb_conditions=(("with test", FireTestAlert.verb), ("with here or nowhere", SetAlertChannel.verb)),
    args=(
        Arg(
            name="do",
            placeholder="ACTION",
            required=True,
            choices=("test", "here", "nowhere"),
            help="test: send a test alert, which ends after one minute; here: post alerts in this channel, unless a"
            " route in quarterdeck.yaml names another; nowhere: undo `here` (here and nowhere are refused if"
            " quarterdeck.yaml sets alerts.to)",
        ),
    ),
)
