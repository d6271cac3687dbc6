"""The door to Slack's Web API: retries, patience, and no foreign error gets out. Over real HTTP where the answer of a
server is the point, on fake loop time where waiting is."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
import slack_sdk.errors
from aiohttp import client_exceptions, web
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState

from bot.slack import api, pause_after_429, rate_limiter
from bot.slack.api import SlackApi
from bot.slack.render import Message, TextFile
from core import errors
from core.metrics import Metrics

HELLO = Message(text="hello", blocks=({"type": "divider"},))
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Answers each path with what was put there, in turn, the last for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.asked: list[str] = []
        self.url = ""

    def put(self, path: str, *answers: Answer) -> None:
        self.answers[path] = list(answers)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path.strip("/"))
        left = self.answers[request.path.strip("/")]
        return await (left.pop(0) if len(left) > 1 else left[0])(request)


def said(status: int = 200, *, headers: dict[str, str] | None = None, **body: Any) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return answer


def raw(body: str | bytes, status: int = 200, kind: str = "text/html") -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        data = body.encode() if isinstance(body, str) else body
        return web.Response(body=data, status=status, headers={"Content-Type": kind})

    return answer


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@contextlib.asynccontextmanager
async def slack() -> AsyncIterator[tuple[Server, SlackApi]]:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    calls = SlackApi("xoxb-1", server.url, Metrics())
    await calls.open()
    try:
        yield server, calls
    finally:
        await calls.aclose()
        await runner.cleanup()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without their pauses."""
    real = asyncio.sleep
    monkeypatch.setattr("slack_sdk.http_retry.async_handler.asyncio.sleep", lambda seconds: real(0))


def count(calls: SlackApi, metric: str, *labels: str) -> float:
    counter: Any = getattr(calls._metrics, metric)
    return float(counter.labels(*labels)._value.get())


# Answers.


ODD = [
    raw("<html>blocked by the proxy</html>"),
    raw("<html>blocked</html>", 403),
    raw("no", 403, "text/plain"),
    raw("ok", 200, "text/plain"),
    raw("internal error", 500, "text/plain"),
    raw("{", 200, "application/json"),
    raw("{", 500, "application/json"),
    raw(b"\xff\xfe", 200, "application/json"),
    raw("[1]", 200, "application/json"),
    raw("[]", 500, "application/json"),
    raw("null", 200, "application/json"),
    raw("true", 502, "application/json"),
    raw("", 204, "application/json"),
    said(ok=True),
    said(ok=True, ts=None, url=7, user="U1", usergroups=[3], channel="C1", file_id=1),
    said(ok=False),
    said(ok=False, error={"odd": 1}),
    said(ok=False, error="a sentence with spaces"),
    cut,
]
EVERY = {
    "apps.connections.open": lambda calls: calls.open_socket("xapp-1"),
    "chat.postMessage": lambda calls: calls.post("C1", HELLO),
    "conversations.open": lambda calls: calls.open_direct_channel("U1"),
    "users.info": lambda calls: calls.user("U1"),
    "usergroups.list": lambda calls: calls.user_groups(""),
    "files.getUploadURLExternal": lambda calls: calls.upload("C1", TextFile(name="a.txt", title="a", text="x")),
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("method", EVERY)
async def test_whatever_is_answered_ends_as_undeliverable(method: str) -> None:
    async with slack() as (server, calls):
        for odd in ODD:
            server.put(method, odd)
            with pytest.raises(errors.Undeliverable) as refused:
                await EVERY[method](calls)
            assert refused.value.code
            assert " " not in refused.value.code.removeprefix("status ")


@pytest.mark.usefixtures("hasty")
async def test_every_5xx_and_a_lost_connection_are_tried_again() -> None:
    async with slack() as (server, calls):
        for trouble in (said(500), said(503), raw("bad gateway", 502), raw("late", 504, "text/plain"), cut):
            server.put("chat.update", trouble, said(ok=True))
            server.asked.clear()
            await calls.edit("C1", "1.1", HELLO)
            assert len(server.asked) == 2
        server.put("chat.update", said(500))
        server.asked.clear()
        with pytest.raises(errors.Undeliverable, match="status 500"):
            await calls.edit("C1", "1.1", HELLO)
        assert len(server.asked) == 1 + api.MAX_FAILED_RETRIES
        assert count(calls, "slack_calls_total", "chat.update", "ok") == 5
        assert count(calls, "slack_calls_total", "chat.update", "failed") == 1


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("answer", "maybe_sent"),
    [
        (said(500), True),
        (said(503, ok=False, error="service_unavailable"), True),
        (raw("bad gateway", 502), True),
        (cut, True),
        (said(ok=False, error="internal_error"), True),
        (raw("<html>blocked by the proxy</html>"), True),
        (said(ok=False, error="not_in_channel"), False),
        (said(ok=False, error="invalid_blocks"), False),
    ],
)
async def test_a_post_is_not_repeated_by_itself_and_says_whether_it_may_be_there(
    answer: Answer, maybe_sent: bool
) -> None:
    async with slack() as (server, calls):
        server.put("chat.postMessage", answer)
        with pytest.raises(errors.Undeliverable) as refused:
            await calls.post("C1", HELLO, token="t1")
        assert refused.value.maybe_sent is maybe_sent
        assert len(server.asked) == 1


async def test_a_post_to_nobody_is_tried_again_and_is_certainly_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = SlackApi("xoxb-1", "http://127.0.0.1:9/", Metrics())
    real, pauses = asyncio.sleep, []

    async def hasty(seconds: float) -> None:
        pauses.append(seconds)
        await real(0)

    monkeypatch.setattr("slack_sdk.http_retry.async_handler.asyncio.sleep", hasty)
    await calls.open()
    try:
        with pytest.raises(errors.Undeliverable) as refused:
            await calls.post("C1", HELLO)
    finally:
        await calls.aclose()
    assert not refused.value.maybe_sent
    assert len(pauses) == api.MAX_FAILED_RETRIES


async def test_slacks_refusal_is_not_tried_again_and_says_its_word_and_cure() -> None:
    async with slack() as (server, calls):
        server.put("chat.postMessage", said(ok=False, error="missing_scope", needed="chat:write"))
        with pytest.raises(errors.Undeliverable) as refused:
            await calls.post("C1", HELLO)
        assert refused.value.code == "missing_scope"
        assert "scope chat:write" in refused.value.full_message()
        assert len(server.asked) == 1
        server.put("auth.test", said(ok=False, error="invalid_auth"))
        with pytest.raises(errors.Undeliverable, match="Copy it again"):
            await calls.auth()
        for code, cure in (("channel_not_found", "Invite the bot"), ("restricted_action", "methods/chat.postMessage")):
            server.put("chat.postMessage", said(ok=False, error=code))
            with pytest.raises(errors.Undeliverable) as refused:
                await calls.post("C1", HELLO)
            assert cure in refused.value.full_message()


async def test_a_429_is_waited_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.slack.pause_after_429.random.random", lambda: 0.0)
    async with slack() as (server, calls):
        again = said(429, headers={"Retry-After": "0"}, ok=False, error="ratelimited")
        server.put("chat.postMessage", again, again, said(ok=True, ts="1.1"))
        server.put("hook", again, raw("ok", 200, "text/plain"))
        assert await calls.post("C1", HELLO) == "1.1"
        await calls.respond(f"{server.url}hook", HELLO, replace=False)
        assert not calls.recently_throttled()  # a channel's patience or a URL's is nobody else's
        server.put("chat.update", again, said(ok=True))
        await calls.edit("C1", "1.1", HELLO)
        assert calls.recently_throttled()
        assert count(calls, "slack_throttled_total", "chat.postMessage") == 2
        assert count(calls, "slack_throttled_total", "response_url") == 1


@pytest.mark.parametrize("taken", [raw("ok", 200, "text/plain"), said(ok=True), raw("", 200, "text/plain")])
async def test_a_response_url_says_ok_in_several_ways(taken: Answer) -> None:
    async with slack() as (server, calls):
        server.put("hook", taken)
        await calls.respond(f"{server.url}hook", HELLO, replace=True)
        await calls.respond(f"{server.url}hook", None, replace=False)
        assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (raw("used_url", 404, "text/plain"), "used_url"),
        (said(404, ok=False, error="expired_url"), "expired_url"),
        (said(200, ok=False, error="invalid_blocks"), "invalid_blocks"),
        (raw("<html>", 403), "status 403"),
        (raw("{", 200, "application/json"), "status 200"),
        (said(400, ok=True), "status 400"),
    ],
)
async def test_a_response_urls_refusal_keeps_slacks_word(answer: Answer, code: str) -> None:
    async with slack() as (server, calls):
        server.put("hook", answer)
        with pytest.raises(errors.Undeliverable) as refused:
            await calls.respond(f"{server.url}hook", HELLO, replace=False)
        assert refused.value.code == code


async def test_nobody_there_is_unreachable() -> None:
    calls = SlackApi("xoxb-1", "http://127.0.0.1:9/", Metrics())
    await calls.open()
    try:
        calls.web.retry_handlers.clear()
        with pytest.raises(errors.Undeliverable) as refused:
            await calls.auth()
        assert refused.value.code == "unreachable"
    finally:
        await calls.aclose()


# Foreign errors: each class the libraries have, and whatever they come to have.


def raised(kind: type[Exception]) -> Exception:
    """One of that class, however it is made."""
    error = kind.__new__(kind)
    error.response = aiohttp.ClientResponse.__new__(aiohttp.ClientResponse)  # type: ignore[attr-defined]
    return error


FOREIGN = [
    *(one for _, one in inspect.getmembers(slack_sdk.errors, inspect.isclass) if issubclass(one, Exception)),
    *(getattr(client_exceptions, name) for name in client_exceptions.__all__),
    *(aiohttp.ServerTimeoutError, TimeoutError, ConnectionResetError, OSError, KeyError, ValueError, RuntimeError),
]


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
async def test_no_foreign_error_gets_out(kind: type[Exception]) -> None:
    calls = SlackApi("xoxb-1", "http://127.0.0.1:9/", Metrics())
    with pytest.raises(errors.Undeliverable):
        async with calls._call("chat.update"):
            if issubclass(kind, slack_sdk.errors.SlackApiError):
                raise kind("no", {"error": "not_in_channel"})
            raise raised(kind)
    assert count(calls, "slack_calls_total", "chat.update", "failed") == 1


@pytest.mark.parametrize("response", [None, "text", {}, b"", object()])
async def test_an_api_error_may_hold_anything(response: Any) -> None:
    calls = SlackApi("xoxb-1", "http://127.0.0.1:9/", Metrics())
    with pytest.raises(errors.Undeliverable):
        async with calls._call("chat.update"):
            raise slack_sdk.errors.SlackApiError("no", response)


@pytest.mark.looptime
async def test_a_call_ends_at_its_deadline() -> None:
    calls = SlackApi("xoxb-1", "http://127.0.0.1:9/", Metrics())
    with pytest.raises(errors.Undeliverable):
        async with calls._call("chat.update"):
            await asyncio.sleep(api.CALL_TIMEOUT_SECONDS + 1)
    assert asyncio.get_running_loop().time() == api.CALL_TIMEOUT_SECONDS


# Patience, on fake loop time.


class Slack:
    """Takes `burst` calls, then one each `every` seconds; the rest is turned away with Retry-After: 1."""

    def __init__(self, *, burst: int, every: float) -> None:
        self.tokens, self.burst, self.every, self.at = float(burst), burst, every, 0.0
        self.taken: list[float] = []
        self.turned_away = 0

    def take(self, now: float) -> bool:
        self.tokens = min(self.burst, self.tokens + (now - self.at) / self.every)
        self.at = now
        if self.tokens < 1:
            self.turned_away += 1
            return False
        self.tokens -= 1
        self.taken.append(now)
        return True


async def call(
    slack: Slack, gate: pause_after_429.MethodThrottle | None, handler: pause_after_429.ThrottledRetry, tries: int
) -> bool:
    """As slack_sdk makes a call with its retries."""
    state = RetryState()
    request, told = (
        HttpRequest(method="POST", url="x", headers={}),
        HttpResponse(status_code=429, headers={"Retry-After": "1"}),
    )
    async with asyncio.timeout(api.CALL_TIMEOUT_SECONDS), pause_after_429.turn(gate):
        while True:
            await asyncio.sleep(0.1)
            if slack.take(asyncio.get_running_loop().time()):
                return True
            if state.current_attempt >= tries:
                return False
            await handler.prepare_for_next_attempt_async(state=state, request=request, response=told)


@pytest.mark.looptime
async def test_a_burst_beyond_a_methods_limit_loses_nothing() -> None:
    told: list[str] = []
    handler = pause_after_429.ThrottledRetry(api.MAX_THROTTLED_RETRIES, told.append)
    slack, gate = Slack(burst=50, every=0.6), pause_after_429.MethodThrottle()
    done = await asyncio.gather(*(call(slack, gate, handler, api.MAX_THROTTLED_RETRIES) for _ in range(150)))
    assert all(done)
    assert asyncio.get_running_loop().time() < api.CALL_TIMEOUT_SECONDS
    assert len(told) == slack.turned_away
    # Without the gate the same burst loses most of what is beyond the limit; this is why it is there.
    crowd = Slack(burst=50, every=0.6)
    crowd.at = asyncio.get_running_loop().time()
    lost = await asyncio.gather(*(call(crowd, None, handler, api.MAX_THROTTLED_RETRIES) for _ in range(150)))
    assert lost.count(False) > 50


@pytest.mark.looptime
async def test_who_comes_during_a_pause_waits_for_its_end_and_later_ones_go_at_once() -> None:
    loop = asyncio.get_running_loop()
    handler = pause_after_429.ThrottledRetry(5, lambda url: None)
    slack, gate = Slack(burst=1, every=30.0), pause_after_429.MethodThrottle()
    slack.tokens = 0
    first = asyncio.create_task(call(slack, gate, handler, 99))
    await asyncio.sleep(5)
    assert gate.opens_at > loop.time() - 1
    calm = Slack(burst=99, every=1)
    other = asyncio.create_task(call(calm, pause_after_429.MethodThrottle(), handler, 5))
    assert await other
    assert loop.time() == pytest.approx(5.1)
    assert await first
    began = loop.time() + pause_after_429.PARALLEL_AFTER_SECONDS + 2
    await asyncio.sleep(pause_after_429.PARALLEL_AFTER_SECONDS + 2)
    many = Slack(burst=99, every=1)
    assert all(await asyncio.gather(*(call(many, gate, handler, 5) for _ in range(20))))
    assert loop.time() == pytest.approx(began + 0.1)


@pytest.mark.looptime
async def test_one_that_is_cancelled_in_its_turn_lets_the_next_in() -> None:
    handler = pause_after_429.ThrottledRetry(5, lambda url: None)
    slack, gate = Slack(burst=1, every=10.0), pause_after_429.MethodThrottle()
    tasks = [asyncio.create_task(call(slack, gate, handler, 99)) for _ in range(4)]
    await asyncio.sleep(3)
    tasks[1].cancel()
    tasks[2].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [one for one in done if one is not True] == [one for one in done if isinstance(one, asyncio.CancelledError)]
    assert not gate.lock.locked()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"Retry-After": "30"}, 30), ({"retry-after": "1.5"}, 1.5), ({"Retry-After": "soon"}, 1), ({}, 1)],
)
def test_how_long_slack_asks_to_wait(headers: dict[str, str], seconds: float) -> None:
    assert pause_after_429._retry_after_seconds(HttpResponse(status_code=429, headers=headers)) == seconds  # type: ignore[arg-type]


# What is sent, and what is said about it.


def keep(bodies: list[dict[str, Any]], **body: Any) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        bodies.append(dict(await request.post()) or await request.json())
        return web.json_response(body)

    return answer


async def test_every_sending_has_block_ids_of_its_own() -> None:
    message = Message(text="x", blocks=({"type": "divider", "block_id": "deck-0"}, {"type": "divider"}))
    bodies: list[dict[str, Any]] = []
    async with slack() as (server, calls):
        server.put("chat.postMessage", keep(bodies, ok=True, ts="1.1", channel="C1"))
        server.put("chat.update", keep(bodies, ok=True))
        await calls.post("C1", message)
        await calls.edit("C1", "1.1", message)
        await calls.edit("C1", "1.1", message)
    sent = [body["blocks"] for body in bodies]
    ids = [
        block.get("block_id")
        for blocks in (json.loads(each) if isinstance(each, str) else each for each in sent)
        for block in blocks
    ]
    named = [each for each in ids if each]
    assert len(named) == len(set(named)) == 3 and ids.count(None) == 3
    assert all(each.startswith("deck-0-") for each in named)


async def test_slacks_reasons_come_with_its_refusal() -> None:
    reasons = ["[ERROR] must be less than 3001 characters [json-pointer:/blocks/0/text/text]", 7, "\x1b[31mred\nline"]
    async with slack() as (server, calls):
        server.put("chat.update", said(ok=False, error="invalid_blocks", response_metadata={"messages": reasons}))
        with pytest.raises(errors.Undeliverable) as refused:
            await calls.edit("C1", "1.1", HELLO)
        assert refused.value.reasons[0] == "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
        assert len(refused.value.reasons) == 2 and "\x1b" not in refused.value.reasons[1]
        for odd in ({"response_metadata": 1}, {"response_metadata": {"messages": "x"}}, {"errors": "x"}):
            server.put("chat.update", said(ok=False, error="invalid_blocks", **odd))
            with pytest.raises(errors.Undeliverable) as refused:
                await calls.edit("C1", "1.1", HELLO)
            assert refused.value.reasons == ()


@pytest.mark.looptime
async def test_calls_of_a_method_come_at_the_pace_of_its_tier_and_too_many_are_refused() -> None:
    paces = rate_limiter.MethodPaces()
    loop = asyncio.get_running_loop()

    async def call() -> float:
        await paces.turn("conversations.open")
        return loop.time()

    assert not paces.is_tight()
    results = await asyncio.gather(*(call() for _ in range(300)), return_exceptions=True)
    times = [each for each in results if isinstance(each, float)]
    refused = [each for each in results if isinstance(each, errors.Undeliverable)]
    assert sum(at == 0.0 for at in times) == rate_limiter.TIER_3
    assert max(times) <= rate_limiter.MAX_PACE_SECONDS + 2
    assert len(times) + len(refused) == 300 and {each.code for each in refused} == {"overflow"}
    await paces.turn("auth.test")


@pytest.mark.looptime
async def test_only_necessary_messages_are_sent_while_calls_wait() -> None:
    paces = rate_limiter.MethodPaces()
    calls = [asyncio.create_task(paces.turn("chat.postEphemeral")) for _ in range(rate_limiter.TIER_4 + 2)]
    await asyncio.sleep(0.1)
    assert paces.is_tight()
    await asyncio.gather(*calls)
    await asyncio.sleep(1)
    assert not paces.is_tight()
