"""The record of messages, on a real store: each is posted once, whoever goes on."""

from __future__ import annotations

import pytest

from bot.notify.post_record import OTHERS_POST_SECONDS, PostRecord
from core import errors
from core.store.client import Store


class Scene:
    def __init__(self, store: Store) -> None:
        self.store, self.seconds = store, 1000.0
        self.record = self.process()

    def process(self) -> PostRecord:
        return PostRecord(self.store, lambda: self.seconds)


@pytest.fixture
async def scene(valkey):
    store = Store.open(valkey.url)
    yield Scene(store)
    await store.aclose()


async def test_what_is_there_is_not_posted_again_by_anybody(scene):
    begun = await scene.record.begin("a")
    assert not begun.tried and not begun.ts
    await scene.record.posted("a", begun, "C1", "1.1")
    for record in (scene.record, scene.process()):
        again = await record.begin("a")
        assert (again.channel, again.ts) == ("C1", "1.1")
    other = await scene.record.begin("b")
    assert other.token != begun.token and not other.ts


async def test_this_process_goes_on_at_once_with_the_same_mark(scene):
    begun = await scene.record.begin("a")
    again = await scene.record.begin("a")
    assert (again.token, again.at, again.tried) == (begun.token, 1000.0, True)


async def test_another_process_waits_until_the_post_cannot_be_on_its_way(scene):
    begun = await scene.record.begin("a")
    other = scene.process()
    with pytest.raises(errors.Undeliverable) as waits:
        await other.begin("a")
    assert waits.value.maybe_sent
    scene.seconds += OTHERS_POST_SECONDS
    again = await other.begin("a")
    assert (again.token, again.tried) == (begun.token, True)


async def test_after_a_refusal_it_is_a_new_post(scene):
    begun = await scene.record.begin("a")
    await scene.record.refused("a", begun)
    again = await scene.process().begin("a")
    assert not again.tried and again.token != begun.token


async def test_what_another_version_wrote_is_replaced(scene):
    await scene.store.begin_post("a", b"{", 60)
    begun = await scene.record.begin("a")
    assert not begun.tried
    await scene.record.posted("a", begun, "C1", "1.1")
    assert (await scene.process().begin("a")).ts == "1.1"


async def test_records_expire(scene):
    await scene.record.begin("a")
    assert 0 < await scene.store._client.ttl(b"{qd}:post:a") <= 2 * 86_400
