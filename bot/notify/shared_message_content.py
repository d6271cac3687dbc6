"""Collects what a message that several incidents share must say: its table, whom it mentions, the next entry of its
thread, and what has to be recorded afterwards about the incidents that are not in memory.

It is given one incident after the other, so it is small for ten thousand incidents.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot.notify import incident_message
from bot.notify.message_sender import message_name
from core.model.alert_routes import Destination
from core.model.incidents import Incident, IncidentState, PostedIncident
from core.model.replies import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the message shows of an incident. `destination`: None if the incident has no news that anybody must be told
    of."""

    version: int
    turns: int
    destination: Destination | None

    @classmethod
    def of(cls, incident: Incident, destination: Destination | None) -> Shown:
        return cls(version=incident.version, turns=incident.turns, destination=destination)

    def told(self, post: PostedIncident, group: str) -> int:
        """Returns how many turns people were told. The message of a group may be edited silently: then nobody was."""
        silent = self.destination is None or (bool(group) and self.destination.silent)
        return post.told if silent else self.turns


class SharedContent:
    """The content of one message. `place`: the id of its channel, and its own."""

    def __init__(self, place: tuple[str, str]) -> None:
        self.place = place
        self.table = incident_message.IncidentTable()
        self.unrecorded: dict[str, Shown] = {}
        """What the message shows of incidents that are not in memory, by key, if that is not recorded yet."""
        self._labelled: dict[tuple[str, str], list[str]] = {}
        self._group = self._storm = ""
        self._joining: set[str] = set()
        self._mentioned: dict[str, None] = {}
        self._entry: list[Incident] = []
        self._entry_names: list[str] = []
        self._entry_mentions: dict[str, None] = {}

    @property
    def group(self) -> str:
        """What the incidents of a group have in common, in words. Empty for a storm, which takes in the message of a
        group if incidents of others join it."""
        return "" if self._joining - {self._group} else self._group

    def storm(self, decided: str) -> str:
        """What the incidents of a storm have in common, in words. `decided`: if that is decided now."""
        return "" if self.group else decided or self._storm

    @property
    def mentioned(self) -> tuple[str, ...]:
        return tuple(self._mentioned)

    def post_of(self, incident: Incident) -> PostedIncident | None:
        """Returns the record of an incident that it is in this message."""
        return next((post for post in incident.posts if (post.channel, post.ts) == self.place), None)

    def add(self, incident: Incident, destination: Destination | None, held: str = "") -> None:
        """Adds an incident. `destination`: None if it has no news. `held`: what holds it back."""
        post = self.post_of(incident)
        self.table.add(incident, held)
        if post is not None:
            self._group = self._group or post.group
            self._storm = self._storm or post.storm
            self._mentioned |= dict.fromkeys(post.mentioned)
        elif destination is not None:
            self._joining.add(destination.group)
        if destination is not None and not destination.silent and (post is None or post.told < incident.turns):
            self._add_to_entry(incident, destination)

    def add_other(self, incident: Incident, destination: Destination | None) -> None:
        """Adds an incident that is not in memory afterwards."""
        post = self.post_of(incident)
        self.add(incident, destination, post.held if post is not None else "")
        if post is None or destination is not None or post.version != incident.version or not post.shared:
            self.unrecorded[incident.key] = Shown.of(incident, destination)
        if post is not None:
            self._labelled.setdefault((post.group, post.storm), []).append(incident.key)

    def to_record(self, storm: str) -> Sequence[str]:
        """Returns the keys of the incidents that are not in memory, and about which something must be recorded."""
        renamed = (keys for label, keys in self._labelled.items() if label != (self.group, storm))
        return list(dict.fromkeys([*self.unrecorded, *(key for keys in renamed for key in keys)]))

    def others(self) -> Iterator[str]:
        """Returns the keys of the incidents that were in the message before and are not in memory."""
        return (key for keys in self._labelled.values() for key in keys)

    def reply(self, storm: str) -> Reply:
        return self.table.reply(self.group, self.mentioned, storm=storm)

    def entry(self) -> tuple[Reply, str] | None:
        """Returns the next entry of the thread and its name. A storm has none, and without news there is none."""
        if not self.group or not self._entry:
            return None
        mentions = tuple(self._entry_mentions)
        reply = incident_message.group_entry(self._entry, len(self._entry_names), mentions)
        return reply, " ".join(sorted(self._entry_names))

    def _add_to_entry(self, incident: Incident, destination: Destination) -> None:
        if len(self._entry) < incident_message.MAX_ENTRIES:
            self._entry.append(incident)
        self._entry_names.append(message_name(incident, self.place[1], f"turn {incident.turns}"))
        if incident.state is not IncidentState.RESOLVED:
            self._entry_mentions |= dict.fromkeys(destination.mention)
