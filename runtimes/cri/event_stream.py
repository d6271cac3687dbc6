"""Reads the event stream of a CRI engine (GetContainerEvents) into a bounded queue.

A slow reader would block CRI-O's other listeners. So the reading task only puts messages into a queue, and ends the
stream when the queue is full. Messages stay in order; none is lost before that.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence

from core import errors, tasks
from runtimes.proto import cri_pb2 as cri
from runtimes.transport import grpc_channel

MAX_QUEUED_EVENTS = 4096
PROBE_SECONDS = 0.3  # CRI-O ends a disabled stream within this time


class EventStream:
    """Reads one event stream. A task puts the messages into a bounded queue; `wait` takes them out."""

    def __init__(self, channel: grpc_channel.GrpcChannel, task_name: str) -> None:
        self._channel = channel
        self._queue: deque[cri.ContainerEventResponse] = deque()
        self._changed = asyncio.Event()
        self.ended = self._overflowed = self._received = False
        self._error: errors.QuarterdeckError | None = None
        self._task = tasks.start(task_name, self._read())

    async def _read(self) -> None:
        method = "/runtime.v1.RuntimeService/GetContainerEvents"
        stream = self._channel.stream(method, cri.GetEventsRequest(), cri.ContainerEventResponse)
        try:
            async for message in stream:
                if len(self._queue) >= MAX_QUEUED_EVENTS:
                    self._overflowed = True
                    return
                self._received = True
                self._queue.append(message)
                self._changed.set()
        except errors.Unsupported:
            pass  # this engine is older than the method: the same as a disabled stream
        except errors.QuarterdeckError as error:
            self._error = error
        finally:
            self.ended = True
            self._changed.set()
            await stream.aclose()  # type: ignore[attr-defined]

    async def wait(self, seconds: float) -> Sequence[cri.ContainerEventResponse]:
        """Waits for messages and returns them. Returns none if there were none within that time, and if the stream has
        ended without an error. Raises EngineErrors."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        self._changed.clear()
        messages = list(self._queue)
        self._queue.clear()
        if self.ended:
            self._changed.set()
            if self._overflowed:
                raise errors.InvalidResponse(
                    f"{self._channel.engine} sent more than {MAX_QUEUED_EVENTS} events before they could be read.",
                    hint="If this happens again, raise Quarterdeck's CPU limit.",
                )
            if self._error is not None and not messages:
                raise self._error
        return messages

    @property
    def enabled(self) -> bool:
        """Returns False if the engine ended the stream without sending anything. An engine that stops ends the stream
        in the same way, but then the next snapshot fails."""
        return not self.ended or self._received

    async def aclose(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])


async def stream_enabled(channel: grpc_channel.GrpcChannel) -> bool:
    """Opens the event stream for a moment to see whether it is enabled. Raises EngineErrors."""
    stream = EventStream(channel, "cri_probe")
    loop = asyncio.get_running_loop()
    try:
        until = loop.time() + PROBE_SECONDS
        while not stream.ended and loop.time() < until:
            await stream.wait(until - loop.time())
        return stream.enabled
    finally:
        await stream.aclose()
