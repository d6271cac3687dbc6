"""Decides, for one channel, whether new incidents get a message each or share one.

A few incidents get a message each. If more incidents of one host, project, stack or namespace begin at almost the same
time, they share one message: the newest message about one of them becomes a table of them all. Incidents that have
nothing in common except the channel share a message too, but only if there are three times as many. Slack allows about
one message a second in a channel, so after a message the next incidents are collected for a moment. The table is
written when no more incidents arrive, or after some seconds. While thousands arrive, it is edited less often.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field

from core.lazy_dataclass import dataclass
from core.model.incidents import Incident, PostedIncident
from core.model.owners import project_of

COLLECT_SECONDS = 1.0  # after a message
STORM_EDIT_SECONDS = 4.0  # between two edits of a shared message
SETTLE_SECONDS, MAX_SETTLE_SECONDS = 2.0, 6.0  # without another incident, and in all, until the table is written
SETTLE_AGAIN_SECONDS = 5.0  # without another incident, until it is written again
GROWING_EDIT_SECONDS = 60.0  # at least, between two edits while incidents join; more, the longer the storm lasts
GROWING_SECONDS = 10.0  # for which a storm goes on after the last one joined or its last edit
MAX_STORM_SECONDS = 300.0  # and in all
UNRELATED = 3  # so many times more incidents share a message although they have nothing in common
MAX_NAME = 80  # characters of a project or a host
EVERYTHING = ""
"""The scope of all incidents of a channel."""


@dataclass(slots=True, kw_only=True)
class SharedMessage:
    """A message that several incidents share. `channel`, `ts`: its id. `scope`: what its incidents have in common, such
    as `on h1`; empty if they have nothing in common. `members`: the keys of the incidents in it. `common`: the scopes
    that all of them have. `joined`: when the last one joined. `next_edit`: 0 before the first edit."""

    channel: str
    ts: str
    scope: str = EVERYTHING
    members: set[str] = field(default_factory=set)
    common: Collection[str] = ()
    next_edit: float = 0.0
    began: float = 0.0
    joined: float = 0.0

    def add(self, key: str, scopes: Collection[str]) -> None:
        """Adds an incident with its scopes."""
        self.common = [each for each in self.common if each in scopes] if self.members else scopes
        self.members.add(key)

    def due_at(self) -> float:
        """Returns when it may be edited, if no other incident joins until then."""
        if not self.next_edit:
            return min(self.joined + SETTLE_SECONDS, self.began + MAX_SETTLE_SECONDS)
        last = self.next_edit - STORM_EDIT_SECONDS
        latest = last + max(GROWING_EDIT_SECONDS, last - self.began)
        return max(self.next_edit, min(self.joined + SETTLE_AGAIN_SECONDS, latest))

    def is_within(self, scope: str) -> bool:
        """Whether all of its incidents have this scope."""
        return not self.members or scope in self.common

    def is_over(self, now: float, seconds: float) -> bool:
        """Whether no other incident joins any more: it is older than `seconds`, and does not grow any more."""
        last = max(self.joined, self.next_edit - STORM_EDIT_SECONDS)
        grows = now - last <= GROWING_SECONDS and now - self.began <= MAX_STORM_SECONDS
        return now - self.began > seconds and not grows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """The message of one incident."""

    at: float
    channel: str
    ts: str
    key: str
    scopes: Collection[str]


class StormGrouping:
    """Holds the newest messages of one channel, and decides which incidents share one: those of one scope that begin
    within `seconds`, if there are more than `size`. Times are seconds of a monotonic clock."""

    def __init__(self, *, size: int = 3, seconds: float = 30.0) -> None:
        self._size = size
        self._seconds = seconds
        self._recent: list[_Own] = []
        self.storms: list[SharedMessage] = []
        self._next_post = 0.0

    def due(self, new: Sequence[Incident], now: float) -> Sequence[Incident]:
        """Returns the new incidents of which one is posted now: the first one that the channel takes. It gets a message
        of its own; the others wait for a moment, or join one of `storms`."""
        self._forget(now)
        if now < self._next_post or not new:
            return ()
        left = {each.key: scopes_of(each) for each in new}
        for storm in sorted(self.storms, key=lambda each: each.scope == EVERYTHING):
            _move(left, storm, now)
        first: set[str] = set()
        while (scope := self._crowded(left)) is not None:
            if (found := self._storm_of(scope, now)) is not None:
                found.scope = scope
                _move(left, found, now)
                continue
            crowd = [key for key, scopes in left.items() if scope in scopes]
            first.update(crowd[: self._size])  # a message must be there first
            for key in crowd:
                del left[key]
        return [each for each in new if each.key in left or each.key in first][: self._size]

    def posted(self, channel: str, ts: str, incident: Incident, now: float) -> None:
        """Records the message of one incident; again if the rest of its post failed and it was tried again."""
        self._recent = [own for own in self._recent if own.key != incident.key]
        scopes = scopes_of(incident)
        self._recent.append(_Own(at=now, channel=channel, ts=ts, key=incident.key, scopes=scopes))
        self._next_post = now + COLLECT_SECONDS

    def restore(self, incident: Incident, post: PostedIncident, at: float) -> None:
        """Goes on with a message that another process posted at this time. Call it in the order of the times."""
        if not post.shared or post.group:
            self.posted(post.channel, post.ts, incident, at)
            return
        self._next_post = at + COLLECT_SECONDS
        storm = self.storm_in(post.ts)
        if storm is None:
            storm = SharedMessage(channel=post.channel, ts=post.ts, scope=post.storm, began=at)
            self.storms.append(storm)
        storm.add(incident.key, scopes_of(incident))

    def storm_in(self, ts: str) -> SharedMessage | None:
        """Returns the storm that has this message."""
        return next((storm for storm in self.storms if storm.ts == ts), None)

    def forget_message(self, ts: str) -> None:
        """Forgets a message that was deleted."""
        self._recent = [own for own in self._recent if own.ts != ts]
        self.storms = [storm for storm in self.storms if storm.ts != ts]

    def idle(self, now: float) -> bool:
        """Whether nothing was posted lately."""
        self._forget(now)
        return not self.storms and not self._recent

    def _crowded(self, left: Mapping[str, Collection[str]]) -> str | None:
        """Returns the scope with the most incidents, if these are too many for a message each; else None. `left`: the
        scopes of each new incident, by its key."""
        found = Counter(scope for scopes in left.values() for scope in scopes)
        for scope in found:
            found[scope] += sum(scope in own.scopes for own in self._recent if own.key not in left)
            if scope != EVERYTHING:
                found[scope] += sum(len(storm.members) for storm in self.storms if storm.is_within(scope))
        crowded = [scope for scope, number in found.items() if number > self._limit(scope)]
        return max(crowded, key=lambda scope: (scope != EVERYTHING, found[scope]), default=None)

    def _limit(self, scope: str) -> int:
        return self._size if scope != EVERYTHING else self._size * UNRELATED

    def _storm_of(self, scope: str, now: float) -> SharedMessage | None:
        """Returns the message that the incidents of a scope share from now on. It is one that some of them share
        already, or else the newest message about one of them. None if no message is about any of them."""
        within = [storm for storm in self.storms if scope != EVERYTHING and storm.is_within(scope)]
        if within:
            return max(within, key=lambda storm: len(storm.members))
        own = next((own for own in reversed(self._recent) if scope in own.scopes), None)
        if own is None:
            return None
        storm = SharedMessage(channel=own.channel, ts=own.ts, began=now)
        for each in self._recent:
            if each.ts == own.ts:
                storm.add(each.key, each.scopes)
        self._recent = [each for each in self._recent if each.ts != own.ts]
        self.storms.append(storm)
        return storm

    def _forget(self, now: float) -> None:
        self._recent = [each for each in self._recent if now - each.at < self._seconds]
        self.storms = [storm for storm in self.storms if not storm.is_over(now, self._seconds)]


def scopes_of(incident: Incident) -> Collection[str]:
    """Returns what an incident may have in common with others, in words, the narrowest first."""
    main = incident.main
    project, host = project_of(main.labels), main.subject.engine.host
    return (
        *([f"in {project[:MAX_NAME]}"] if project else []),
        *([f"on {host[:MAX_NAME]}"] if host else []),
        EVERYTHING,
    )


def _move(left: dict[str, Collection[str]], storm: SharedMessage, now: float) -> None:
    """Moves the new incidents of a storm's scope into it."""
    for key in [key for key, scopes in left.items() if storm.scope in scopes]:
        if key not in storm.members:
            storm.joined = now
        storm.add(key, left.pop(key))
