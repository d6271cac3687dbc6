"""What bolt calls: acknowledge, make a Heard of it, hand it over. No I/O before the acknowledgement, no work after it.

Everything Slack sends is acknowledged, what we do not know too: else Slack would send it again and show an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from slack_bolt.app.async_app import AsyncApp

from bot.slack import heard

Hear = Callable[[heard.Heard], None]


class Ack(Protocol):
    async def __call__(self) -> object: ...


def register(app: AsyncApp, hear: Hear, *, command: str, direct: Sequence[str]) -> None:
    async def slash(ack: Ack, body: Mapping[str, Any]) -> None:
        await ack()
        hear(heard.from_command(body, direct=False))

    async def own(ack: Ack, body: Mapping[str, Any]) -> None:
        await ack()
        hear(heard.from_command(body, direct=True))

    async def message(ack: Ack, body: Mapping[str, Any]) -> None:
        await ack()
        if (said := heard.from_message(body)) is not None:
            hear(said)

    async def click(ack: Ack, body: Mapping[str, Any]) -> None:
        await ack()
        if (said := heard.from_click(body)) is not None:
            hear(said)

    async def other(ack: Ack) -> None:
        await ack()

    app.command(command)(slash)
    for name in direct:
        app.command(f"/{name}")(own)
    app.event("app_mention")(message)
    app.event("message")(message)
    app.action(re.compile(r"^deck:"))(click)
    app.event(re.compile(r""))(other)
    app.action(re.compile(r""))(other)
