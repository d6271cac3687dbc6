"""Calls Slack's Web API and response URLs. Counts each call, retries it if a retry can help, and translates its errors.

Each method is called at the rate of its tier. After a 429, all calls of that method wait as long as Slack asks. They
then run one by one for a while. A 5xx or a lost connection is retried. The post of a message is not retried here,
because Slack may have accepted it: `bot.slack.exactly_once_post` decides about that. All retries of a call share one
deadline. Every failure is raised as Undeliverable, with Slack's error code.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import AsyncConnectionErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.slack import api_errors, pause_after_429, rate_limiter
from bot.slack.render import Message, TextFile
from core import errors
from core.metrics import Metrics

REQUEST_TIMEOUT_SECONDS = 15.0
CALL_TIMEOUT_SECONDS = 180.0  # with all retries; Slack has been seen to ask for a pause of a minute
MAX_THROTTLED_RETRIES, MAX_FAILED_RETRIES = 5, 2
METHODS = frozenset(
    {
        "auth.test",
        "apps.connections.open",
        "chat.postMessage",
        "chat.postEphemeral",
        "chat.update",
        "conversations.history",
        "conversations.open",
        "conversations.replies",
        "files.getUploadURLExternal",
        "files.completeUploadExternal",
        "conversations.info",
        "users.info",
        "usergroups.list",
    }
)
# Slack limits this method per channel, and the outbox sends the messages of a channel one by one.
LIMITED_PER_CHANNEL = "chat.postMessage"
EVENT_TYPE = "quarterdeck_post"  # of the metadata of each post
SEARCH_PAGES, PAGE_SIZE = 5, 100
CLOCK_SECONDS = 60.0  # by which Slack's clock and ours may differ


class SlackApi:
    """A client of Slack's Web API for one bot token, and of response URLs. Call `open` first and `aclose` last."""

    def __init__(self, token: str, api_url: str, metrics: Metrics) -> None:
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None
        self.named_channels: dict[str, str] = {}  # the ids of channels to which something was posted by their name
        self._scopes: frozenset[str] = frozenset()
        self._throttles = {method: pause_after_429.MethodThrottle() for method in METHODS - {LIMITED_PER_CHANNEL}}
        self._paces = rate_limiter.MethodPaces()
        throttled = pause_after_429.ThrottledRetry(MAX_THROTTLED_RETRIES, self._count_throttled)
        # All calls share these: they have no state of their own, and a RetryState counts the retries of a call.
        self._handlers = [
            AsyncConnectionErrorRetryHandler(max_retry_count=MAX_FAILED_RETRIES),
            pause_after_429.ServerErrorRetry(max_retry_count=MAX_FAILED_RETRIES),
            throttled,
        ]
        self.web = AsyncWebClient(
            token=token, base_url=api_url, timeout=int(REQUEST_TIMEOUT_SECONDS), retry_handlers=list(self._handlers)
        )
        # A post is repeated by itself only if it certainly did not arrive.
        not_connected = AsyncConnectionErrorRetryHandler(MAX_FAILED_RETRIES, error_types=[aiohttp.ClientConnectorError])
        self._posts = AsyncWebClient(
            token=token,
            base_url=api_url,
            timeout=int(REQUEST_TIMEOUT_SECONDS),
            retry_handlers=[not_connected, throttled],
        )

    async def open(self) -> None:
        """Opens the connection pool of all calls. Needs a running event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS))
            self.web.session = self._posts.session = self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = self.web.session = self._posts.session = None

    def recently_throttled(self) -> bool:
        """Whether Slack has asked for a pause in the last minute, or calls wait so that it need not. Then only
        necessary messages should be sent."""
        return self._paces.is_tight() or any(throttle.recently_throttled() for throttle in self._throttles.values())

    async def auth(self) -> Mapping[str, Any]:
        async with self._call("auth.test"):
            answer = await self.web.auth_test()
            self._scopes = frozenset(str(answer.headers.get("x-oauth-scopes", "")).replace(" ", "").split(","))
            return _data(answer)

    async def open_socket(self, app_token: str) -> str:
        """Returns a one-time URL for a Socket Mode connection."""
        async with self._call("apps.connections.open"):
            return _text((await self.web.apps_connections_open(app_token=app_token))["url"])

    async def post(
        self,
        channel: str,
        message: Message,
        *,
        thread: str | None = None,
        broadcast: bool = False,
        token: str = "",
    ) -> str:
        """Returns the new message's ts. `broadcast`: the channel also sees an entry of a thread. `token`: the message's
        metadata, by which `find_post` finds it."""
        async with self._call("chat.postMessage"):
            answer = await self._posts.chat_postMessage(
                channel=channel,
                thread_ts=thread,
                reply_broadcast=True if broadcast and thread else None,
                text=message.text,
                blocks=_blocks(message),
                metadata={"event_type": EVENT_TYPE, "event_payload": {"post": token}} if token else None,
                unfurl_links=False,
                unfurl_media=False,
            )
            if channel.startswith("#"):
                self.named_channels[channel] = _text(answer["channel"])
            return _text(answer["ts"])

    async def find_post(self, channel: str, token: str, *, since: float, thread: str | None = None) -> str:
        """Returns the ts of the message with this token that was posted after `since` (seconds since the epoch); empty
        if there is none. Raises Undeliverable, with the code missing_scope if this app may not read the channel, and
        search_incomplete if it has more messages than are searched."""
        wanted_scopes = {"im:history"} if channel.startswith("D") else {"channels:history", "groups:history"}
        if not wanted_scopes & self._scopes:
            raise errors.Undeliverable(
                f"The Slack app may not read the messages of {channel}.",
                code="missing_scope",
                hint="Add the scopes channels:history, groups:history and im:history on the app's"
                " OAuth & Permissions page, and install the app again.",
            )
        method = "conversations.replies" if thread else "conversations.history"
        channel = self.named_channels.get(channel, channel)
        wanted: dict[str, Any] = {"channel": channel, "oldest": f"{since - CLOCK_SECONDS:.6f}", "limit": PAGE_SIZE}
        wanted |= {"include_all_metadata": True} | ({"ts": thread} if thread else {})
        async with self._call(method):
            for _ in range(SEARCH_PAGES):
                ask = self.web.conversations_replies if thread else self.web.conversations_history
                answer = _data(await ask(**wanted))
                for message in answer["messages"]:
                    payload = (message.get("metadata") or {}).get("event_payload") or {}
                    if payload.get("post") == token:
                        return _text(message["ts"])
                cursor = (answer.get("response_metadata") or {}).get("next_cursor", "")
                if not cursor:
                    return ""
                wanted["cursor"] = cursor
        raise errors.Undeliverable(
            f"Quarterdeck searched {channel} for its message: the newest {SEARCH_PAGES * PAGE_SIZE} messages do"
            " not contain it, and the older ones were not searched.",
            code="search_incomplete",
            hint="Check in the channel whether the message is there. Quarterdeck may post it twice.",
        )

    async def edit(self, channel: str, ts: str, message: Message) -> None:
        async with self._call("chat.update"):
            await self.web.chat_update(channel=channel, ts=ts, text=message.text, blocks=_blocks(message))

    async def post_ephemeral(self, channel: str, user: str, message: Message, *, thread: str | None = None) -> None:
        """Posts a message that only that user sees, while they are online."""
        async with self._call("chat.postEphemeral"):
            await self.web.chat_postEphemeral(
                channel=channel, user=user, thread_ts=thread, text=message.text, blocks=_blocks(message)
            )

    async def respond(self, url: str, message: Message | None, *, replace: bool) -> None:
        """Sends a message that only the owner of the response URL sees. `replace`: it replaces the URL's original
        message. Without a message, the original is deleted. Slack allows five uses of a URL within 30 minutes."""
        hook = AsyncWebhookClient(
            url, timeout=int(REQUEST_TIMEOUT_SECONDS), session=self._session, retry_handlers=list(self._handlers)
        )
        async with self._call("response_url"):
            if message is None:
                answer = await hook.send(delete_original=True)
            else:
                answer = await hook.send(
                    text=message.text,
                    blocks=_blocks(message),
                    response_type="ephemeral",
                    replace_original=replace,
                    unfurl_links=False,
                    unfurl_media=False,
                )
            if code := api_errors.error_in(answer.body, answer.status_code):
                raise errors.Undeliverable(
                    f"Slack refused a message to a response URL: {code}.",
                    code=code,
                    hint="Give the command again.",
                    reasons=api_errors.reasons_in(answer.body),
                )

    async def open_direct_channel(self, user: str) -> str:
        """Returns the channel of the direct messages with that user."""
        async with self._call("conversations.open"):
            return _text((await self.web.conversations_open(users=user))["channel"]["id"])

    async def upload(self, channel: str, file: TextFile, *, thread: str | None = None) -> None:
        async with self._call("files.completeUploadExternal"):
            await self.web.files_upload_v2(
                channel=channel,
                thread_ts=thread,
                content=file.text,
                filename=file.name,
                title=file.title,
                request_file_info=False,
            )

    async def user(self, user: str) -> Mapping[str, Any]:
        async with self._call("users.info"):
            found = (await self.web.users_info(user=user))["user"]
            if not isinstance(found, dict):
                raise TypeError("not a user")
            return found

    async def channel(self, channel: str) -> Mapping[str, Any]:
        """A channel's own description. Slack refuses it without `channels:read`, or `groups:read` for a private one."""
        async with self._call("conversations.info"):
            found = (await self.web.conversations_info(channel=channel))["channel"]
            if not isinstance(found, dict):
                raise TypeError("not a channel")
            return found

    async def user_groups(self, workspace: str) -> list[Mapping[str, Any]]:
        """The user groups of that workspace. It may be empty, unless the app is installed for a whole organization."""
        async with self._call("usergroups.list"):
            found = (await self.web.usergroups_list(include_users=True, team_id=workspace or None))["usergroups"]
            if not isinstance(found, list) or not all(isinstance(group, dict) for group in found):
                raise TypeError("not user groups")
            return found

    @contextlib.asynccontextmanager
    async def _call(self, method: str) -> AsyncIterator[None]:
        outcome = "failed"
        try:
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS):
                await self._paces.turn(method)
                async with pause_after_429.turn(self._throttles.get(method)):
                    yield
            outcome = "ok"
        except SlackApiError as error:
            body, status = api_errors.read_response(error)
            code = api_errors.error_code(body.get("error", ""), status)
            unsure = status >= 500 or code in api_errors.UNSURE_CODES or (status < 300 and "error" not in body)
            raise errors.Undeliverable(
                f"Slack refused {method}: {code}.",
                code=code,
                hint=api_errors.hint(body, method),
                maybe_sent=unsure,
                reasons=api_errors.reasons(body),
            ) from error
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            # RuntimeError: the session was closed during the call.
            raise errors.Undeliverable(
                f"Slack cannot be reached ({type(error).__name__}).",
                code="unreachable",
                hint="Check the network and the proxy between Quarterdeck and Slack.",
                maybe_sent=not isinstance(error, aiohttp.ClientConnectorError),
            ) from error
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            # The response has another shape than Slack's; most often it is a page of a proxy.
            raise errors.Undeliverable(
                f"Slack's response to {method} is invalid.",
                code="invalid_response",
                hint="Check whether a proxy between Quarterdeck and Slack changes the responses.",
                maybe_sent=True,
            ) from error
        finally:
            self._metrics.slack_calls_total.labels(method, outcome).inc()

    def _count_throttled(self, url: str) -> None:
        name = url.rpartition("/")[2].partition("?")[0]
        self._metrics.slack_throttled_total.labels(name if name in METHODS else "response_url").inc()


def _blocks(message: Message) -> Sequence[dict[str, Any]]:
    """The blocks with ids that no other sending has: Slack wants new ones at each edit."""
    sending = secrets.token_hex(4)
    return [
        dict(block) | ({"block_id": f"{name}-{sending}"} if (name := block.get("block_id")) else {})
        for block in message.blocks
    ]


def _data(answer: Any) -> Mapping[str, Any]:
    data = answer.data
    if not isinstance(data, dict):
        raise TypeError("not a JSON object")
    return data


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a text")
    return value
