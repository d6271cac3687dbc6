"""Every call to Slack, through one door: counted, retried where a retry is worth it, and no foreign error gets out.

Slack's 429 is waited out as long as it asks, its 5xx and lost connections are tried again, all within one deadline a
call. A message may therefore be posted twice when an answer was lost; that is better than not at all. What ends here
ends as Undeliverable with Slack's own word for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import aiohttp
import msgspec
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.http_retry.builtin_async_handlers import (
    AsyncConnectionErrorRetryHandler,
    AsyncRateLimitErrorRetryHandler,
    AsyncServerErrorRetryHandler,
)
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from bot.slack.render import Message, Paper
from core import errors
from core.metrics import Metrics

ONE_CALL = 15.0  # seconds one request may take
ALL_TRIES = 180.0  # seconds a call may take with its retries; Slack has been seen to ask for a minute
AGAIN_THROTTLED, AGAIN_FAILED = 5, 2  # retries


class _Throttled(AsyncRateLimitErrorRetryHandler):
    """Counts each time Slack asks us to wait."""

    def __init__(self, metrics: Metrics) -> None:
        super().__init__(max_retry_count=AGAIN_THROTTLED)
        self._metrics = metrics

    async def prepare_for_next_attempt_async(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        name = (request.url or "").rpartition("/")[2].partition("?")[0]
        self._metrics.slack_throttled_total.labels(name if name in METHODS else "response_url").inc()
        await super().prepare_for_next_attempt_async(state=state, request=request, response=response, error=error)


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


class Calls:
    """Slack's Web API for one bot token, and the response URLs it hands out. Close it when done."""

    def __init__(self, token: str, api_url: str, metrics: Metrics) -> None:
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None
        self._handlers = [
            AsyncConnectionErrorRetryHandler(max_retry_count=AGAIN_FAILED),
            AsyncServerErrorRetryHandler(max_retry_count=AGAIN_FAILED),
            _Throttled(metrics),
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

    async def auth(self) -> Mapping[str, Any]:
        async with self._door("auth.test"):
            return _data(await self.web.auth_test())

    async def open_socket(self, app_token: str) -> str:
        """A one-time address for a socket."""
        async with self._door("apps.connections.open"):
            return str((await self.web.apps_connections_open(app_token=app_token))["url"])

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
            return str(answer["ts"])

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
            if answer.status_code != 200 or answer.body.strip() not in ("", "ok"):
                raise errors.Undeliverable(
                    "Slack did not take the answer.", code=_word(_said(answer.body), answer.status_code)
                )

    async def direct(self, user: str) -> str:
        """The channel of direct messages with that user."""
        async with self._door("conversations.open"):
            return str((await self.web.conversations_open(users=user))["channel"]["id"])

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
            found: Mapping[str, Any] = (await self.web.users_info(user=user))["user"]
            return found

    async def user_groups(self) -> list[Mapping[str, Any]]:
        async with self._door("usergroups.list"):
            found: list[Mapping[str, Any]] = (await self.web.usergroups_list(include_users=True))["usergroups"]
            return found

    @contextlib.asynccontextmanager
    async def _door(self, method: str) -> AsyncIterator[None]:
        outcome = "failed"
        try:
            async with asyncio.timeout(ALL_TRIES):
                yield
            outcome = "ok"
        except SlackApiError as error:
            code = _word(error.response.get("error", ""), error.response.status_code)
            raise errors.Undeliverable(f"Slack refused {method}: {code}.", code=code, hint=_cure(error)) from error
        except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise errors.Undeliverable(
                f"Slack cannot be reached: {type(error).__name__}.", code="unreachable"
            ) from error
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            # An answer of another shape than Slack's: a proxy's page, most of the time.
            raise errors.Undeliverable(f"Slack answered {method} in words we do not know.", code="garbled") from error
        finally:
            self._metrics.slack_calls_total.labels(method, outcome).inc()


def _blocks(message: Message) -> Sequence[dict[str, Any]]:
    return [dict(block) for block in message.blocks]


def _data(answer: Any) -> Mapping[str, Any]:
    data = answer.data
    if not isinstance(data, dict):
        raise TypeError("not a JSON object")
    return data


def _said(body: str) -> Any:
    """A response URL's refusal: JSON as the Web API's, or the bare word."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any]).get("error", "")
    except msgspec.MsgspecError:
        return body


def _word(text: Any, status: int) -> str:
    """Slack's word for an error, where it is one."""
    word = str(text).strip()[:64]
    return word if word and all(letter.isalnum() or letter in "_-" for letter in word) else f"status {status}"


def _cure(error: SlackApiError) -> str:
    code, data = error.response.get("error", ""), error.response
    if code == "missing_scope":
        needed = data.get("needed", "")
        return f"The app needs the scope {needed}; add it on its OAuth & Permissions page and reinstall it."
    return CURES.get(code, "")


CURES = {
    "invalid_auth": "The token is not valid; copy it again from the app's pages.",
    "not_authed": "The token is not valid; copy it again from the app's pages.",
    "not_allowed_token_type": "This is a token of another kind; see slack.bot_token and slack.app_token.",
    "token_revoked": "The token was revoked; reinstall the app and copy the new one.",
    "token_expired": "The token has expired; reinstall the app and copy the new one.",
    "account_inactive": "The app was removed from the workspace; install it again.",
    "not_in_channel": "Invite the bot to the channel.",
}
