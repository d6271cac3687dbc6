"""The connection to Slack: made, watched and made again, for as long as the process lives.

Slack absent or a token wrong is said once, clearly, with its cure, and tried again; watching goes on meanwhile. A
socket counts as alive only while it answers pings, whatever the library thinks of it; one that is silent for too long
is thrown away whole. When stopping begins the door is closed first, so that Slack sends new lines elsewhere, and what
is under way is still answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import socket as sockets
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import structlog
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.socket_mode.aiohttp import SocketModeClient

from bot import app as composition
from bot.access import first_admin
from bot.slack import listeners
from bot.slack.api import Calls
from bot.slack.handler import SlackHandler
from bot.slack.outbox import Outbox
from bot.slack.users import People
from core import errors, supervise
from core.config import load
from core.config.slack import TOKEN_HINTS

log = structlog.get_logger(__name__)
PING_EVERY = 5.0
SILENT = 20.0  # seconds without an answer to a ping, after which the socket does not count as connected
HOPELESS = 30.0  # seconds after which the library's own attempts to reconnect are given up and all is made anew
LOOK_EVERY = 1.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
CONNECT_WITHIN = 20.0
CLOSE_WITHIN = 3.0
LAST_WORDS = 3.0  # seconds, after the door was closed, for those who came too late to be taken up
# Slack's words for what only a person can mend.
WRONG_TOKEN = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type",
     "missing_scope"}
)  # fmt: skip


class SlackConnection:
    """One per process. `state` is a sentence for /readyz."""

    def __init__(self, settings: load.Slack, app: composition.App, door: sockets.socket | None = None) -> None:
        self._settings = settings
        self._app = app
        self._door = door
        self._calls = Calls(settings.bot_token.get_secret_value(), settings.api_url, app.metrics)
        self._outbox = Outbox(self._calls, app.store, app.metrics)
        self._said = ""
        self._claimed = False
        self._client: SocketModeClient | None = None
        self.connected = False
        self.state = "not connected yet"

    async def run(self) -> None:
        """Until stopping begins."""
        failures = 0
        await self._calls.open()
        while not self._stopping:
            try:
                await self._once()
                failures = 0
            except errors.DeliveryError as error:
                failures += 1
                self._down(error)
            pause = supervise.backoff_seconds(failures or 1, FIRST_PAUSE * 2, LONGEST_PAUSE, random.Random())  # noqa: S311
            await self._stopped_within(max(FIRST_PAUSE, pause))

    async def aclose(self) -> None:
        if self._client is not None:  # its closing was cut short
            await self._close_socket(self._client)
        await self._calls.aclose()

    def ready(self) -> Mapping[str, Any]:
        return {"ready": self.connected} | ({} if self.connected else {"reason": self.state})

    async def _once(self) -> None:
        """One connection, from who we are to its loss. Raises DeliveryError where it does not come about."""
        us = await self._calls.auth()
        team, bot_user = str(us.get("team_id") or ""), str(us.get("user_id") or "")
        if not team or not us.get("bot_id"):
            raise errors.Undeliverable(
                "slack.bot_token is not a bot's.", code="not_allowed_token_type", hint=TOKEN_HINTS["bot_token"]
            )
        await self._outbox.settle(team)
        surface = SlackHandler(
            dispatcher=self._app.dispatcher,
            outbox=self._outbox,
            people=People(self._calls, team=team, guests=self._settings.guests),
            bot_user=bot_user,
            store=self._app.store,
            supervisor=self._app.supervisor,
            metrics=self._app.metrics,
        )
        bolt = self._bolt(us, surface)
        # Not a task group: what ends the connection has to come out as what it is.
        sorry = asyncio.get_running_loop().create_task(surface.apologise(), name="slack sorry")
        try:
            async with contextlib.AsyncExitStack() as stack:
                if self._settings.mode == "http":
                    await stack.enter_async_context(self._requests(bolt))
                else:
                    client = await stack.enter_async_context(self._socket(bolt))
                self._app.tellers["slack"] = surface.tell
                await self._offer_claim(str(us.get("team") or team))
                if self._settings.mode == "http":
                    self._up(f"requests at {self._settings.listen}/slack/events")
                    await self._app.supervisor.stopping.wait()
                else:
                    await self._watch(client)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_WORDS):
                    await surface.apologised()
        finally:
            # What others left behind is not taken over while it cannot be told.
            self._app.tellers.pop("slack", None)
            self.connected = False
            self._app.metrics.slack_connected.set(0)
            sorry.cancel()
            await asyncio.wait([sorry])

    def _bolt(self, us: Mapping[str, Any], surface: SlackHandler) -> AsyncApp:
        who = AuthorizeResult(
            enterprise_id=us.get("enterprise_id"),
            team_id=us.get("team_id"),
            bot_user_id=us.get("user_id"),
            bot_id=us.get("bot_id"),
            bot_token=self._settings.bot_token.get_secret_value(),
        )

        async def authorize(**_: object) -> AuthorizeResult:  # nothing is asked of Slack before the acknowledgement
            return who

        secret = self._settings.signing_secret
        bolt = AsyncApp(
            name="quarterdeck",
            logger=_quiet(),
            signing_secret=secret.get_secret_value() if secret else "",
            request_verification_enabled=self._settings.mode == "http",
            authorize=authorize,
            client=self._calls.web,
        )
        listeners.register(bolt, surface.hear, command=self._settings.command, direct=self._settings.direct)
        return bolt

    # ── by socket ────────────────────────────────────────────────────────────────────────────────────────────────

    @contextlib.asynccontextmanager
    async def _socket(self, bolt: AsyncApp) -> AsyncIterator[SocketModeClient]:
        from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler  # noqa: PLC0415

        token = self._settings.app_token
        assert token is not None
        url = await self._calls.open_socket(token.get_secret_value())
        handler = AsyncSocketModeHandler(
            bolt, token.get_secret_value(), logger=_quiet(), web_client=self._calls.web, ping_interval=PING_EVERY
        )
        handler.client.wss_uri = url
        self._client = handler.client
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                await handler.connect_async()  # type: ignore[no-untyped-call]
        except TimeoutError:
            await self._close_socket(handler.client)
            raise errors.Undeliverable("Slack's socket cannot be opened.", code="unreachable") from None
        try:
            yield handler.client
        finally:
            await self._close_socket(handler.client)

    async def _watch(self, client: SocketModeClient) -> None:
        """Returns when the socket is beyond hope or stopping begins."""
        loop = asyncio.get_running_loop()
        lost_at: float | None = None
        opened = time.time()
        while not self._stopping:
            pong = client.last_ping_pong_time or opened
            self._app.metrics.slack_last_pong_timestamp_seconds.set(pong)
            session = client.current_session
            if session is not None and not session.closed and time.time() - pong < SILENT:
                lost_at = None
                self._up("socket")
            else:
                lost_at = loop.time() if lost_at is None else lost_at
                self._down(errors.Undeliverable("Slack's socket is silent.", code="silent"))
                if loop.time() - lost_at > HOPELESS:
                    return
            await self._stopped_within(LOOK_EVERY)

    async def _close_socket(self, client: SocketModeClient) -> None:
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await client.close()  # type: ignore[no-untyped-call]
        except TimeoutError:
            # A silent peer does not answer the farewell either; what the library does after it is left to do.
            for task in (client.message_processor, client.current_session_monitor, client.message_receiver):
                if task is not None:
                    task.cancel()
            await client.aiohttp_client_session.close()
        self._client = None

    # ── by signed requests ───────────────────────────────────────────────────────────────────────────────────────

    @contextlib.asynccontextmanager
    async def _requests(self, bolt: AsyncApp) -> AsyncIterator[None]:
        from aiohttp import web  # noqa: PLC0415
        from slack_bolt.adapter.aiohttp import to_aiohttp_response, to_bolt_request  # noqa: PLC0415

        async def events(request: web.Request) -> web.Response:
            return await to_aiohttp_response(await bolt.async_dispatch(await to_bolt_request(request)))

        pages = web.Application(client_max_size=1 << 20)
        pages.router.add_post("/slack/events", events)
        runner = web.AppRunner(pages, access_log=None, shutdown_timeout=3.0)
        await runner.setup()
        assert self._door is not None
        # A copy, since a site closes its socket and we may be back.
        await web.SockSite(runner, self._door.dup()).start()
        try:
            yield
        finally:
            if self._stopping:
                # Else the system would go on taking connections that nobody answers, until all is drained.
                self._door.close()
            await runner.cleanup()

    # ── what is said about it ────────────────────────────────────────────────────────────────────────────────────

    def _up(self, how: str) -> None:
        if not self.connected:
            log.info("Slack is connected", action="connect", by=how)
        self.connected, self.state, self._said = True, "", ""
        self._app.metrics.slack_connected.set(1)

    def _down(self, error: errors.DeliveryError) -> None:
        self.connected, self.state = False, error.full_message()
        self._app.metrics.slack_connected.set(0)
        if self._said == self.state:
            return
        self._said = self.state
        code = getattr(error, "code", "")
        level = log.error if code in WRONG_TOKEN else log.warning
        level("Slack is not connected; watching goes on and it is tried again", action="connect", reason=self.state)

    async def _offer_claim(self, team: str) -> None:
        """Shows the code that makes the first admin, once a start, where nobody in chat may grant."""
        if self._claimed:
            return
        try:
            code = await first_admin.offer(self._app.store, self._app.book, "slack")
        except errors.StoreError as error:
            log.warning("whether there is an admin is not known", action="claim", reason=error.message)
            return
        self._claimed = True
        if code is not None:
            # To stderr itself: the log hides what looks like a secret, and this one is meant to be read.
            composition.announce(
                f"Nobody in {team} may grant anything yet. To become the first admin say in Slack, within 15 minutes: "
                f"{self._settings.command} claim {code}"
            )

    @property
    def _stopping(self) -> bool:
        return self._app.supervisor.stopping.is_set()

    async def _stopped_within(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._app.supervisor.stopping.wait()


def _quiet() -> logging.Logger:
    """The libraries' words: their warnings come out as ours do, their tracebacks are not for the log of a bot that
    reconnects by design."""
    logger = logging.getLogger("quarterdeck.slack")
    logger.setLevel(logging.WARNING)
    if not logger.filters:
        logger.addFilter(_sober)
    return logger


def _sober(record: logging.LogRecord) -> bool:
    if "SLACK_BOT_TOKEN env variable" in str(record.msg) or "`token` will be unused" in str(record.msg):
        return False  # bolt found a token in the environment that we gave it in another way
    if record.exc_info:
        record.exc_info = None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
