"""Builds the messages about incidents: the message of one incident, the entries of its thread, and one message for many
incidents.

The first line has the state, the resource and the problem. The second line has the place, the begin, the number of
repeats, and the person who takes care of it or the reason of its end. All names and texts come from engines, so they
are shown as plain text and mention nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from core.model.alerts import Alert
from core.model.incidents import Incident, IncidentNote, IncidentState
from core.model.refs import Kind
from core.model.replies import Block, Button, Reply, Table, Text, Tone
from core.text import command_line, durations, sanitize, text_timestamps

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
MAX_WHY = 120  # characters in a row: a longer one would make each edit upload the whole table as a file
MAX_ENTRIES = 10
RESTARTING_ENGINES = ("docker", "podman", "containerd")  # the others have no restart of their own
WITH_LOGS = frozenset({Kind.CONTAINER, Kind.SERVICE})


def make_incident_reply(incident: Incident, mention: Sequence[str] = (), held: str = "") -> Reply:
    """Returns the message of one incident. `mention`: ids of user groups and people whom it mentions. `held`: what
    holds it back, such as `snoozed by Ada until …`."""
    main, state = incident.main, incident.state
    blocks: list[Block] = [Text(text=_headline(incident), tone=TONES[state])]
    blocks += [Text(text=f"Also: {alert.text}") for alert in incident.firing[1:] if alert.text not in main.text]
    blocks.append(Text(text=_details(incident)))
    if held:
        blocks.append(Text(text=f"{held[:1].upper()}{held[1:]}. Nothing new is posted about it.", tone=Tone.WARN))
    buttons = _buttons(incident) if state is not IncidentState.RESOLVED else ()
    return Reply(blocks=blocks, buttons=buttons, mention=tuple(mention))


def thread_entry(incident: Incident, mention: Sequence[str] = (), *, turned: bool = True) -> Reply:
    """Returns the entry of an incident's thread when it is over, or begins again. Without `turned`, it only became
    something that more people must see."""
    main = incident.main
    if incident.state is IncidentState.RESOLVED:
        lasted = durations.in_units((incident.changed_ns - incident.began_ns) / 1e9)
        return Reply(blocks=(Text(text=f"Resolved after {lasted}: {main.text}.", tone=Tone.GOOD),))
    text = f"It is back: {main.text}." if turned else f"The severity is {incident.severity} now: {main.text}."
    return Reply(blocks=(Text(text=text, tone=Tone.BAD),), mention=tuple(mention))


def note_entry(notes: Sequence[IncidentNote]) -> Reply:
    """Returns the entry of an incident's thread about what is new."""
    return Reply(blocks=(Text(text="\n".join(note.text for note in notes)),))


def reminder(incidents: Sequence[Incident], since: str, mention: Sequence[str] = ()) -> Reply:
    """Returns the entry of a thread that says that incidents are still open. `since`: why it says so now."""
    if len(incidents) > 1:
        text = f"{len(incidents)} incidents are still open {since}."
    else:
        text = f"Still open {since}: {_owner(incidents[0].main)}: {incidents[0].main.text}."
    return Reply(blocks=(Text(text=text, tone=Tone.BAD),), mention=tuple(mention))


def group_entry(incidents: Sequence[Incident], number: int, mention: Sequence[str] = ()) -> Reply:
    """Returns the entry of the thread of a shared message about so many incidents that began or ended, of which the
    first MAX_ENTRIES are given."""
    shown = [
        Text(
            text=f"{WORDS[incident.state]}: {_owner(incident.main)}: {incident.main.problem}",
            tone=TONES[incident.state],
        )
        for incident in incidents[:MAX_ENTRIES]
    ]
    if number > len(shown):
        shown.append(Text(text=f"{number - len(shown)} more. List them with: incidents"))
    return Reply(blocks=tuple(shown), mention=tuple(mention))


class IncidentTable:
    """The message that many incidents share. It is given one incident after the other, and keeps only what it shows, so
    that ten thousand take no memory."""

    def __init__(self) -> None:
        self.count = 0
        self.open_count = 0
        self._began_ns = 0
        self._rows: list[tuple[bool, str, tuple[str, str, str]]] = []
        self._places: Counter[str] = Counter()
        self._hosts: Counter[str] = Counter()

    def add(self, incident: Incident, held: str = "") -> None:
        """Adds an incident. `held`: what holds it back; empty if nothing does."""
        main, is_over = incident.main, incident.state is IncidentState.RESOLVED
        self._began_ns = incident.began_ns if not self.count else min(self._began_ns, incident.began_ns)
        self.count += 1
        self.open_count += not is_over
        self._places[_place(main)] += 1
        self._hosts[main.subject.engine.host] += 1
        self._rows.append((is_over, main.owner, (_owner(main), main.problem[:MAX_WHY], _state(incident, held))))
        if len(self._rows) > 4 * MAX_ROWS:
            self._shorten()

    def reply(self, group: str = "", mention: Sequence[str] = (), *, storm: str = "") -> Reply:
        """Returns the message about these incidents, of which there is at least one. `group`: what they have in common,
        in words; empty if they began at almost the same time, and then `storm` is what they have in common."""
        where = self._where(storm)
        number = "1 incident" if self.count == 1 else f"{self.count} incidents"
        what = sanitize.single_line(group or f"at once {storm}".rstrip())
        if self.open_count:
            headline = f"Firing: {number} {what}, {self.open_count} still open{where}"
        elif group:
            headline = f"Resolved: {number} {what}, all over{where}"
        else:
            headline = f"Resolved: all {number} that began {what}{where}"
        self._shorten()
        blocks: list[Block] = [
            Text(text=headline, tone=Tone.BAD if self.open_count else Tone.GOOD),
            Text(text=f"since {_time(self._began_ns)}"),
            Table(columns=("WHAT", "WHY", "STATE"), rows=[cells for _, _, cells in self._rows]),
        ]
        if self.count > MAX_ROWS:
            blocks.append(Text(text=f"{self.count - MAX_ROWS} more. List them with: incidents"))
        buttons = (Button(label="All incidents", line="incidents"),) if self.open_count else ()
        return Reply(blocks=blocks, buttons=buttons, mention=tuple(mention))

    def _shorten(self) -> None:
        """Keeps the rows that are shown: the open incidents first, by owner."""
        self._rows = sorted(self._rows, key=lambda row: row[:2])[:MAX_ROWS]

    def _where(self, storm: str) -> str:
        """Returns how many of the incidents are where, the places with the most first: on which hosts, if they are all
        of one project, or else of which projects. Empty if `storm` says it already."""
        where = self._hosts if storm.startswith("in ") else self._places
        if len(where) == 1 and storm == f"on {next(iter(where))}":
            return ""
        more = f", {len(where) - 3} more" if len(where) > 3 else ""
        return f" ({', '.join(f'{place}: {number}' for place, number in where.most_common(3))}{more})"


def _headline(incident: Incident) -> str:
    return f"{WORDS[incident.state]}: {_owner(incident.main)}: {incident.main.problem}"


def _state(incident: Incident, held: str) -> str:
    """Returns the state in a table: of what holds an incident back, only the kind fits there."""
    word = WORDS[incident.state].lower()
    kind = held.partition(" by ")[0].partition(" until ")[0]
    return f"{word}, {kind}" if kind else word


def _details(incident: Incident) -> str:
    main = incident.main
    parts = [str(main.subject.engine), str(incident.severity), f"since {_time(incident.began_ns)}"]
    if incident.count > 1:
        parts.append(f"{incident.count} times")
    if main.late:
        parts.append("found late")
    if incident.state is IncidentState.RESOLVED:
        how = f": {main.text}" if main.resolves else ""
        parts.append(f"over after {durations.in_units((incident.changed_ns - incident.began_ns) / 1e9)}{how}")
    elif incident.acknowledged_by:
        parts.append(f"{incident.acknowledged_name} takes care of it")
    return " · ".join(parts)


def _buttons(incident: Incident) -> tuple[Button, ...]:
    """Returns at most four buttons. Each is a command line of whoever clicks, so it also works after a restart of the
    bot. Restart names the id of the container: if another one has its name by then, the click is refused."""
    main = incident.main
    subject = main.subject
    buttons = []
    if incident.state is IncidentState.FIRING:
        buttons.append(Button(label="Ack", line=command_line.quote(["ack", incident.id])))
    if subject.kind in WITH_LOGS:
        line = command_line.quote(["logs", f"{subject.name}@{subject.engine}", "--tail", "50"])
        buttons.append(Button(label="Logs", line=line))
    if subject.kind is Kind.CONTAINER and subject.engine.kind in RESTARTING_ENGINES:
        buttons.append(Button(label="Restart", line=command_line.quote(["restart", str(subject)])))
    buttons.append(Button(label="More…", line=command_line.quote(["incident", incident.id])))
    return tuple(buttons)


def _owner(alert: Alert) -> str:
    """Labels of containers name the owner, and they may hold line breaks."""
    return sanitize.single_line(alert.owner)


def _place(alert: Alert) -> str:
    project = alert.owner.partition("/")[0] if "/" in alert.owner else ""
    return project or alert.subject.engine.host or str(alert.subject.engine)


def _time(at_ns: int) -> str:
    return text_timestamps.format_timestamp(at_ns / 1e9)
