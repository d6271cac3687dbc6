"""Sends gRPC calls to an engine over a unix socket; returns one message or a stream of messages.

Every error of grpcio becomes an error of core.errors, by one table (`error_of_status`). The error's `sent` is False
only if the request surely did not reach the engine. grpcio is imported at the first call, so it costs nothing if no
engine uses gRPC. A channel belongs to the running event loop; for another loop a new channel is made. The channel
connects again by itself within a second after the socket is back.

    channel = GrpcChannel("unix:///run/containerd/containerd.sock")
    answer = await channel.call("/pkg.Service/Method", request, AnswerMessage, seconds=5.0)
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from core import errors
from runtimes.transport import bounded_protobuf_decoder, connect
from runtimes.transport.bounded_protobuf_decoder import M, ProtobufMessage
from runtimes.transport.endpoint import LOST_HINT, Endpoint

if TYPE_CHECKING:
    import grpc.aio

MAX_MESSAGE = 16 << 20  # bytes, as the kubelet and containerd's own client
MAX_RECONNECT_MS = 1000  # milliseconds between two attempts to connect, at most
NOT_CONNECTED = "failed to connect"
# Servers written in Go also apply the deadline. They may report it first, with no particular status.
_DEADLINE = "context deadline exceeded"
# UNAVAILABLE has two meanings. With one of these texts grpcio lost the connection; else a part of the server is down.
_CONNECTION_LOST = (
    "Socket closed",
    "Stream removed",
    "recvmsg",
    "sendmsg",
    "GOAWAY",
    "error reading from server",
    "transport",
)

Metadata = Sequence[tuple[str, str]]


class GrpcChannel:
    """Sends calls to one engine. `engine`: the name of the engine in errors; `access`: a sentence about the group or
    the setting that gives other users access to the engine's socket. `on_skipped` is called with what was left out of
    an answer (`field`, `row` for too many rows, or `event` for a whole message of a stream) and why."""

    def __init__(self, url: str, *, engine: str = "", access: str = "") -> None:
        self.endpoint = _unix_endpoint(url)
        self.engine = engine or str(self.endpoint)
        self._access = access
        self.on_skipped: Callable[[str, str], None] = lambda what, reason: None
        self._channel: grpc.aio.Channel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def call(
        self, method: str, request: ProtobufMessage, answer: type[M], *, seconds: float, metadata: Metadata = ()
    ) -> M:
        """Sends one message and returns the engine's. `method` is `/package.Service/Method`. Raises the errors of
        `error_of_status`, Unreachable and TimedOut."""
        channel = self._current_channel()
        call: Any = channel.unary_unary(method, request_serializer=_bytes)
        ends = time.monotonic() + seconds
        sent = self._connected()
        try:
            try:
                return await self._decode(answer, await call(request, timeout=seconds, metadata=_pairs(metadata)))
            except library().RpcError as error:
                # The channel may still be waiting to connect again although the engine is back.
                if not _never_left(error):
                    raise
                await self._diagnose()
            sent = False
            left = max(0.05, ends - time.monotonic())
            return await self._decode(
                answer, await call(request, timeout=left, metadata=_pairs(metadata), wait_for_ready=True)
            )
        except library().RpcError as error:
            self._raise_error(error, method, seconds, sent=sent or self._connected())
        except _other_errors() as error:
            raise errors.Unreachable(
                f"Quarterdeck closed its connection to {self.engine}, to stop or to connect again.",
                sent=sent,
                hint="Try again in a moment.",
            ) from error

    async def stream(
        self,
        method: str,
        request: ProtobufMessage | Sequence[ProtobufMessage] | AsyncIterator[ProtobufMessage],
        answer: type[M],
        *,
        metadata: Metadata = (),
        seconds: float | None = None,
    ) -> AsyncIterator[M]:
        """Yields messages as they arrive, until the engine ends the stream. `request` may be several messages, for a
        method that takes a stream; those of an iterator are sent as it yields them. `seconds` limits the whole stream;
        None: no limit. Close it (aclose) to stop early. If the channel is connected, the engine receives this request
        before any request made after the first step."""
        channel = self._current_channel()
        if not self._connected():
            await self._diagnose()
        options: dict[str, Any] = {"timeout": seconds, "metadata": _pairs(metadata), "wait_for_ready": True}
        call: Any
        if isinstance(request, Sequence):
            call = channel.stream_stream(method, request_serializer=_bytes)(iter(request), **options)
        elif isinstance(request, AsyncIterator):
            call = channel.stream_stream(method, request_serializer=_bytes)(request, **options)
        else:
            call = channel.unary_stream(method, request_serializer=_bytes)(request, **options)
        try:
            async for message in call:
                try:
                    decoded = await self._decode(answer, message)
                except errors.InvalidResponse:
                    self.on_skipped("event", "a gRPC message is malformed")
                    continue
                yield decoded
        except library().RpcError as error:
            self._raise_error(error, method, seconds or 0.0, sent=True)
        except _other_errors() as error:
            raise errors.Unreachable(
                f"Quarterdeck closed its connection to {self.engine}, to stop or to connect again.",
                sent=True,
                hint="Try again in a moment.",
            ) from error
        finally:
            call.cancel()

    async def aclose(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None and self._loop is asyncio.get_running_loop():
            await channel.close()

    # ── within ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _current_channel(self) -> grpc.aio.Channel:
        loop = asyncio.get_running_loop()
        if self._channel is None or self._loop is not loop:
            self._loop = loop
            self._channel = library().aio.insecure_channel(
                f"unix:{self.endpoint.path}",
                options=(
                    # Servers written in Go refuse the socket's path as the authority, which is grpcio's default.
                    ("grpc.default_authority", "localhost"),
                    ("grpc.enable_http_proxy", 0),
                    ("grpc.use_local_subchannel_pool", 1),
                    ("grpc.initial_reconnect_backoff_ms", 100),
                    ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_MS),
                    ("grpc.max_receive_message_length", MAX_MESSAGE),
                    ("grpc.max_send_message_length", MAX_MESSAGE),
                ),
            )
        return self._channel

    async def _decode(self, answer: type[M], data: bytes) -> M:
        # If grpcio decoded it, a message that cannot be decoded would be logged and become None.
        return await bounded_protobuf_decoder.decode(answer, data, engine=self.engine, on_skipped=self.on_skipped)

    def _connected(self) -> bool:
        return self._channel is not None and self._channel.get_state() is library().ChannelConnectivity.READY

    async def _diagnose(self) -> None:
        """Raises Unreachable with the system's reason if the socket accepts no connection."""
        try:
            async with asyncio.timeout(1.0):
                (await connect.open_unix_socket(self.endpoint.path)).close()
        except TimeoutError:
            return  # the engine listens and is busy
        except OSError as error:
            found = connect.unreachable(self.endpoint, error)
            if isinstance(error, PermissionError) and self._access:
                found = errors.Unreachable(found.message, hint=f"{found.hint} {self._access}".strip())
            raise found from error

    def _raise_error(self, error: grpc.RpcError, method: str, seconds: float, *, sent: bool) -> NoReturn:
        code, text = _status(error)
        codes = library().StatusCode
        if code is codes.DEADLINE_EXCEEDED or (code is codes.UNKNOWN and _DEADLINE in text):
            raise errors.TimedOut(
                f"{self.engine} did not answer within {seconds:.3g} s.",
                sent=sent,
                hint="The engine may be starting. If not, check the load of its host: CPU, memory and disks.",
            ) from error
        if code is codes.UNAVAILABLE and _never_left(error):
            raise errors.Unreachable(
                f"{self.engine} accepts connections but does not answer.",
                hint="Wait a minute, because the engine may be starting. Then look at its log.",
            ) from error
        raise error_of_status(code, text, engine=self.engine, method=method) from error


def error_of_status(
    code: grpc.StatusCode | None, text: str, *, engine: str, method: str = ""
) -> errors.QuarterdeckError:
    """Returns the Quarterdeck error for a gRPC status."""
    codes = library().StatusCode
    said = f": {text.rstrip('.')}" if text else ""
    if code is codes.NOT_FOUND:
        return errors.NotFound(
            text or f"{engine} found no such resource.",
            hint="List the resources again, such as with ps -a, images or pods, and give the command again.",
        )
    if code is codes.UNIMPLEMENTED:
        return errors.Unsupported(
            f"the gRPC call {name}" if (name := method.rpartition("/")[2]) else "this gRPC call",
            engine,
            "Upgrade the engine, or enable the plugin that serves this call (containerd: `ctr plugins ls`).",
        )
    if code is codes.UNAVAILABLE:
        if any(word in text for word in _CONNECTION_LOST):
            return errors.Unreachable(
                f"The connection to {engine} was lost after the request was sent.",
                sent=True,
                hint=LOST_HINT,
            )
        return errors.Unreachable(
            f"{engine} answered that one of its services is not available{said}.",
            sent=True,
            hint="Look at the engine's log, then try again.",
        )
    if code is codes.CANCELLED:
        return errors.Unreachable(
            f"{engine} cancelled the call{said}.",
            sent=True,
            hint="Check whether the engine is stopping, then try again.",
        )
    if code is codes.DEADLINE_EXCEEDED or (code is codes.UNKNOWN and _DEADLINE in text):
        return errors.TimedOut(
            f"{engine} did not finish in time{said}.",
            sent=True,
            hint="Check the load of the engine's host: CPU, memory and disks.",
        )
    if code is None:
        return errors.InvalidResponse(
            f"{engine} ended a gRPC call without a status.", hint="Look at the engine's log, then try again."
        )
    return errors.Rejected(code.value[0], text or f"{engine} answered with the gRPC status {code.name} and no message.")


_LIBRARY: ModuleType | None = None


def library() -> Any:
    """Imports grpc once. Its log output is switched off, and so are its fork handlers: they abort a few in a hundred of
    the processes that Quarterdeck starts before they run their program (ssh, for one)."""
    global _LIBRARY  # noqa: PLW0603 (it replaces a module-level import)
    if _LIBRARY is None:
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
        _LIBRARY = importlib.import_module("grpc")
        importlib.import_module("grpc.aio")
    return _LIBRARY


def _other_errors() -> tuple[type[BaseException], ...]:
    """Returns the errors that grpcio raises besides statuses: for a closed channel and for a wrongly used call."""
    return (library().aio.BaseError, asyncio.InvalidStateError)


def _never_left(error: Any) -> bool:
    code, text = _status(error)
    return code is library().StatusCode.UNAVAILABLE and text.startswith(NOT_CONNECTED)


def _status(error: Any) -> tuple[Any, str]:
    with contextlib.suppress(Exception):
        return error.code(), str(error.details() or "").strip()
    return None, ""


def _unix_endpoint(url: str) -> Endpoint:
    """Returns the address as an Endpoint. Raises BadUsage for an address that is not a unix socket."""
    endpoint = Endpoint.parse(url)
    if endpoint.scheme != "unix":
        raise errors.BadUsage(
            f"The engine address “{url}” is not a unix socket, which this kind of engine needs.",
            hint="Write unix:///PATH, and run Quarterdeck on the engine's host.",
        )
    return endpoint


def _bytes(message: ProtobufMessage) -> bytes:
    return message.SerializeToString()


def _pairs(metadata: Metadata) -> Any:
    return tuple(metadata) or None
