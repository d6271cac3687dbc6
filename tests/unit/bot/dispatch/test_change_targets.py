"""What a change will hit is said before it happens, and a change with nothing to do is not asked about."""

import msgspec
import pytest

from bot import plain_text
from core.model.replies import Ending
from tests.fake_engine import engine as fake_engine
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck


@pytest.fixture
def shop():
    """Five services that run, and a migration that never ran."""
    made = FakeRuntime("prod-1", kind="docker", lacks=("pod.*", "node.*"))
    for name in ("web", "db", "cache", "api", "worker-10", "worker-2", "migrate"):
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": name}
        made.add(name, labels=labels, start=name != "migrate")
    made.add("other")
    return made


async def say(valkey, engine, *lines, **options):
    async with Deck(valkey.url, [engine], **options) as deck:
        reply = None
        for line in lines:
            reply = await deck.say(line)
        return reply, plain_text.render(reply)


def changed(engine):
    return [what for what in engine.asked if what == "change"]


async def test_a_restart_of_a_project_leaves_out_what_never_ran_and_says_so(valkey, shop):
    async with Deck(valkey.url, [shop]) as deck:
        asked = await deck.say("restart shop")
        text = plain_text.render(asked)
        assert asked.ending is Ending.ASKED
        assert text.startswith(
            "Restart 6 running containers on prod-1: api, cache, db, web, worker-2 and worker-10? This changes"
            " 6 resources at once. migrate is not running and is left out (--all includes it). Please confirm within"
            " 5 min."
        )
        done = await deck.say(asked.buttons[0].line)
        assert done.ending is Ending.OK and [row[0] for row in done.blocks[1].rows] == [
            *("api", "cache", "db", "web", "worker-2", "worker-10")
        ]
        assert not next(row for row in shop.containers.values() if row.ref.name == "migrate").started_at


async def test_all_includes_what_does_not_run(valkey, shop):
    reply, text = await say(valkey, shop, "restart shop --all")
    assert reply.ending is Ending.ASKED and "1 not running (migrate)" in text and "left out" not in text


async def test_a_name_of_its_own_is_meant_whatever_its_state(valkey, shop):
    reply, text = await say(valkey, shop, "restart migrate")
    assert reply.ending is Ending.OK and "migrate restarted" in text


async def test_few_targets_are_not_asked_about_and_the_reply_says_what_was_left_out(valkey, shop):
    reply, text = await say(valkey, shop, "restart 'm*' 'db*'")
    assert reply.ending is Ending.OK
    assert text.startswith("db restarted") and "migrate is not running and is left out (--all includes it)." in text


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("stop 'fleet-*'", "Nothing to do: fleet-0, fleet-1, fleet-2, fleet-3, fleet-4, fleet-5, fleet-6, fleet-7,"),
        ("kill 'fleet-*'", "and 10 more are not running."),
        ("restart 'fleet-*'", "are not running. To start them too, add --all."),
        ("pause 'fleet-*'", "are not running."),
        ("start web db api cache", "Nothing to do: api, cache, db and web are running already."),
        ("unpause 'w*' db", "Nothing to do: db, web, worker-2 and worker-10 are not paused."),
    ],
)
async def test_nothing_to_do_is_said_without_a_question(valkey, shop, line, text):
    for number in range(20):
        shop.add(f"fleet-{number}", start=False)
    reply, shown = await say(valkey, shop, line)
    assert reply.ending is Ending.OK and text in shown
    assert not changed(shop)


async def test_a_list_that_may_be_old_is_read_again_before_anything_is_left_out(valkey, shop):
    """Between the list and the decision, the container started."""
    lists = []

    async def answer(what, seconds, ask=shop._answer):
        await ask(what, seconds)
        if what == "list":
            lists.append(what)
            if len(lists) == 2:
                migrate = next(key for key, row in shop.containers.items() if row.ref.name == "migrate")
                shop.containers[migrate] = msgspec.structs.replace(shop.containers[migrate], state="running")

    shop._answer = answer
    reply, text = await say(valkey, shop, "stop 'migrat*' 'other*'")
    assert reply.ending is Ending.OK and "migrate stopped" in text.replace("  ", " ")


@pytest.mark.parametrize(
    ("line", "ending", "text"),
    [
        ("rm web", Ending.ASKED, "Remove web on prod-1 (exited)? This cannot be undone."),
        ("rm -v web db", Ending.ASKED, "Remove 2 containers on prod-1: db (exited) and web (exited)?"),
        ("start web db", Ending.OK, "2 started."),
    ],
)
async def test_a_list_that_is_behind_the_end_of_a_container_refuses_and_leaves_out_nothing(
    valkey, shop, monkeypatch, line, ending, text
):
    """The list of Docker 26 shows a container as running for some milliseconds after its end."""
    listed = fake_engine._listed

    def late(row, now):
        return msgspec.structs.replace(listed(row, now), state="running", status="Up 2 minutes")

    monkeypatch.setattr(fake_engine, "_listed", late)
    for key, row in shop.containers.items():
        shop.containers[key] = msgspec.structs.replace(row, state="exited", exit_code=137)
    reply, shown = await say(valkey, shop, line)
    assert reply.ending is ending and text in shown, shown


@pytest.mark.parametrize("line", ["rm web", "rm web migrate"])
async def test_removing_what_runs_says_so_before_it_asks(valkey, shop, line):
    reply, text = await say(valkey, shop, line)
    assert reply.ending is Ending.FAILED and not reply.buttons
    assert text == "Nothing was done: web is running. Stop it first, or kill and remove it with: rm -f web."
    assert not changed(shop)


async def test_a_pattern_leaves_out_what_cannot_be_removed(valkey, shop):
    shop.add("web-old", start=False)
    reply, text = await say(valkey, shop, "rm 'web*'")
    assert reply.ending is Ending.ASKED
    assert text.startswith(
        "Remove web-old on prod-1 (never started)? This cannot be undone. web is running and is left out."
    )


async def test_a_removal_names_the_age_and_the_volumes(valkey, shop):
    ref = shop.add("old", start=False)
    shop.containers[ref.id] = msgspec.structs.replace(
        shop.containers[ref.id], state="exited", status="Exited (3) 2 hours ago", exit_code=3
    )
    shop.mounts[ref.id] = [
        {"Type": "volume", "Name": "data"},
        {"Type": "volume", "Name": "a" * 64},
        {"Type": "volume", "Name": "more"},
        {"Type": "bind", "Source": "/srv"},
    ]
    _, text = await say(valkey, shop, "rm old")
    assert text.startswith("Remove old on prod-1 (exited")
    assert ", exit code 3, 3 volumes are kept)? This cannot be undone. Please confirm within 5 min." in text
    _, text = await say(valkey, shop, "rm -v old")
    assert "1 anonymous volume is removed with its data, 2 volumes are kept)?" in text


async def test_a_question_says_how_the_change_is_undone(valkey, shop):
    _, text = await say(valkey, shop, "stop web db api other")
    assert "Undo it with: start api db other web." in text and "up" in text.lower()
    _, text = await say(valkey, shop, "kill --signal HUP web db api other")
    assert text.startswith("Send HUP to 4 containers on prod-1:") and "Undo" not in text
    _, text = await say(valkey, shop, "stop shop")
    assert "Undo it with `start` and the same names." in text


async def test_a_service_that_has_its_replicas_is_not_asked_about(valkey, shop):
    reply, text = await say(valkey, shop, "scale shop/web=1")
    assert reply.ending is Ending.OK
    assert "scaled" not in text and ("already" in text or "unchanged" in text or "has 1" in text)


async def test_a_refusal_comes_before_the_states(valkey, shop):
    from core.model.invocation import Identity
    from core.model.policy import Grant, Policy

    bob = Identity(id="console:bob", name="bob")
    policy = Policy(grants=(Grant(id="v", who=bob.id, can=("viewer",)),))
    async with Deck(valkey.url, [shop], policy=policy) as deck:
        reply = await deck.say("stop 'migrat*' 'other*'", bob)
        assert reply.ending is Ending.REFUSED and "not running" not in plain_text.render(reply)


async def test_a_project_that_does_not_run_is_not_restarted(valkey):
    engine = FakeRuntime("prod-1", kind="docker", lacks=("pod.*", "node.*"))
    for name in ("web", "db"):
        engine.add(name, labels={"com.docker.compose.project": "shop", "com.docker.compose.service": name}, start=False)
    reply, text = await say(valkey, engine, "project restart shop")
    assert reply.ending is Ending.OK
    assert text == "Nothing to do: shop has no running container. Start its containers with: start shop/."
