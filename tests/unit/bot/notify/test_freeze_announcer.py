"""Tests that a freeze and its end are announced once, whoever sets it, and again if an announcement was lost."""

import msgspec
import pytest

from bot.notify.freeze_announcer import MAX_TRIES, FreezeAnnouncer
from bot.notify.message_sender import SentMessage
from core import errors
from core.model.alert_setting_actions import AlertChannel
from core.model.freezes import Freeze
from core.model.replies import Text
from core.store.client import Store

ANN = Freeze(by="slack:T1/ANN", by_name="ann", since=1_700_000_000, reason="a move")


class Poster:
    def __init__(self):
        self.posted, self.fails, self.closed = [], False, set()

    async def post(self, channel, reply, thread="", *, broadcast=False):
        if self.fails or channel in self.closed:
            raise errors.Undeliverable("the channel is archived", code="is_archived")
        (text,) = [block.text for block in reply.blocks if isinstance(block, Text)]
        self.posted.append((channel, text))
        return SentMessage(channel=channel, ts="1.0")


@pytest.fixture
async def store(valkey):
    made = Store.open(valkey.url)
    yield made
    await made.aclose()


@pytest.fixture
def poster():
    return Poster()


def announcer(store, poster, *, channel="C1", leads=True):
    return FreezeAnnouncer(store, poster, configured=lambda: (channel,) if channel else (), leads=lambda: leads)


async def test_a_freeze_and_its_end_are_each_announced_once(store, poster):
    first, second = announcer(store, poster), announcer(store, poster)  # as after a restart
    await first.flush()
    assert poster.posted == []
    await store.set_freeze(ANN.by, msgspec.json.encode(ANN), 0)
    for each in (first, second, first):
        await each.flush()
    assert [channel for channel, _ in poster.posted] == ["C1"]
    assert "ann has frozen all changes" in poster.posted[0][1] and "a move" in poster.posted[0][1]
    await store.lift_freeze()
    for each in (first, second):
        await each.flush()
    assert poster.posted[1:] == [("C1", "Changes are possible again: the freeze of ann has ended.")]


async def test_an_announcement_that_was_not_delivered_is_made_later(store, poster):
    made = announcer(store, poster)
    await store.set_freeze(ANN.by, msgspec.json.encode(ANN), 0)
    poster.fails = True
    with pytest.raises(errors.DeliveryError):
        await made.flush()
    poster.fails = False
    await made.flush()
    assert len(poster.posted) == 1


async def test_without_a_channel_nothing_is_announced(store, poster):
    await store.set_freeze(ANN.by, msgspec.json.encode(ANN), 0)
    await announcer(store, poster, channel="").flush()
    assert poster.posted == []


@pytest.mark.parametrize(("configured", "posted"), [("", "C2"), ("C1", "C1")])
async def test_the_channel_that_a_command_named_is_used_if_the_configuration_has_none(
    store, poster, configured, posted
):
    await store.put_alert_channel(msgspec.json.encode(AlertChannel(channel="C2", by="slack:T1/ANN")))
    await store.set_freeze(ANN.by, msgspec.json.encode(ANN), 0)
    await announcer(store, poster, channel=configured).flush()
    assert [channel for channel, _ in poster.posted] == [posted]


async def test_a_channel_that_is_closed_lets_nobody_read_it_twice(store, poster):
    seconds = 0.0
    made = FreezeAnnouncer(store, poster, configured=lambda: ("C1", "C2"), leads=lambda: True, now=lambda: seconds)
    poster.closed = {"C2"}
    await store.set_freeze(ANN.by, msgspec.json.encode(ANN), 0)
    for seconds in range(0, 200, 2):  # noqa: B007 (the announcer's clock)
        await made.flush()
    assert [channel for channel, _ in poster.posted] == ["C1"]
    poster.closed = set()
    seconds += 31
    await made.flush()
    await made.flush()
    assert [channel for channel, _ in poster.posted] == ["C1", "C2"]
    poster.closed = {"C1"}
    await store.lift_freeze()
    await made.flush()
    await FreezeAnnouncer(store, poster, configured=lambda: ("C1", "C2"), leads=lambda: True).flush()
    assert [channel for channel, _ in poster.posted] == ["C1", "C2", "C2"]


async def test_a_channel_that_stays_closed_is_given_up(store, poster):
    seconds, tried = 0.0, []
    made = FreezeAnnouncer(store, poster, configured=lambda: ("C1", "C2"), leads=lambda: True, now=lambda: seconds)
    post = poster.post

    async def noted(channel, reply):
        tried.append(channel)
        return await post(channel, reply)

    poster.post, poster.closed = noted, {"C2"}
    await store.set_freeze(ANN.by, msgspec.json.encode(ANN), 0)
    for seconds in range(0, 3600, 20):  # noqa: B007 (the announcer's clock)
        await made.flush()
    assert (tried.count("C1"), tried.count("C2")) == (1, MAX_TRIES)


async def test_a_store_that_fails_after_the_message_lets_nobody_read_it_twice(store, poster, monkeypatch):
    made = announcer(store, poster)
    await store.set_freeze(ANN.by, msgspec.json.encode(ANN), 0)

    async def down(value):
        raise errors.StoreDown

    with monkeypatch.context() as patched, pytest.raises(errors.StoreDown):
        patched.setattr(store, "set_announced_freeze", down)
        await made.flush()
    await made.flush()
    assert len(poster.posted) == 1
