"""A Slack that does as it is told: it notes each call and refuses those it was told to refuse; nothing leaves the
process."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.slack.decode_requests import SlackRequest, Source
from bot.slack.outbox import Outbox
from bot.slack.render import Message, TableFormat, TextFile
from core import errors
from core.metrics import Metrics

URL = "https://hooks.example/1"


@dataclass(frozen=True, slots=True)
class Said:
    """`how` is post, broadcast, edit, whisper, respond, replace, take away, open or upload; `where` the channel, URL or
    user; `buttons` their command lines."""

    how: str
    where: str
    text: str = ""
    ts: str = ""
    thread: str | None = None
    blocks: int = 0
    at: float = 0.0
    buttons: tuple[str, ...] = ()


class FakeSlackApi:
    """The place of bot.slack.api.SlackApi. `refuse[how]` holds Slack's words for the next calls, "" for taking one;
    `broken` is raised instead; `slow[how]` are seconds each takes."""

    def __init__(self) -> None:
        self.said: list[Said] = []
        self.refuse: defaultdict[str, list[str]] = defaultdict(list)
        self.broken: dict[str, Exception] = {}
        self.slow: dict[str, float] = {}
        self.calm = True
        self.users: dict[str, Mapping[str, Any]] = {}
        self.groups: list[Mapping[str, Any]] = []
        self.named_channels: dict[str, str] = {}
        self._ts = itertools.count(1)

    def recently_throttled(self) -> bool:
        return not self.calm

    def texts(self, *how: str) -> list[tuple[str, str]]:
        return [(one.how, one.text) for one in self.said if not how or one.how in how]

    async def _do(self, how: str, where: str, message: Message | None = None, **more: Any) -> None:
        if seconds := self.slow.get(how):
            await asyncio.sleep(seconds)
        if how in self.broken:
            raise self.broken[how]
        if self.refuse[how] and (code := self.refuse[how].pop(0)):
            raise errors.Undeliverable(f"refused: {code}", code=code)
        text, blocks = (message.text, len(message.blocks)) if message is not None else ("", 0)
        at = asyncio.get_running_loop().time()
        rows = [block["elements"] for block in message.blocks if block["type"] == "actions"] if message else []
        buttons = tuple(button["value"] for row in rows for button in row)
        self.said.append(Said(how, where, text, blocks=blocks, at=at, buttons=buttons, **more))

    async def post(
        self,
        channel: str,
        message: Message,
        *,
        thread: str | None = None,
        broadcast: bool = False,
        token: str = "",
    ) -> str:
        ts = f"9.{next(self._ts):04}"
        await self._do("broadcast" if broadcast else "post", channel, message, ts=ts, thread=thread)
        if channel.startswith("#"):
            self.named_channels[channel] = f"C0{channel[1:].upper()}"
        return ts

    async def edit(self, channel: str, ts: str, message: Message) -> None:
        await self._do("edit", channel, message, ts=ts)

    async def post_ephemeral(self, channel: str, user: str, message: Message, *, thread: str | None = None) -> None:
        await self._do("whisper", channel, message, thread=thread)

    async def respond(self, url: str, message: Message | None, *, replace: bool) -> None:
        await self._do("take away" if message is None else "replace" if replace else "respond", url, message)

    async def open_direct_channel(self, user: str) -> str:
        await self._do("open", user)
        return f"D{user}"

    async def upload(self, channel: str, file: TextFile, *, thread: str | None = None) -> None:
        await self._do("upload", channel, Message(text=file.text, blocks=()), thread=thread)

    async def user(self, user: str) -> Mapping[str, Any]:
        await self._do("user", user)
        return self.users.get(user) or {"id": user, "team_id": "T1", "name": user.lower()}

    async def user_groups(self, workspace: str) -> list[Mapping[str, Any]]:
        await self._do("groups", workspace)
        return self.groups


class FakeStore:
    """What the store keeps for Slack; `down` as the store is when away."""

    def __init__(self) -> None:
        self.shapes: dict[str, int] = {}
        self.where: dict[str, bytes] = {}
        self.down = False

    def _up(self) -> None:
        if self.down:
            raise errors.StoreDown

    async def shape(self, team: str) -> int | None:
        self._up()
        return self.shapes.get(team)

    async def put_shape(self, team: str, shape: int, ttl: float) -> None:
        self._up()
        self.shapes[team] = shape

    async def set_posted(self, id: str, where: bytes) -> bool:  # noqa: A002
        self._up()
        self.where[id] = where
        return True


def outbox(calls: FakeSlackApi, memory: FakeStore | None = None, metrics: Metrics | None = None) -> Outbox:
    """On the running loop's time."""
    clock = asyncio.get_running_loop().time
    return Outbox(calls, memory or FakeStore(), metrics or Metrics(), clock=clock)  # type: ignore[arg-type]


def outgoing(text: str, **more: Any) -> Callable[[TableFormat], Message]:
    return lambda table_format: Message(text=text, blocks=(), **more)


def slack_request(source: Source = Source.SLASH, **more: Any) -> SlackRequest:
    """As it comes from channel C1, or from D1 for a direct message."""
    given: dict[str, Any] = {"id": "slack-1", "user": "U1", "teams": frozenset({"T1"}), "text": "ps", "channel": "C1"}
    match source:
        case Source.SLASH:
            given |= {"response_url": URL}
        case Source.DM:
            given |= {"channel": "D1", "dm": True}
        case Source.CLICK:
            given |= {"response_url": URL, "message": "5.0001", "text": "confirm abc"}
    return SlackRequest(**(given | {"source": source} | more))
