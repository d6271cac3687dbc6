"""A thread's blocking socket is connected to the engine: bytes pass both ways, up to a limit, until it is closed."""

from __future__ import annotations

import asyncio
import socket

import pytest

from core import errors
from runtimes.transport.dialer import DirectDialer
from runtimes.transport.endpoint import Endpoint
from runtimes.transport.thread_sockets import MAX_CONNECTIONS, ThreadSockets
from tests.helpers.servers import never, serving


def sockets(path, *, max_bytes=1 << 20):
    return ThreadSockets(DirectDialer(Endpoint(scheme="unix", path=str(path))), "the engine", max_bytes=max_bytes)


def received(connected: socket.socket) -> bytes:
    """All bytes until the other side closes."""
    parts = []
    while part := connected.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


async def test_bytes_pass_both_ways_in_their_order(tmp_path):
    sent = bytes(range(256)) * 20_000  # more than all buffers on the way

    async def echo(reader, writer):
        writer.write(await reader.readexactly(len(sent)))
        await writer.drain()

    def talk(opened):
        with opened.connect() as connected:
            connected.sendall(sent)
            return received(connected)

    async with serving(echo, tmp_path / "s"):
        opened = sockets(tmp_path / "s", max_bytes=len(sent))
        assert not opened.sent
        assert await asyncio.to_thread(talk, opened) == sent
        assert opened.sent and opened.failure is None
        opened.close()


async def test_it_can_be_closed_after_the_last_bytes_were_written_to_an_end_that_closes(tmp_path):
    """The engine closes while bytes wait for the thread, so the thread's end closes only when they were written."""

    async def answers(reader, writer):
        await reader.readexactly(1)
        while not opened._halves[1].transport.get_write_buffer_size():
            writer.write(b"x" * 4096)
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(answers, tmp_path / "s"):
        opened = sockets(tmp_path / "s")
        with await asyncio.to_thread(opened.connect) as connected:
            connected.sendall(b"?")
            engine, thread = opened._halves
            while not engine.lost:
                await asyncio.sleep(0.01)
            assert not thread.lost
            assert set(await asyncio.to_thread(received, connected)) == set(b"x")
            while not thread.lost:
                await asyncio.sleep(0.01)
        opened.close()
        opened.close()


async def test_a_thread_that_does_not_read_stops_the_engine(tmp_path):
    written = 0

    async def flood(reader, writer):
        nonlocal written
        await reader.readexactly(1)
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            written += 65_536

    async with serving(flood, tmp_path / "s"):
        opened = sockets(tmp_path / "s", max_bytes=1 << 40)
        connected = await asyncio.to_thread(opened.connect)
        with connected:
            connected.sendall(b"a")
            before = -1
            while before != written:  # until nothing moves any more
                before = written
                for _ in range(50):
                    await asyncio.sleep(0.001)
            assert written < 8 << 20
            opened.close()


async def test_what_is_more_than_allowed_closes_the_connection(tmp_path):
    async def flood(reader, writer):
        await reader.readexactly(1)
        writer.write(b"x" * 200_000)
        await writer.drain()

    def talk(opened):
        with opened.connect() as connected:
            connected.sendall(b"a")
            return received(connected)

    async with serving(flood, tmp_path / "s"):
        opened = sockets(tmp_path / "s", max_bytes=100_000)
        try:
            got = await asyncio.to_thread(talk, opened)
        except ConnectionError:
            got = b""
        assert len(got) <= 100_000
        assert isinstance(opened.failure, errors.InvalidResponse)
        assert "longer than 100,000 bytes" in opened.failure.message


async def test_a_refused_connection_has_sent_nothing(tmp_path):
    opened = sockets(tmp_path / "nowhere")
    with pytest.raises(errors.Unreachable, match="no engine socket"):
        await asyncio.to_thread(opened.connect)
    assert not opened.sent


async def test_closing_ends_a_read_a_connect_and_every_later_one(tmp_path):
    async with serving(never, tmp_path / "s"):
        opened = sockets(tmp_path / "s")
        connected = await asyncio.to_thread(opened.connect)
        reading = asyncio.create_task(asyncio.to_thread(connected.recv, 1))
        await asyncio.sleep(0)
        opened.close()
        try:
            assert await reading == b""
        except ConnectionError:
            pass
        connected.close()
        with pytest.raises(errors.Unreachable, match="has closed its connection"):
            await asyncio.to_thread(opened.connect)


async def test_a_call_has_a_limited_number_of_connections(tmp_path):
    async with serving(never, tmp_path / "s"):
        opened = sockets(tmp_path / "s")
        connected = [await asyncio.to_thread(opened.connect) for _ in range(MAX_CONNECTIONS)]
        with pytest.raises(errors.Unreachable):
            await asyncio.to_thread(opened.connect)
        opened.close()
        for each in connected:
            each.close()


class Slow(DirectDialer):
    """Connects never."""

    async def connect(self, protocol):
        await asyncio.Event().wait()


async def test_closing_ends_a_connection_that_is_being_opened(tmp_path):
    opened = ThreadSockets(Slow(Endpoint(scheme="unix", path="/x")), "the engine", max_bytes=1)
    connecting = asyncio.create_task(asyncio.to_thread(opened.connect))
    while not opened._opening:
        await asyncio.sleep(0.001)
    opened.close()
    with pytest.raises(errors.Unreachable):
        await connecting
