"""The card of a container: its parts, each with its own permission, and what it says of a part that is late."""

from __future__ import annotations

import pytest

from bot import plain_text
from bot.dispatch import execution
from core.model.actions import ReadLogs
from core.model.events import EventKind
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.replies import Ending, Fields, Lines
from runtimes.base.base_adapter import does
from runtimes.inventory.stored_events import EngineWithHistory, StoredEvents
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="console:bob", name="bob")


def crashed(kind=FakeRuntime):
    made = kind("h1", kind="docker")
    web = made.add(
        "web", labels={"com.docker.compose.project": "shop"}, log=["one", "two", "three", "password=hunter2"]
    )
    for _ in range(2):
        made.happen(EventKind.DIED, web, exit_code="2")
        made.happen(EventKind.STARTED, web)
    return made


def deck_of(valkey, made, **more):
    deck = Deck(valkey.url, [made], **more)
    deck.fleet.remove(made)
    deck.fleet.add(EngineWithHistory(made, StoredEvents(deck.store)))
    return deck


def parts(reply):
    fields = next(block for block in reply.blocks if isinstance(block, Fields))
    lines = [line for block in reply.blocks if isinstance(block, Lines) for line in block.lines]
    return dict(fields.fields), lines


async def test_a_name_alone_shows_status_last_end_usage_and_three_lines(valkey):
    async with deck_of(valkey, crashed()) as deck:
        reply = await deck.say("web")
        fields, lines = parts(reply)
        assert fields["Status"].startswith("Up")
        assert fields["Service"] == "shop"
        assert "exit code 2" in fields["Last end"]
        assert "2× in the last 24 h" in fields["Last end"]
        assert "memory" in fields["Usage"]
        assert lines == ["two", "three", "password=••••"]
        assert [button.line for button in reply.buttons] == ["logs web", "logs web -f", "restart web", "events web"]


@pytest.mark.parametrize(
    ("can", "shown"),
    [
        (("container.list",), set()),
        (("container.list", "container.logs"), {"lines"}),
        (("container.list", "event.list"), {"Last end"}),
        (("container.list", "container.stats"), {"Usage"}),
    ],
)
async def test_a_part_that_is_refused_is_left_out(valkey, can, shown):
    policy = Policy(grants=(Grant(id="bob", who=BOB.id, can=can),))
    async with deck_of(valkey, crashed(), policy=policy) as deck:
        reply = await deck.say("web", BOB)
        fields, lines = parts(reply)
        assert reply.ending is Ending.OK
        assert "Status" in fields
        assert {name for name in ("Last end", "Usage") if name in fields} | ({"lines"} if lines else set()) == shown
        hidden = await deck.say("web", Identity(id="console:eve", name="eve"))
        assert "There is no command and no container “web”." in plain_text.render(hidden)


async def test_a_part_behind_a_guard_asks_nothing_and_is_left_out(valkey):
    policy = Policy(
        grants=(Grant(id="bob", who=BOB.id, can=("viewer",)),),
        guards=(Guard(id="logs", can=("container.logs",), ask=Ask.APPROVE),),
    )
    async with deck_of(valkey, crashed(), policy=policy) as deck:
        reply = await deck.say("web", BOB)
        assert reply.ending is Ending.OK
        assert parts(reply)[1] == []


class SlowLog(FakeRuntime):
    @does(ReadLogs)
    async def read_logs(self, action, seconds):
        self.slow = 60.0
        try:
            return await super().read_logs(action, seconds)
        finally:
            self.slow = 0.0


async def test_a_part_that_is_late_is_left_out_with_a_word(valkey, monkeypatch):
    monkeypatch.setattr(execution, "PART_SECONDS", 2.0)
    async with deck_of(valkey, crashed(SlowLog)) as deck:
        reply = await deck.say("web")
        assert reply.ending is Ending.OK
        assert "The log is left out: docker/h1 did not answer within" in plain_text.render(reply)
        assert "Status" in parts(reply)[0]


async def test_a_project_lists_its_containers_and_a_typo_says_what_exists(valkey):
    made = crashed()
    made.add("db", labels={"com.docker.compose.project": "shop"})
    async with deck_of(valkey, made) as deck:
        assert "web" in plain_text.render(listed := await deck.say("shop"))
        assert "db" in plain_text.render(listed)
        typo = await deck.say("wbe")
        assert typo.ending is Ending.USAGE
        assert "Did you mean web?" in plain_text.render(typo)
