"""Registers Quarterdeck's listeners with Slack's Bolt library. Each listener acknowledges a request, decodes it and
passes it on.

Before the acknowledgement, a listener does nothing else. A request that Quarterdeck does not use is acknowledged too,
and counted; otherwise Slack would send it again and show an error.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import structlog
from slack_bolt.app.async_app import AsyncApp

from bot.slack import acknowledgement, decode_requests
from bot.slack.decode_requests import Ignored, SlackRequest

log = structlog.get_logger(__name__)
Accept = Callable[[SlackRequest], None]
Ignore = Callable[[Ignored], None]
Body = Mapping[str, Any]


def register_listeners(app: AsyncApp, accept: Accept, ignored: Ignore, *, command: str, direct: Sequence[str]) -> None:
    """Registers a listener for every kind of request that Slack sends. `ignored` is called for each request that gets
    no answer. `command`: the slash command, such as `/deck`. `direct`: Quarterdeck commands that are also slash
    commands, such as `ps` for `/ps`."""

    def decode_and_accept(decode: Callable[[Body], SlackRequest | Ignored], body: Body) -> None:
        try:
            request = decode(body)
        except (LookupError, TypeError, AttributeError) as error:
            log.warning("A payload of Slack could not be decoded.", type=body.get("type"), reason=repr(error)[:200])
            request = Ignored.MALFORMED
        if isinstance(request, SlackRequest):
            accept(request)
        else:
            ignored(request)

    def decode_later(decode: Callable[[Body], SlackRequest | Ignored], body: Body) -> None:
        acknowledgement.run_afterwards(functools.partial(decode_and_accept, decode, body))

    async def slash_command(ack: Ack, body: Body) -> None:
        await ack()
        decode_later(functools.partial(decode_requests.from_command, direct=False), body)

    async def direct_command(ack: Ack, body: Body) -> None:
        await ack()
        decode_later(functools.partial(decode_requests.from_command, direct=True), body)

    async def message(ack: Ack, body: Body) -> None:
        await ack()
        decode_later(decode_requests.from_message, body)

    async def click(ack: Ack, body: Body) -> None:
        await ack()
        decode_later(decode_requests.from_click, body)

    async def unknown_command(ack: Ack) -> None:
        await ack(
            f"This slash command is not configured here. Use {command}, or add the command to `slack.direct` in "
            "quarterdeck.yaml."
        )

    async def ignore(ack: Ack) -> None:
        await ack()
        ignored(Ignored.UNUSED)

    anything = re.compile(r"")
    app.command(command)(slash_command)
    for name in direct:
        app.command(f"/{name}")(direct_command)
    app.command(anything)(unknown_command)
    app.event("app_mention")(message)
    app.event("message")(message)
    app.action(re.compile(r"^deck:"))(click)
    for rest in (app.event, app.action, app.shortcut, app.view, app.view_closed, app.options):
        rest(anything)(ignore)


class Ack(Protocol):
    async def __call__(self, text: str = "") -> object: ...
