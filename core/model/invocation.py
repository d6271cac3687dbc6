"""Defines who gives a command, and where: Identity, Place and Invocation."""

from __future__ import annotations

from datetime import datetime

from core.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One person, or one job. `id` is unique and begins with its source: `slack:T1/U1`, `console:root`, `job:nightly`.
    `admin` is set by the source itself (the console of the state directory's owner), never by chat. `zone`: the
    person's time zone, such as `Europe/Berlin` or `+01:00`; empty if it is not known."""

    id: str
    name: str
    groups: frozenset[str] = frozenset()
    admin: bool = False
    zone: str = ""

    @property
    def via(self) -> str:
        return self.id.partition(":")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a command was given, and where replies go. `channel` is compared with `in:` of grants (`console`, or the id
    of a Slack channel such as `C0123`); `kind` is `channel`, `dm` or `console`. `user` and `response_url` are Slack's,
    for replies that only the requester sees."""

    channel: str
    team: str = ""
    thread: str | None = None
    kind: str = "channel"
    user: str = ""
    response_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One command as the dispatcher receives it. A command that is delivered twice has the same `id`, and runs once.
    `deadline`: when its actions must have started; each action then has a timeout of its own. `answered_guards`: None
    if a person gives the command, who can be asked; otherwise the digests of the guards whose question is answered.
    `as_records`: a program reads the reply, so it also has the values as records.
    `verify`: what a change starts is watched after it, and the reply says what became of it."""

    id: str
    who: Identity
    line: str
    place: Place
    at: datetime
    deadline: datetime
    answered_guards: frozenset[str] | None = None
    as_records: bool = False
    verify: bool = False
