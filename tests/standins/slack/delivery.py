"""From a payload to the product's ack, by socket or by signed HTTP, and what the person sees of it.

Every payload becomes a `Delivery` in the workspace's books. A command or a press that nobody takes shows the person
`dispatch_failed`; one that is taken and not acknowledged in time shows `operation_timeout`. Over HTTP events are
repeated up to three times, as Slack does; over sockets only when a test asks for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import aiohttp

from tests.standins.slack import posting, response_urls, signed_http, sockets, state, views
from tests.standins.slack.records import Delivery, Impossible, Json, Refused
from tests.standins.slack.wire import Args


class Deliveries:
    def __init__(self, workspace: state.Workspace) -> None:
        self._workspace = workspace
        self.sockets = sockets.Sockets(workspace, self._acked)
        self.http: signed_http.Target | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def send(self, kind: Any, payload: Json, *, envelope_id: str = "", attempt: int = 0) -> Delivery:
        workspace = self._workspace
        delivery = Delivery(
            envelope_id=envelope_id or workspace.id("env-"),
            kind=kind,
            payload=payload,
            at=workspace.now(),
            attempt=attempt,
            reason="timeout" if attempt else "",
        )
        workspace.deliveries[delivery.envelope_id] = delivery
        if self.http is not None:
            delivery.via = "http"
            self._start(self._by_http(delivery, self.http), f"http {delivery.envelope_id}")
        elif await self.sockets.send(delivery):
            self._start(self._deadline(delivery), f"deadline {delivery.envelope_id}")
        else:
            self._tell(delivery, "dispatch_failed")
        workspace.touch()
        return delivery

    async def again(self, envelope_id: str, *, fresh: bool = True) -> Delivery:
        """The same payload once more, under a new envelope id unless `fresh` is False."""
        old = self._workspace.deliveries.get(envelope_id)
        if old is None:
            raise Impossible(f"there is no envelope {envelope_id!r}")
        name = "" if fresh else envelope_id
        return await self.send(old.kind, old.payload, envelope_id=name, attempt=old.attempt + 1)

    async def settled(self, envelope_id: str, seconds: float) -> Delivery:
        """Waits until that envelope is acked, timed out or lost."""
        async with asyncio.timeout(seconds):
            while True:
                delivery = self._workspace.deliveries[envelope_id]
                if delivery.acked or delivery.timed_out or delivery.lost or not delivery.via or delivery.status >= 400:
                    return delivery
                await self._workspace.changed()

    async def verify_url(self) -> bool:
        """Slack's handshake when a request url is entered: the product echoes a challenge."""
        if self.http is None:
            raise Impossible("there is no http target")
        challenge = self._workspace.id("challenge")
        body = {"token": state.VERIFICATION, "challenge": challenge, "type": "url_verification"}
        answer = await signed_http.post(
            await self._client(), self.http, json.dumps(body).encode(), "application/json", now=self._workspace.now()
        )
        return answer.status == 200 and challenge in answer.body

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.sockets.stop()
        if self._session is not None:
            await self._session.close()

    # acks

    async def _deadline(self, delivery: Delivery) -> None:
        await asyncio.sleep(self._workspace.settings.ack_seconds)
        if delivery.acked or self._workspace.deliveries[delivery.envelope_id] is not delivery:
            return
        socket = self.sockets.open.get(delivery.via)
        self._late(delivery)
        if socket is not None and not socket.silent:
            await asyncio.sleep(self._workspace.settings.patience_seconds)
            self._judge(delivery, acked=delivery.acked)

    def _late(self, delivery: Delivery) -> None:
        delivery.timed_out = True
        self._tell(delivery, "operation_timeout")

    def _judge(self, delivery: Delivery, *, acked: bool) -> None:
        if not acked:
            self._workspace.break_rule("ack", "acknowledge within 3 s", repr(delivery.payload))

    def _acked(self, delivery: Delivery, answer: Any) -> None:
        delivery.acked, delivery.answer = True, answer
        if not delivery.timed_out:
            try:
                self._apply(delivery, answer)
            except Refused as refusal:
                self._workspace.break_rule(
                    "ack", f"{refusal.error}: {refusal.rule}", "; ".join(refusal.messages) or answer
                )
        self._workspace.touch()

    def _apply(self, delivery: Delivery, answer: Any) -> None:
        """What an ack may carry: words for a command, an action for a submitted modal."""
        kind = delivery.payload.get("type") or delivery.kind
        if kind == "view_submission":
            self._after_submission(delivery, answer or {})
        elif answer in (None, "", {}):
            return
        elif delivery.kind == "slash_commands":
            url = self._workspace.response_urls[delivery.payload["response_url"].removeprefix(self._workspace.base)]
            response_urls.respond(self._workspace, url, {"text": answer} if isinstance(answer, str) else answer)
        else:
            raise Refused("invalid_payload", rule=f"the ack of {kind} carries nothing")

    def _after_submission(self, delivery: Delivery, answer: Json) -> None:
        workspace, user = self._workspace, delivery.payload["user"]["id"]
        view = workspace.views.get(delivery.payload["view"]["id"])
        action = answer.get("response_action") if isinstance(answer, dict) else ""
        if view is None:
            return
        match action:
            case None:
                views.close(workspace, user, everything=False)
            case "clear":
                views.close(workspace, user, everything=True)
            case "errors":
                known = {block["block_id"] for block in view.body["blocks"] if block["type"] == "input"}
                if not answer.get("errors") or set(answer["errors"]) - known:
                    raise Refused("invalid_arguments", rule="errors name input blocks of the view")
                workspace.view_errors[view.id] = dict(answer["errors"])
            case "update":
                views.change(workspace, view, views.checked(workspace, Args(answer), "modal", itself=view))
            case "push":
                views.push_on(workspace, views.checked(workspace, Args(answer), "modal"), user)
            case _:
                raise Refused("invalid_arguments", rule="response_action is errors, update, push or clear")

    def _tell(self, delivery: Delivery, error: str) -> None:
        """Slackbot's words to whoever asked; events have nobody to tell."""
        payload = delivery.payload
        if delivery.kind == "slash_commands":
            user, channel = payload["user_id"], payload["channel_id"]
            words = f"{payload['command']} failed with the error “{error}”"
        elif delivery.kind == "interactive" and payload.get("channel"):
            user, channel = payload["user"]["id"], payload["channel"]["id"]
            words = f"This app responded with the error “{error}”"
        else:
            self._workspace.touch()
            return
        said = posting.Content(text=words, blocks=None, attachments=None)
        posting.post(self._workspace, said, channel=channel, author="USLACKBOT", only_for=user)

    # signed HTTP

    async def _by_http(self, delivery: Delivery, target: signed_http.Target) -> None:
        pauses = self._workspace.settings.retry_delays if delivery.kind == "events_api" else ()
        for attempt, pause in enumerate((0.0, *pauses)):
            await asyncio.sleep(pause)
            if attempt:
                delivery.attempt, delivery.timed_out = attempt, False
            if await self._once(delivery, target):
                return

    async def _once(self, delivery: Delivery, target: signed_http.Target) -> bool:
        """Whether that was the last attempt."""
        body, kind = signed_http.encode(delivery)
        more = {"X-Slack-Retry-Num": str(delivery.attempt), "X-Slack-Retry-Reason": delivery.reason}
        client, now = await self._client(), self._workspace.now()
        post = signed_http.post(client, target, body, kind, now=now, more=more if delivery.attempt else None)
        posted = self._start(post, f"post {delivery.envelope_id}")
        try:
            async with asyncio.timeout(self._workspace.settings.ack_seconds):
                answer = await asyncio.shield(posted)
        except TimeoutError:
            delivery.reason = "http_timeout"
            self._late(delivery)
            self._start(self._wait_longer(delivery, posted), f"late {delivery.envelope_id}")
            return False
        except aiohttp.ClientError:
            delivery.reason, delivery.lost = "connection_failed", True
            self._tell(delivery, "dispatch_failed")
            return False
        delivery.status, delivery.lost = answer.status, False
        forged = target.signature != "good" or abs(target.skew) > signed_http.MOST_SKEW
        if forged and answer.status < 300:
            self._workspace.break_rule("http", "refuse what is unsigned, badly signed or old", answer.body)
        if answer.status == 200:
            self._acked(delivery, _parsed(answer.body))
            return True
        delivery.reason = "http_error"
        self._tell(delivery, "dispatch_failed")
        return answer.no_retry

    async def _wait_longer(self, delivery: Delivery, posted: asyncio.Task[Any]) -> None:
        status = 0
        with contextlib.suppress(TimeoutError, aiohttp.ClientError):
            async with asyncio.timeout(self._workspace.settings.patience_seconds):
                status = (await posted).status
        self._judge(delivery, acked=status == 200)

    async def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session

    def _start(self, work: Any, name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _parsed(body: str) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body
