"""A stand-in for an engine, as a process of its own: a recorded stream of events again and again, as fast as asked.

`python -m benchmarks.replay FOLDER CONTAINERS DOOR…` listens at FOLDER/DOOR.sock, lists so many running containers, and
takes orders on stdin, one a line, each answered by one line on stdout: `build RECORDING N` writes N events and says how
many bytes they are; `send DOOR bulk` puts them on that door's event stream in large writes, `send DOOR single` with one
write an event, as the daemon does, and `send DOOR RATE` so many a second. `send DOOR withheld` leaves WITHHELD events
out. Every event is a chunk of its own.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import recordings

CREATED = "2026-01-01T00:00:00.000000000Z"
BULK = 1 << 18
WITHHELD = 20
OK = b"HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nContent-Type: application/json\r\n"


class Engine:
    """The server's end of a `Replay`; used for as long as the run lasts, so it can be asked to do things in turn."""

    def __init__(self, folder: Path, doors: Sequence[str], *, containers: int = 200) -> None:
        root = str(Path(__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.replay", str(folder), str(containers), *doors],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=root,
        )  # fmt: skip
        self._answer()

    def build(self, recording: str, events: int) -> Built:
        self._say(f"build {recording} {events}")
        size, newest_ns = self._answer().split()
        return Built(size=int(size), newest_ns=int(newest_ns))

    def send(self, door: str, how: str) -> None:
        """Begins; `sent` waits until everything is written."""
        self._say(f"send {door} {how}")

    def sent(self) -> None:
        self._answer()

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _say(self, words: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(words + "\n")

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the replay server ended")
        return line.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """Events that are ready to be sent: their bytes, and the time of the last one."""

    size: int
    newest_ns: int


class Server:
    """Answers what a watch asks, and keeps the newest event stream of each door."""

    def __init__(self, folder: Path, ids: Sequence[str], doors: Sequence[str]) -> None:
        self._streams: dict[str, socket.socket] = {}
        self._subscribed = threading.Condition()
        self._list = json.dumps([listed(number) for number in range(len(ids))]).encode()
        self._details = {thing: json.dumps(inspected(number)).encode() for number, thing in enumerate(ids)}
        for door in doors:
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / f"{door}.sock"))
            listener.listen(64)
            threading.Thread(target=self._accept, args=(door, listener), daemon=True).start()

    def stream(self, door: str) -> socket.socket:
        with self._subscribed:
            if not self._subscribed.wait_for(lambda: door in self._streams, 30):
                raise RuntimeError(f"nobody reads events at {door}")
            return self._streams[door]

    def _accept(self, door: str, listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=self._serve, args=(door, connection), daemon=True).start()

    def _serve(self, door: str, connection: socket.socket) -> None:
        with connection.makefile("rb") as lines, contextlib.suppress(OSError):
            while request := lines.readline():
                while lines.readline().strip():
                    pass
                path = request.split()[1].decode().partition("?")[0]
                if path.endswith("/events"):
                    with self._subscribed:  # whoever has read the head may count on being the door's stream
                        self._streams[door] = connection
                        connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
                        self._subscribed.notify_all()
                else:
                    connection.sendall(self._answer(path))
        connection.close()

    def _answer(self, path: str) -> bytes:
        head, body = OK, b""
        if path.endswith("/info"):
            body = b'{"Name":"replay","ID":"REPLAY","ServerVersion":"26.1"}'
        elif path.endswith("/containers/json"):
            body = self._list
        elif (found := self._details.get(path.split("/")[-2])) is not None:
            body = found
        else:
            head, body = OK.replace(b"200 OK", b"404 Not Found"), b'{"message":"No such container"}'
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def listed(number: int) -> dict[str, Any]:
    """A row of the list, with what a row has."""
    return {
        "Id": recordings.container_id(number), "Names": [f"/c{number:03}"], "Image": "localhost/busybox:1",
        "ImageID": "sha256:" + "a" * 64,
        "Command": "sleep 3600", "Created": 1_767_225_600, "State": "running", "Status": "Up 2 hours", "Ports": [],
        "Labels": recordings.labels(number),
        "HostConfig": {"NetworkMode": "none"}, "NetworkSettings": {"Networks": {}}, "Mounts": [],
    }  # fmt: skip


def inspected(number: int) -> dict[str, Any]:
    """What `inspect` answers."""
    state = {"Status": "running", "Running": True, "ExitCode": 0, "OOMKilled": False, "StartedAt": CREATED}
    config = {"Image": "localhost/busybox:1", "Labels": listed(number)["Labels"]}
    return {
        "Id": recordings.container_id(number), "Name": f"/c{number:03}", "Created": CREATED,
        "Path": "sleep", "Args": ["3600"],
        "Image": "sha256:" + "a" * 64, "RestartCount": 0, "State": {**state, "FinishedAt": "0001-01-01T00:00:00Z"},
        "Config": config, "NetworkSettings": {"Ports": {}},
    }  # fmt: skip


def send(connection: socket.socket, events: Sequence[bytes], how: str) -> None:
    if how == "withheld":
        events = [*events[:10], *events[10 + WITHHELD :]]
    if how in ("bulk", "withheld"):
        body = memoryview(b"".join(events))
        for at in range(0, len(body), BULK):
            connection.sendall(body[at : at + BULK])
    elif how == "single":
        for event in events:
            connection.sendall(event)
    else:
        pace(connection, events, float(how))


def pace(connection: socket.socket, events: Sequence[bytes], rate: float) -> None:
    """One write an event, those of each millisecond one after another."""
    began, sent = time.perf_counter(), 0
    while sent < len(events):
        due = min(len(events), int((time.perf_counter() - began) * rate))
        for event in events[sent:due]:
            connection.sendall(event)
        sent = max(sent, due)
        time.sleep(0.001)


def main(folder: str, containers: str, *doors: str) -> None:
    ids = [recordings.container_id(number) for number in range(int(containers))]
    server, built = Server(Path(folder), ids, doors), {}
    events: list[bytes] = []
    print("ready", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["build", name, count]:
                if name not in built:
                    built[name] = recordings.Recording(name, ids)
                events = built[name].build(int(count))
                print(sum(map(len, events)), built[name].newest_ns, flush=True)
            case ["send", door, how]:
                send(server.stream(door), events, how)
                print("sent", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
