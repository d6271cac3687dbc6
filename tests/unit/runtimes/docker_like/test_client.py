"""Requests and streams of an engine with a Docker-like API: its identity, its refusals, and answers that end early."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from core import errors
from core.model.containers import Container
from core.model.refs import Kind, Ref
from core.model.replies import Status
from runtimes.docker_like.client import HttpEngineClient
from tests.helpers import servers

SECONDS = 5.0
HEAD = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n"


class Engine(HttpEngineClient):
    kind = "docker"
    sends_headers_early = True

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.asked = 0
        self.trouble: errors.EngineError | None = None

    async def _ask_identity(self, seconds: float) -> None:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        self._register(self.address, f"id-{self.asked}", self.ref)

    def _path(self, target: str) -> str:
        return f"/v1{target}"

    def _decode_container(self, body: bytes) -> Container:
        raise NotImplementedError

    def _error_text(self, body: bytes) -> str:
        return body.decode()


class LateEngine(Engine):
    sends_headers_early = False


@pytest.fixture(params=[Engine, LateEngine])
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    engine: Engine = request.param(f"unix://{tmp_path}/e.sock")
    return engine


def answering(*answers: bytes) -> tuple[servers.Answer, list[bytes]]:
    """Each connection gets the next answer, then is closed."""
    asked: list[bytes] = []
    left = list(answers)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b"\r\n")[0])
        writer.write(left.pop(0))
        await writer.drain()

    return answer, asked


def whole(status: int, body: bytes = b"") -> bytes:
    return HEAD % (status, len(body)) + body


async def read(engine: Engine) -> bytes:
    async with engine._stream("GET", "/logs", SECONDS, name="web") as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_an_engine_is_identified_once_and_again_on_demand(made: Engine) -> None:
    assert made.engine_id == ""
    await asyncio.gather(made._identify(SECONDS), made._identify(SECONDS))
    assert (made.asked, made.engine_id) == (1, "id-1")
    await made._identify(SECONDS, again=True)
    assert (made.asked, made.engine_id) == (2, "id-2")


async def test_a_request_was_not_sent_if_the_engine_could_not_be_identified(made: Engine) -> None:
    made.trouble = errors.Unreachable("It has gone.", sent=True)
    with pytest.raises(errors.Unreachable) as caught:
        await made._request("POST", "/containers/a/stop", SECONDS)
    assert not caught.value.sent
    made.trouble = None
    await made._identify(SECONDS)
    assert made.engine_id == "id-2"


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (whole(404, b"no such container: web"), errors.NotFound, "docker/.* has no image web"),
        (whole(409, b"it is in use"), errors.Rejected, "it is in use"),
    ],
)
async def test_a_refusal_is_an_error(
    made: Engine, tmp_path: Path, answer: bytes, kind: type[errors.QuarterdeckError], message: str
) -> None:
    serve, asked = answering(answer)
    async with servers.serving(serve, tmp_path / "e.sock"):
        with pytest.raises(kind, match=message):
            await made._request("GET", "/images/web/json", SECONDS, name="web", kind="image")
        await made.aclose()
    assert asked == [b"GET /v1/images/web/json HTTP/1.1"]


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_proxy_that_does_not_reach_the_engine_is_an_engine_that_cannot_be_reached(
    made: Engine, tmp_path: Path, status: int
) -> None:
    """And not an engine that refuses something: its own errors are JSON, as “This node is not a swarm manager”."""
    own = b'{"message": "This node is not a swarm manager."}'
    serve, _ = answering(whole(status, b"<html>No server is available.</html>"), whole(status, own))
    async with servers.serving(serve, tmp_path / "e.sock"):
        with pytest.raises(errors.Unreachable, match=f"A proxy in front of .*status {status}") as caught:
            await made._request("POST", "/containers/a/stop", SECONDS, name="web")
        with pytest.raises(errors.Rejected, match="not a swarm manager"):
            await made._request("POST", "/containers/a/stop", SECONDS, name="web")
        await made.aclose()
    assert caught.value.sent is (status != 503)  # nobody knows what an engine behind the other two has done
    assert "Check that the engine runs" in caught.value.hint


async def test_a_change_that_changed_nothing_says_so(made: Engine, tmp_path: Path) -> None:
    serve, asked = answering(b"HTTP/1.1 304 X\r\n\r\n", whole(200))
    target = Ref(engine=made.ref, kind=Kind.CONTAINER, id="a", name="web")
    async with servers.serving(serve, tmp_path / "e.sock"):
        first = await made._change(target, "/a/start", SECONDS, already="was already running")
        second = await made._change(target, "/a/start", SECONDS, already="was already running")
        await made.aclose()
    assert (first.status, first.detail) == (Status.NOOP, "was already running")
    assert (second.status, second.detail) == (Status.DONE, "")
    assert len(asked) == 2


async def test_a_refused_stream_is_an_error_wherever_its_response_begins(made: Engine, tmp_path: Path) -> None:
    serve, _ = answering(whole(409, b"no logs here"), whole(500), whole(200, b"a line"))
    async with servers.serving(serve, tmp_path / "e.sock"):
        for message in ("no logs here", ""):
            with pytest.raises(errors.Rejected) as caught:
                await read(made)
            assert caught.value.text == message
        assert await read(made) == b"a line"
        await made.aclose()


async def test_a_stream_that_ends_early_is_an_error(made: Engine, tmp_path: Path) -> None:
    serve, _ = answering(HEAD % (200, 100) + b"half")
    received: list[bytes] = []
    async with servers.serving(serve, tmp_path / "e.sock"):
        with pytest.raises(errors.Unreachable, match="in the middle of its answer") as caught:
            async with made._stream("GET", "/logs", SECONDS) as chunks:
                received += [chunk async for chunk in chunks]
        await made.aclose()
    assert caught.value.sent
