"""Identifies the person who sent a SlackRequest: their Slack team and user, and the Slack user groups that they are in.

Slack's answers are cached for at most a minute. A missing answer never gives anybody a permission: if Slack does not
list the groups, nobody is in a group; if Slack does not describe the person, the person is refused. Requests that
arrive together share their calls: Slack is asked once for each person and once for all groups. People of other
workspaces and bots are refused. Guests are refused unless `slack.guests` allows them.
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

from bot.slack.decode_requests import SlackRequest
from core import errors
from core.model.identity import Identity

log = structlog.get_logger(__name__)
CACHE_SECONDS = 60.0
MAX_CACHED_USERS = 4096
LOOKUP_TIMEOUT_SECONDS = 60.0  # for one person
GROUPS_TIMEOUT_SECONDS = 10.0
GROUPS_RETRY_SECONDS = 5.0  # until the next attempt, if Slack did not answer; a refusal is retried at once
SLACKBOT = "USLACKBOT"  # speaks for whoever set a reminder; Slack does not mark it as a bot


class SlackUsers:
    """Looks up people and their groups, and caches Slack's answers."""

    def __init__(self, api: UsersApi, *, team: str, guests: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.team = team
        self._api = api
        self._guests = guests
        self._clock = clock
        self._users: OrderedDict[str, tuple[float, SlackUser]] = OrderedDict()
        self._user_locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._groups: dict[str, frozenset[str]] = {}
        self._groups_until: float | None = None
        self._groups_lock = asyncio.Lock()

    async def identify(self, request: SlackRequest) -> Identity:
        """Returns the person's identity. Raises NotPermitted for a person who may not give commands at all, and
        DeliveryError if Slack does not answer."""
        if request.teams - {self.team}:
            raise _not_a_member()
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_SECONDS):
                user = await self._user(request.user)
        except TimeoutError:
            raise errors.Undeliverable("Slack did not answer in time.", code="unreachable", hint="Try again.") from None
        if user.stranger or (user.team and user.team != self.team):
            raise _not_a_member()
        if user.bot or user.deactivated:
            raise errors.NotPermitted(
                "Bots and deactivated accounts cannot give commands.",
                rule="bot",
                hint="Ask an active member to give the command.",
            )
        if user.guest and not self._guests:
            raise errors.NotPermitted(
                "Guests of the workspace cannot give commands.",
                rule="guest",
                hint="Set `slack.guests` in quarterdeck.yaml to allow them.",
            )
        return Identity(id=self.id_of(request.user), name=user.name, groups=await self._groups_of(request.user))

    def id_of(self, user: str) -> str:
        return f"slack:{self.team}/{user}"

    def identity_of_rejected(self, request: SlackRequest) -> Identity:
        """The identity of a refused person, for the audit trail."""
        team = next(iter(sorted(request.teams - {self.team})), self.team)
        return Identity(id=f"slack:{team}/{request.user}", name=request.user)

    async def _user(self, user: str) -> SlackUser:
        # The lock lives as long as a task waits for it.
        lock = self._user_locks.setdefault(user, asyncio.Lock())
        async with lock:
            cached = self._users.get(user)
            if cached is not None and self._clock() - cached[0] < CACHE_SECONDS:
                return cached[1]
            asked_at = self._clock()
            found = _decode_user(await self._api.user(user))
            self._users[user] = asked_at, found
            self._users.move_to_end(user)
            if len(self._users) > MAX_CACHED_USERS:
                self._users.popitem(last=False)
            return found

    async def _groups_of(self, user: str) -> frozenset[str]:
        async with self._groups_lock:
            asked_at = self._clock()
            if self._groups_until is None or asked_at >= self._groups_until:
                try:
                    async with asyncio.timeout(GROUPS_TIMEOUT_SECONDS):
                        groups = await self._api.user_groups()
                except (errors.DeliveryError, TimeoutError) as error:
                    log.warning("Slack did not list its user groups; nobody counts as a member", reason=str(error))
                    unreachable = getattr(error, "code", "unreachable") == "unreachable"
                    self._groups = {}
                    self._groups_until = self._clock() + GROUPS_RETRY_SECONDS if unreachable else None
                else:
                    self._groups, self._groups_until = _groups_by_user(groups), asked_at + CACHE_SECONDS
            return self._groups.get(user, frozenset())


class UsersApi(Protocol):
    """The two Slack methods that are needed. Both raise DeliveryError."""

    async def user(self, user: str) -> Mapping[str, Any]: ...

    async def user_groups(self) -> list[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackUser:
    """`stranger`: Slack's own flag for a person of another workspace in a shared channel."""

    name: str
    team: str
    bot: bool
    guest: bool
    stranger: bool
    deactivated: bool


def _decode_user(data: Mapping[str, Any]) -> SlackUser:
    profile = data.get("profile") or {}
    return SlackUser(
        name=str(profile.get("display_name") or data.get("real_name") or data.get("name") or data.get("id") or ""),
        team=str(data.get("team_id") or ""),
        bot=bool(data.get("is_bot")) or data.get("id") == SLACKBOT,
        guest=bool(data.get("is_restricted") or data.get("is_ultra_restricted")),
        stranger=bool(data.get("is_stranger")),
        deactivated=bool(data.get("deleted")),
    )


def _groups_by_user(groups: list[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """For each user, the handles and ids of their groups. Disabled groups are left out."""
    found: dict[str, set[str]] = {}
    for group in groups:
        if group.get("date_delete"):
            continue
        names = {str(name) for name in (group.get("handle"), group.get("id")) if name}
        for user in group.get("users") or ():
            found.setdefault(str(user), set()).update(names)
    return {user: frozenset(names) for user, names in found.items()}


def _not_a_member() -> errors.NotPermitted:
    return errors.NotPermitted(
        "You are not a member of this workspace.", rule="stranger", hint="Ask a member to do this for you."
    )
