"""The connection itself, over the stand-in for Slack on loopback: said clearly, watched, made again, closed first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from bot import listening_socket
from bot.access import first_admin
from bot.dispatch.group_and_name_lookup import CurrentPeople
from bot.slack import connection, incident_poster
from bot.slack.connection import SlackConnection
from core import errors
from core.config import load
from core.config.field_types import ListenAddress
from core.metrics import Metrics
from core.model.invocation import Invocation
from core.model.replies import text_reply
from core.ports import Responder
from core.supervise import Backoff, Supervisor
from tests.standins.slack import state
from tests.standins.slack.standin import Standin
from tests.unit.bot.slack.scripted import FakeStore

Walk = Callable[[Invocation, Responder], Awaitable[None]]


class _NoNames:
    async def names(self, ids: Sequence[str], /) -> Mapping[str, str]:
        return {}


class Dispatcher:
    def __init__(self) -> None:
        self.walk: Walk | None = None
        self.people = CurrentPeople(_NoNames())

    def parse(self, line: str) -> None:
        pass

    async def answer(self, inv: Invocation, talk: Responder, *, readings: Sequence[str] = ()) -> None:
        if self.walk is not None:
            await self.walk(inv, talk)
        await talk.finish(text_reply(f"answer to {inv.line}"))


class App:
    """What a link needs of bot.app.App."""

    def __init__(self, supervisor: Supervisor) -> None:
        self.supervisor, self.metrics, self.store, self.dispatcher = supervisor, Metrics(), FakeStore(), Dispatcher()
        self.notifiers: dict[str, Any] = {}
        self.policies: Any = None
        self.alerts: Any = None


class Scene:
    def __init__(self, slack: Standin, app: App, link: SlackConnection) -> None:
        self.slack, self.app, self.link = slack, app, link

    async def until(self, true: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not true():
                await asyncio.sleep(0.02)

    async def connected(self) -> None:
        await self.until(lambda: self.link.connected)


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """All pauses short, and no first admin to be made; gives what was asked for one."""
    for name, seconds in (
        ("PING_INTERVAL_SECONDS", 0.1),
        ("CHECK_INTERVAL_SECONDS", 0.05),
        ("SILENCE_SECONDS", 60.0),
        ("GIVE_UP_SECONDS", 0.3),
        ("MIN_PAUSE_SECONDS", 0.02),
        ("MAX_PAUSE_SECONDS", 0.1),
        ("CLOSE_TIMEOUT_SECONDS", 0.3),
    ):
        monkeypatch.setattr(connection, name, seconds)
    asked: list[Any] = []

    async def issue_code(*given: object) -> None:
        asked.append(given)

    monkeypatch.setattr(first_admin, "issue_code", issue_code)
    return asked


@contextlib.asynccontextmanager
async def scene(slack: Standin | None = None, **more: Any) -> AsyncIterator[Scene]:
    async with contextlib.AsyncExitStack() as stack:
        slack = slack or await stack.enter_async_context(Standin(ping_seconds=0.2))
        supervisor = await stack.enter_async_context(Supervisor(drain_seconds=5))
        given = {"bot_token": state.BOT_TOKEN, "app_token": state.APP_TOKEN, "signing_secret": state.SIGNING_SECRET}
        door, alerts = more.pop("door", None), more.pop("alerts", None)
        settings = load.Slack(**(given | {"api_url": slack.api} | more))
        app = App(supervisor)
        app.alerts = alerts
        link = SlackConnection(settings, app, door)  # type: ignore[arg-type]
        supervisor.on_close("slack", link.aclose)
        supervisor.start_background("slack", link.run, Backoff())
        yield Scene(slack, app, link)


async def test_a_line_comes_in_by_the_socket_and_its_answer_goes_out() -> None:
    async with scene() as deck:
        await deck.slack.until_sockets()
        await deck.connected()
        await deck.slack.slash("ada", "ops", "/deck", "ps")
        await deck.slack.until("ada", "ops", "answer to ps")
        await deck.slack.say("ada", "ops", "@quarterdeck ps -a")
        await deck.slack.until("ada", "ops", "answer to ps -a")
        await deck.slack.say("bob", "dm:bob", "logs")
        await deck.slack.until("bob", "dm:bob", "answer to logs")
        assert deck.link.ready() == {"ready": True}
        assert "slack" in deck.app.notifiers
    assert deck.slack.violations() == []
    assert not deck.link.connected
    assert deck.app.notifiers == {}


@pytest.mark.parametrize(
    ("wrong", "cure"),
    [
        ({"bot_token": SecretStr("xoxb-wrong")}, "Copy it again"),
        ({"app_token": SecretStr("xapp-wrong")}, "Copy it again"),
    ],
)
async def test_a_wrong_token_is_said_once_with_its_cure_and_tried_again(wrong: dict[str, Any], cure: str) -> None:
    with capture_logs() as lines:
        async with scene(**wrong) as deck:
            await deck.until(lambda: len(deck.slack.calls()) > 6)
            assert cure in deck.link.state
            assert deck.link.ready() == {"ready": False, "reason": deck.link.state}
    told = [line for line in lines if line["log_level"] in ("error", "warning")]
    assert [(line["log_level"], line["event"]) for line in told] == [
        ("error", "Slack is not connected. Engines are watched, and the connection is retried.")
    ]
    assert deck.app.notifiers == {}


async def test_slack_absent_at_start_is_said_and_found_later() -> None:
    slack = Standin()
    slack.workspace.base = "http://127.0.0.1:9"
    async with scene(slack) as deck:
        deck.link._api.web.retry_handlers.clear()
        await deck.until(lambda: "cannot be reached" in deck.link.state)
        port = await slack.start()
        try:
            deck.link._api.web.base_url = f"http://127.0.0.1:{port}/api/"
            await deck.connected()
        finally:
            deck.app.supervisor.stop()
            await slack.stop()


async def test_a_socket_that_is_refused_is_said_in_slacks_word() -> None:
    async with Standin() as slack:
        slack.refuse_sockets("access_denied")
        async with scene(slack) as deck:
            await deck.until(lambda: "access_denied" in deck.link.state)
            slack.refuse_sockets("")
            await deck.connected()


@pytest.mark.parametrize("trouble", ["kill", "refresh", "silence"])
async def test_a_lost_socket_is_made_again_and_lines_come_in_by_it(
    trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trouble == "silence":
        monkeypatch.setattr(connection, "SILENCE_SECONDS", 2.0)
    async with scene() as deck:
        await deck.connected()
        (first,) = await deck.slack.until_sockets()
        if trouble == "kill":
            deck.slack.kill_sockets()
        elif trouble == "refresh":
            await deck.slack.disconnect()
        else:
            deck.slack.silence_sockets()
        names = lambda: {one["name"] for one in deck.slack.sockets() if not one["silent"]}  # noqa: E731
        await deck.until(lambda: names() - {first["name"]} and deck.link.connected)
        await deck.until(lambda: len(deck.slack.sockets()) == 1)
        await deck.slack.slash("ada", "ops", "/deck", "ps")
        await deck.slack.until("ada", "ops", "answer to ps")


async def test_a_socket_beyond_hope_is_thrown_away_whole() -> None:
    """The library would try its used ticket for ever."""
    async with scene() as deck:
        await deck.connected()
        client = deck.link._client
        assert client is not None

        async def no() -> str:
            raise RuntimeError

        client.issue_new_wss_url = no  # type: ignore[method-assign]
        deck.slack.kill_sockets()
        await deck.until(lambda: deck.link._client not in (None, client) and deck.link.connected)
        assert client.closed
        assert client.aiohttp_client_session.closed


async def test_a_silent_socket_leaves_no_task_and_no_session_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENCE_SECONDS", 2.0)
    async with scene() as deck:
        await deck.connected()
        client = deck.link._client
        assert client is not None
        client.default_auto_reconnect_enabled = client.auto_reconnect_enabled = False

        async def farewell() -> None:  # which a peer that is gone does not answer
            await asyncio.sleep(60)

        client.disconnect = farewell  # type: ignore[method-assign]
        deck.slack.silence_sockets()
        await deck.until(lambda: deck.link._client not in (None, client))
        assert client.aiohttp_client_session.closed
        for task in (client.message_processor, client.message_receiver, client.current_session_monitor):
            await deck.until(task.done)  # type: ignore[union-attr]


async def test_stopping_closes_the_door_first_and_answers_what_is_under_way() -> None:
    go = asyncio.Event()

    async def walk(inv: Invocation, talk: Responder) -> None:
        await go.wait()

    async with scene() as deck:
        deck.app.dispatcher.walk = walk
        await deck.connected()
        await deck.slack.slash("ada", "ops", "/deck", "ps")
        await deck.until(lambda: deck.app.supervisor._work)
        deck.app.supervisor.stop()
        await deck.slack.until_sockets(0)
        assert deck.app.supervisor._work
        go.set()
        await deck.slack.until("ada", "ops", "answer to ps")
    assert deck.slack.violations() == []


async def test_the_first_admins_code_is_offered_once_a_start(brisk: list[Any]) -> None:
    async with scene() as deck:
        await deck.connected()
        (first,) = await deck.slack.until_sockets()
        deck.link._client.issue_new_wss_url = None  # type: ignore[union-attr, assignment]
        deck.slack.kill_sockets()
        await deck.until(lambda: not deck.link.connected)
        await deck.connected()
        assert [one["name"] for one in deck.slack.sockets()] != [first["name"]]
    assert len(brisk) == 1


async def test_a_code_that_cannot_be_kept_is_offered_with_the_next_connection(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers: list[Any] = [errors.StoreDown(), "c0de"]

    async def issue_code(*given: object) -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return str(answer)

    monkeypatch.setattr(first_admin, "issue_code", issue_code)
    async with scene() as deck:
        await deck.connected()
        assert "c0de" not in capsys.readouterr().err
        deck.link._client.issue_new_wss_url = None  # type: ignore[union-attr, assignment]
        deck.slack.kill_sockets()
        await deck.until(lambda: not answers)
    assert "/deck claim c0de" in capsys.readouterr().err


# By signed requests.


@contextlib.asynccontextmanager
async def by_requests() -> AsyncIterator[Scene]:
    door = listening_socket.open_socket(ListenAddress("127.0.0.1", 0), "slack.listen")
    url = f"http://127.0.0.1:{door.getsockname()[1]}/slack/events"
    try:
        async with scene(mode="http", door=door) as deck:
            deck.slack.use_http(url)
            await deck.connected()
            yield deck
    finally:
        door.close()


async def test_signed_requests_are_taken_and_answered() -> None:
    async with by_requests() as deck:
        assert await deck.slack.verify_url()
        await deck.slack.slash("ada", "ops", "/deck", "ps")
        await deck.slack.until("ada", "ops", "answer to ps")
        await deck.slack.say("ada", "ops", "@quarterdeck ps -a")
        await deck.slack.until("ada", "ops", "answer to ps -a")
        assert deck.slack.violations() == []
        assert deck.slack.sockets() == []


@pytest.mark.parametrize("wrong", [{"signature": "bad"}, {"signature": "missing"}, {"skew": -600}])
async def test_a_request_that_is_not_slacks_is_refused(wrong: dict[str, Any]) -> None:
    async with by_requests() as deck:
        target = deck.slack.deliveries_.http
        assert target is not None
        deck.slack.use_http(target.url, **wrong)
        sent = await deck.slack.slash("ada", "ops", "/deck", "ps")
        assert (await deck.slack.settled(sent["envelope_id"]))["status"] == 401
        assert "answer" not in deck.slack.text("ada", "ops")


async def test_stopping_closes_the_http_door_first() -> None:
    go = asyncio.Event()

    async def walk(inv: Invocation, talk: Responder) -> None:
        await go.wait()

    async with by_requests() as deck:
        deck.app.dispatcher.walk = walk
        await deck.slack.slash("ada", "ops", "/deck", "ps")
        await deck.until(lambda: deck.app.supervisor._work)
        deck.app.supervisor.stop()
        await deck.until(lambda: not deck.link.connected)
        go.set()
        await deck.slack.until("ada", "ops", "answer to ps")


def test_the_state_says_where_one_looks(tmp_path: Path) -> None:
    app: Any = App(Supervisor())
    made = SlackConnection(load.Slack(bot_token=SecretStr("xoxb-1"), app_token=SecretStr("xapp-1")), app)
    assert made.ready() == {"ready": False, "reason": "not connected yet"}


async def test_incidents_are_posted_while_no_connection_for_requests_is_possible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Posting needs the bot token alone: a refused socket neither delays nor interrupts it."""
    posting: list[bool] = []

    async def post(*given: object) -> None:
        posting.append(True)
        try:
            await asyncio.Event().wait()
        finally:
            posting.append(False)

    monkeypatch.setattr(incident_poster, "post_incidents", post)
    async with Standin() as slack:
        slack.refuse_sockets("access_denied")
        async with scene(slack, alerts=object()) as deck:
            await deck.until(lambda: "access_denied" in deck.link.state)
            await deck.until(lambda: posting == [True])
            slack.refuse_sockets("")
            await deck.connected()
            assert posting == [True]
    assert posting == [True, False]
