"""Writes the messages about incidents: that of one incident, the entries of its thread, and one message for many.

The first line says the state, what it is about and why. The second says where, since when, how often and who takes care
of it. All names and texts come from engines, so they are shown as plain text and mention nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from core.model.alerts import Alert
from core.model.incidents import Incident, IncidentState
from core.model.refs import Kind
from core.model.replies import Block, Button, Fields, Reply, Table, Text, Tone
from core.text import command_line

TONES = {
    IncidentState.FIRING: Tone.BAD,
    IncidentState.ACKNOWLEDGED: Tone.WARN,
    IncidentState.RESOLVED: Tone.GOOD,
}
WORDS = {
    IncidentState.FIRING: "Firing",
    IncidentState.ACKNOWLEDGED: "Acknowledged",
    IncidentState.RESOLVED: "Resolved",
}
MAX_ROWS = 30
WITH_LOGS = frozenset({Kind.CONTAINER, Kind.SERVICE})


def incident_reply(incident: Incident) -> Reply:
    """Returns the message of one incident."""
    main, state = incident.main, incident.state
    blocks: list[Block] = [Text(text=f"{WORDS[state]}: {main.owner}: {main.text}", tone=TONES[state])]
    blocks += [Text(text=f"Also: {alert.text}") for alert in incident.firing[1:] if alert.text not in main.text]
    blocks.append(Text(text=_details(incident)))
    return Reply(blocks=blocks, buttons=_buttons(incident) if state is not IncidentState.RESOLVED else ())


def crash_card(incident: Incident) -> Reply:
    """Returns the first entry of an incident's thread: the details that do not fit in the message."""
    main = incident.main
    fields = {
        "Subject": f"{main.subject.kind} {main.subject}",
        "Rule": f"{main.rule} ({main.severity})",
        "First found": _time(incident.began_ns),
    }
    if main.cause is not None:
        fields["Cause"] = main.cause.text
    if main.team:
        fields["Team"] = main.team
    fields["Incident"] = incident.id
    return Reply(blocks=(Fields(fields=fields),))


def thread_entry(incident: Incident) -> Reply:
    """Returns the entry of an incident's thread when it is over, or begins again."""
    main = incident.main
    if incident.state is IncidentState.RESOLVED:
        lasted = _span(incident.changed_ns - incident.began_ns)
        return Reply(blocks=(Text(text=f"Resolved after {lasted}: {main.text}.", tone=Tone.GOOD),))
    return Reply(blocks=(Text(text=f"It is back: {main.text}.", tone=Tone.BAD),))


def storm_reply(incidents: Sequence[Incident]) -> Reply:
    """Returns one message for many incidents that began at almost the same time."""
    open_ones = [incident for incident in incidents if incident.state is not IncidentState.RESOLVED]
    where = Counter(_place(incident.main) for incident in incidents)
    places = ", ".join(f"{place}: {number}" for place, number in where.most_common(3))
    more = f", {len(where) - 3} more" if len(where) > 3 else ""
    began = _time(min(incident.began_ns for incident in incidents))
    if open_ones:
        headline = f"Firing: {len(incidents)} incidents at once, {len(open_ones)} still open ({places}{more})"
    else:
        headline = f"Resolved: all {len(incidents)} incidents that began at once ({places}{more})"
    rows = [
        (incident.main.owner, incident.main.text, WORDS[incident.state].lower())
        for incident in sorted(incidents, key=lambda each: (each.state is IncidentState.RESOLVED, each.main.owner))
    ]
    left_out = len(rows) - MAX_ROWS
    table = Table(columns=("WHAT", "WHY", "STATE"), rows=rows[:MAX_ROWS])
    blocks: list[Block] = [
        Text(text=headline, tone=Tone.BAD if open_ones else Tone.GOOD),
        Text(text=f"since {began}"),
        table,
    ]
    if left_out > 0:
        blocks.append(Text(text=f"{left_out} more: incidents"))
    buttons = (Button(label="All incidents", line="incidents"),) if open_ones else ()
    return Reply(blocks=blocks, buttons=buttons)


def _details(incident: Incident) -> str:
    main = incident.main
    parts = [str(main.subject.engine), str(incident.severity), f"since {_time(incident.began_ns)}"]
    if incident.count > 1:
        parts.append(f"{incident.count} times")
    if main.late:
        parts.append("found late")
    if incident.state is IncidentState.RESOLVED:
        parts.append(f"over after {_span(incident.changed_ns - incident.began_ns)}")
    elif incident.acknowledged_by:
        parts.append(f"{incident.acknowledged_name} takes care of it")
    return " · ".join(parts)


def _buttons(incident: Incident) -> tuple[Button, ...]:
    main = incident.main
    target = f"{main.subject.name}@{main.subject.engine}"
    buttons = []
    if incident.state is IncidentState.FIRING:
        buttons.append(Button(label="Acknowledge", line=command_line.quote(["ack", incident.id])))
    if main.subject.kind in WITH_LOGS:
        buttons.append(Button(label="Logs", line=command_line.quote(["logs", target, "--tail", "50"])))
    if main.subject.kind is Kind.CONTAINER:
        buttons.append(Button(label="Restart", line=command_line.quote(["restart", target])))
    buttons.append(Button(label="Silence 1 h", line=command_line.quote(["silence", incident.id, "--for", "1h"])))
    return tuple(buttons)


def _place(alert: Alert) -> str:
    project = alert.owner.partition("/")[0] if "/" in alert.owner else ""
    return project or alert.subject.engine.host or str(alert.subject.engine)


def _time(at_ns: int) -> str:
    return f"{datetime.fromtimestamp(at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _span(nanoseconds: int) -> str:
    seconds = max(0, nanoseconds) // 1_000_000_000
    if seconds < 90:
        return f"{seconds} s"
    minutes = seconds // 60
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
