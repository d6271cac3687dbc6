"""Calls Slack's Web API and response URLs: counts each call, retries it where that helps, and translates its errors.

After a 429, all calls of that method wait as long as Slack asks and then run one by one for a while. A 5xx or a lost
connection is retried. All retries of a call share one deadline. If a response was lost, the retry may post a message
twice; that is better than a lost message. Every failure is raised as Undeliverable, with Slack's error code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import AsyncConnectionErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.slack import rate_limit
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
        "conversations.open",
        "files.getUploadURLExternal",
        "files.completeUploadExternal",
        "users.info",
        "usergroups.list",
    }
)
# Slack limits this method per channel, and the outbox sends the messages of a channel one by one.
LIMITED_PER_CHANNEL = "chat.postMessage"


class SlackApi:
    """A client of Slack's Web API for one bot token, and of response URLs. Call `open` first and `aclose` last."""

    def __init__(self, token: str, api_url: str, metrics: Metrics) -> None:
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None
        self.named_channels: dict[str, str] = {}  # the ids of channels to which something was posted by their name
        self._throttles = {method: rate_limit.MethodThrottle() for method in METHODS - {LIMITED_PER_CHANNEL}}
        # All calls share these: they have no state of their own, and a RetryState counts the retries of a call.
        self._handlers = [
            AsyncConnectionErrorRetryHandler(max_retry_count=MAX_FAILED_RETRIES),
            rate_limit.ServerErrorRetry(max_retry_count=MAX_FAILED_RETRIES),
            rate_limit.ThrottledRetry(MAX_THROTTLED_RETRIES, self._count_throttled),
        ]
        self.web = AsyncWebClient(
            token=token, base_url=api_url, timeout=int(REQUEST_TIMEOUT_SECONDS), retry_handlers=list(self._handlers)
        )

    async def open(self) -> None:
        """Opens the connection pool of all calls. Needs a running event loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS))
            self.web.session = self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = self.web.session = None

    def recently_throttled(self) -> bool:
        """Whether Slack has asked for a pause in the last minute. Then only necessary messages should be sent."""
        return any(throttle.recently_throttled() for throttle in self._throttles.values())

    async def auth(self) -> Mapping[str, Any]:
        async with self._call("auth.test"):
            return _data(await self.web.auth_test())

    async def open_socket(self, app_token: str) -> str:
        """Returns a one-time URL for a Socket Mode connection."""
        async with self._call("apps.connections.open"):
            return _text((await self.web.apps_connections_open(app_token=app_token))["url"])

    async def post(self, channel: str, message: Message, *, thread: str | None = None, broadcast: bool = False) -> str:
        """Returns the new message's ts. `broadcast`: the channel also sees an entry of a thread."""
        async with self._call("chat.postMessage"):
            answer = await self.web.chat_postMessage(
                channel=channel,
                thread_ts=thread,
                reply_broadcast=True if broadcast and thread else None,
                text=message.text,
                blocks=_blocks(message),
                unfurl_links=False,
                unfurl_media=False,
            )
            if channel.startswith("#"):
                self.named_channels[channel] = _text(answer["channel"])
            return _text(answer["ts"])

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
            if code := _error_in(answer.body, answer.status_code):
                raise errors.Undeliverable(
                    f"Slack refused a message to a response URL: {code}.", code=code, hint="Give the command again."
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
            async with asyncio.timeout(CALL_TIMEOUT_SECONDS), rate_limit.turn(self._throttles.get(method)):
                yield
            outcome = "ok"
        except SlackApiError as error:
            body, status = _response(error)
            code = _error_code(body.get("error", ""), status)
            hint = _hint(body, method)
            raise errors.Undeliverable(f"Slack refused {method}: {code}.", code=code, hint=hint) from error
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            # RuntimeError: the session was closed during the call.
            raise errors.Undeliverable(
                f"Slack cannot be reached ({type(error).__name__}).",
                code="unreachable",
                hint="Check the network and the proxy between Quarterdeck and Slack.",
            ) from error
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            # The response has another shape than Slack's; most often it is a page of a proxy.
            raise errors.Undeliverable(
                f"Slack's response to {method} is invalid.",
                code="invalid_response",
                hint="Check whether a proxy between Quarterdeck and Slack changes the responses.",
            ) from error
        finally:
            self._metrics.slack_calls_total.labels(method, outcome).inc()

    def _count_throttled(self, url: str) -> None:
        name = url.rpartition("/")[2].partition("?")[0]
        self._metrics.slack_throttled_total.labels(name if name in METHODS else "response_url").inc()


def _blocks(message: Message) -> Sequence[dict[str, Any]]:
    return [dict(block) for block in message.blocks]


def _data(answer: Any) -> Mapping[str, Any]:
    data = answer.data
    if not isinstance(data, dict):
        raise TypeError("not a JSON object")
    return data


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("not a text")
    return value


def _response(error: SlackApiError) -> tuple[Mapping[str, Any], int]:
    """The response's JSON object and HTTP status. The library's error holds its own response or the bare HTTP one."""
    response: Any = error.response
    data = getattr(response, "data", None)
    status: int = getattr(response, "status_code", 0) or getattr(response, "status", 0)
    return data if isinstance(data, dict) else {}, status


def _error_in(body: str, status: int) -> str:
    """The error code in the answer of a response URL; empty for success. Slack answers `ok`, `{"ok":true}`,
    `used_url` or `{"ok":false,"error":"used_url"}`."""
    body = body.strip()
    with contextlib.suppress(ValueError):
        data = json.loads(body)
        if isinstance(data, dict):
            return "" if status == 200 and data.get("ok") else _error_code(data.get("error", ""), status)
    return "" if status == 200 and body in ("", "ok") else _error_code(body, status)


def _error_code(text: Any, status: int) -> str:
    """Slack's error code, or the HTTP status if the text is not an error code."""
    code = str(text).strip()[:64]
    return code if code and all(letter.isalnum() or letter in "_-" for letter in code) else f"status {status}"


def _hint(body: Mapping[str, Any], method: str) -> str:
    code = str(body.get("error", ""))
    if code == "missing_scope":
        scope = body.get("needed", "")
        return f"Add the scope {scope} on the app's OAuth & Permissions page and reinstall the app."
    app = method == "apps.connections.open"
    token = "app token (slack.app_token, xapp-…)" if app else "bot token (slack.bot_token, xoxb-…)"
    return HINTS.get(code, "").replace("TOKEN", token)


HINTS = {
    "invalid_auth": "The TOKEN is not valid; copy it again from the app's pages at api.slack.com.",
    "not_authed": "The TOKEN is not valid; copy it again from the app's pages at api.slack.com.",
    "not_allowed_token_type": "The TOKEN is a token of another kind; see slack.bot_token and slack.app_token.",
    "token_revoked": "The TOKEN was revoked; reinstall the app and copy the new one.",
    "token_expired": "The TOKEN has expired; reinstall the app and copy the new one.",
    "account_inactive": "The app was removed from the workspace; install it again.",
    "not_in_channel": "Invite the bot to the channel.",
}
