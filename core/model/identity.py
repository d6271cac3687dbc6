"""Who asks, from where, and what they typed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One asker. `id` is unique and says the door: `slack:T1/U1`, `console:root`, `job:nightly`. `admin` is granted by
    the door itself (the console of the state directory's owner), never by chat."""

    id: str
    name: str
    groups: frozenset[str] = frozenset()
    admin: bool = False

    @property
    def via(self) -> str:
        return self.id.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the words were said, and the way back. `channel` is what `in:` of a grant is held against (`console`, or a
    Slack channel's id such as `C0123`); `kind` is `channel`, `dm` or `console`. `user` and `response_url` are Slack's,
    for an answer to the asker alone."""

    channel: str
    team: str = ""
    thread: str | None = None
    kind: str = "channel"
    user: str = ""
    response_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One line of words entering the road. `id` is equal for one line delivered twice; it runs once."""

    id: str
    who: Identity
    line: str
    place: Place
    at: datetime
    deadline: datetime
