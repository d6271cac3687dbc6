"""`incident`: shows one incident, and buttons for what can be done about it. The button More… of a message runs it."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from typing import Any

from commands._shared import formatting
from commands.spec import Arg, Command, Context, Result
from core.model.actions import Action
from core.model.alert_setting_actions import ShowIncident, ShownIncident
from core.model.incidents import Incident, IncidentState
from core.model.refs import Kind
from core.model.replies import Block, Button, Fields, Reply, Table, Text, Tone
from core.text import command_line, sanitize

TONES = {
    IncidentState.FIRING: Tone.BAD,
    IncidentState.ACKNOWLEDGED: Tone.WARN,
    IncidentState.RESOLVED: Tone.GOOD,
}


async def plan(context: Context) -> Sequence[Action[Any]]:
    return (ShowIncident(who=context.who, place=context.place, id=context.args["id"]),)


def render(context: Context, results: Sequence[Result]) -> Reply:
    result = results[0]
    if result.error is not None:
        return formatting.error_reply(result.error)
    shown: ShownIncident = result.value
    incident = shown.incident
    main = incident.main
    fields = {
        "State": str(incident.state),
        "Severity": str(incident.severity),
        "Subject": f"{main.subject.kind} {main.subject}",
        "Since": formatting.moment(incident.began_ns / 1e9),
        "Found": "once" if incident.count == 1 else f"{incident.count} times",
        "Rules": ", ".join(alert.rule for alert in incident.firing or (main,)),
    }
    if main.resolves:
        fields["Over"] = f"{formatting.moment(incident.changed_ns / 1e9)}: {main.text}"
    if main.team:
        fields["Team"] = main.team
    if incident.acknowledged_by:
        fields["Taken by"] = incident.acknowledged_name
    for silence in shown.silences:
        fields["Silenced"] = f"until {formatting.moment(silence.until)} by {silence.by_name} ({silence.id})"
    for window in shown.maintenance:
        fields["Maintenance"] = f"{window.what()} ({window.id}), asked for by {window.by_name}"
    for cause in shown.causes:
        fields["Waits for"] = f"{cause.id}: {cause.main.owner}: {cause.main.problem}"
    if shown.refused_channel:
        fields["Label"] = f"names the channel {shown.refused_channel}, which the configuration does not name"
    if not incident.posts:
        fields["Posted"] = "nowhere"
    blocks: list[Block] = [
        # Labels of containers name the owner, and they may hold line breaks.
        Text(text=f"{incident.id}: {sanitize.single_line(main.owner)}: {main.problem}", tone=TONES[incident.state]),
        Fields(fields=fields),
    ]
    if incident.notes:
        notes = [(formatting.moment(note.at_ns / 1e9), note.text) for note in incident.notes]
        blocks.append(Table(columns=("AT", "WHAT HAPPENED"), rows=notes, wrap=True))
    return Reply(blocks=blocks, buttons=_buttons(shown) if incident.state is not IncidentState.RESOLVED else ())


def _buttons(shown: ShownIncident) -> Sequence[Button]:
    incident = shown.incident
    lines = []
    if incident.state is IncidentState.FIRING:
        lines.append(("Ack", ["ack", incident.id]))
    if shown.silences:
        lines.append(("End the silence", ["unsilence", shown.silences[0].id]))
    else:
        lines += [
            ("Snooze 1 h", ["snooze", incident.id, "--for", "1h"]),
            ("Silence 1 h", ["silence", incident.id, "--for", "1h"]),
            ("Silence until resolved", ["silence", incident.id, "--until-resolved"]),
        ]
    owner = glob.escape(incident.main.owner)  # a label that names the owner may hold a *
    lines.append(("Maintenance 2 h", ["maintenance", "add", owner, "--for", "2h"]))
    lines.append(("Mute me 8 h", ["mute", "me", "--for", "8h"]))
    return tuple(Button(label=label, line=command_line.quote(words)) for label, words in [*lines, *_looks(incident)])


def _looks(incident: Incident) -> Sequence[tuple[str, list[str]]]:
    subject = incident.main.subject
    if subject.kind is not Kind.CONTAINER:
        return ()
    name = f"{subject.name}@{subject.engine}"
    return (("Inspect", ["inspect", name]), ("Events", ["events", name, "--since", "1h"]))


command = Command(
    name="incident",
    summary="show one incident, with the commands that may help",
    examples=("incident 3fa92c-1", "incident 3fa92c"),
    plan=plan,
    render=render,
    verbs=(ShowIncident.verb,),
    args=(Arg(name="id", required=True, help="id of the incident, or the start of its id"),),
)
