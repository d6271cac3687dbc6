"""Who speaks: a person is (team, user), their groups are the workspace's user groups.

What Slack says of people and groups is kept for a minute at most; what it does not say gives nobody anything: without
an answer there are no groups, and nobody is let in unseen. However many ask at once, Slack is asked once for each
person and once for all groups. People of other companies, bots and, unless the configuration lets them in, guests are
refused.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from bot.slack.requests import SlackRequest
from core import errors
from core.model.identity import Identity

log = structlog.get_logger(__name__)
KEPT = 60.0  # seconds
REMEMBERED = 4096  # people
WITHIN = 60.0  # seconds somebody waits to be known
GROUPS_WITHIN = 10.0  # seconds everybody waits for the groups …
GROUPS_AGAIN = 5.0  # … and until they are asked for again, when no answer came; a refusal is not kept
SLACKBOT = "USLACKBOT"  # speaks for whoever set a reminder, and is not called a bot by Slack


class Directory(Protocol):
    """The two questions; both raise DeliveryError."""

    async def user(self, user: str) -> Mapping[str, Any]: ...

    async def user_groups(self) -> list[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    name: str
    team: str
    bot: bool
    guest: bool
    stranger: bool
    gone: bool


class People:
    def __init__(
        self, directory: Directory, *, team: str, guests: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.team = team
        self._directory = directory
        self._guests = guests
        self._clock = clock
        self._people: OrderedDict[str, tuple[float, Person]] = OrderedDict()
        self._groups: dict[str, frozenset[str]] = {}
        self._groups_until: float | None = None
        self._asking = asyncio.Lock()
        self._asking_for: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def identify(self, heard: SlackRequest) -> Identity:
        """Raises NotPermitted for who may not speak to us at all, DeliveryError when Slack does not say who it is."""
        if heard.teams - {self.team}:
            raise _refused("stranger", "You are not of this workspace.", "Ask somebody of it to do this for you.")
        try:
            async with asyncio.timeout(WITHIN):
                person = await self._person(heard.user)
        except TimeoutError:
            raise errors.Undeliverable("Slack does not answer.", code="unreachable") from None
        if person.stranger or (person.team and person.team != self.team):
            raise _refused("stranger", "You are not of this workspace.", "Ask somebody of it to do this for you.")
        if person.bot or person.gone:
            raise _refused("bot", "Bots and accounts that were closed cannot give commands.", "")
        if person.guest and not self._guests:
            raise _refused(
                "guest", "Guests of the workspace cannot give commands.", "`slack.guests` in quarterdeck.yaml decides."
            )
        groups = await self._groups_of(heard.user)
        return Identity(id=self.id_of(heard.user), name=person.name, groups=groups)

    def id_of(self, user: str) -> str:
        return f"slack:{self.team}/{user}"

    def stranger(self, heard: SlackRequest) -> Identity:
        """For the audit, of somebody who was refused."""
        team = next(iter(sorted(heard.teams - {self.team})), self.team)
        return Identity(id=f"slack:{team}/{heard.user}", name=heard.user)

    async def _person(self, user: str) -> Person:
        # The lock lives as long as somebody waits for it.
        lock = self._asking_for.setdefault(user, asyncio.Lock())
        async with lock:
            known = self._people.get(user)
            if known is not None and self._clock() - known[0] < KEPT:
                return known[1]
            asked = self._clock()
            person = _person(await self._directory.user(user))
            self._people[user] = asked, person
            self._people.move_to_end(user)
            if len(self._people) > REMEMBERED:
                self._people.popitem(last=False)
            return person

    async def _groups_of(self, user: str) -> frozenset[str]:
        async with self._asking:
            asked = self._clock()
            if self._groups_until is None or asked >= self._groups_until:
                try:
                    async with asyncio.timeout(GROUPS_WITHIN):
                        told = await self._directory.user_groups()
                except (errors.DeliveryError, TimeoutError) as error:
                    log.warning("Slack does not say who is in which group; nobody is", reason=str(error))
                    silent = getattr(error, "code", "unreachable") == "unreachable"
                    self._groups, self._groups_until = {}, self._clock() + GROUPS_AGAIN if silent else None
                else:
                    self._groups, self._groups_until = _members(told), asked + KEPT
            return self._groups.get(user, frozenset())


def _person(told: Mapping[str, Any]) -> Person:
    profile = told.get("profile") or {}
    return Person(
        name=str(profile.get("display_name") or told.get("real_name") or told.get("name") or told.get("id") or ""),
        team=str(told.get("team_id") or ""),
        bot=bool(told.get("is_bot")) or told.get("id") == SLACKBOT,
        guest=bool(told.get("is_restricted") or told.get("is_ultra_restricted")),
        stranger=bool(told.get("is_stranger")),
        gone=bool(told.get("deleted")),
    )


def _members(told: list[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """By user: the handles and ids of the groups they are in. Disabled groups count for nothing."""
    found: dict[str, set[str]] = {}
    for group in told:
        if group.get("date_delete"):
            continue
        names = {str(name) for name in (group.get("handle"), group.get("id")) if name}
        for user in group.get("users") or ():
            found.setdefault(str(user), set()).update(names)
    return {user: frozenset(names) for user, names in found.items()}


def _refused(rule: str, message: str, hint: str) -> errors.NotPermitted:
    return errors.NotPermitted(message, rule=rule, hint=hint)
