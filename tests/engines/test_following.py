"""A followed log on a real dockerd, under load and in trouble: ten thousand lines a second, a daemon killed amid it."""

import asyncio
import time
import tracemalloc

import pytest

from bot import plain_text
from core.model.replies import Ending
from runtimes import engine_registry
from tests.helpers.deck import CONSOLE, Deck

# A burst of so many lines, then a rest of a tenth of a second, as a real flood comes.
FLOOD = "i=0; while [ $i -lt 40 ]; do seq 1000; i=$((i+1)); sleep 0.1; done; echo the end"
AS_SOON_AS_FOLLOWED = "echo begin; until [ -e /go ]; do sleep 0.05; done"


class Ears:
    """A responder that stores counts and the last line only, and notes how long the loop was held up meanwhile."""

    def __init__(self):
        self.lines = self.skipped = 0
        self.last, self.first = "", asyncio.Event()

    def started(self, action):
        pass

    def progress(self, going):
        self.lines += len(going.lines)
        self.skipped += going.skipped
        if going.lines:
            self.last = going.lines[-1]
            self.first.set()
        return True

    async def finish(self, reply):
        pass


class Listening(Deck):
    async def follow(self, line, ears):
        return await self._dispatcher.answer(self.line(line, place=CONSOLE), ears)


@pytest.fixture
async def listening(valkey, dockerd):
    async with Listening(
        valkey.url, [engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=dockerd.url))]
    ) as made:
        yield made


async def test_a_flood_is_followed_in_bounded_memory_and_the_loop_stays_free(listening, dockerd):
    ears, held = Ears(), []

    async def feel_the_pulse():
        while True:
            began = time.thread_time()  # what others do on this machine meanwhile does not count
            await asyncio.sleep(0.01)
            held.append(time.thread_time() - began)

    await asyncio.to_thread(dockerd.run, "web", f"{AS_SOON_AS_FOLLOWED}; {FLOOD}")
    pulse = asyncio.create_task(feel_the_pulse())
    tracemalloc.start()
    try:
        following = asyncio.create_task(listening.follow("logs web -f", ears))
        await ears.first.wait()
        await asyncio.to_thread(dockerd.exec, "web", ["/bin/sh", "-c", ": > /go"])
        reply = await following
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        pulse.cancel()
    text = plain_text.render(reply)
    assert "40,002 lines" in text
    assert "web has ended" in text
    assert ears.lines + ears.skipped == 40_002
    assert ears.last == "the end"
    assert peak < 24 << 20  # of 40,000 lines one thousand are held, and what one read brings
    assert max(held) < 2.0, sorted(held)[-5:]  # not a figure: a loop that stood still would be the bug


async def test_a_daemon_killed_in_the_middle_is_a_sentence_and_no_end(valkey, own_dockerd):
    async with Listening(
        valkey.url, [engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=own_dockerd.url))]
    ) as deck:
        await asyncio.to_thread(own_dockerd.run, "web", "while :; do echo hello; sleep 0.1; done")
        ears = Ears()
        following = asyncio.create_task(deck.follow("logs web -f", ears))
        async with asyncio.timeout(60):
            await ears.first.wait()
        await asyncio.to_thread(own_dockerd.kill)
        async with asyncio.timeout(60):
            reply = await following
        text = plain_text.render(reply)
        assert reply.ending is Ending.FAILED
        assert text.startswith("Followed web for ")
        assert "ended early" in text or "does not answer" in text
        assert "has ended" not in text


async def test_followers_leave_room_to_read(listening, dockerd):
    await asyncio.to_thread(dockerd.run, "web", "echo hello; exec sleep 3600")
    following = []
    for _ in range(6):
        following.append(asyncio.create_task(listening.follow("logs web -f", ears := Ears())))
        heard = asyncio.create_task(ears.first.wait())
        await asyncio.wait([following[-1], heard], return_when=asyncio.FIRST_COMPLETED)
        heard.cancel()
    refused = await following.pop()
    assert "You already follow logs or events in 5 jobs" in plain_text.render(refused)
    assert "hello" in plain_text.render(await listening.say("logs web"))
    await asyncio.to_thread(dockerd.api.remove_container, "web", force=True)
    for one in following:
        assert "Followed web" in plain_text.render(await one)
