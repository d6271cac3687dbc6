"""Tests that a freeze and its end are announced once, whoever sets it, and again if an announcement was lost."""

import msgspec
import pytest

from bot.notify.freeze_announcer import FreezeAnnouncer
from bot.notify.message_sender import SentMessage
from core import errors
from core.model.alert_setting_actions import AlertChannel
from core.model.freezes import Freeze
from core.model.replies import Text
from core.store.client import Store

ANN = Freeze(by="slack:T1/ANN", by_name="ann", since=1_700_000_000, reason="a move")


class Poster:
    def __init__(self):
        self.posted, self.fails = [], False

    async def post(self, channel, reply, thread="", *, broadcast=False):
        if self.fails:
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
    assert "ann froze all changes" in poster.posted[0][1] and "a move" in poster.posted[0][1]
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
