"""What people decide about alerts, in a real store; and which incidents count as changed."""

from __future__ import annotations

import asyncio

import pytest

from core import errors
from core.store import incidents
from core.store.client import Store
from core.store.incidents import MessageId


@pytest.fixture
async def store(store_url):
    made = Store.open(store_url)
    yield made
    await made.aclose()


async def test_all_settings_are_read_at_once_and_bytes_come_back_as_they_went(store):
    empty = await store.alert_settings()
    assert (empty.silences, empty.maintenance, empty.mutes, empty.channel) == ({}, {}, {}, None)
    await store.put_silence("s-1", b"\x00silence")
    await store.put_maintenance("m-1", b"window")
    await store.put_mute("slack:T1/U1", b"mute")
    await store.put_alert_channel(b"C1")
    found = await store.alert_settings()
    assert dict(found.silences) == {"s-1": b"\x00silence"}
    assert dict(found.maintenance) == {"m-1": b"window"} == await store.maintenance()
    assert dict(found.mutes) == {"slack:T1/U1": b"mute"} == await store.mutes()
    assert found.channel == b"C1" == await store.alert_channel()
    assert await store.remove_mutes("slack:T1/U1", "slack:T1/U2") == 1
    assert await store.remove_mutes() == 0
    await store.put_alert_channel(None)
    assert await store.alert_channel() is None


async def test_of_two_processes_that_change_a_window_one_wins(store):
    await store.put_maintenance("m-1", b"one")
    won = await asyncio.gather(*(store.change_maintenance("m-1", b"one", value) for value in (b"two", b"three")))
    assert sorted(won) == [False, True]
    assert (await store.maintenance())["m-1"] in (b"two", b"three")
    assert not await store.change_maintenance("m-1", b"one", None)
    assert await store.change_maintenance("m-1", (await store.maintenance())["m-1"], None)
    assert await store.maintenance() == {}
    assert not await store.change_maintenance("m-1", b"one", b"two")


async def test_an_incident_stays_changed_until_people_were_told_of_it(store):
    assert await store.change_incident("k", None, b"1")
    assert await store.keep_incident("k", b"1", b"2")
    assert await store.changed_incidents(10) == ["k"]
    assert not await store.keep_incident("k", b"1", b"3")
    assert await store.incident_told("k", b"2", b"3")
    assert await store.changed_incidents(10) == []
    assert await store.keep_incident("k", b"3", b"4")
    assert await store.changed_incidents(10) == [] and await store.incident("k") == b"4"


async def test_the_incidents_of_a_message_are_read_in_parts_and_without_those_of_others(store, monkeypatch):
    monkeypatch.setattr(incidents, "SCAN_COUNT", 3)
    mine, others = (
        MessageId("C1", "1.5"),
        [MessageId("C1", "1.50"), MessageId("C1", "1"), MessageId("C11", "1.5"), MessageId("#a b", "1")],
    )
    for number in range(7):
        assert await store.change_incident(f"k{number}", None, b"1")
        assert await store.keep_incident(f"k{number}", b"1", b"2", mine)
    for number, message in enumerate(others):
        assert await store.change_incident(f"o{number}", None, b"1", message)
    assert not await store.incident_told("o0", b"9", b"3", mine), "what is not stored is not in the index"
    assert [each async for each in store.incidents_in(mine)] == [(f"k{number}", b"2") for number in range(7)]
    await store.remove_incidents(["k2"])
    assert [key async for key, _ in store.incidents_in(mine)] == [f"k{number}" for number in range(7) if number != 2]
    indexed = {entry async for part in store.indexed_messages() for entry in part}
    assert indexed == {(mine, f"k{number}") for number in range(7)} | {
        (message, f"o{number}") for number, message in enumerate(others)
    }
    await store.remove_messages(message.entry(key) for message, key in indexed if message == mine)
    assert [each async for each in store.incidents_in(mine)] == []


async def test_a_newer_change_has_a_newer_time_and_comes_later(store):
    for key in ("a", "b"):
        assert await store.change_incident(key, None, b"1")
        await asyncio.sleep(0.002)  # the times are whole milliseconds
    before = await store.changed_incident_times(10)
    assert list(before) == ["a", "b"] == list(await store.changed_incidents(10))
    assert await store.change_incident("a", b"1", b"2")
    after = await store.changed_incident_times(10)
    assert await store.changed_incidents_state() == (2, after["a"], after["b"])
    assert list(after) == ["b", "a"] and after["a"] > before["a"] and after["b"] == before["b"]
    assert list(await store.changed_incident_times(1)) == ["b"]
    assert list(await store.changed_incident_times(5, 1)) == ["a"]


async def test_a_store_that_does_not_answer_is_an_error():
    gone = Store.open("unix:///nowhere/valkey.sock", timeout=0.1)
    for ask in (gone.alert_settings, gone.maintenance, gone.mutes, gone.alert_channel):
        with pytest.raises(errors.StoreError):
            await ask()
    await gone.aclose()
