"""Runs the blocking clients of the `docker` and `podman` packages in threads, a few for each engine.

A call has one deadline, which covers the wait for a thread. At the deadline, or when the caller is cancelled, the
call's connections are closed, so the thread ends soon. The error says whether a request was sent. A thread that has not
ended still counts towards the limit of its engine. So an engine that hangs uses up only its own threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from core import errors
from runtimes.transport.dialer import Dialer
from runtimes.transport.thread_sockets import ThreadSockets

R = TypeVar("R")
MAX_THREADS = 4  # of one engine
CLOSE_SECONDS = 2.0  # how long `aclose` waits for the threads


class ClientThreads:
    """The threads of one engine. They start when they are needed. `address`: of the engine, for people."""

    def __init__(self, dialer: Dialer, address: str) -> None:
        self.dialer, self.address = dialer, address
        self.slots = asyncio.Semaphore(MAX_THREADS)
        self.running: set[ClientCall] = set()
        self.closed = False

    def call(self, *, max_bytes: int, change: bool = False) -> ClientCall:
        """Returns a call that has not begun. `max_bytes`: of the engine's answers. `change`: the call may change
        something, so each failure after a request was sent has `sent` True."""
        return ClientCall(self, max_bytes=max_bytes, change=change)

    async def aclose(self) -> None:
        """Closes all connections, and waits a moment for the threads."""
        self.closed = True
        for call in list(self.running):
            call.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                for _ in range(MAX_THREADS):
                    await self.slots.acquire()


class ClientCall:
    """One call, which runs once."""

    def __init__(self, threads: ClientThreads, *, max_bytes: int, change: bool) -> None:
        self._threads, self._max_bytes, self._change = threads, max_bytes, change
        self._sockets: ThreadSockets | None = None

    @property
    def sent(self) -> bool:
        """Whether the engine was sent anything."""
        return self._sockets is not None and self._sockets.sent

    def close(self) -> None:
        if self._sockets is not None:
            self._sockets.close()

    async def run(self, work: Callable[[ThreadSockets], R], seconds: float) -> R:
        """Returns what `work` returns; it runs in a thread. Raises the errors of `work`, Unreachable and TimedOut."""
        threads, ends = self._threads, asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(ends):
                await threads.slots.acquire()
        except TimeoutError:
            raise errors.TimedOut(
                f"Nothing was sent to {threads.address}: {MAX_THREADS} other requests to it still ran after"
                f" {seconds:.0f} s.",
                sent=False,
                hint="Check the load of the engine's host: CPU, memory and disks. Then give the command again.",
            ) from None
        self._sockets = ThreadSockets(threads.dialer, threads.address, max_bytes=self._max_bytes)
        result = self._start(work, self._sockets)
        try:
            async with asyncio.timeout_at(ends):
                return await result
        except TimeoutError:
            raise errors.TimedOut(
                f"{threads.address} did not answer within {seconds:.0f} s.",
                sent=self._change and self.sent,
                hint="Check the load of the engine's host: CPU, memory and disks.",
            ) from None
        except Exception as error:
            if (found := self._failure(error)) is error:
                raise
            raise found from error
        finally:
            self.close()

    def _failure(self, error: Exception) -> Exception:
        """Returns the error to raise. A refusal is an answer; after any other failure of the engine, a change counts as
        sent unless nothing had left."""
        found = (self._sockets.failure if self._sockets is not None else None) or error
        if isinstance(found, errors.EngineError) and not isinstance(found, errors.Rejected):
            return found.with_sent(self._change and self.sent)
        return found

    def _start(self, work: Callable[[ThreadSockets], R], sockets: ThreadSockets) -> asyncio.Future[R]:
        threads, loop = self._threads, asyncio.get_running_loop()
        result: asyncio.Future[R] = loop.create_future()

        def ended(value: R | None, error: BaseException | None) -> None:
            threads.running.discard(self)
            threads.slots.release()
            if result.done():  # nobody waits any more
                return
            if error is not None:
                result.set_exception(error)
            else:
                result.set_result(value)  # type: ignore[arg-type]

        def run() -> None:
            value: R | None = None
            failure: BaseException | None = None
            try:
                value = work(sockets)
            except StopIteration as error:  # a future cannot hold it
                failure = RuntimeError(str(error))
            except BaseException as error:
                failure = error
            sockets.release()
            with contextlib.suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(ended, value, failure)

        threads.running.add(self)
        if threads.closed:
            sockets.close()
        try:
            threading.Thread(target=run, name=f"client of {threads.address}", daemon=True).start()
        except RuntimeError as error:
            ended(
                None,
                errors.Unreachable(
                    f"The process of Quarterdeck could not start a thread for {threads.address}: {error}.",
                    hint="Give the command again. If it fails again, raise Quarterdeck's limits of processes and of"
                    " memory, or restart Quarterdeck.",
                ),
            )
        return result
