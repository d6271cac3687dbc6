"""Who may read the processes, the changed files and the end of a container, and what a reply hides."""

from __future__ import annotations

import msgspec
import pytest

from bot import plain_text
from core.model.invocation import Identity
from core.model.policy import Grant, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending
from runtimes.base import container_wait
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

ANN, BOB = Identity(id="console:ann", name="ann"), Identity(id="console:bob", name="bob")
DEV = Selector(labels=(("env", "dev"),))
POLICY = Policy(
    grants=(
        Grant(id="ann", who=ANN.id, can=("viewer",)),
        Grant(id="bob", who=BOB.id, can=("viewer",), on=DEV),
    )
)
LINES = ("top {}", "diff {}", "port {}", "wait {}", "inspect {}")


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(container_wait, "PAUSE_SECONDS", 0.01)
    made = FakeRuntime("h1", kind="docker")
    made.add("web", labels={"env": "dev"})
    made.add("db", labels={"env": "prod"})
    made.add("quarterdeck", labels={"org.opencontainers.image.title": "quarterdeck"})
    return made


@pytest.mark.parametrize("line", LINES)
async def test_a_viewer_reads_what_the_grant_covers_and_the_rest_does_not_exist(valkey, engine, line):
    async with Deck(valkey.url, [engine], policy=POLICY) as deck:
        for who in (ANN, BOB):
            asked = line.format("web") + (" -t 0" if line.startswith("wait") else "")
            assert (await deck.say(asked, who)).ending is Ending.OK
        hidden = await deck.say(line.format("db"), BOB)
        missing = await deck.say(line.format("nosuch"), BOB)
        assert hidden.ending is missing.ending is Ending.NOTHING
        assert plain_text.render(hidden) == plain_text.render(missing).replace("nosuch", "db")


@pytest.mark.parametrize("line", ["top quarterdeck", "diff quarterdeck", "inspect quarterdeck"])
async def test_a_part_of_quarterdeck_is_for_admins(valkey, engine, line):
    async with Deck(valkey.url, [engine], policy=POLICY) as deck:
        refused = await deck.say(line, ANN)
        assert refused.ending is Ending.REFUSED
        assert "is part of Quarterdeck" in plain_text.render(refused)
        assert (await deck.say(line)).ending is Ending.OK


async def test_secrets_in_a_summary_are_hidden(valkey, engine):
    engine.add("api", labels={"app": "shop", "db.password": "hunter2", "url": "https://u:hunter3@example.com"})
    async with Deck(valkey.url, [engine], policy=POLICY) as deck:
        text = plain_text.render(await deck.say("inspect api", ANN))
    assert "app=shop" in text and "db.password=" in text
    assert "hunter" not in text


async def test_secrets_in_command_lines_are_hidden(valkey, engine):
    (key,) = [key for key, row in engine.containers.items() if row.ref.name == "web"]
    row = engine.containers[key]
    engine.containers[key] = msgspec.structs.replace(row, command="mysqld --password=hunter2 -e TOKEN=hunter3")
    async with Deck(valkey.url, [engine], policy=POLICY) as deck:
        text = plain_text.render(await deck.say("top web", ANN))
    assert "mysqld" in text and "hunter" not in text
