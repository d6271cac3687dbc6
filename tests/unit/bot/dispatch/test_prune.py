"""A prune through the whole dispatcher: it shows what would go, removes exactly that, and leaves out what it must."""

import dataclasses
import time

import msgspec
import pytest

from bot import plain_text
from core.model import prune
from core.model.events import EventKind
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

BOB = Identity(id="slack:T1/BOB", name="bob")
ANONYMOUS = "0" * 64
JANITOR = Grant(id="janitor", who=BOB.id, can=("viewer", "*.prune"))


@pytest.fixture
def engine():
    made = FakeRuntime("prod-1", kind="docker")
    made.add("web", labels={"env": "prod"})
    stopped(made, "old")
    made.add_image()
    made.add_image("nginx:1.27")
    made.add_network("lonely")
    made.add_volume(ANONYMOUS)
    made.add_volume("data")
    return made


def stopped(engine, name, **more):
    ref = engine.add(name, **more)
    engine.happen(EventKind.DIED, ref, exit_code="0")
    return ref


def names(engine):
    return {row.ref.name for row in engine.containers.values()}


async def confirmed(deck, line, who=None):
    asked = await (deck.say(line) if who is None else deck.say(line, who))
    assert asked.ending is Ending.ASKED, plain_text.render(asked)
    answer = asked.buttons[0].line
    return asked, await (deck.say(answer) if who is None else deck.say(answer, who))


async def test_the_question_shows_what_would_go_and_what_came_later_stays(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:
        asked = await deck.say("container prune")
        text = plain_text.render(asked)
        assert "this removes 1 container, 1.0 kB" in text and "container  old" in text
        assert names(engine) == {"web", "old"}
        stopped(engine, "later")
        done = await deck.say(asked.buttons[0].line)
        assert "removed 1 container" in plain_text.render(done) and done.ending is Ending.OK
        assert names(engine) == {"web", "later"}
        rows = await deck.store.read_audit(count=20)
        outcome = next(row.fields for row in rows if row.fields["phase"] == "outcome")
        assert outcome["verb"] == "container.prune" and "container.remove old" in outcome["destroys"]


async def test_each_kind_removes_its_own_and_system_all_that_is_spare(valkey, engine):
    old = next(row for row in engine.containers.values() if row.ref.name == "old")
    engine.mounts[old.ref.id] = ("of-old",)
    engine.add_network("of-old")
    async with Deck(valkey.url, [engine]) as deck:
        _, done = await confirmed(deck, "image prune")
        assert "removed 1 image" in plain_text.render(done)
        _, done = await confirmed(deck, "volume prune")
        assert [row.ref.name for row in engine.volumes.values()] == ["data"]
        _, done = await confirmed(deck, "network prune")
        assert [row.ref.name for row in engine.networks.values()] == ["of-old"], "a stopped container uses it"
        _, done = await confirmed(deck, "system prune -a --volumes")
        text = plain_text.render(done)
        assert "removed 1 container and 1 network and 1 image" in text, text
        assert [row.ref.name for row in engine.volumes.values()] == ["data"]
        assert set(engine.tags) == {"busybox:1"}
        nothing = await deck.say("system prune -a --volumes")
        assert (
            nothing.ending,
            "found nothing to remove on docker/prod-1" in plain_text.render(nothing),
        ) == (
            Ending.NOTHING,
            True,
        )


async def test_only_what_is_older_goes(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:
        assert (await deck.say("container prune --until 1h")).ending is Ending.NOTHING
        (old,) = (row for row in engine.containers.values() if row.ref.name == "old")
        engine.containers[old.ref.id] = msgspec.structs.replace(old, created_at=old.created_at - 7200)
        stopped(engine, "young")
        await confirmed(deck, "container prune --until 1h")
        assert names(engine) == {"web", "young"}


async def test_what_runs_again_or_is_gone_at_the_confirmation_is_no_failure(valkey, engine):
    again, gone = stopped(engine, "again"), stopped(engine, "gone")
    async with Deck(valkey.url, [engine]) as deck:
        asked = await deck.say("container prune")
        engine.happen(EventKind.STARTED, again)
        engine.happen(EventKind.REMOVED, gone)
        done = await deck.say(asked.buttons[0].line)
        text = plain_text.render(done)
        assert "removed 1 container" in text and "again is used now, or is gone" in text
        assert names(engine) == {"web", "again"}


async def test_an_image_that_got_a_name_and_a_volume_made_again_are_kept(valkey, engine):
    async with Deck(valkey.url, [engine]) as deck:
        images = await deck.say("image prune")
        (left,) = (row for row in engine._image_ids() if row not in engine.tags.values())
        engine.tags["shop/web:9"] = left
        assert "has other names now" in plain_text.render(await deck.say(images.buttons[0].line))
        assert engine.tags["shop/web:9"] == left
        volumes = await deck.say("volume prune")
        engine.volumes[ANONYMOUS] = msgspec.structs.replace(engine.volumes[ANONYMOUS], created_at=1e9)
        assert "was created again" in plain_text.render(await deck.say(volumes.buttons[0].line))
        assert ANONYMOUS in engine.volumes


async def test_what_is_ours_is_never_offered_nor_what_it_uses(valkey, engine):
    store = stopped(
        engine, "store", labels={"com.docker.compose.project": "deck", "com.docker.compose.service": "redis"}
    )
    me = engine.add("me", labels={"com.docker.compose.project": "deck", "com.docker.compose.service": "bot"})
    engine.mounts[store.id] = ("0123456789abcdef" * 4,)
    engine.add_volume("0123456789abcdef" * 4)
    engine.add_volume("f" * 64, labels={"com.docker.compose.project": "deck"})
    engine.add_volume("e" * 64, labels={"quarterdeck.protected": "true"})
    engine.add_image("quarterdeck:0.1", labels={"org.opencontainers.image.title": "quarterdeck"})
    policy = Policy(self_ids=frozenset({me.id}), store_host="redis")
    async with Deck(valkey.url, [engine], policy=policy) as deck:
        asked, _ = await confirmed(deck, "system prune -a --volumes")
        text = plain_text.render(asked)
        assert "4 more are left out: part of Quarterdeck, or protected" in text, text
        assert names(engine) == {"web", "store", "me"}
        assert set(engine.volumes) == {"data", "0123456789abcdef" * 4, "f" * 64, "e" * 64}
        assert "quarterdeck:0.1" in engine.tags
        # Nor by the verb for one of them.
        refused = await deck.say(f"volume rm {'e' * 64}")
        assert refused.ending is Ending.REFUSED


async def test_a_grant_and_a_guard_decide_on_each_thing(valkey, engine):
    stopped(engine, "dev", labels={"env": "dev"})
    stopped(engine, "prod", labels={"env": "prod"})
    dev = dataclasses.replace(JANITOR, on=Selector(labels=(("env", "dev"),)))
    async with Deck(valkey.url, [engine], policy=Policy(grants=(dev,))) as deck:
        asked = await deck.say("container prune", BOB)
        text = plain_text.render(asked)
        assert "dev" in text and "old" not in text and "left out" not in text, "what may not be listed is not counted"
        assert (await deck.say(asked.buttons[0].line, BOB)).ending is Ending.OK
        assert names(engine) == {"web", "old", "prod"}
    denied = Guard(id="keep", can=("container.remove",), ask=Ask.DENY, on=Selector(labels=(("env", "prod"),)))
    async with Deck(valkey.url, [engine], policy=Policy(grants=(JANITOR,), guards=(denied,))) as deck:
        asked, _ = await confirmed(deck, "container prune", BOB)
        assert "1 more is left out: not allowed to you" in plain_text.render(asked)
        assert names(engine) == {"web", "prod"}
    approve = Guard(id="two", can=("container.remove",), ask=Ask.APPROVE)
    async with Deck(valkey.url, [engine], policy=Policy(grants=(JANITOR,), guards=(approve,))) as deck:
        asked = await deck.say("container prune", BOB)
        assert "Somebody else has to approve" in plain_text.render(asked) and "prod" in plain_text.render(asked)


async def test_a_guard_on_any_name_of_an_image_applies_to_a_prune_of_it(valkey, engine):
    left = next(row for row in engine._image_ids() if row not in engine.tags.values())
    engine.tags |= {"a:1": left, "prod/app:1": left}
    keep = Guard(id="keep", can=("image.remove",), ask=Ask.DENY, on=Selector(name="prod/*"))
    async with Deck(valkey.url, [engine], policy=Policy(grants=(JANITOR,), guards=(keep,))) as deck:
        asked, _ = await confirmed(deck, "image prune --all", BOB)
        assert "1 more is left out: not allowed to you" in plain_text.render(asked)
        assert engine.tags["prod/app:1"] == engine.tags["a:1"] == left and "nginx:1.27" not in engine.tags
    async with Deck(valkey.url, [engine]) as deck:
        await confirmed(deck, "image prune --all")
        assert not {"a:1", "prod/app:1"} & set(engine.tags)
        rows = await deck.store.read_audit(count=20)
        outcome = next(row.fields for row in rows if row.fields["phase"] == "outcome")
        assert "image.remove a:1" in outcome["destroys"] and "image.remove prod/app:1" in outcome["destroys"]


@pytest.mark.parametrize("line", ["container prune", "image prune", "network prune", "volume prune", "system prune"])
async def test_who_may_not_prune_is_told_so_and_sees_nothing(valkey, engine, line):
    viewer = Grant(id="v", who=BOB.id, can=("operator",))
    async with Deck(valkey.url, [engine], policy=Policy(grants=(viewer,))) as deck:
        reply = await deck.say(line, BOB)
        assert reply.ending is Ending.REFUSED
        assert "no grant gives it" in plain_text.render(reply) and "old" not in plain_text.render(reply)


async def test_an_engine_that_does_not_measure_and_one_that_is_away(valkey, engine):
    engine.measures = False
    async with Deck(valkey.url, [engine]) as deck:
        asked = await deck.say("container prune")
        assert "did not measure the sizes in time" in plain_text.render(asked)
        engine.reachable = False
        reply = await deck.say(asked.buttons[0].line)
        assert reply.ending is Ending.FAILED and names(engine) == {"web", "old"}
        assert (await deck.say("container prune")).ending is Ending.FAILED


async def test_more_than_a_prune_takes_is_said_and_left_for_the_next(valkey, monkeypatch, engine):
    monkeypatch.setattr("commands._shared.prune.MAX_PINNED", 3)
    for number in range(5):
        stopped(engine, f"batch-{number}")
    async with Deck(valkey.url, [engine]) as deck:
        asked, _ = await confirmed(deck, "container prune")
        assert "These are 3 of 6" in plain_text.render(asked)
        assert len(names(engine)) == 4


async def test_several_engines_are_chosen_by_name(valkey, engine):
    other = FakeRuntime("test-1", kind="docker")
    stopped(other, "far")
    async with Deck(valkey.url, [engine, other]) as deck:
        reply = await deck.say("container prune")
        assert reply.ending is Ending.USAGE and "Add one of them: --engine" in plain_text.render(reply)
        _, done = await confirmed(deck, "container prune --engine '*'")
        assert plain_text.render(done).count("removed 1 container") == 2
        assert names(engine) == {"web"} and names(other) == set()


async def test_the_build_cache_is_shown_and_goes_with_the_whole_engine(valkey, engine):
    used = time.time() - 3_600
    engine.cache = (prune.CacheRecord(size=5_000_000, used_at=used), prune.CacheRecord(size=3_000_000, used_at=1.0))
    async with Deck(valkey.url, [engine]) as deck:
        asked = await deck.say("system prune")
        assert "and up to 8.0 MB of build cache" in plain_text.render(asked), plain_text.render(asked)
        asked = await deck.say("builder prune --until 1d")
        assert "this removes up to 3.0 MB of build cache" in plain_text.render(asked)
        later = prune.CacheRecord(size=9_000_000, used_at=time.time() + 5)
        engine.cache = (*engine.cache, later)
        done = await deck.say(asked.buttons[0].line)
        assert "removed 3.0 MB of build cache" in plain_text.render(done), plain_text.render(done)
        _, done = await confirmed(deck, "system prune")
        assert "and 5.0 MB of build cache" in plain_text.render(done), plain_text.render(done)
        assert engine.cache == (later,), "what was used after the question stays"
        engine.measures = False
        reply = await deck.say("builder prune")
        assert reply.ending is Ending.NOTHING and "Its build cache stays" in plain_text.render(reply)
        rows = await deck.store.read_audit(count=40)
        assert {"engine.prune-cache", "engine.prune"} <= {row.fields["verb"] for row in rows}


async def test_the_build_cache_is_not_for_who_has_a_part_of_the_engine(valkey, engine):
    """Its records have no owner, so only a grant on the whole engine covers them."""
    engine.cache = (prune.CacheRecord(size=5_000_000, used_at=1.0),)
    stopped(engine, "mine", labels={"team": "a"})
    part = Grant(id="part", who=BOB.id, can=("viewer", "engine.prune*"), on=Selector(labels=(("team", "a"),)))
    some = Policy(grants=(Grant(id="list", who=BOB.id, can=("viewer",)), part))
    async with Deck(valkey.url, [engine], policy=some) as deck:
        asked = await deck.say("system prune", BOB)
        assert "container  mine" in plain_text.render(asked) and "cache" not in plain_text.render(asked)
        done = await deck.say(asked.buttons[0].line, BOB)
        assert done.ending is Ending.OK and len(engine.cache) == 1
        reply = await deck.say("builder prune", BOB)
        assert reply.ending is not Ending.ASKED and len(engine.cache) == 1
    async with Deck(
        valkey.url, [engine], policy=Policy(grants=(Grant(id="op", who=BOB.id, can=("operator",)),))
    ) as deck:
        assert (await deck.say("builder prune", BOB)).ending is Ending.REFUSED
