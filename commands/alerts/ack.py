"""`ack`: records that the requester takes care of an incident."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, Command, Context, Result
from core.model.actions import Action, Risk
from core.model.alert_actions import AcknowledgeIncident
from core.model.incidents import Incident
from core.model.replies import Reply, Text, Tone


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (AcknowledgeIncident(by=context.who, place=context.place, id=context.args["id"]),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    incident: Incident = result.value
    who = context.who.name or context.who.id
    text = f"{who} takes care of {incident.id}: {incident.main.owner}, {incident.main.text}."
    return Reply(blocks=(Text(text=text, tone=Tone.GOOD),), everyone=True)


command = Command(
    name="ack",
    summary="acknowledge an incident: you take care of it",
    examples=("ack 3fa92c-1", "ack 3fa92c"),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    verbs=(AcknowledgeIncident.verb,),
    args=(Arg(name="id", required=True, help="id of the incident, or the start of its id"),),
)
