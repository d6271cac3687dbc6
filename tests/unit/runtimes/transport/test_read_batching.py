"""Joining the messages of a busy stream: rare messages wait for nothing, and a fast stream is never held up."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from core import errors
from runtimes.transport import http_connection, read_batching
from runtimes.transport.read_batching import JOINED_BYTES, JOINED_SECONDS, MAX_SECONDS, ReadBatching
from tests.unit.runtimes.transport.scripted import CHUNKED, PATIENCE, Engine, calling, serving, until


class Reads:
    """Reads at given times. `pauses`: the seconds of each pause. `delivered`: the sizes of what was passed on."""

    def __init__(self) -> None:
        self.loop, self.transport = Mock(), Mock()
        self.loop.time.return_value = 100.0
        self.received: list[bytes] = []
        self.batching = ReadBatching(self.loop, self.transport, self.received.append)

    def calls(self, wanted: Any) -> list[float]:
        calls = self.loop.call_later.call_args_list
        return [round(call.args[0], 6) for call in calls if call.args[1] == wanted]

    @property
    def pauses(self) -> list[float]:
        return self.calls(self.transport.resume_reading)

    @property
    def delivered(self) -> list[int]:
        return list(map(len, self.received))

    def read(self, size: int, after: float) -> None:
        self.loop.time.return_value += after
        self.batching.received(b"x" * size)


@pytest.mark.parametrize(
    ("size", "every", "pause"),
    [
        pytest.param(600, 1.0, None, id="one event a second"),
        pytest.param(600, 0.02, None, id="fifty a second"),
        pytest.param(600, 0.001, MAX_SECONDS, id="a thousand a second"),
        pytest.param(12_000, 0.001, 0.002048, id="twenty thousand a second"),
        pytest.param(65_536, 0.0004, None, id="full reads"),
        pytest.param(32_768, 0.002, None, id="much in a pause: the engine may be waiting"),
        pytest.param(20_000, 0.0005, None, id="as much as wanted in half a millisecond"),
    ],
)
def test_a_pause_lasts_until_a_read_is_worth_it(size: int, every: float, pause: float | None) -> None:
    reads = Reads()
    for _ in range(5):
        reads.read(size, every)
    assert set(reads.pauses) == ({pause} if pause else set())
    assert reads.transport.pause_reading.call_count == len(reads.pauses)


def test_the_first_message_after_a_quiet_time_is_followed_by_no_pause() -> None:
    reads = Reads()
    reads.read(600, 5.0)
    assert reads.pauses == []
    reads.read(600, 0.001)
    assert reads.pauses == [MAX_SECONDS]


def test_a_message_after_a_quiet_time_is_passed_on_at_once_with_all_before_it() -> None:
    reads = Reads()
    reads.read(600, 5.0)
    assert reads.delivered == [600]
    for _ in range(3):
        reads.read(600, 0.004)
    assert reads.delivered == [600]
    reads.read(50, 0.01)
    assert reads.delivered == [600, 1850]
    reads.batching.flush()
    assert reads.delivered == [600, 1850]


def test_messages_of_a_busy_stream_wait_together_for_a_time_that_is_limited() -> None:
    reads = Reads()
    reads.read(600, 5.0)
    for _ in range(4):
        reads.read(600, 0.004)
    assert reads.calls(reads.batching.flush) == [JOINED_SECONDS]
    reads.batching.flush()  # as the timer does
    assert reads.delivered == [600, 2400]
    reads.read(600, 0.004)
    assert reads.calls(reads.batching.flush) == [JOINED_SECONDS] * 2


def test_many_bytes_are_passed_on_without_a_delay() -> None:
    reads = Reads()
    reads.read(600, 5.0)
    for _ in range(4):
        reads.read(JOINED_BYTES // 2, 0.0005)
    assert reads.delivered == [600, JOINED_BYTES, JOINED_BYTES]


async def test_a_busy_stream_is_read_whole_in_few_reads_and_its_end_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, reads, parsed = 400, [], []
    received = http_connection.HttpConnection.buffer_updated
    feed = http_connection.HttpConnection._feed

    def counted(self: Any, nbytes: int) -> None:
        reads.append(nbytes)
        received(self, nbytes)

    def fed(self: Any, data: bytes) -> None:
        parsed.append(len(data))
        feed(self, data)

    monkeypatch.setattr(http_connection.HttpConnection, "buffer_updated", counted)
    monkeypatch.setattr(http_connection.HttpConnection, "_feed", fed)
    monkeypatch.setattr(read_batching, "QUIET_SECONDS", 10.0)  # whatever else the machine does
    monkeypatch.setattr(read_batching, "JOINED_SECONDS", 60.0)  # the end does not wait for it

    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(CHUNKED)
        for at in range(number):
            line = b"%06d\n" % at
            writer.write(b"%x\r\n%b\r\n" % (len(line), line))
            await asyncio.sleep(0)
        writer.close()

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/events", deadline=PATIENCE)
        body = b"".join([part async for part in stream.chunks()])
        assert body == b"".join(b"%06d\n" % at for at in range(number))
        assert stream.cut
        assert len(reads) < number / 4
        assert sum(parsed) == sum(reads) and len(parsed) <= 3
        await until(lambda: engine.open == 0)


async def test_what_came_before_damage_is_read_although_both_waited_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_batching, "QUIET_SECONDS", 10.0)
    monkeypatch.setattr(read_batching, "JOINED_SECONDS", 60.0)

    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(CHUNKED)
        await writer.drain()
        for piece in (b"3\r\nab\n\r\n", b"3\r\ncd\n\r\n", b"no size\r\n"):
            await asyncio.sleep(0.01)
            writer.write(piece)
        writer.close()

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/events", deadline=PATIENCE)
        read = b""
        with pytest.raises(errors.InvalidResponse):
            async for part in stream.chunks():
                read += part
        assert read == b"ab\ncd\n"
        await until(lambda: engine.open == 0)


async def test_closing_in_a_pause_ends_the_connection_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_batching, "QUIET_SECONDS", 10.0)
    monkeypatch.setattr(read_batching, "MAX_SECONDS", 60.0)
    monkeypatch.setattr(read_batching, "TARGET_BYTES", 1 << 40)

    async def answer(engine: Engine, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await engine.hear(reader)
        writer.write(CHUNKED)
        while True:
            writer.write(b"3\r\nab\n\r\n")
            await asyncio.sleep(0.001)

    async with serving(tmp_path, answer) as engine, calling(engine) as client:
        stream = await client.stream("GET", "/events", deadline=PATIENCE)
        transport = stream._connection._transport
        assert transport is not None
        await until(lambda: not transport.is_reading())
        began = time.monotonic()
        await stream.aclose()
        assert time.monotonic() - began < PATIENCE
        assert stream.cut
