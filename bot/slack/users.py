"""Identifies the person who sent a SlackRequest: their Slack team and user, and their Slack user groups.

Slack's answers are cached for at most a minute. A missing answer never gives anybody a permission. If Slack does not
list the groups, nobody is in a group. If Slack does not describe the person, the person is refused. Requests that
arrive together share their calls: Slack is asked once for each person and once for the groups of each workspace. People
of other workspaces and bots are refused. Guests are refused unless they are configured.

In an Enterprise organization, a person has one id in all workspaces. Slack names any of the person's workspaces, or the
organization, as their team. So the list of the person's workspaces decides there. An app that is installed for the
whole organization serves all its members.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Protocol

import structlog

from bot.slack import user_profile
from bot.slack.decode_requests import SlackRequest
from core import errors
from core.lazy_dataclass import dataclass
from core.model.invocation import Identity

log = structlog.get_logger(__name__)
CACHE_SECONDS = 60.0
MAX_CACHED_USERS = 4096
MAX_CACHED_WORKSPACES = 64  # of an organization, for their user groups
MAX_WORKSPACES_OF_USER = 16  # that are asked for their user groups
LOOKUP_TIMEOUT_SECONDS = 60.0  # for one person
GROUPS_TIMEOUT_SECONDS = 10.0
GROUPS_RETRY_SECONDS = 5.0  # until the next attempt, if Slack did not answer; a refusal is kept for CACHE_SECONDS
# Errors of a moment; any other is a refusal.
PASSING_ERRORS = frozenset(
    {
        "unreachable",
        "overflow",
        "ratelimited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppInstallation:
    """Where the app is installed, as `auth.test` says: in one workspace, or in a whole Enterprise organization.

    `team`: the id of the workspace, or of the organization. It is the first part of every identity. `enterprise`: the
    organization; empty for a workspace without an organization."""

    team: str
    enterprise: str = ""

    @property
    def org_wide(self) -> bool:
        return bool(self.enterprise) and self.team == self.enterprise


def installation(identity: Mapping[str, Any]) -> AppInstallation:
    """Decodes the answer of `auth.test`. The team is empty if Slack does not name a team."""
    enterprise = str(identity.get("enterprise_id") or "")
    if identity.get("is_enterprise_install") and enterprise:
        return AppInstallation(team=enterprise, enterprise=enterprise)
    return AppInstallation(team=str(identity.get("team_id") or ""), enterprise=enterprise)


class SlackUsers:
    """Looks up people and their groups, and caches Slack's answers."""

    def __init__(
        self, api: UsersApi, *, installed: AppInstallation, guests: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.team = installed.team
        self._installed = installed
        self._api = api
        self._guests = guests
        self._clock = clock
        self._users: OrderedDict[str, tuple[float, user_profile.UserProfile]] = OrderedDict()
        self._user_locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._groups: OrderedDict[str, WorkspaceGroups] = OrderedDict()
        self.group_handles: dict[str, str] = {}
        self.channel_names: OrderedDict[str, str] = OrderedDict()
        """What Slack called channels in requests, by id; of the newest ones."""

    async def identify(self, request: SlackRequest) -> Identity:
        """Returns the person's identity. Raises NotPermitted for a person who may not give commands at all, and
        DeliveryError if Slack does not answer."""
        if self._is_foreign(request):
            raise self._not_a_member()
        self._note_channel(request)
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_SECONDS):
                user = await self._user(request.user)
        except TimeoutError:
            raise errors.Undeliverable(
                "Slack did not answer in time.", code="unreachable", hint="Give the command again."
            ) from None
        self._check_may_speak(user, request.workspace)
        groups = await self._groups_of(request.user, self._group_workspaces(request.workspace, user))
        in_groups = frozenset[str]().union(*map(_names, groups))
        return Identity(id=self.id_of(request.user), name=user.name, groups=in_groups, zone=user.zone)

    async def current(self, who: Identity) -> Identity:
        """Returns a person whom this class has identified, with the groups of now: Slack's answers are at most
        CACHE_SECONDS old. Raises NotPermitted for a person who may not give commands any more. If Slack does not
        answer, the groups stay as they were."""
        team, _, id_ = who.id.removeprefix("slack:").partition("/")
        if team != self.team or not id_:
            return who
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_SECONDS):
                user = await self._user(id_)
        except (errors.DeliveryError, TimeoutError):
            return who
        self._check_may_speak(user, "")
        groups = await self._groups_of(id_, self._group_workspaces("", user))
        if None in groups:
            return who
        return replace(who, groups=frozenset().union(*map(_names, groups)))

    def _note_channel(self, request: SlackRequest) -> None:
        if request.channel_name:
            self.channel_names[request.channel] = request.channel_name
            self.channel_names.move_to_end(request.channel)
        if len(self.channel_names) > MAX_CACHED_USERS:
            self.channel_names.popitem(last=False)

    async def group_names(self) -> Mapping[str, str]:
        """Returns the handles of the user groups by id, as far as Slack lists them."""
        if not self._installed.org_wide:
            await self._groups_in("", "")
        return self.group_handles

    def id_of(self, user: str) -> str:
        return f"slack:{self.team}/{user}"

    def identity_of_rejected(self, request: SlackRequest) -> Identity:
        """The identity of a refused person, for the audit trail."""
        named = request.teams or {request.workspace}
        team = next(iter(sorted(named - {self.team, ""})), self.team)
        return Identity(id=f"slack:{team}/{request.user}", name=request.user)

    # ── membership ───────────────────────────────────────────────────────────────────────────────────────────────

    def _is_foreign(self, request: SlackRequest) -> bool:
        """Whether the payload alone shows that the person is of another company, so that Slack need not be asked."""
        enterprise = self._installed.enterprise
        if not enterprise:
            return bool({*request.teams, request.workspace} - {self.team, ""})
        return request.enterprise not in ("", enterprise)

    def _check_may_speak(self, user: user_profile.UserProfile, workspace: str) -> None:
        """Raises NotPermitted for a person who may not give commands at all."""
        if not self._is_member(user, workspace):
            raise self._not_a_member()
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
                hint="To allow guests, set `slack.guests: true` in quarterdeck.yaml.",
            )

    def _is_member(self, user: user_profile.UserProfile, workspace: str) -> bool:
        enterprise = self._installed.enterprise
        if user.stranger or (enterprise and user.enterprise not in ("", enterprise)):
            return False
        if not enterprise:
            return user.team in ("", self.team)
        if self._installed.org_wide:
            return enterprise in (user.enterprise, user.team)
        return self.team in user.teams and workspace in {"", self.team, *user.teams}

    def _not_a_member(self) -> errors.NotPermitted:
        where = "organization" if self._installed.org_wide else "workspace"
        return errors.NotPermitted(
            f"You are not a member of this {where}.", rule="stranger", hint="Ask a member to give the command."
        )

    # ── Slack's answers ──────────────────────────────────────────────────────────────────────────────────────────

    async def _user(self, user: str) -> user_profile.UserProfile:
        # The lock lives as long as a task waits for it.
        lock = self._user_locks.setdefault(user, asyncio.Lock())
        async with lock:
            cached = self._users.get(user)
            if cached is not None and self._clock() - cached[0] < CACHE_SECONDS:
                return cached[1]
            asked_at = self._clock()
            found = user_profile.decode_user(await self._api.user(user))
            self._users[user] = asked_at, found
            self._users.move_to_end(user)
            if len(self._users) > MAX_CACHED_USERS:
                self._users.popitem(last=False)
            return found

    async def _groups_of(self, user: str, workspaces: Sequence[str]) -> Sequence[frozenset[str] | None]:
        """The person's groups in each workspace; None where Slack does not list them."""
        return await asyncio.gather(*(self._groups_in(workspace, user) for workspace in workspaces))

    def _group_workspaces(self, workspace: str, user: user_profile.UserProfile) -> Sequence[str]:
        """The workspaces whose user groups the person can be in. An app that is installed in one workspace need not
        name it."""
        if not self._installed.org_wide:
            return ("",)
        named = dict.fromkeys((workspace, *sorted(user.teams)))
        return [team for team in named if team and team != self.team][:MAX_WORKSPACES_OF_USER]

    async def _groups_in(self, workspace: str, user: str) -> frozenset[str] | None:
        groups = self._groups.setdefault(workspace, WorkspaceGroups(workspace=workspace))
        self._groups.move_to_end(workspace)
        while len(self._groups) > MAX_CACHED_WORKSPACES:
            self._groups.popitem(last=False)
        async with groups.lock:
            asked_at = self._clock()
            if groups.until is None or asked_at >= groups.until:
                try:
                    async with asyncio.timeout(GROUPS_TIMEOUT_SECONDS):
                        listed = await self._api.user_groups(workspace)
                except (errors.DeliveryError, TimeoutError) as error:
                    code = getattr(error, "code", "") or "unreachable"
                    groups.names = None
                    groups.until = self._clock() + (
                        GROUPS_RETRY_SECONDS if code in PASSING_ERRORS or code.startswith("status 5") else CACHE_SECONDS
                    )
                    if groups.refused != code:
                        groups.refused = code
                        log.warning(
                            "Slack did not list its user groups. Until it does, no grant to a user group is in force.",
                            workspace=workspace,
                            reason=str(error) or code,
                        )
                else:
                    if groups.refused:
                        log.info("Slack listed its user groups again.", workspace=workspace)
                    groups.refused = ""
                    groups.names = user_profile.groups_by_user(listed, handles=not self._installed.org_wide)
                    self.group_handles |= user_profile.group_handles(listed)
                    groups.until = asked_at + CACHE_SECONDS
            return None if groups.names is None else groups.names.get(user, frozenset())


class UsersApi(Protocol):
    """The two Slack methods that are needed. Both raise DeliveryError."""

    async def user(self, user: str) -> Mapping[str, Any]: ...

    async def user_groups(self, workspace: str) -> list[Mapping[str, Any]]: ...


@dataclass(slots=True, kw_only=True)
class WorkspaceGroups:
    """The groups of each user of one workspace, valid until `until`; None if Slack did not list them. `refused`: the
    error with which it did not, which is logged once."""

    workspace: str
    names: Mapping[str, frozenset[str]] | None = None
    until: float | None = None
    refused: str = ""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


def _names(groups: frozenset[str] | None) -> frozenset[str]:
    """Nobody is in a group that Slack does not list."""
    return groups or frozenset()
