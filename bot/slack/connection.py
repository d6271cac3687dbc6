"""Connects to Slack, by Socket Mode or by HTTP requests, and reconnects for as long as the process runs.

A socket counts as connected only while it answers pings. When the process stops, it first disconnects, so that Slack
sends new requests to another replica. Then it finishes the running requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
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
from bot.slack import http_requests, incident_poster, library_logger, listeners, names, users
from bot.slack.api import SlackApi
from bot.slack.command_text import BotName
from bot.slack.handler import SlackHandler
from bot.slack.outbox import Outbox
from core import errors, supervise, tasks
from core.config import load
from core.config.slack import TOKEN_HINTS

log = structlog.get_logger(__name__)
PING_INTERVAL_SECONDS = 5.0
SILENCE_SECONDS = 20.0  # without a pong; then the socket does not count as connected
GIVE_UP_SECONDS = 30.0  # for the library to reconnect by itself; after that, a new client is made
CHECK_INTERVAL_SECONDS = 1.0
MIN_PAUSE_SECONDS, MAX_PAUSE_SECONDS = 1.0, 60.0
CONNECT_TIMEOUT_SECONDS = 20.0
CLOSE_TIMEOUT_SECONDS = 3.0
RESTART = supervise.Backoff()
REJECTION_DRAIN_SECONDS = 3.0  # after disconnecting, to answer the requests that were rejected
# Slack's error codes that only a person can fix.
TOKEN_ERRORS = frozenset(
    {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type",
     "missing_scope"}
)  # fmt: skip


class SlackConnection:
    """There is one per process. `state` is a sentence for /readyz."""

    def __init__(self, settings: load.Slack, app: composition.App, listener: sockets.socket | None = None) -> None:
        self._settings = settings
        self._app = app
        self._listener = listener
        self._api = SlackApi(settings.bot_token.get_secret_value(), settings.api_url, app.metrics)
        self._outbox = Outbox(self._api, app.store, app.metrics)
        self._logged_state = ""
        self._claim_code_issued = False
        self._client: SocketModeClient | None = None
        self._incidents: asyncio.Task[None] | None = None
        self.connected = False
        self.state = "not connected yet"

    async def run(self) -> None:
        """Connects and reconnects until the process stops."""
        failures = 0
        await self._api.open()
        try:
            while not self._stopping:
                try:
                    await self._connect_once()
                    failures = 0
                except errors.DeliveryError as error:
                    failures += 1
                    self._set_disconnected(error)
                chance = random.Random()  # noqa: S311
                pause = supervise.backoff_seconds(failures or 1, MIN_PAUSE_SECONDS * 2, MAX_PAUSE_SECONDS, chance)
                await self._wait_for_stop(max(MIN_PAUSE_SECONDS, pause))
        finally:
            if self._incidents is not None:
                self._incidents.cancel()
                await asyncio.wait([self._incidents])

    async def aclose(self) -> None:
        if self._client is not None:  # closing it was interrupted
            await self._close_socket(self._client)
        await self._api.aclose()

    def ready(self) -> Mapping[str, Any]:
        return {"ready": self.connected} | ({} if self.connected else {"reason": self.state})

    async def _connect_once(self) -> None:
        """Opens one connection and returns when it is lost. Raises DeliveryError if it cannot be opened."""
        identity = await self._api.auth()
        installed = users.installation(identity)
        if not installed.team or not identity.get("bot_id"):
            raise errors.Undeliverable(
                "slack.bot_token is not a bot token.", code="not_allowed_token_type", hint=TOKEN_HINTS["bot_token"]
            )
        await self._outbox.load_table_format(installed.team)
        self._start_incidents()
        people = users.SlackUsers(self._api, installed=installed, guests=self._settings.guests)
        called = names.SlackNames(
            self._api,
            self._app.store,
            team=installed.team,
            group_names=people.group_names,
            channel_names=people.channel_names,
        )
        handler = SlackHandler(
            dispatcher=self._app.dispatcher,
            outbox=self._outbox,
            users=people,
            bot=BotName(user=str(identity.get("user_id") or ""), name=str(identity.get("user") or "")),
            store=self._app.store,
            supervisor=self._app.supervisor,
            metrics=self._app.metrics,
        )
        bolt = self._bolt_app(identity, handler)
        # Not a task group: the error that ends the connection must reach the caller as itself.
        rejections = tasks.start("slack_rejections", handler.answer_rejected())
        try:
            async with contextlib.AsyncExitStack() as stack:
                if self._settings.mode == "http":
                    await stack.enter_async_context(self._http_server(bolt))
                else:
                    client = await stack.enter_async_context(self._socket(bolt))
                self._app.notifiers["slack"] = handler.report_unfinished
                self._app.dispatcher.people.sources["slack"] = people.current
                self._app.dispatcher.people.name_sources["slack"] = called.find
                await self._show_claim_code(str(identity.get("team") or installed.team))
                if self._settings.mode == "http":
                    self._set_connected(f"requests at {self._settings.listen}/slack/events")
                    await self._app.supervisor.stopping.wait()
                else:
                    await self._watch_socket(client)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REJECTION_DRAIN_SECONDS):
                    await handler.rejected_answered()
        finally:
            # Without a connection, this replica does not take over the unfinished commands of others.
            self._app.notifiers.pop("slack", None)
            self._app.dispatcher.people.sources.pop("slack", None)
            self._app.dispatcher.people.name_sources.pop("slack", None)
            self.connected = False
            self._app.metrics.slack_connected.set(0)
            rejections.cancel()
            await asyncio.wait([rejections])

    def _start_incidents(self) -> None:
        """Starts to post incidents, which needs no connection for requests. Does nothing if it was called before."""
        if self._app.alerts is not None and self._incidents is None:
            post = functools.partial(incident_poster.post_incidents, self._app, self._app.alerts, self._outbox)
            self._incidents = self._app.supervisor.start_background("incidents", post, RESTART)

    def _bolt_app(self, identity: Mapping[str, Any], handler: SlackHandler) -> AsyncApp:
        authorized = AuthorizeResult(
            enterprise_id=identity.get("enterprise_id"),
            team_id=identity.get("team_id"),
            bot_user_id=identity.get("user_id"),
            bot_id=identity.get("bot_id"),
            bot_token=self._settings.bot_token.get_secret_value(),
        )

        async def authorize(**_: object) -> AuthorizeResult:  # no call to Slack before the acknowledgement
            return authorized

        bolt = AsyncApp(
            name="quarterdeck",
            logger=library_logger.make_library_logger(),
            signing_secret="",
            request_verification_enabled=False,  # by http_requests
            process_before_response=True,  # listeners only acknowledge; otherwise the library looks every 10 ms
            authorize=authorize,
            client=self._api.web,
        )
        listeners.register_listeners(
            bolt, handler.accept, handler.ignore, command=self._settings.command, direct=self._settings.direct
        )
        return bolt

    @contextlib.asynccontextmanager
    async def _socket(self, bolt: AsyncApp) -> AsyncIterator[SocketModeClient]:
        from bot.slack.socket_requests import SocketRequestHandler  # noqa: PLC0415 (only this mode needs it)

        token = self._settings.app_token
        assert token is not None
        url = await self._api.open_socket(token.get_secret_value())
        handler = SocketRequestHandler(
            bolt,
            token.get_secret_value(),
            logger=library_logger.make_library_logger(),
            web_client=self._api.web,
            ping_interval=PING_INTERVAL_SECONDS,
        )
        handler.client.wss_uri = url
        self._client = handler.client
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await handler.connect_async()  # type: ignore[no-untyped-call]
        except TimeoutError:
            await self._close_socket(handler.client)
            raise errors.Undeliverable(
                f"The Socket Mode connection to Slack could not be opened within {CONNECT_TIMEOUT_SECONDS:.0f} s.",
                code="unreachable",
                hint="Check the network and the proxy between Quarterdeck and Slack.",
            ) from None
        try:
            yield handler.client
        finally:
            await self._close_socket(handler.client)

    async def _watch_socket(self, client: SocketModeClient) -> None:
        """Returns when the socket was silent for too long or the process stops."""
        loop = asyncio.get_running_loop()
        lost_at: float | None = None
        opened = time.time()
        while not self._stopping:
            pong = client.last_ping_pong_time or opened
            self._app.metrics.slack_last_pong_timestamp_seconds.set(pong)
            session = client.current_session
            if session is not None and not session.closed and time.time() - pong < SILENCE_SECONDS:
                lost_at = None
                self._set_connected("socket")
            else:
                lost_at = loop.time() if lost_at is None else lost_at
                self._set_disconnected(
                    errors.Undeliverable(
                        "Slack sends no data on the Socket Mode connection.",
                        code="silent",
                        hint="Check the network and the proxy between Quarterdeck and Slack.",
                    )
                )
                if loop.time() - lost_at > GIVE_UP_SECONDS:
                    return
            await self._wait_for_stop(CHECK_INTERVAL_SECONDS)

    async def _close_socket(self, client: SocketModeClient) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await client.close()  # type: ignore[no-untyped-call]
        except TimeoutError:
            # A silent peer does not answer the close frame either, so the rest of the library's clean-up is done here.
            for task in (client.message_processor, client.current_session_monitor, client.message_receiver):
                if task is not None:
                    task.cancel()
            await client.aiohttp_client_session.close()
        self._client = None

    @contextlib.asynccontextmanager
    async def _http_server(self, bolt: AsyncApp) -> AsyncIterator[None]:
        secret = self._settings.signing_secret
        assert self._listener is not None
        assert secret is not None
        refused = self._app.metrics.http_refused_total
        # A copy: a server closes its socket, and a later connection needs it again.
        async with http_requests.serve_slack_requests(
            self._listener.dup(), bolt, secret.get_secret_value(), lambda reason: refused.labels("slack", reason).inc()
        ):
            try:
                yield
            finally:
                if self._stopping:
                    # Otherwise the kernel accepts connections that nobody answers until the process ends.
                    self._listener.close()

    # ── state and log ────────────────────────────────────────────────────────────────────────────────────────────

    def _set_connected(self, how: str) -> None:
        if not self.connected:
            log.info("The connection to Slack was opened.", action="connect", by=how)
        self.connected, self.state, self._logged_state = True, "", ""
        self._app.metrics.slack_connected.set(1)

    def _set_disconnected(self, error: errors.DeliveryError) -> None:
        self.connected, self.state = False, error.full_message()
        self._app.metrics.slack_connected.set(0)
        if self._logged_state == self.state:
            return
        self._logged_state = self.state
        code = getattr(error, "code", "")
        level = log.error if code in TOKEN_ERRORS else log.warning
        level(
            "Slack is not connected. Engines are watched, and the connection is retried.",
            action="connect",
            reason=self.state,
        )

    async def _show_claim_code(self, team: str) -> None:
        """Prints a code for the first admin, once per start, if nobody in chat may grant."""
        if self._claim_code_issued:
            return
        try:
            code = await first_admin.issue_code(self._app.store, self._app.policies, "slack")
        except errors.StoreError as error:
            log.warning(
                "No claim code was created, because the grants could not be read from the store.",
                action="claim",
                reason=error.message,
            )
            return
        self._claim_code_issued = True
        if code is not None:
            # To stderr and not to the log, which would redact the code.
            composition.announce(
                f"Nobody in {team} may grant anything yet. To become the first admin, type in Slack within 15 minutes: "
                f"{self._settings.command} claim {code}"
            )

    @property
    def _stopping(self) -> bool:
        return self._app.supervisor.stopping.is_set()

    async def _wait_for_stop(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._app.supervisor.stopping.wait()
