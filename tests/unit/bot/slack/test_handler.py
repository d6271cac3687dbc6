"""What was heard walks the road under the right name, and nothing is dropped in silence; on fake loop time, over a
scripted Slack and a road that notes who walks it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from unittest.mock import AsyncMock

import msgspec
import pytest
from structlog.testing import capture_logs

from bot.dispatch import questions, unfinished_commands
from bot.parsing import parser
from bot.slack import handler
from bot.slack.command_text import BotName
from bot.slack.decode_requests import Source
from bot.slack.handler import SlackHandler
from bot.slack.reply_delivery import PostedMessage
from bot.slack.rich_text_reader import RichTextReadings
from bot.slack.users import AppInstallation, SlackUsers
from commands.catalogue import load_catalogue
from core import errors
from core.metrics import Metrics
from core.model.invocation import Identity, Invocation, Place
from core.model.replies import Button, Ending, Reply, Text, text_reply
from core.ports import ActionStarted, Responder
from core.supervise import Supervisor
from core.text import command_line
from tests.unit.bot.slack.scripted import FakeSlackApi, FakeStore, outbox, slack_request

pytestmark = pytest.mark.looptime
CATALOGUE = load_catalogue()
Walk = Callable[[Invocation, Responder], Awaitable[None]]


class Dispatcher:
    """In the place of bot.dispatch.Dispatcher."""

    def __init__(self) -> None:
        self.walked: list[Invocation] = []
        self.rejected: list[tuple[Identity, str, str]] = []
        self.walk: Walk | None = None

    def parse(self, line: str) -> parser.Parsed | None:
        try:
            return parser.parse(line, CATALOGUE)
        except errors.UserError:
            return None

    async def answer(self, inv: Invocation, talk: Responder, *, readings: Sequence[str] = ()) -> None:
        if readings:
            await talk.finish(await questions.ask_reading(AsyncMock(), inv, readings))
            return
        self.walked.append(inv)
        if self.walk is not None:
            await self.walk(inv, talk)
        else:
            await talk.finish(text_reply(f"answer to {inv.line}"))

    async def reject(self, who: Identity, place: Place, line: str, error: errors.NotPermitted) -> Reply:
        self.rejected.append((who, line, error.rule))
        return text_reply(error.full_message(), ending=Ending.REFUSED)


class Scene:
    def __init__(self, supervisor: Supervisor) -> None:
        self.calls, self.memory, self.metrics, self.dispatcher = FakeSlackApi(), FakeStore(), Metrics(), Dispatcher()
        self.supervisor = supervisor
        clock = asyncio.get_running_loop().time
        parts: dict[str, Any] = {
            "dispatcher": self.dispatcher,
            "store": self.memory,
            "bot": BotName(user="UBOT", name="deck"),
        }
        self.handler = SlackHandler(
            outbox=outbox(self.calls, self.memory, self.metrics),
            users=SlackUsers(self.calls, installed=AppInstallation(team="T1"), guests=False, clock=clock),
            supervisor=supervisor,
            metrics=self.metrics,
            **parts,
        )

    async def hear(self, *said: Any) -> None:
        for one in said:
            self.handler.accept(one)
        while self.supervisor._work:
            await asyncio.wait(set(self.supervisor._work))

    def texts(self, *how: str) -> list[str]:
        return [one.text for one in self.calls.said if one.text and one.how in (how or (one.how,))]

    @property
    def undelivered(self) -> float:
        counter: Any = self.metrics.slack_undelivered_total
        return float(counter._value.get())


@contextlib.asynccontextmanager
async def scene(most: int = 256) -> AsyncIterator[Scene]:
    async with Supervisor(max_tasks=most) as supervisor:
        yield Scene(supervisor)


async def never(inv: Invocation, talk: Responder) -> None:
    await asyncio.Event().wait()


# Into the road.


@pytest.mark.parametrize(
    ("source", "kind"),
    [(Source.SLASH, "channel"), (Source.MENTION, "channel"), (Source.DM, "dm"), (Source.CLICK, "channel")],
)
async def test_what_was_heard_walks_the_road_under_the_speakers_name(source: Source, kind: str) -> None:
    async with scene() as deck:
        said = slack_request(source, text="ps -a", thread="4.1")
        await deck.hear(said)
    (inv,) = deck.dispatcher.walked
    assert (inv.id, inv.line, inv.who.id) == ("slack-1", "ps -a", "slack:T1/U1")
    assert inv.deadline - inv.at == handler.MAX_DURATION
    assert inv.place == Place(
        channel=said.channel, team="T1", thread="4.1", kind=kind, user="U1", response_url=said.response_url
    )
    assert deck.texts() == ["answer to ps -a"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("<@UBOT> grant <@U2> restart", "grant slack:T1/U2 restart"),
        ("grant <@W2|bob> restart", "grant slack:T1/W2 restart"),
        ("revoke <@U2>", "revoke slack:T1/U2"),
        ("grant @bob restart", "grant @bob restart"),
        ("grant <!subteam^S1|@sre> restart", "grant group:sre restart"),
    ],
)
async def test_a_mention_is_the_person_and_a_typed_name_is_only_a_name(text: str, line: str) -> None:
    async with scene() as deck:
        await deck.hear(slack_request(Source.MENTION, text=text))
    assert [inv.line for inv in deck.dispatcher.walked] == [line]


async def test_a_buttons_line_is_taken_as_it_is() -> None:
    async with scene() as deck:
        await deck.hear(slack_request(Source.CLICK, text="logs '<@U2>' `x`"))
    assert [inv.line for inv in deck.dispatcher.walked] == ["logs '<@U2>' `x`"]


def rich(plain: str, literal: str = "", kept: str = "") -> RichTextReadings:
    return RichTextReadings(plain=plain, literal=literal or plain, kept=kept or plain)


@pytest.mark.parametrize(
    ("text", "rich_text", "readings"),
    [
        ("restart *web*", None, ["restart *web*", "restart web"]),
        ("restart _web_", None, ["restart _web_", "restart web"]),
        ("x", rich("stop web-1-db", "stop web-*1*-db"), ["stop web-*1*-db", "stop web-1-db"]),
        ("x", rich("restart web api", kept="restart api"), ["restart web api", "restart api"]),
        ("x", rich("pull web", kept="pull"), ["pull web"]),  # struck through: perhaps not wanted at all
        ("restart ~web~", None, ['restart "~web~"', "restart web", "restart"]),
    ],
)
async def test_a_change_that_can_be_read_in_two_ways_is_asked_about(
    text: str, rich_text: RichTextReadings | None, readings: list[str]
) -> None:
    async with scene() as deck:
        await deck.hear(slack_request(text=text, rich_text=rich_text))
        assert deck.dispatcher.walked == []
        (asked,) = [one for one in deck.calls.said if one.text]
        assert asked.how == "respond"
        assert "Nothing was done" in asked.text
        assert asked.buttons == tuple(readings)
        # A click runs exactly that line.
        await deck.hear(slack_request(Source.CLICK, text=asked.buttons[0], id="slack-2"))
    assert [inv.line for inv in deck.dispatcher.walked] == readings[:1]


@pytest.mark.parametrize(
    ("text", "rich_text", "line"),
    [
        ("x *y*", rich("restart web"), "restart web"),
        ("ps *web*", None, "ps *web*"),  # a read disturbs nothing
        ("logs _web_", None, "logs _web_"),
        ("x", rich("inspect a.-x", "inspect a_.-_x"), "inspect a_.-_x"),
        ("x", rich("logs web", kept="logs"), "logs web"),
        ("*restart web*", None, "restart web"),  # nothing else is a command
        ("x", rich("restrat web", "restrat w*e*b"), "restrat w*e*b"),
        ("restart `*web*`", None, "restart *web*"),
        ("x", rich("restart  web", "restart web "), "restart web"),
    ],
)
async def test_a_line_that_is_clear_enough_is_not_asked_about(
    text: str, rich_text: RichTextReadings | None, line: str
) -> None:
    async with scene() as deck:
        await deck.hear(slack_request(text=text, rich_text=rich_text))
    assert [inv.line for inv in deck.dispatcher.walked] == [line]


async def test_a_stranger_is_not_asked_what_was_meant() -> None:
    async with scene() as deck:
        await deck.hear(slack_request(text="restart *web*", teams=frozenset({"T9"})))
        assert deck.dispatcher.rejected == [(deck.dispatcher.rejected[0][0], "restart *web*", "stranger")]


@pytest.mark.parametrize(
    ("age", "runs"), [(0, True), (29 * 60, True), (31 * 60, False), (23 * 3600, False), (-3600, True)]
)
async def test_a_message_that_slack_delivers_long_after_it_was_sent_is_not_run(age: float, runs: bool) -> None:
    async with scene() as deck:
        await deck.hear(slack_request(Source.DM, text="restart web", sent_at=time.time() - age))
        assert bool(deck.dispatcher.walked) == runs
        assert (f"{round(age / 60)} minutes after it was sent, so nothing was done" in deck.texts()[-1]) == (not runs)


async def test_a_huge_text_is_cut_before_it_goes_anywhere() -> None:
    async with scene() as deck:
        await deck.hear(
            slack_request(text="ps " + "a" * 30_000),
            slack_request(Source.MENTION, text="ps " + "a" * 30_000, user="U9", teams=frozenset({"T9"})),
        )
    assert len(deck.dispatcher.walked[0].line) == command_line.MAX_LINE_LENGTH + 1
    assert len(deck.dispatcher.rejected[0][1]) == handler.MAX_REJECTED_LINE


async def test_a_stranger_is_turned_away_audited_and_told_alone() -> None:
    async with scene() as deck:
        await deck.hear(slack_request(Source.MENTION, user="U9", teams=frozenset({"T9"})))
    assert deck.dispatcher.walked == []
    ((who, line, rule),) = deck.dispatcher.rejected
    assert (who.id, line, rule) == ("slack:T9/U9", "ps", "stranger")
    assert [one.how for one in deck.calls.said] == ["whisper"]


async def test_a_guest_and_a_bot_are_turned_away_under_their_own_id() -> None:
    async with scene() as deck:
        deck.calls.users["U1"] = {"id": "U1", "team_id": "T1", "is_restricted": True}
        deck.calls.users["U2"] = {"id": "U2", "team_id": "T1", "is_bot": True}
        await deck.hear(slack_request(Source.DM), slack_request(Source.DM, user="U2"))
    assert [(who.id, rule) for who, _, rule in deck.dispatcher.rejected] == [
        ("slack:T1/U1", "guest"), ("slack:T1/U2", "bot"),
    ]  # fmt: skip


async def test_when_slack_does_not_say_who_speaks_nothing_is_done_and_that_is_said() -> None:
    async with scene() as deck:
        deck.calls.refuse["user"] = ["internal_error"]
        await deck.hear(slack_request())
    assert deck.dispatcher.walked == []
    assert "did not identify you, so nothing was done" in deck.texts()[0]


async def test_a_secret_in_the_line_is_hidden_in_what_the_channel_sees() -> None:
    async def walk(inv: Invocation, talk: Responder) -> None:
        await talk.finish(Reply(blocks=(Text(text="x"),), everyone=True))

    async with scene() as deck:
        deck.dispatcher.walk = walk
        await deck.hear(slack_request(text="logs web password=hunter2hunter2"))
    assert "hunter2" not in deck.calls.said[-1].text
    assert "hunter2" in deck.dispatcher.walked[0].line  # the road hides it itself where it keeps it


# Overload and the end.


async def test_lines_beyond_what_can_be_done_at_once_are_told_so() -> None:
    async with scene(most=2) as deck:
        deck.dispatcher.walk = never
        sorry = asyncio.create_task(deck.handler.answer_rejected())
        for number in range(5):
            deck.handler.accept(slack_request(Source.MENTION, id=str(number), user=f"U{number}"))
        await asyncio.wait_for(deck.handler.rejected_answered(), 60)
        assert all("2 commands are already running" in one for one in deck.texts("whisper"))
        assert len(deck.texts("whisper")) == 3
        assert deck.undelivered == 0
        sorry.cancel()
        await asyncio.wait([sorry])


async def test_what_does_not_even_fit_among_the_apologies_is_counted_and_logged() -> None:
    async with scene(most=1) as deck:
        deck.dispatcher.walk = never
        with capture_logs() as lines:
            for number in range(1 + handler.MAX_REJECTED + 7):
                deck.handler.accept(slack_request(id=str(number)))
        assert deck.undelivered == 7
        assert len([line for line in lines if line["event"] == "A reply was not delivered."]) == 7


async def test_apologies_left_when_the_connection_ends_are_counted_one_by_one() -> None:
    async with scene(most=1) as deck:
        deck.dispatcher.walk = never
        deck.calls.slow = {"respond": 60.0}
        for number in range(6):
            deck.handler.accept(slack_request(id=str(number)))
        sorry = asyncio.create_task(deck.handler.answer_rejected())
        await asyncio.sleep(61)
        sorry.cancel()
        await asyncio.wait([sorry])
        assert len(deck.texts("respond")) + deck.undelivered == 5
        await asyncio.wait_for(deck.handler.rejected_answered(), 1)


async def test_apologising_survives_closed_ways_and_bugs() -> None:
    async with scene(most=1) as deck:
        deck.dispatcher.walk = never
        sorry = asyncio.create_task(deck.handler.answer_rejected())
        deck.handler.accept(slack_request(Source.CLICK, id="busy"))
        for how in ("respond", "whisper", "open"):
            deck.calls.refuse[how] = ["account_inactive"]
        deck.handler.accept(slack_request(id="1"))
        await deck.handler.rejected_answered()
        assert deck.undelivered == 1
        deck.calls.broken = {"respond": ZeroDivisionError()}
        deck.handler.accept(slack_request(id="2"))
        with capture_logs() as lines:
            await deck.handler.rejected_answered()
        assert "The answer to a rejected request failed because of a bug." in [line["event"] for line in lines]
        assert deck.undelivered == 2
        deck.calls.broken = {}
        deck.handler.accept(slack_request(id="3"))
        await deck.handler.rejected_answered()
        assert len(deck.texts("respond")) == 1
        sorry.cancel()
        await asyncio.wait([sorry])


async def test_who_comes_while_stopping_is_told_so() -> None:
    async with scene() as deck:
        deck.supervisor.stop()
        sorry = asyncio.create_task(deck.handler.answer_rejected())
        deck.handler.accept(slack_request())
        await deck.handler.rejected_answered()
        assert "stopping" in deck.texts()[0]
        sorry.cancel()
        await asyncio.wait([sorry])


# Replies that fail.


async def test_a_reply_that_reaches_nobody_is_counted_and_logged_once() -> None:
    async with scene() as deck:
        for how in ("respond", "whisper", "open"):
            deck.calls.refuse[how] = ["account_inactive"]
        with capture_logs() as lines:
            await deck.hear(slack_request())
    assert deck.undelivered == 1
    assert [line["event"] for line in lines if line["log_level"] == "error"] == ["A reply was not delivered."]


async def test_a_reply_that_cannot_be_drawn_is_said_with_a_reference() -> None:
    class Odd(Text):
        @property
        def text(self) -> str:  # type: ignore[override]
            raise ZeroDivisionError

    async def walk(inv: Invocation, talk: Responder) -> None:
        odd = Odd.__new__(Odd)
        object.__setattr__(odd, "tone", text_reply("x").blocks[0].tone)  # type: ignore[union-attr]
        await talk.finish(Reply(blocks=(odd,)))

    async with scene() as deck:
        deck.dispatcher.walk = walk
        with capture_logs() as lines:
            await deck.hear(slack_request())
    (line,) = [line for line in lines if line["log_level"] == "error"]
    assert line["ref"] in deck.texts()[0]
    assert "The command ended as ok" in deck.texts()[0]


# What a process that died left behind.


def lost(source: Source, *, posted: bytes = b"", **more: Any) -> unfinished_commands.Unfinished:
    said = slack_request(source)
    place = Place(
        channel=said.channel,
        team="T1",
        thread="4.1",
        kind="dm" if said.dm else "channel",
        user="U1",
        response_url=said.response_url,
    )
    reply = Reply(blocks=(Text(text="nothing was done"),), buttons=(Button(label="Run again", line="ps"),))
    given: dict[str, Any] = {"who": "slack:T1/U1", "name": "ann", "line": "ps", "text": "nothing was done"}
    return unfinished_commands.Unfinished(id="slack-1", place=place, reply=reply, posted=posted, **(given | more))


@pytest.mark.parametrize(
    ("source", "how"), [(Source.SLASH, "respond"), (Source.MENTION, "whisper"), (Source.DM, "post")]
)
async def test_what_was_left_behind_is_told_to_the_asker_by_the_way_it_came(source: Source, how: str) -> None:
    async with scene() as deck:
        await deck.handler.report_unfinished(lost(source))
    (one,) = deck.calls.said
    assert (one.how, one.blocks > 1) == (how, True)


async def test_what_was_left_behind_long_ago_finds_the_asker_without_its_response_url() -> None:
    async with scene() as deck:
        deck.calls.refuse["respond"] = ["expired_url"]
        await deck.handler.report_unfinished(lost(Source.SLASH))
    assert [one.how for one in deck.calls.said] == ["whisper"]


async def test_what_the_channel_saw_begin_is_ended_there() -> None:
    where = msgspec.json.encode(PostedMessage("C1", "7.1"))
    async with scene() as deck:
        await deck.handler.report_unfinished(lost(Source.SLASH, posted=where))
        assert [(one.how, one.where, one.ts) for one in deck.calls.said] == [("edit", "C1", "7.1")]
        assert "ann" in deck.calls.said[0].text
        deck.calls.refuse["edit"] = ["message_not_found"]
        await deck.handler.report_unfinished(lost(Source.SLASH, posted=where))
        await deck.handler.report_unfinished(lost(Source.SLASH, posted=b"of another version"))
    assert [one.how for one in deck.calls.said] == ["edit", "respond", "respond"]


async def test_what_cannot_be_told_is_counted_and_does_not_stop_the_sweep() -> None:
    async with scene() as deck:
        for how in ("respond", "whisper", "open"):
            deck.calls.refuse[how] = ["account_inactive"]
        await deck.handler.report_unfinished(lost(Source.SLASH))
        assert deck.undelivered == 1


async def test_a_change_that_begins_is_told_to_the_talk() -> None:
    async def walk(inv: Invocation, talk: Responder) -> None:
        talk.started(ActionStarted(line="restart web", doing="restarting", names=["web"]))
        await talk.finish(text_reply("web restarted"))

    async with scene() as deck:
        deck.dispatcher.walk = walk
        await deck.hear(slack_request())
    assert [one.how for one in deck.calls.said if one.text] == ["post", "edit"]
