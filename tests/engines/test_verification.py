"""What became of containers after a change, on a real dockerd: one in a crash loop, one with a health check, one that
ignores its stop signal."""

import pytest

from bot import plain_text
from core.model.replies import Ending
from runtimes import engine_registry
from tests.helpers.deck import Deck
from tests.helpers.watched_engine import WatchedEngine

pytestmark = pytest.mark.engine

# Docker 20.10 does not answer an unpause if the container was paused while a check began, until that check is too late.
# So the next check begins long after the one that ends the watching.
CHECK = {"test": ["CMD-SHELL", "test -f /ok"], "interval": 5 * 10**9, "timeout": 60 * 10**9, "retries": 30}


class Talk:
    def __init__(self):
        self.waits, self.shown, self.final = [], [], ""

    def started(self, action):
        """What is shown then is tested elsewhere."""

    def progress(self, progress):
        self.waits.append(progress.progress)
        return True

    def watching(self, watched):
        self.shown.append(plain_text.render(watched.reply))

    def is_private(self):
        return True

    async def finish(self, reply):
        self.final = plain_text.render(reply)


@pytest.fixture
async def deck(valkey, dockerd):
    """Of a bot that watches the engine. Without events, only a look in the moment before the restart shows the exit
    code of a run."""
    async with WatchedEngine(engine_registry.EngineAddress(kind="docker", url=dockerd.url)) as eye:
        async with Deck(valkey.url, [eye.mirror], seconds=60.0) as made:
            yield made


async def verified(deck, line):
    talk = Talk()
    reply = await deck.say(line, responder=talk, verify=True)
    return talk, reply


async def test_a_crash_loop_a_health_check_and_a_kill(deck, dockerd):
    again = {"restart_policy": {"Name": "always"}}
    dockerd.run("worker", "echo no such table; sleep 3; exit 2", host=again)
    talk, reply = await verified(deck, "restart worker -t 1")
    assert talk.shown[0].startswith("worker restarted in") and talk.shown[0].endswith("Watching worker…")
    assert ", died" in talk.final and "(exit 2" in talk.final, talk.final
    assert "Last line of worker:\nno such table" in talk.final
    assert reply.ending is Ending.FAILED
    assert [button.label for button in reply.buttons] == ["Logs", "Stop"]
    await deck.say("stop worker -t 1")

    dockerd.run("web", "trap '' TERM; sleep 1; touch /ok; while true; do sleep 1; done", healthcheck=CHECK)
    talk, reply = await verified(deck, "restart web -t 3")
    assert any(text.startswith("waiting for it to stop, ") and text.endswith(" of 3 s") for text in talk.waits)
    assert "did not end within 3 s and was killed; healthy" in talk.final, talk.final
    assert reply.ending is Ending.OK
    await deck.say("pause web")
    talk, reply = await verified(deck, "unpause web")
    assert ", healthy" in talk.final and reply.ending is Ending.OK
