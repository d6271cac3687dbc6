"""What bolt calls: acknowledge, make a SlackRequest of it, hand it over. No I/O before the acknowledgement, no work
after it.

Everything Slack sends is acknowledged, what we do not know too: else Slack would send it again and show an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from slack_bolt.app.async_app import AsyncApp

from bot.slack import requests

log = structlog.get_logger(__name__)
Hear = Callable[[requests.SlackRequest], None]
Body = Mapping[str, Any]


class Ack(Protocol):
    async def __call__(self, text: str = "") -> object: ...


def register(app: AsyncApp, hear: Hear, *, command: str, direct: Sequence[str]) -> None:
    def take(made: Callable[[Body], requests.SlackRequest | None], body: Body) -> None:
        try:
            said = made(body)
        except (LookupError, TypeError, AttributeError) as error:
            log.warning(
                "Slack delivered something that cannot be understood", type=body.get("type"), reason=repr(error)
            )
        else:
            if said is not None:
                hear(said)

    async def slash(ack: Ack, body: Body) -> None:
        await ack()
        take(lambda body: requests.from_command(body, direct=False), body)

    async def own(ack: Ack, body: Body) -> None:
        await ack()
        take(lambda body: requests.from_command(body, direct=True), body)

    async def message(ack: Ack, body: Body) -> None:
        await ack()
        take(requests.from_message, body)

    async def click(ack: Ack, body: Body) -> None:
        await ack()
        take(requests.from_click, body)

    async def unknown(ack: Ack) -> None:
        await ack(
            f"I do not know this command, only {command}. `slack.command` and `slack.direct` in quarterdeck.yaml say "
            "which there are."
        )

    async def other(ack: Ack) -> None:
        await ack()

    everything = re.compile(r"")
    app.command(command)(slash)
    for name in direct:
        app.command(f"/{name}")(own)
    app.command(everything)(unknown)
    app.event("app_mention")(message)
    app.event("message")(message)
    app.action(re.compile(r"^deck:"))(click)
    for rest in (app.event, app.action, app.shortcut, app.view, app.view_closed, app.options):
        rest(everything)(other)
