"""A line to an engine that speaks gRPC on a unix socket: one method called, one message back, or a stream of them.

In go messages and a deadline, out come messages or errors of core.errors; whatever grpcio raises stops here, in one
table. A change that was lost on its way is told by `sent`: True unless nothing can have left. The library is imported
at the first call, so that nobody without such an engine pays for it. A channel belongs to the event loop that runs it;
there is one, made anew where the loop is another, which connects again by itself within a second of the socket's
return.

    line = GrpcChannel("unix:///run/containerd/containerd.sock")
    answer = await line.ask("/pkg.Service/Method", request, AnswerMessage, seconds=5.0)
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import time
from collections.abc import AsyncIterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from core import errors
from runtimes.transport import connect
from runtimes.transport.endpoint import Endpoint

if TYPE_CHECKING:
    import grpc.aio

LARGEST_ANSWER = 64 << 20
PAUSE_BEFORE_AGAIN = 1000  # milliseconds at most between two attempts to connect
NOT_CONNECTED = "failed to connect"
# Servers written in Go know the deadline too, and may be the first to say so, under no particular code.
_DEADLINE = "context deadline exceeded"
# What the library says of a connection that ended, where a server says why a part of it is not there.
_OF_THE_LINE = (
    "Socket closed",
    "Stream removed",
    "recvmsg",
    "sendmsg",
    "GOAWAY",
    "error reading from server",
    "transport",
)

Metadata = Sequence[tuple[str, str]]


class Message(Protocol):
    """What every generated message can."""

    def SerializeToString(self) -> bytes: ...  # noqa: N802 (protobuf's name)

    @classmethod
    def FromString(cls, data: bytes, /) -> Any: ...  # noqa: N802 (protobuf's name)


M = TypeVar("M", bound=Message)


def endpoint_of(url: str) -> Endpoint:
    """The socket of such an engine. Raises BadUsage for any other kind of address."""
    endpoint = Endpoint.parse(url)
    if endpoint.scheme != "unix":
        raise errors.BadUsage(
            "This kind of engine is reached over its unix socket only.",
            hint="Write unix:///path, and run an agent on the host where it is.",
        )
    return endpoint


class GrpcChannel:
    """`engine` is what errors call it; `access`: the sentence that says which group or setting of this engine opens its
    socket to others."""

    def __init__(self, url: str, *, engine: str = "", access: str = "") -> None:
        self.endpoint = endpoint_of(url)
        self.engine = engine or str(self.endpoint)
        self._access = access
        self._channel: grpc.aio.Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ask(
        self, method: str, request: Message, answer: type[M], *, seconds: float, metadata: Metadata = ()
    ) -> M:
        """One message for one. `method` is `/package.Service/Method`. Raises what `refusal` makes, and Unreachable and
        TimedOut with a truthful `sent`."""
        channel = self._ready()
        call: Any = channel.unary_unary(method, request_serializer=_bytes)
        ends = time.monotonic() + seconds
        begun = self._connected()
        try:
            try:
                return self._read(answer, await call(request, timeout=seconds, metadata=_pairs(metadata)))
            except library().RpcError as error:
                # The channel may still be waiting to connect again while the engine is back already.
                if not _never_left(error):
                    raise
                await self._diagnose()
            begun = False
            left = max(0.05, ends - time.monotonic())
            return self._read(answer, await call(request, timeout=left, metadata=_pairs(metadata), wait_for_ready=True))
        except library().RpcError as error:
            self._refuse(error, method, seconds, sent=begun or self._connected())
        except _foreign() as error:
            raise errors.Unreachable(f"The line to {self.engine} was closed.", sent=begun) from error

    async def stream(
        self,
        method: str,
        request: Message | Sequence[Message],
        answer: type[M],
        *,
        metadata: Metadata = (),
        seconds: float | None = None,
    ) -> AsyncIterator[M]:
        """Messages as they come, until the engine ends the stream. `request` may be several messages, for a method that
        takes a stream. `seconds` bounds all of it; None: for as long as it lasts. Whoever stops reading closes it
        (aclose). Where the line stands already, what is asked after the first step is asked after this."""
        channel = self._ready()
        if not self._connected():
            await self._diagnose()
        asked: dict[str, Any] = {"timeout": seconds, "metadata": _pairs(metadata), "wait_for_ready": True}
        call: Any
        if isinstance(request, Sequence):
            call = channel.stream_stream(method, request_serializer=_bytes)(iter(request), **asked)
        else:
            call = channel.unary_stream(method, request_serializer=_bytes)(request, **asked)
        try:
            async for message in call:
                yield self._read(answer, message)
        except library().RpcError as error:
            self._refuse(error, method, seconds or 0.0, sent=True)
        except _foreign() as error:
            raise errors.Unreachable(f"The line to {self.engine} was closed.", sent=True) from error
        finally:
            call.cancel()

    async def aclose(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None and self._loop is asyncio.get_running_loop():
            await channel.close()

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _ready(self) -> grpc.aio.Channel:
        loop = asyncio.get_running_loop()
        if self._channel is None or self._loop is not loop:
            self._loop = loop
            self._channel = library().aio.insecure_channel(
                f"unix:{self.endpoint.path}",
                options=(
                    # The name of a socket is no authority that servers written in Go take.
                    ("grpc.default_authority", "localhost"),
                    ("grpc.enable_http_proxy", 0),
                    ("grpc.use_local_subchannel_pool", 1),
                    ("grpc.initial_reconnect_backoff_ms", 100),
                    ("grpc.max_reconnect_backoff_ms", PAUSE_BEFORE_AGAIN),
                    ("grpc.max_receive_message_length", LARGEST_ANSWER),
                    ("grpc.max_send_message_length", LARGEST_ANSWER),
                ),
            )
        return self._channel

    def _read(self, answer: type[M], data: bytes) -> M:
        # Left to the library, what cannot be read is logged and becomes None.
        try:
            message: M = answer.FromString(data)
        except importlib.import_module("google.protobuf.message").DecodeError as error:
            raise errors.InvalidResponse(f"{self.engine} answered something that cannot be understood.") from error
        return message

    def _connected(self) -> bool:
        return self._channel is not None and self._channel.get_state() is library().ChannelConnectivity.READY

    async def _diagnose(self) -> None:
        """Raises Unreachable with the system's own reason where nobody can be reached at the socket."""
        try:
            async with asyncio.timeout(1.0):
                (await connect.dial(self.endpoint.path)).close()
        except TimeoutError:
            return  # somebody listens, and is busy
        except OSError as error:
            told = connect.explain(self.endpoint, error)
            if isinstance(error, PermissionError) and self._access:
                told = errors.Unreachable(told.message, hint=f"{told.hint} {self._access}".strip())
            raise told from error

    def _refuse(self, error: grpc.RpcError, method: str, seconds: float, *, sent: bool) -> NoReturn:
        code, text = _said(error)
        codes = library().StatusCode
        if code is codes.DEADLINE_EXCEEDED or (code is codes.UNKNOWN and _DEADLINE in text):
            raise errors.TimedOut(f"{self.engine} did not answer within {seconds:.3g} s.", sent=sent) from error
        if code is codes.UNAVAILABLE and _never_left(error):
            raise errors.Unreachable(
                f"{self.engine} takes connections and does not answer them.", hint="Is it starting, or stuck?"
            ) from error
        raise refusal(code, text, engine=self.engine, method=method) from error


def refusal(code: grpc.StatusCode | None, text: str, *, engine: str, method: str = "") -> errors.QuarterdeckError:
    """What a status that an engine gave becomes: the one table."""
    codes = library().StatusCode
    if code is codes.NOT_FOUND:
        return errors.NotFound(text or f"{engine} has no such thing.")
    if code is codes.UNIMPLEMENTED:
        return errors.Unsupported(
            method.rpartition("/")[2] or "that", engine, "Its version has no such call, or that part of it is off."
        )
    if code is codes.UNAVAILABLE:
        if any(word in text for word in _OF_THE_LINE):
            return errors.Unreachable(f"The connection to {engine} was lost.", sent=True, hint="Was it restarted?")
        return errors.Unreachable(f"A part of {engine} does not answer: {text}.", sent=True)
    if code is codes.CANCELLED:
        return errors.Unreachable(f"{engine} broke off its answer: {text}.", sent=True)
    if code is codes.DEADLINE_EXCEEDED or (code is codes.UNKNOWN and _DEADLINE in text):
        return errors.TimedOut(f"{engine} did not get done in time: {text}.", sent=True)
    if code is None:
        return errors.InvalidResponse(f"{engine} ended a call without saying how.")
    return errors.Rejected(code.value[0], text or f"{engine} said {code.name.replace('_', ' ').lower()}")


_LIBRARY: ModuleType | None = None


def library() -> Any:
    """grpc, imported once; it writes nothing to our terminal, and keeps its hands off the processes we start: its fork
    handlers abort a few in a hundred of them before they become their program (ssh, for one)."""
    global _LIBRARY  # noqa: PLW0603 (what a module-level import would be)
    if _LIBRARY is None:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        _LIBRARY = importlib.import_module("grpc")
        importlib.import_module("grpc.aio")
    return _LIBRARY


def _foreign() -> tuple[type[BaseException], ...]:
    """What the library raises beside statuses: a channel closed meanwhile, a call used wrongly."""
    return (library().aio.BaseError, asyncio.InvalidStateError)


def _never_left(error: Any) -> bool:
    code, text = _said(error)
    return code is library().StatusCode.UNAVAILABLE and text.startswith(NOT_CONNECTED)


def _said(error: Any) -> tuple[Any, str]:
    with contextlib.suppress(Exception):
        return error.code(), str(error.details() or "").strip()
    return None, ""


def _bytes(message: Message) -> bytes:
    return message.SerializeToString()


def _pairs(metadata: Metadata) -> Any:
    return tuple(metadata) or None
