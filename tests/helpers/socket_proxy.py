"""Stands between a client and an engine's unix socket, and cuts every connection on demand."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path


class SocketProxy:
    """Passes bytes both ways. After `cut` nobody can connect, until `restore`. A request that contains `hold` is not
    passed on, so it gets no answer; `held` is then set. The answer to a request that contains a part of `lost` is not
    passed back: its connection ends when the answer comes."""

    def __init__(self, place: Path, target: Path) -> None:
        self.place, self.target = place, target
        self.url = f"unix://{place}"
        self.hold = b""
        self.held = threading.Event()
        self.lost: tuple[bytes, ...] = ()
        self._lock = threading.Lock()
        self._door: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def restore(self) -> None:
        self._door = socket.socket(socket.AF_UNIX)
        self._door.bind(str(self.place))
        self._door.listen(64)
        self._start(self._accept, self._door)

    def cut(self) -> None:
        """Ends all connections at once, as an engine does that is killed."""
        if self._door is None:
            return
        self.place.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self._door = None
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._threads.clear()

    def _holds(self, request: bytes) -> bool:
        if not self.hold or self.hold not in request:
            return False
        self.held.set()
        return True

    def _start(self, run: object, *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, door: socket.socket) -> None:
        while True:
            try:
                near, _ = door.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(str(self.target))
            except OSError:
                near.close()
                far.close()
                continue
            with self._lock:
                self._open |= {near, far}
            self._start(self._pass_both_ways, near, far)

    def _pass_both_ways(self, near: socket.socket, far: socket.socket) -> None:
        losing = threading.Event()

        def hold_request(data: bytes) -> bool:
            if any(part in data for part in self.lost):
                losing.set()
            return self._holds(data)

        def lose_answer(_: bytes) -> bool:
            if losing.is_set():
                near.shutdown(socket.SHUT_RDWR)
            return losing.is_set()

        back = threading.Thread(target=_pass, args=(far, near, lose_answer), daemon=True)
        back.start()
        _pass(near, far, hold_request)
        back.join(10)
        with self._lock:
            self._open -= {near, far}
        near.close()
        far.close()


def _pass(source: socket.socket, sink: socket.socket, holds: Callable[[bytes], bool] = lambda _: False) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            if not holds(data):
                sink.sendall(data)
    for each, how in ((sink, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with contextlib.suppress(OSError):
            each.shutdown(how)


@contextlib.contextmanager
def proxied(target: Path, place: Path) -> Iterator[SocketProxy]:
    made = SocketProxy(place, target)
    made.restore()
    try:
        yield made
    finally:
        made.cut()
