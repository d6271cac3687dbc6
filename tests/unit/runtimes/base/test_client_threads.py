"""Calls of blocking clients: a few threads for each engine, one deadline, and the truth about what was sent."""

from __future__ import annotations

import asyncio
import threading

import pytest

from core import errors
from runtimes.base import client_threads
from runtimes.base.client_threads import MAX_THREADS, ClientThreads
from runtimes.transport.dialer import DirectDialer
from runtimes.transport.endpoint import Endpoint
from tests.helpers.deadlines import sent_in_vain
from tests.helpers.servers import never, serving


def threads(path):
    endpoint = Endpoint(scheme="unix", path=str(path))
    return ClientThreads(DirectDialer(endpoint), str(endpoint))


def ask(sockets):
    """Sends a request, and waits for one byte of the answer."""
    with sockets.connect() as connected:
        connected.sendall(b"request")
        if not (got := connected.recv(1)):
            raise ConnectionResetError("the engine closed the connection")
        return got


async def answer(reader, writer):
    await reader.readexactly(7)
    writer.write(b"!")
    await writer.drain()


async def test_a_call_returns_what_its_function_returns_and_runs_in_a_thread(tmp_path):
    async with serving(answer, tmp_path / "s"):
        made = threads(tmp_path / "s")
        call = made.call(max_bytes=10, change=True)
        assert not call.sent
        assert await call.run(ask, 60.0) == b"!"
        assert call.sent
        name = await made.call(max_bytes=10).run(lambda _: threading.current_thread().name, 60.0)
        assert name.startswith("client of unix://")
        await made.aclose()


async def test_an_engine_that_hangs_uses_up_its_own_threads_only(tmp_path):
    async with serving(never, tmp_path / "hangs"), serving(answer, tmp_path / "works"):
        hanging, working = threads(tmp_path / "hangs"), threads(tmp_path / "works")
        calls = [hanging.call(max_bytes=10, change=True) for _ in range(MAX_THREADS)]
        held = [asyncio.create_task(call.run(ask, 60.0)) for call in calls]
        while not all(call.sent for call in calls):
            await asyncio.sleep(0.001)
        with pytest.raises(errors.TimedOut, match=f"{MAX_THREADS} other requests") as caught:
            await hanging.call(max_bytes=10, change=True).run(ask, 0.05)
        assert not caught.value.sent
        assert await working.call(max_bytes=10).run(ask, 60.0) == b"!"
        # Its threads are free again as soon as nobody waits for them.
        for task in held:
            task.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        error = await sent_in_vain(lambda seconds: hanging.call(max_bytes=10, change=True).run(ask, seconds), 0.2)
        assert "did not answer" in error.full_message()
        await hanging.aclose()
        await working.aclose()
    assert not [one for one in threading.enumerate() if one.name.startswith("client of")]


async def test_a_thread_that_does_not_end_holds_its_place(tmp_path):
    made, go_on = threads(tmp_path / "s"), threading.Event()
    with pytest.raises(errors.TimedOut) as caught:
        await made.call(max_bytes=10, change=True).run(lambda _: go_on.wait(30), 0.05)
    assert not caught.value.sent  # nothing had left
    assert made.slots._value == MAX_THREADS - 1
    go_on.set()
    await made.aclose()
    assert made.slots._value == 0


@pytest.mark.parametrize("change", [True, False])
async def test_every_failure_but_a_refused_connection_counts_as_sent(tmp_path, change):
    async def close(reader, writer):
        await reader.readexactly(7)

    def fails(sockets):
        try:
            return ask(sockets)
        except OSError as error:
            raise errors.Unreachable("it failed", sent=False) from error

    async with serving(close, tmp_path / "s"):
        made = threads(tmp_path / "s")
        with pytest.raises(errors.Unreachable, match="it failed") as caught:
            await made.call(max_bytes=10, change=change).run(fails, 60.0)
        assert caught.value.sent is change
        await made.aclose()
    made = threads(tmp_path / "nowhere")
    with pytest.raises(errors.Unreachable, match="no engine socket") as caught:
        await made.call(max_bytes=10, change=change).run(fails, 60.0)
    assert not caught.value.sent
    await made.aclose()


async def test_a_refusal_is_an_answer(tmp_path):
    def refused(sockets):
        ask(sockets)
        raise errors.Rejected(409, "no")

    async with serving(answer, tmp_path / "s"):
        made = threads(tmp_path / "s")
        with pytest.raises(errors.Rejected) as caught:
            await made.call(max_bytes=10, change=True).run(refused, 60.0)
        assert not caught.value.sent
        await made.aclose()


async def test_too_long_an_answer_is_the_reason_whatever_the_client_says_of_it(tmp_path):
    async def flood(reader, writer):
        await reader.readexactly(7)
        writer.write(b"x" * 100)
        await writer.drain()

    def read(sockets):
        with sockets.connect() as connected:
            connected.sendall(b"request")
            while connected.recv(10):
                pass
            raise ValueError("no JSON")

    async with serving(flood, tmp_path / "s"):
        made = threads(tmp_path / "s")
        with pytest.raises(errors.InvalidResponse, match="longer than 10 bytes") as caught:
            await made.call(max_bytes=10, change=True).run(read, 60.0)
        assert caught.value.sent
        await made.aclose()


async def test_a_bug_stays_a_bug(tmp_path):
    made = threads(tmp_path / "s")
    for wrong in (ZeroDivisionError("bug"), StopIteration("bug")):

        def fail(_, wrong=wrong):
            raise wrong

        with pytest.raises((ZeroDivisionError, RuntimeError), match="bug"):
            await made.call(max_bytes=10, change=True).run(fail, 60.0)
    await made.aclose()


async def test_no_thread_to_be_had_is_an_error_of_its_own(tmp_path, monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    made = threads(tmp_path / "s")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        with pytest.raises(errors.Unreachable, match="could not start a thread") as caught:
            await made.call(max_bytes=10, change=True).run(ask, 60.0)
    assert not caught.value.sent
    assert made.slots._value == MAX_THREADS
    await made.aclose()


async def test_closing_ends_running_calls_and_later_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(client_threads, "CLOSE_SECONDS", 5.0)
    async with serving(never, tmp_path / "s"):
        made = threads(tmp_path / "s")
        call = made.call(max_bytes=10, change=True)
        running = asyncio.create_task(call.run(ask, 60.0))
        while not call.sent:
            await asyncio.sleep(0.001)
        await made.aclose()
        with pytest.raises(ConnectionError):
            await running
