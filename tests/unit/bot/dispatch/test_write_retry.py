"""What could not be stored waits, in order and bounded, and is written once the store is back."""

import dataclasses

import pytest

from bot.dispatch.write_retry import DeferredWrite, DeferredWrites
from core import errors


class Store:
    def __init__(self):
        self.written = []
        self.error = None

    def entry(self, name, invocation=""):
        async def write():
            if self.error is not None:
                raise self.error
            self.written.append(name)

        return DeferredWrite(write=write, invocation=invocation, rows=({"line": name, "reason": "r", "event": "e"},))


async def test_what_can_be_written_does_not_wait():
    store, spool = Store(), DeferredWrites()
    await spool.write(store.entry("a"))
    assert (store.written, len(spool)) == (["a"], 0)


async def test_what_waits_is_written_in_order_once_the_store_is_back():
    store, spool = Store(), DeferredWrites()
    store.error = errors.StoreDown()
    for name in "abc":
        await spool.write(store.entry(name))
    with pytest.raises(errors.StoreDown):
        await spool.flush()
    assert len(spool) == 3
    store.error = None
    await spool.flush()
    await spool.flush()
    assert (store.written, len(spool)) == (["a", "b", "c"], 0)


async def test_entries_of_one_invocation_keep_their_order_and_others_do_not_wait():
    store, spool = Store(), DeferredWrites()
    store.error = errors.StoreDown()
    await spool.write(store.entry("end", "i1"))
    store.error = None
    await spool.write(store.entry("forget", "i1"))
    await spool.write(store.entry("other", "i2"))
    assert store.written == ["other"]
    await spool.flush()
    assert store.written == ["other", "end", "forget"]


async def test_it_is_bounded_and_counts_what_it_drops():
    store, spool = Store(), DeferredWrites(max_entries=2)
    store.error = errors.StoreDown()
    for name in "abcd":
        await spool.write(store.entry(name))
    assert (len(spool), spool.dropped) == (2, 2)
    store.error = None
    await spool.flush()
    assert store.written == ["a", "b"]


async def test_what_the_store_rejects_does_not_block_the_rest():
    store, spool = Store(), DeferredWrites()
    store.error = errors.StoreDown()
    await spool.write(store.entry("a"))
    rejected = Store()
    rejected.error = errors.StoreError("WRONGTYPE")
    await spool.write(rejected.entry("b"))
    await spool.write(store.entry("c"))
    store.error = None
    await spool.flush()
    assert (store.written, len(spool), spool.dropped) == (["a", "c"], 0, 1)


async def test_minor_entries_leave_room_for_the_others():
    store, spool = Store(), DeferredWrites(max_entries=4)
    store.error = errors.StoreDown()
    for name in "abcdef":
        await spool.write(dataclasses.replace(store.entry(name), minor=True))
    assert (len(spool), spool.dropped) == (2, 4)
    await spool.write(store.entry("end"))
    assert len(spool) == 3
