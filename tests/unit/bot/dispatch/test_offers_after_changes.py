"""What a reply offers after its command has removed or renamed something: no button names what does not exist."""

import msgspec
import pytest

from bot import plain_text
from core.model.containers import COMPOSE_PROJECT_LABEL, COMPOSE_SERVICE_LABEL
from core.model.replies import Ending
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

LABELS = {COMPOSE_PROJECT_LABEL: "shop", COMPOSE_SERVICE_LABEL: "api", "com.docker.compose.container-number": "1"}


@pytest.fixture
def engine():
    made = FakeRuntime("prod-1", kind="podman", lacks=("node.*",))
    for name in ("web", "db", "temporary", "unknown"):
        made.add(name)
    made.add("shop-api-1", labels=LABELS)
    made.add("old", start=False)
    made.add_pod("pair", made.add("member"))
    for key, row in made.containers.items():
        rm = {"temporary": True, "unknown": None}.get(row.ref.name, False)
        made.containers[key] = msgspec.structs.replace(row, auto_remove=rm)
        made.host_configs[key] = {} if rm is None else {"AutoRemove": rm}
    return made


async def done(deck, line):
    reply = await deck.say(line)
    return await deck.say(reply.buttons[0].line) if reply.ending is Ending.ASKED else reply


@pytest.mark.parametrize(
    "line",
    [
        *("rm old", "rm -f web", "rename web front", "pod rm -f pair"),
        # Docker removes such a container a moment after the command, so the list may still have it.
        *("stop temporary", "kill temporary", "stop unknown", "restart temporary"),
    ],
)
async def test_nothing_is_offered_by_the_name_of_what_is_gone(valkey, engine, line):
    async with Deck(valkey.url, [engine]) as deck:
        reply = await done(deck, line)
        assert reply.ending is Ending.OK and not reply.buttons, plain_text.render(reply)


@pytest.mark.parametrize("line", ["stop web", "restart web", "pod stop pair", "kill web", "kill --signal HUP web"])
async def test_what_is_still_there_has_its_next_steps(valkey, engine, line):
    async with Deck(valkey.url, [engine]) as deck:
        reply = await done(deck, line)
        assert reply.buttons, plain_text.render(reply)
        for button in reply.buttons:
            if not button.line.endswith(" -f"):
                assert (await done(deck, button.line)).ending in (Ending.OK, Ending.NOTHING), button.line


async def test_what_somebody_else_removes_during_the_command_is_not_offered(valkey, engine):
    change = engine._change

    async def removed(target, *rest):
        outcome = await change(target, *rest)
        del engine.containers[target.id]
        return outcome

    engine._change = removed
    async with Deck(valkey.url, [engine]) as deck:
        assert not (await done(deck, "restart web")).buttons


async def test_a_failure_does_not_offer_what_is_gone(valkey, engine):
    """The container removed itself when it was stopped, so it cannot be started again."""
    change = engine._change

    async def removed(target, *rest):
        del engine.containers[target.id]
        return await change(target, *rest)

    engine._change = removed
    async with Deck(valkey.url, [engine]) as deck:
        reply = await done(deck, "restart web")
        assert "podman/prod-1 has no container web" in plain_text.render(reply) and not reply.buttons
