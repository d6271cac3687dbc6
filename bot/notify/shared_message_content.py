"""Builds the content of a message that several incidents share: its table, its mentions, and the next entry of its
thread.

The caller passes the incidents one by one, so that ten thousand incidents need little memory. The result also contains
what the caller must store about incidents that are not in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bot.notify import incident_message
from bot.notify.message_sender import message_name
from core.lazy_dataclass import dataclass
from core.model.alert_routes import Destination
from core.model.incidents import Incident, IncidentState, PostedIncident
from core.model.replies import Reply

MAX_SAID = 4 * incident_message.MAX_ENTRIES  # incidents that are kept for the entries of a thread


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownIncident:
    """What the message shows of an incident. `destination`: None if the incident has no news that anybody must be told
    of."""

    version: int
    turns: int
    destination: Destination | None

    @classmethod
    def of(cls, incident: Incident, destination: Destination | None) -> ShownIncident:
        return cls(version=incident.version, turns=incident.turns, destination=destination)

    def told(self, post: PostedIncident, group: str) -> int:
        """Returns how many turns people were told. The message of a group may be edited silently: then nobody was."""
        silent = self.destination is None or (bool(group) and self.destination.silent)
        return post.told if silent else self.turns


class SharedContent:
    """The content of one message. `place`: the id of its channel, and its own. `group`: what its incidents have in
    common, in words, if none of them may be recorded yet. `told`: the turns of incidents, by key, that an earlier try
    of the message said without a record of each."""

    def __init__(self, place: tuple[str, str], group: str = "", told: Mapping[str, int] | None = None) -> None:
        self.place = place
        self._told = told or {}
        self.table = incident_message.IncidentTable()
        self.unrecorded: dict[str, ShownIncident] = {}
        """What the message shows of incidents that are not in memory, by key, if that is not recorded yet."""
        self._same: dict[ShownIncident, ShownIncident] = {}  # most of thousands are the same
        self._labelled: dict[tuple[str, str], list[str]] = {}
        self._group, self._storm = group, ""
        self._joining: set[str] = set()
        self._mentioned: dict[str, None] = {}
        self._said: dict[str, Incident] = {}  # by the name of its turn, as far as entries show them
        self._turns: dict[str, tuple[str, ...]] = {}  # whom each turn calls

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
            self._mentioned |= dict.fromkeys(self.called_before(incident, destination))
        told = self._told.get(incident.key, 0) if post is None else post.told
        joins_storm = post is None and destination is not None and not destination.group  # it has no entries
        if destination is not None and not destination.silent and told < incident.turns and not joins_storm:
            self._add_turn(incident, destination)

    def called_before(self, incident: Incident, destination: Destination) -> tuple[str, ...]:
        """Returns whom an earlier try of the message called about an incident that is not recorded."""
        is_over = incident.state is IncidentState.RESOLVED
        return destination.mention if incident.key in self._told and not is_over else ()

    def add_other(self, incident: Incident, destination: Destination | None = None, held: str = "") -> None:
        """Adds an incident that is not in memory afterwards. `held`: what holds back one that has news."""
        post = self.post_of(incident)
        self.add(incident, destination, post.held if post is not None and destination is None else held)
        if post is None or destination is not None or post.version != incident.version or not post.shared:
            shown = ShownIncident.of(incident, destination)
            self.unrecorded[incident.key] = self._same.setdefault(shown, shown)
        if post is not None:
            self._labelled.setdefault((post.group, post.storm), []).append(incident.key)

    def to_record(self, storm: str) -> Iterator[str]:
        """Yields the keys of the incidents that are not in memory, and about which something must be recorded."""
        yield from self.unrecorded
        renamed = (keys for label, keys in self._labelled.items() if label != (self.group, storm))
        yield from (key for keys in renamed for key in keys if key not in self.unrecorded)

    def others(self) -> Iterator[str]:
        """Returns the keys of the incidents that were in the message before and are not in memory."""
        return (key for keys in self._labelled.values() for key in keys)

    def reply(self, storm: str) -> Reply:
        return self.table.reply(self.group, self.mentioned, storm=storm)

    def turns(self) -> Sequence[str]:
        """Returns the names of the turns that the thread must say. A storm has no entries, and without news there are
        none."""
        return sorted(self._turns) if self.group else ()

    def entries(self, names: Mapping[str, str]) -> Iterator[tuple[Reply, str]]:
        """Yields the next entries of the thread, with their names. `names`: that of the entry of each turn."""
        grouped: dict[str, list[str]] = {}
        for turn in self.turns():
            grouped.setdefault(names[turn], []).append(turn)
        for name, turns in grouped.items():
            shown = [self._said[turn] for turn in turns if turn in self._said][: incident_message.MAX_ENTRIES]
            mentions = tuple(dict.fromkeys(who for turn in turns for who in self._turns[turn]))
            yield incident_message.group_entry(shown, len(turns), mentions), name

    def _add_turn(self, incident: Incident, destination: Destination) -> None:
        name = message_name(incident, self.place[1], f"turn {incident.turns}")
        if len(self._said) < MAX_SAID:
            self._said[name] = incident
        self._turns[name] = destination.mention if incident.state is not IncidentState.RESOLVED else ()
