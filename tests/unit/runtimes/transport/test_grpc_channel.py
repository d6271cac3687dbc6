"""The line for gRPC: what every status and every fault of the connection becomes, and what is said to have left."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from core import errors
from runtimes.proto import containerd_containers_pb2, containerd_version_pb2
from runtimes.transport import grpc_channel, protobuf_repair
from tests.helpers.deadlines import sent_in_vain

METHOD = "/a.Service/Do"
Request, Answer = containerd_containers_pb2.GetContainerRequest, containerd_version_pb2.VersionResponse
Handler = Callable[[Any, Any], Awaitable[Any]]


class Server:
    """One gRPC server at a socket; `do` answers, `tell` streams."""

    def __init__(self, path: Path, do: Handler | None = None, tell: Any = None) -> None:
        self.path, self.do, self.tell = path, do, tell
        self.server: grpc.aio.Server | None = None

    async def start(self) -> None:
        self.path.unlink(missing_ok=True)
        self.server = grpc.aio.server()
        handlers = {}
        if self.do is not None:
            handlers["Do"] = grpc.unary_unary_rpc_method_handler(self.do, Request.FromString, _bytes)
        if self.tell is not None:
            handlers["Tell"] = grpc.unary_stream_rpc_method_handler(self.tell, Request.FromString, _bytes)
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("a.Service", handlers),))
        self.server.add_insecure_port(f"unix:{self.path}")
        await self.server.start()

    async def stop(self) -> None:
        assert self.server is not None
        await self.server.stop(0)


def _bytes(answer: Any) -> bytes:
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


@contextlib.asynccontextmanager
async def lined(folder: Path, do: Handler | None = None, tell: Any = None) -> AsyncIterator[tuple[Server, Any]]:
    server = Server(folder / "g.sock", do, tell)
    await server.start()
    line = grpc_channel.GrpcChannel(f"unix://{server.path}", engine="the engine")
    try:
        yield server, line
    finally:
        await line.aclose()
        await server.stop()


async def ask(line: grpc_channel.GrpcChannel, seconds: float = 5.0) -> Any:
    return await line.call(METHOD, Request(id="x"), Answer, seconds=seconds, metadata=(("place", "here"),))


async def test_a_message_goes_and_one_comes_back_with_what_travels_beside(short_tmp: Path) -> None:
    async def do(request: Any, context: Any) -> Any:
        beside = dict(context.invocation_metadata())
        return Answer(version=f"{request.id} {beside['place']}")

    async with lined(short_tmp, do) as (_, line):
        assert (await ask(line)).version == "x here"


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_every_status_is_one_of_our_errors(short_tmp: Path, code: grpc.StatusCode) -> None:
    async def do(request: Any, context: Any) -> Any:
        await context.abort(code, "these words")

    wanted: dict[grpc.StatusCode, type[errors.QuarterdeckError]] = {
        grpc.StatusCode.NOT_FOUND: errors.NotFound,
        grpc.StatusCode.UNIMPLEMENTED: errors.Unsupported,
        grpc.StatusCode.UNAVAILABLE: errors.Unreachable,
        grpc.StatusCode.CANCELLED: errors.Unreachable,
        grpc.StatusCode.DEADLINE_EXCEEDED: errors.TimedOut,
    }
    async with lined(short_tmp, do) as (_, line):
        with pytest.raises(errors.QuarterdeckError) as caught:
            await ask(line)
    assert type(caught.value) is wanted.get(code, errors.Rejected)
    assert "these words" in caught.value.full_message() or code in (
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    )
    if isinstance(caught.value, errors.EngineError) and not isinstance(caught.value, errors.Rejected):
        assert caught.value.sent  # it said so itself, so what was asked had arrived
    if isinstance(caught.value, errors.Rejected):
        assert caught.value.code == code.value[0]


def test_everything_the_library_raises_is_caught() -> None:
    """Its statuses are RpcErrors, the rest BaseErrors; a new root of exceptions would go past us."""
    roots = (grpc.RpcError, grpc.aio.BaseError)
    found = [
        thing
        for module in (grpc, grpc.aio)
        for _, thing in inspect.getmembers(module, inspect.isclass)
        if issubclass(thing, BaseException)
    ]
    assert grpc.aio.AioRpcError in found
    # Of the synchronous half, which is not used here.
    assert {thing.__name__ for thing in found if not issubclass(thing, roots)} <= {
        "FutureTimeoutError", "FutureCancelledError"
    }  # fmt: skip
    assert set(roots) <= {grpc.RpcError, *grpc_channel._other_errors()}


async def test_a_deadline_that_a_server_knows_too_is_a_deadline(short_tmp: Path) -> None:
    async def do(request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNKNOWN, "context deadline exceeded: unknown")

    async with lined(short_tmp, do) as (_, line):
        with pytest.raises(errors.TimedOut) as caught:
            await ask(line)
    assert caught.value.sent


async def test_what_is_not_answered_in_time_had_left(short_tmp: Path) -> None:
    arrived = asyncio.Event()

    async def do(request: Any, context: Any) -> Any:
        arrived.set()
        await asyncio.sleep(60)

    async with lined(short_tmp, do) as (_, line):
        error = await sent_in_vain(lambda seconds: ask(line, seconds), 0.2)
    assert re.search(r"within [\d.]+ s", error.full_message())
    assert arrived.is_set()


async def test_what_nobody_takes_has_not_left(short_tmp: Path) -> None:
    """Somebody listens, and never says a word: a daemon that is stuck."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(short_tmp / "g.sock"))
        door.listen(1)
        line = grpc_channel.GrpcChannel(f"unix://{short_tmp}/g.sock", engine="the engine")
        with pytest.raises(errors.TimedOut) as caught:
            await ask(line, 0.3)
        assert not caught.value.sent
        await line.aclose()


async def test_no_socket_no_listener_and_no_socket_at_all_each_say_so(short_tmp: Path) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(short_tmp / "dead.sock"))
    (short_tmp / "file.sock").touch()
    for name, words in (("none", "no engine socket"), ("dead", "no engine listens"), ("file", "is not a socket")):
        line = grpc_channel.GrpcChannel(f"unix://{short_tmp}/{name}.sock")
        with pytest.raises(errors.Unreachable, match=words) as caught:
            await ask(line)
        assert not caught.value.sent and caught.value.hint
        with pytest.raises(errors.Unreachable, match=words):
            await anext(line.stream("/a.Service/Tell", Request(), Answer))
        await line.aclose()


@pytest.mark.parametrize("url", ["tcp://1.2.3.4:5", "ssh://host/run/c.sock", "unix:relative"])
def test_only_sockets_are_taken(url: str) -> None:
    with pytest.raises(errors.BadUsage) as caught:
        grpc_channel.GrpcChannel(url)
    assert caught.value.hint


async def test_a_server_that_goes_amid_an_answer_leaves_it_unknown_and_is_heard_again_when_it_is_back(
    short_tmp: Path,
) -> None:
    hold = asyncio.Event()

    async def do(request: Any, context: Any) -> Any:
        if not hold.is_set():
            hold.set()
            await asyncio.sleep(60)
        return Answer(version="back")

    async with lined(short_tmp, do) as (server, line):
        asking = asyncio.create_task(ask(line))
        await hold.wait()
        await server.stop()
        with pytest.raises(errors.Unreachable) as caught:
            await asking
        assert caught.value.sent
        for _ in range(3):  # so that the channel waits before it connects again
            with pytest.raises(errors.Unreachable) as caught:
                await ask(line, 60.0)
            assert not caught.value.sent
        await server.start()
        began = time.monotonic()
        assert (await ask(line, 60.0)).version == "back"
        assert time.monotonic() - began < 30  # a second, on a machine that does nothing else


async def test_what_is_no_such_message_is_garbled(short_tmp: Path) -> None:
    async def do(request: Any, context: Any) -> Any:
        return b"\xff\xff\xff\xff"

    async with lined(short_tmp, do) as (_, line):
        with pytest.raises(errors.InvalidResponse):
            await ask(line)


async def test_a_stream_comes_message_by_message_ends_and_breaks(short_tmp: Path) -> None:
    async def tell(request: Any, context: Any) -> AsyncIterator[Any]:
        for number in range(3):
            yield Answer(version=str(number))
        if request.id == "break":
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "broken off")
        if request.id == "hold":
            await asyncio.sleep(60)

    async with lined(short_tmp, tell=tell) as (server, line):
        told = line.stream("/a.Service/Tell", Request(), Answer, seconds=60)
        assert [message.version async for message in told] == ["0", "1", "2"]
        with pytest.raises(errors.Rejected, match="broken off"):
            [_ async for _ in line.stream("/a.Service/Tell", Request(id="break"), Answer)]
        with pytest.raises(errors.TimedOut):
            [_ async for _ in line.stream("/a.Service/Tell", Request(id="hold"), Answer, seconds=0.3)]
        held = line.stream("/a.Service/Tell", Request(id="hold"), Answer)
        assert (await anext(held)).version == "0"
        await held.aclose()
        held = line.stream("/a.Service/Tell", Request(id="hold"), Answer)
        assert (await anext(held)).version == "0"
        await server.stop()
        with pytest.raises(errors.Unreachable) as caught:
            [_ async for _ in held]
        assert caught.value.sent


async def test_a_line_that_is_closed_meanwhile_is_an_error_of_ours(short_tmp: Path) -> None:
    arrived = asyncio.Event()

    async def do(request: Any, context: Any) -> Any:
        arrived.set()
        await asyncio.sleep(60)

    async with lined(short_tmp, do) as (_, line):
        asking = asyncio.create_task(ask(line))
        await arrived.wait()
        await line.aclose()
        with pytest.raises((errors.Unreachable, asyncio.CancelledError)):
            await asking


def test_a_line_serves_one_loop_after_the_other(short_tmp: Path) -> None:
    line = grpc_channel.GrpcChannel(f"unix://{short_tmp}/none.sock")
    for _ in range(2):

        async def once() -> None:
            with pytest.raises(errors.Unreachable):
                await ask(line)
            await line.aclose()

        asyncio.run(once())


def test_processes_are_started_safely_beside_an_engine_that_speaks_grpc():
    code = """
import asyncio
from datetime import UTC, datetime, timedelta
from core.model.actions import DescribeEngine
from core.ports import Call
from runtimes import engine_registry

async def ask(engine):
    while True:
        call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=60), invocation="t")
        await engine.run(DescribeEngine(engine=engine.ref), call)

async def main():
    engine = engine_registry.open_engine(engine_registry.EngineAddress(kind="containerd", url="unix:///nowhere.sock"))
    asking = asyncio.create_task(ask(engine))
    for _ in range(250):
        process = await asyncio.create_subprocess_exec("true", preexec_fn=lambda: None)
        assert await process.wait() == 0
    asking.cancel()
    await engine.aclose()

asyncio.run(main())
"""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("GRPC_")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# ── damaged messages ─────────────────────────────────────────────────────────────────────────────────────────────────

LIST = containerd_containers_pb2.ListContainersResponse
GOOD = containerd_containers_pb2.Container(id="web", image="nginx", labels={"team": "a"})


def listed(*parts: bytes) -> bytes:
    """A list of containers in protobuf's format: each part is the bytes of one container."""
    return b"".join(b"\x0a" + bytes([len(part)]) + part for part in parts)


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (b"\x0a\x02a\xff", ["web", "a\ufffd", "web"]),  # a text that is not UTF-8
        (b"\x0a\x01b\x12\x0b\x0a\x04team\x12\x03\xffbc", ["web", "b", "web"]),  # a label that is not UTF-8
        (b"\x0a\x09b", ["web", "web"]),  # a text that is cut off
        (b"\x0a\x01b\x12\x05\x0a\x09te", ["web", "web"]),  # a label that is cut off must not vanish alone
        (b"\x00\x00", ["web", "web"]),  # a field without a number
        (b"\x07\x00", ["web", "web"]),  # a wire type that does not exist
        (b"\x08" + b"\xff" * 11, ["web", "web"]),  # a number without end
    ],
)
async def test_a_damaged_element_costs_no_other(short_tmp: Path, bad: bytes, expected: list[str]) -> None:
    async def do(request: Any, context: Any) -> Any:
        return listed(GOOD.SerializeToString(), bad, GOOD.SerializeToString())

    skipped: list[str] = []
    async with lined(short_tmp, do) as (_, line):
        line.on_skipped = lambda what, reason: skipped.append(what)
        answer = await line.call(METHOD, Request(id="x"), LIST, seconds=60)
    assert [container.id for container in answer.containers] == expected
    assert dict(answer.containers[0].labels) == {"team": "a"}
    assert skipped == ["field"]


async def test_a_message_of_which_nothing_can_be_used_is_an_invalid_response(short_tmp: Path) -> None:
    async def do(request: Any, context: Any) -> Any:
        return b"\x0a\xff"

    async with lined(short_tmp, do) as (_, line):
        with pytest.raises(errors.InvalidResponse, match="cannot be decoded"):
            await line.call(METHOD, Request(id="x"), LIST, seconds=60)


async def test_a_damaged_message_does_not_end_a_stream(short_tmp: Path) -> None:
    async def tell(request: Any, context: Any) -> AsyncIterator[bytes]:
        yield GOOD.SerializeToString()
        yield b"\x0a\xff"
        yield b"\x0a\x01\xff"
        yield GOOD.SerializeToString()

    skipped: list[str] = []
    async with lined(short_tmp, tell=tell) as (_, line):
        line.on_skipped = lambda what, reason: skipped.append(what)
        found = [one.id async for one in line.stream("/a.Service/Tell", Request(), type(GOOD))]
    assert found == ["web", "\ufffd", "web"]
    assert skipped == ["event", "field"]


async def test_a_damaged_message_is_repaired_beside_the_event_loop(
    short_tmp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repair, threads = protobuf_repair.repair, []

    def noted(message_type: Any, data: bytes) -> bytes | None:
        threads.append(threading.current_thread())
        return repair(message_type, data)

    monkeypatch.setattr(protobuf_repair, "repair", noted)

    async def do(request: Any, context: Any) -> bytes:
        return b"\x0a\x02a\xff"

    async with lined(short_tmp, do) as (_, channel):
        answer = await channel.call(METHOD, Request(id="x"), Answer, seconds=60)
    assert answer.version == "a\ufffd"
    assert len(threads) == 1 and threads[0] is not threading.current_thread()
