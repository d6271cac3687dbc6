"""Every call to Slack, through one door: counted, retried where a retry is worth it, and no foreign error gets out.

Slack's 429 is waited out as long as it asks, by all calls of that method, which then go one by one for a while; its 5xx
and lost connections are tried again, all within one deadline a call. A message may therefore be posted twice when an
answer was lost; that is better than not at all. What ends here ends as Undeliverable with Slack's own word for it.
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
from bot.slack.render import Message, Paper
from core import errors
from core.metrics import Metrics

ONE_CALL = 15.0  # seconds one request may take
ALL_TRIES = 180.0  # seconds a call may take with its retries; Slack has been seen to ask for a minute
AGAIN_THROTTLED, AGAIN_FAILED = 5, 2  # retries


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


PER_CHANNEL = "chat.postMessage"  # counted by Slack for each channel, whose messages go in turn in any case


class Calls:
    """Slack's Web API for one bot token, and the response URLs it hands out. Close it when done."""

    def __init__(self, token: str, api_url: str, metrics: Metrics) -> None:
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None
        self._gates = {method: rate_limit.Gate() for method in METHODS - {PER_CHANNEL}}
        # They keep nothing themselves (a call's tries are counted in its RetryState), so all calls share them.
        self._handlers = [
            AsyncConnectionErrorRetryHandler(max_retry_count=AGAIN_FAILED),
            rate_limit.Failing(max_retry_count=AGAIN_FAILED),
            rate_limit.Throttled(AGAIN_THROTTLED, self._count_throttled),
        ]
        self.web = AsyncWebClient(
            token=token, base_url=api_url, timeout=int(ONE_CALL), retry_handlers=list(self._handlers)
        )

    async def open(self) -> None:
        """One pool of connections for all calls; needs a running loop."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ONE_CALL))
            self.web.session = self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = self.web.session = None

    def are_calm(self) -> bool:
        """Whether Slack has not asked for patience of late; if it has, what is not needed is better left unsaid."""
        return all(gate.is_calm() for gate in self._gates.values())

    async def auth(self) -> Mapping[str, Any]:
        async with self._door("auth.test"):
            return _data(await self.web.auth_test())

    async def open_socket(self, app_token: str) -> str:
        """A one-time address for a socket."""
        async with self._door("apps.connections.open"):
            return _text((await self.web.apps_connections_open(app_token=app_token))["url"])

    async def post(self, channel: str, message: Message, *, thread: str | None = None) -> str:
        """The new message's ts."""
        async with self._door("chat.postMessage"):
            answer = await self.web.chat_postMessage(
                channel=channel,
                thread_ts=thread,
                text=message.text,
                blocks=_blocks(message),
                unfurl_links=False,
                unfurl_media=False,
            )
            return _text(answer["ts"])

    async def edit(self, channel: str, ts: str, message: Message) -> None:
        async with self._door("chat.update"):
            await self.web.chat_update(channel=channel, ts=ts, text=message.text, blocks=_blocks(message))

    async def whisper(self, channel: str, user: str, message: Message, *, thread: str | None = None) -> None:
        """Seen by that user alone, while they are there."""
        async with self._door("chat.postEphemeral"):
            await self.web.chat_postEphemeral(
                channel=channel, user=user, thread_ts=thread, text=message.text, blocks=_blocks(message)
            )

    async def respond(self, url: str, message: Message | None, *, replace: bool) -> None:
        """To whom the response URL belongs, alone. `replace`: in the place of what the URL belongs to; without a
        message that is taken away. Slack lets a URL be used five times within half an hour."""
        hook = AsyncWebhookClient(
            url, timeout=int(ONE_CALL), session=self._session, retry_handlers=list(self._handlers)
        )
        async with self._door("response_url"):
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
            if code := _refusal(answer.body, answer.status_code):
                raise errors.Undeliverable(f"Slack did not take the answer: {code}.", code=code)

    async def direct(self, user: str) -> str:
        """The channel of direct messages with that user."""
        async with self._door("conversations.open"):
            return _text((await self.web.conversations_open(users=user))["channel"]["id"])

    async def upload(self, channel: str, paper: Paper, *, thread: str | None = None) -> None:
        async with self._door("files.completeUploadExternal"):
            await self.web.files_upload_v2(
                channel=channel,
                thread_ts=thread,
                content=paper.text,
                filename=paper.name,
                title=paper.title,
                request_file_info=False,
            )

    async def user(self, user: str) -> Mapping[str, Any]:
        async with self._door("users.info"):
            found = (await self.web.users_info(user=user))["user"]
            if not isinstance(found, dict):
                raise TypeError("not a user")
            return found

    async def user_groups(self) -> list[Mapping[str, Any]]:
        async with self._door("usergroups.list"):
            found = (await self.web.usergroups_list(include_users=True))["usergroups"]
            if not isinstance(found, list) or not all(isinstance(group, dict) for group in found):
                raise TypeError("not user groups")
            return found

    @contextlib.asynccontextmanager
    async def _door(self, method: str) -> AsyncIterator[None]:
        outcome = "failed"
        try:
            async with asyncio.timeout(ALL_TRIES), rate_limit.turn(self._gates.get(method)):
                yield
            outcome = "ok"
        except SlackApiError as error:
            said, status = _said(error)
            code = _word(said.get("error", ""), status)
            hint = _cure(said, method)
            raise errors.Undeliverable(f"Slack refused {method}: {code}.", code=code, hint=hint) from error
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError, RuntimeError) as error:
            # RuntimeError: the session was closed meanwhile.
            raise errors.Undeliverable(
                f"Slack cannot be reached: {type(error).__name__}.", code="unreachable"
            ) from error
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            # An answer of another shape than Slack's: a proxy's page, most of the time.
            raise errors.Undeliverable(f"Slack answered {method} in words we do not know.", code="garbled") from error
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


def _said(error: SlackApiError) -> tuple[Mapping[str, Any], int]:
    """What came back and its status; the library's error may hold its own response or the bare HTTP one."""
    response: Any = error.response
    data = getattr(response, "data", None)
    status: int = getattr(response, "status_code", 0) or getattr(response, "status", 0)
    return data if isinstance(data, dict) else {}, status


def _refusal(body: str, status: int) -> str:
    """Slack's word for why a response URL did not take something; empty where it did. It says `ok`, `{"ok":true}`,
    `used_url` or `{"ok":false,"error":"used_url"}`."""
    body = body.strip()
    with contextlib.suppress(ValueError):
        said = json.loads(body)
        if isinstance(said, dict):
            return "" if status == 200 and said.get("ok") else _word(said.get("error", ""), status)
    return "" if status == 200 and body in ("", "ok") else _word(body, status)


def _word(text: Any, status: int) -> str:
    """Slack's word for an error, where it is one."""
    word = str(text).strip()[:64]
    return word if word and all(letter.isalnum() or letter in "_-" for letter in word) else f"status {status}"


def _cure(said: Mapping[str, Any], method: str) -> str:
    code = str(said.get("error", ""))
    if code == "missing_scope":
        needed = said.get("needed", "")
        return f"The app needs the scope {needed}; add it on its OAuth & Permissions page and reinstall it."
    app = method == "apps.connections.open"
    token = "app token (slack.app_token, xapp-…)" if app else "bot token (slack.bot_token, xoxb-…)"
    return CURES.get(code, "").replace("The token", f"The {token}").replace("This is", f"The {token} is")


CURES = {
    "invalid_auth": "The token is not valid; copy it again from the app's pages.",
    "not_authed": "The token is not valid; copy it again from the app's pages.",
    "not_allowed_token_type": "This is a token of another kind; see slack.bot_token and slack.app_token.",
    "token_revoked": "The token was revoked; reinstall the app and copy the new one.",
    "token_expired": "The token has expired; reinstall the app and copy the new one.",
    "account_inactive": "The app was removed from the workspace; install it again.",
    "not_in_channel": "Invite the bot to the channel.",
}
