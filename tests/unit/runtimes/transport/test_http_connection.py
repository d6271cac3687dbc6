"""One connection, fed by hand: when its reader rests."""

from __future__ import annotations

import asyncio

import pytest

from runtimes.transport import http_connection
from runtimes.transport.endpoint import Endpoint


class Transport(asyncio.Transport):
    """Notes whether it is asked to read."""

    reading = True

    def is_closing(self) -> bool:
        return False

    def write(self, data: object) -> None:
        pass

    def abort(self) -> None:
        pass

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


@pytest.mark.looptime
async def test_the_reader_rests_only_between_small_reads_that_come_thick() -> None:
    block = memoryview(bytearray(http_connection.BLOCK))
    connection = http_connection.Connection(Endpoint.parse("unix:///x"), block)
    transport = Transport()

    def arrive(data: bytes) -> None:
        block[: len(data)] = data
        connection.buffer_updated(len(data))

    connection.connection_made(transport)
    connection.begin(b"GET", "GET", 1 << 20, http_connection.Full.DROP)
    arrive(b"HTTP/1.1 200 OK\r\n\r\n")
    connection.pace(1.0)  # more than allowed
    arrive(b"a")
    assert transport.reading  # the first after silence: no rest
    arrive(b"b")
    assert not transport.reading
    assert connection.take() == b"ab"  # what was read is not held back
    await asyncio.sleep(http_connection.LONGEST_REST)
    await asyncio.sleep(0)
    assert transport.reading
    arrive(b"c" * http_connection.PLENTY)
    assert transport.reading  # the sender is ahead: read on
    arrive(b"d")
    assert not transport.reading
    await asyncio.sleep(1)
    arrive(b"e")
    assert transport.reading
    connection.abort()
