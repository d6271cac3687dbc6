"""The workspace: one team, its people, channels, messages, and the books kept about the product.

Everything else in this package reads and changes this one object on one event loop; nothing here does any input or
output. `changed` wakes whoever waits for something to happen, so no test needs to poll.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from tests.standins.slack import records
from tests.standins.slack.records import Channel, Group, Json, Message, User

TEAM, SISTER, STRANGERS = "T0001", "T0002", "T0999"
ENTERPRISE = "E0001"  # the organization of TEAM and SISTER, on a grid
APP, BOT_USER, BOT = "A0001", "U0DECK", "B0001"
BOT_TOKEN, APP_TOKEN = "xoxb-standin-bot", "xapp-1-A0001-standin"
SIGNING_SECRET = "standin-signing-secret"
VERIFICATION = "standin-verification"


class Workspace:
    def __init__(self, settings: records.Settings | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings or records.Settings()
        self.random = random.Random(self.settings.seed)
        self.scopes: set[str] = set(records.SCOPES)
        self.withheld: set[str] = set()
        self.bot_tokens, self.app_tokens = {BOT_TOKEN}, {APP_TOKEN}
        self.command_escapes: dict[str, bool] = {"/deck": True}
        self.users: dict[str, User] = {}
        self.channels: dict[str, Channel] = {}
        self.groups: dict[str, Group] = {}
        self.messages: dict[str, Message] = {}
        self.files: dict[str, records.File] = {}
        self.views: dict[str, records.View] = {}
        self.stacks: dict[str, list[str]] = {}
        self.homes: dict[str, str] = {}
        self.view_errors: dict[str, dict[str, str]] = {}
        self.triggers: dict[str, records.Trigger] = {}
        self.response_urls: dict[str, records.ResponseUrl] = {}
        self.deliveries: dict[str, records.Delivery] = {}
        self.tickets: dict[str, bool] = {}
        self.violations: list[records.Violation] = []
        self.calls: deque[records.Call] = deque(maxlen=20_000)
        self.faults: list[records.Fault] = []
        self.listeners: list[Callable[[str, Message], None]] = []
        """Told of each message that was `posted`, `changed` or `removed`."""
        self.base = ""
        self.no_sockets = ""
        """While set, apps.connections.open answers with this error."""
        self._clock, self._skew = clock, 0.0
        self._ids = itertools.count(1)
        self._last_ts = 0
        self._changed = asyncio.Event()
        _populate(self)

    # time, ids, waking

    def now(self) -> float:
        return self._clock() + self._skew

    def advance(self, seconds: float) -> None:
        """Move the clock; deadlines that are waited for in real time (acks, pings) stay as they are."""
        self._skew += seconds
        self.touch()

    def id(self, prefix: str) -> str:
        return f"{prefix}{next(self._ids):08X}"

    def ts(self) -> str:
        """A timestamp that no other message has; it is also a message's id here."""
        self._last_ts = max(self._last_ts + 1, int(self.now() * 1_000_000))
        return f"{self._last_ts // 1_000_000}.{self._last_ts % 1_000_000:06d}"

    def touch(self) -> None:
        waiting, self._changed = self._changed, asyncio.Event()
        waiting.set()

    async def changed(self) -> None:
        await self._changed.wait()

    # the books

    def break_rule(self, method: str, rule: str, excerpt: Any = "") -> None:
        text = excerpt if isinstance(excerpt, str) else repr(excerpt)
        self.violations.append(records.Violation(method=method, rule=rule, excerpt=text[:300], at=self.now()))
        self.touch()

    def note(self, method: str, args: Json, status: int, error: str = "") -> None:
        self.calls.append(records.Call(method=method, args=args, at=self.now(), status=status, error=error))
        self.touch()

    def take_fault(self, method: str, channel: str = "") -> records.Fault | None:
        for fault in self.faults:
            if fault.method in (method, "*") and fault.channel in ("", channel) and fault.count > 0:
                fault.count -= 1
                return fault
        return None

    # looking things up

    def user(self, word: str) -> User:
        """By id or by name; for tests, not for the Web API."""
        for user in self.users.values():
            if word in (user.id, user.name):
                return user
        raise records.Impossible(f"there is no user {word!r}")

    def channel(self, word: str) -> Channel:
        """By id, by name, or a person's name prefixed with `dm:`; for tests, not for the Web API."""
        if word.startswith("dm:"):
            return self.dm(self.user(word[3:]).id)
        for channel in self.channels.values():
            if word.lstrip("#") in (channel.id, channel.name):
                return channel
        raise records.Impossible(f"there is no channel {word!r}")

    def dm(self, user: str) -> Channel:
        found = next((one for one in self.channels.values() if one.kind == "im" and one.user == user), None)
        return found or self.add_channel(f"D{user[1:]}", f"dm-{user}", kind="im", members=(user, BOT_USER), user=user)

    def add_user(self, user: str, name: str, **more: Any) -> User:
        self.users[user] = User(id=user, name=name, **more)
        self.touch()
        return self.users[user]

    def add_channel(self, channel: str, name: str, *, members: Iterable[str] = (), **more: Any) -> Channel:
        self.channels[channel] = Channel(id=channel, name=name, members=set(members), **more)
        self.touch()
        return self.channels[channel]

    def is_member(self, user: User) -> bool:
        """Whether the person is in a workspace where the app is installed."""
        ours = {TEAM, SISTER} if self.settings.grid == "organization" else {TEAM}
        return bool(ours & set(user.teams or [user.team]))

    def add_group(self, group: str, handle: str, users: Iterable[str], **more: Any) -> Group:
        self.groups[group] = Group(id=group, handle=handle, name=handle.title(), users=list(users), **more)
        self.touch()
        return self.groups[group]

    def trigger(self, user: str, view: str = "") -> str:
        made = records.Trigger(id=f"{self.id('')}.{TEAM}.{self.id('')}", user=user, at=self.now(), view=view)
        self.triggers[made.id] = made
        return made.id

    def response_url(self, door: str, user: str, channel: str, *, source: str = "", thread_ts: str = "") -> str:
        path = f"/{door}/{TEAM}/{self.id('')}/{self.random.getrandbits(64):016x}"
        self.response_urls[path] = records.ResponseUrl(
            path=path, user=user, channel=channel, at=self.now(), source=source, thread_ts=thread_ts
        )
        return self.base + path


def _populate(workspace: Workspace) -> None:
    add = workspace.add_user
    add("U0ADA", "ada", is_admin=True)
    add("U0BOB", "bob")
    add("U0GIL", "gil", is_restricted=True)
    add("U0UMA", "uma", is_restricted=True, is_ultra_restricted=True)
    add("U0ROB", "robot", is_bot=True)
    add("U0STAN", "stan", team=STRANGERS)
    add(BOT_USER, "quarterdeck", is_bot=True)
    everyone = ("U0ADA", "U0BOB", "U0GIL", "U0ROB")
    workspace.add_channel("C0OPS", "ops", members=(*everyone, "U0UMA", BOT_USER))
    workspace.add_channel("C0DEV", "dev", members=everyone)
    workspace.add_channel("C0SEC", "secret", kind="private", members=("U0ADA", "U0BOB", BOT_USER))
    workspace.add_channel("C0HID", "hidden", kind="private", members=("U0ADA", "U0BOB"))
    workspace.add_channel("C0OLD", "old", archived=True, members=("U0ADA", BOT_USER))
    workspace.add_channel("C0EXT", "partners", shared=True, members=("U0ADA", "U0STAN", BOT_USER))
    for user in list(workspace.users):
        if user != BOT_USER and not workspace.users[user].is_bot:
            workspace.dm(user)
    workspace.add_group("S0ONCALL", "oncall", ["U0ADA"])
    workspace.add_group("S0DEVS", "developers", ["U0ADA", "U0BOB"])
