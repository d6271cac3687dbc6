"""Looks up the names of people, user groups and channels in Slack, for replies that contain ids.

Unknown names are requested a few at a time. Names are refreshed later, because they change. If Slack does not return a
name, it is not requested again for a while. While Slack limits the rate, nothing is requested: the reply shows the
stored name, or the id. Slack returns the name of a public channel only to an app with the scope `channels:read`, which
is optional.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from core import errors

log = structlog.get_logger(__name__)
CACHE_SECONDS = 600.0
REFUSED_SECONDS = 3_600.0  # without the scope for a method
MAX_CACHED = 4_096
MAX_QUESTIONS = 20  # to Slack, for one reply
MAX_AT_ONCE = 4
NO_PERMISSION = frozenset({"missing_scope", "not_allowed_token_type", "no_permission", "unknown_method"})


class NamesApi(Protocol):
    """The Slack methods that are needed. They raise DeliveryError."""

    async def user(self, user: str) -> Mapping[str, Any]: ...

    async def channel(self, channel: str) -> Mapping[str, Any]: ...


class NameWriter(Protocol):
    """Stores names for other processes."""

    async def remember_names(self, names: Mapping[str, str], /) -> None: ...


class SlackNames:
    """Looks up names. `group_names` returns the names of the user groups by id, as they were last listed.
    `channel_names`: of channels, as requests named them. `team`: the first part of the ids of people."""

    def __init__(
        self,
        api: NamesApi,
        store: NameWriter,
        *,
        team: str,
        group_names: Callable[[], Awaitable[Mapping[str, str]]],
        channel_names: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._store = store
        self._prefix = f"slack:{team}/"
        self._group_names = group_names
        self._channel_names = channel_names
        self._clock = clock
        self._cache: OrderedDict[str, tuple[float, str]] = OrderedDict()  # until when, and the name; empty: not known
        self._blocked: dict[str, float] = {}  # until when a kind of id is not asked for

    async def find(self, ids: Sequence[str], known: Mapping[str, str]) -> Mapping[str, str]:
        """Returns the names of those ids that Slack knows. `known`: what was stored. Raises nothing."""
        now = self._clock()
        for id_ in ids:
            if name := self._channel_names.get(id_):
                self._keep(id_, name)
        found = {id_: name for id_ in ids if (name := self._cached(id_, now))}
        asked = [id_ for id_ in ids if id_ not in self._cache or self._cache[id_][0] <= now]
        # What has no name at all comes first; a stored name may be old, but it is a name.
        asked.sort(key=lambda id_: id_ in known)
        groups = [id_ for id_ in asked if id_.startswith("group:")]
        others = [id_ for id_ in asked if not id_.startswith("group:")][:MAX_QUESTIONS]
        slots = asyncio.Semaphore(MAX_AT_ONCE)

        async def ask(id_: str) -> None:
            async with slots:
                await self._ask(id_)

        if groups:
            listed = await self._group_names()
            for id_ in groups:
                self._keep(id_, listed.get(id_.removeprefix("group:"), ""))
        await asyncio.gather(*map(ask, others))
        new = {id_: name for id_ in asked if (name := self._cached(id_, now))}
        changed = {id_: name for id_, name in (found | new).items() if known.get(id_) != name}
        if changed:
            try:
                await self._store.remember_names(changed)
            except errors.StoreError as error:
                log.debug("The names of people were not stored.", reason=error.message)
        return found | new

    async def _ask(self, id_: str) -> None:
        person = id_.startswith(self._prefix)
        kind = "person" if person else "channel"
        if (not person and id_.startswith("slack:")) or self._blocked.get(kind, 0.0) > self._clock():
            return  # of another workspace, or Slack was asked too much
        try:
            if person:
                user = await self._api.user(id_.removeprefix(self._prefix))
                self._keep(id_, user_name(user))
            else:
                channel = await self._api.channel(id_)
                self._keep(id_, str(channel.get("name") or ""))
        except errors.DeliveryError as error:
            code = getattr(error, "code", "")
            log.debug("Slack did not return the name of an id.", id=id_, reason=str(error))
            if code in NO_PERMISSION:
                self._blocked[kind] = self._clock() + REFUSED_SECONDS
            elif code in ("ratelimited", "rate_limited", "unreachable"):
                self._blocked[kind] = self._clock() + 60.0
            else:
                self._keep(id_, "")

    def _cached(self, id_: str, now: float) -> str:
        until, name = self._cache.get(id_, (0.0, ""))
        return name if until > now else ""

    def _keep(self, id_: str, name: str) -> None:
        self._cache[id_] = self._clock() + CACHE_SECONDS, name
        self._cache.move_to_end(id_)
        while len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)


def user_name(user: Mapping[str, Any]) -> str:
    """Returns the name that Slack shows for a person, from `users.info`; the id if there is no other."""
    profile = user.get("profile")
    shown = profile.get("display_name") if isinstance(profile, dict) else ""
    return str(shown or user.get("real_name") or user.get("name") or user.get("id") or "")
