"""Containers that were created with --rm, on real engines: they say so, and stopping one asks because it removes it."""

import asyncio

import pytest

from bot import plain_text
from core.model.replies import Ending
from runtimes.docker.engine import Docker
from runtimes.podman.engine import Podman
from tests.helpers.deck import Deck


@pytest.fixture(params=["docker", "podman"])
def daemon(request):
    if request.param == "docker":
        return Docker, request.getfixturevalue("dockerd"), {"host": {"auto_remove": True}}
    return Podman, request.getfixturevalue("podmand"), {"more": ("--rm",)}


async def test_a_container_with_rm_is_known_and_stopping_it_asks(valkey, daemon):
    kind, engine, with_rm = daemon
    ids = {"job": engine.run("job", **with_rm), "web": engine.run("web")}
    engine.run("other")
    async with Deck(valkey.url, [kind(engine.url)]) as deck:
        (adapter,) = deck.engines
        found = await adapter.describe(list(ids.values()), 20.0)
        assert {name: found[ids[name]].auto_remove for name in ids} == {"job": True, "web": False}
        assert (await deck.say("stop web -t 1")).ending is Ending.OK
        # Docker keeps it at a restart; Podman 4.3 removes it then too, so that asks as well.
        restarted = await deck.say("restart job -t 1")
        assert restarted.ending is (Ending.OK if kind is Docker else Ending.ASKED)
        assert (await adapter.describe([ids["job"]], 20.0))[ids["job"]].state == "running"
        asked = await deck.say("stop job -t 1")
        assert asked.ending is Ending.ASKED
        assert "removes job, because it was created with --rm" in plain_text.render(asked)
        assert (await deck.say(asked.buttons[0].line)).ending is Ending.OK
        async with asyncio.timeout(30):
            while (await adapter.describe([ids["job"]], 20.0))[ids["job"]] is not None:
                await asyncio.sleep(0.1)
        assert (await adapter.describe([ids["web"]], 20.0))[ids["web"]] is not None
