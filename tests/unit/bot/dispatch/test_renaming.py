"""Tests who may rename a container, and that `rm -a` takes only what is stopped."""

import pytest

from bot import plain_text
from core.model.events import EventKind
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="console:bob", name="bob")


def policy(*grants, guards=()):
    everything = Grant(id="read", who=BOB.id, can=("viewer",))
    return Policy(grants=(everything, *grants), guards=tuple(guards))


@pytest.fixture
def engine():
    made = FakeRuntime("prod-1", kind="docker")
    for name in ("web-1", "db", "db-old"):
        made.add(name)
    return made


async def test_a_container_is_not_renamed_out_of_a_guard_or_into_a_grant(valkey, engine):
    web = Grant(id="web", who=BOB.id, can=("container.*",), on=Selector(name="web-*"))
    async with Deck(valkey.url, [engine], policy=policy(web)) as deck:
        assert (await deck.say("rename db web-9", BOB)).ending is Ending.REFUSED
        assert (await deck.say("rename web-1 db-9", BOB)).ending is Ending.REFUSED
        done = await deck.say("rename web-1 web-9", BOB)
        assert done.ending is Ending.OK, plain_text.render(done)
    everything = Grant(id="all", who=BOB.id, can=("*",))
    guard = Guard(id="db", can=("container.rename",), ask=Ask.DENY, on=Selector(name="db*"))
    async with Deck(valkey.url, [engine], policy=policy(everything, guards=[guard])) as deck:
        assert (await deck.say("rename db other", BOB)).ending is Ending.REFUSED
        assert (await deck.say("rename web-9 db-2", BOB)).ending is Ending.REFUSED
        assert (await deck.say("rename web-9 web-1", BOB)).ending is Ending.OK


async def test_an_operator_renames_and_limits_nothing(valkey, engine):
    operator = Grant(id="op", who=BOB.id, can=("operator",))
    async with Deck(valkey.url, [engine], policy=policy(operator)) as deck:
        for line in ("rename web-1 web-2", "update web-1 --memory 64m"):
            assert (await deck.say(line, BOB)).ending is Ending.REFUSED
    assert "change" not in engine.asked


async def test_a_guard_on_what_ends_something_sees_new_limits(valkey, engine):
    everything = Grant(id="all", who=BOB.id, can=("*",))
    guard = Guard(id="ends", can=("ends",), ask=Ask.CONFIRM)
    async with Deck(valkey.url, [engine], policy=policy(everything, guards=[guard])) as deck:
        assert (await deck.say("update web-1 --memory 64m", BOB)).ending is Ending.ASKED
        assert (await deck.say("rename web-1 web-2", BOB)).ending is Ending.OK


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("update web-1", "The command `update` needs something to change"),
        ("update web-1 --memory lots", "--memory cannot be “lots”"),
        ("update web-1 --memory -5m", "--memory"),
        ("update web-1 --cpus 1,5", "--cpus cannot be"),
        ("update web-1 --pids-limit some", "--pids-limit cannot be"),
        ("rename web-1 web-1", "is already named web-1"),
        ("rename web-1", "rename needs NEW"),
        ("rename 'web-*' db --host prod-1", ""),
    ],
)
async def test_bad_arguments_get_a_sentence(valkey, engine, line, sentence):
    async with Deck(valkey.url, [engine]) as deck:
        reply = await deck.say(line)
    assert reply.ending in (Ending.USAGE, Ending.FAILED)
    assert sentence in plain_text.render(reply)


async def test_rm_a_asks_with_what_is_stopped_and_takes_nothing_else(valkey, engine):
    for name in ("batch-1", "batch-2"):
        engine.add(name, start=False)
    async with Deck(valkey.url, [engine]) as deck:
        asked = await deck.say("rm -a")
        text = plain_text.render(asked)
        assert asked.ending is Ending.ASKED
        assert "batch-1 (never started) and batch-2 (never started)?" in text and "db" not in text
        # One that starts before the answer is not removed: the engine refuses without force.
        row = next(row for row in engine.containers.values() if row.ref.name == "batch-2")
        engine.happen(EventKind.STARTED, row.ref)
        reply = await deck.say(asked.buttons[0].line)
        assert {row.ref.name for row in engine.containers.values()} == {"web-1", "db", "db-old", "batch-2"}
        assert "batch-1" in plain_text.render(reply)
        nothing = await deck.say("rm -a")
        assert nothing.ending is Ending.NOTHING
        assert "There is no stopped container" in plain_text.render(nothing)
        for line in ("rm -a web-1", "rm -a -f", "rm --all --force"):
            assert (await deck.say(line)).ending is Ending.USAGE
