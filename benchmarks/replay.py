"""A stand-in for an engine, as a process of its own: a recorded stream of events again and again, as fast as asked.

`python -m benchmarks.replay FOLDER DOOR…` listens at FOLDER/DOOR.sock and takes orders on stdin, one a line, each
answered by one line on stdout: `build N` writes N events and says how many bytes they are; `send DOOR bulk` puts them
on that door's event stream in large writes, `send DOOR single` with one write an event, as the daemon does, and
`send DOOR RATE` so many a second. Every event is a chunk of its own and later than the one before. In each repetition
of the recording, containers that are destroyed in it are new ones, and what happens to others happens to some of the
200 that stand in the list; so the reader's picture changes as much each time, and stays as large.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

CAPTURE = Path("tests/captures/docker-26.1.events.jsonl")
IDS = [hashlib.sha256(f"container {number}".encode()).hexdigest() for number in range(200)]
CREATED = "2026-01-01T00:00:00.000000000Z"
EVENT_GAP = 1000  # nanoseconds between two events, by their own times
BULK = 1 << 18
TIMES = re.compile(r'"time":\d+,"timeNano":\d+')
OK = b"HTTP/1.1 200 OK\r\nApi-Version: 1.45\r\nContent-Type: application/json\r\n"


class Engine:
    """The server's end of a `Replay`; used for as long as the run lasts, so it can be asked to do things in turn."""

    def __init__(self, folder: Path, doors: Sequence[str]) -> None:
        root = str(Path(__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.replay", str(folder), *doors],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=root,
        )  # fmt: skip
        self._answer()

    def build(self, events: int) -> int:
        self._say(f"build {events}")
        return int(self._answer())

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


class Recording:
    """The captured lines, and the events built from them so far."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, list[str]]] = []
        events = [json.loads(line) for line in CAPTURE.read_text().splitlines()]
        ends = {event["Actor"]["ID"] for event in events if event["Action"] == "destroy"}
        # A prune names no container.
        named = [event["Actor"]["ID"] for event in events if event["Type"] == "container" and event["Actor"]["ID"]]
        self._ids = dict.fromkeys(named, False)
        self._ids |= {thing: True for thing in self._ids if thing in ends}
        for event in events:
            text = json.dumps(event, separators=(",", ":"))
            self._lines.append((text, [thing for thing in self._ids if thing in text]))
        self._repetition = 0
        self._at = time.time_ns()

    def build(self, count: int) -> list[bytes]:
        """The next `count` events, each as a chunk of an HTTP body."""
        # A reader compares with its own clock; what lies behind it would count as a replay.
        self._at = max(self._at, time.time_ns() + 2_000_000_000)
        built: list[bytes] = []
        while len(built) < count:
            built += map(self._chunk, self._repeat(count - len(built)))
        return built

    def _repeat(self, most: int) -> Iterator[str]:
        self._repetition += 1
        stand_ins = {}
        for number, (thing, ends) in enumerate(self._ids.items()):
            seed = f"{thing} {self._repetition}".encode()
            old = IDS[(self._repetition * 7 + number) % len(IDS)]
            stand_ins[thing] = hashlib.sha256(seed).hexdigest() if ends else old
        for text, things in self._lines[:most]:
            self._at += EVENT_GAP
            told = TIMES.sub(f'"time":{self._at // 1_000_000_000},"timeNano":{self._at}', text)
            for thing in things:
                told = told.replace(thing, stand_ins[thing])
            yield told

    def _chunk(self, text: str) -> bytes:
        data = text.encode() + b"\n"
        return b"%x\r\n%b\r\n" % (len(data), data)


class Server:
    """Answers what a watch asks, and keeps the newest event stream of each door."""

    def __init__(self, folder: Path, doors: Sequence[str]) -> None:
        self._streams: dict[str, socket.socket] = {}
        self._subscribed = threading.Condition()
        self._list = json.dumps([listed(number) for number in range(len(IDS))]).encode()
        self._details = {thing: json.dumps(inspected(number)).encode() for number, thing in enumerate(IDS)}
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
        "Id": IDS[number], "Names": [f"/c{number:03}"], "Image": "localhost/busybox:1", "ImageID": "sha256:" + "a" * 64,
        "Command": "sleep 3600", "Created": 1_767_225_600, "State": "running", "Status": "Up 2 hours", "Ports": [],
        "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": f"s{number}"},
        "HostConfig": {"NetworkMode": "none"}, "NetworkSettings": {"Networks": {}}, "Mounts": [],
    }  # fmt: skip


def inspected(number: int) -> dict[str, Any]:
    """What `inspect` answers."""
    state = {"Status": "running", "Running": True, "ExitCode": 0, "OOMKilled": False, "StartedAt": CREATED}
    config = {"Image": "localhost/busybox:1", "Labels": listed(number)["Labels"]}
    return {
        "Id": IDS[number], "Name": f"/c{number:03}", "Created": CREATED, "Path": "sleep", "Args": ["3600"],
        "Image": "sha256:" + "a" * 64, "RestartCount": 0, "State": {**state, "FinishedAt": "0001-01-01T00:00:00Z"},
        "Config": config, "NetworkSettings": {"Ports": {}},
    }  # fmt: skip


def send(connection: socket.socket, events: Sequence[bytes], how: str) -> None:
    if how == "bulk":
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


def main(folder: str, *doors: str) -> None:
    recording, server = Recording(), Server(Path(folder), doors)
    events: list[bytes] = []
    print("ready", flush=True)
    for line in sys.stdin:
        match line.split():
            case ["build", count]:
                events = recording.build(int(count))
                print(sum(map(len, events)), flush=True)
            case ["send", door, how]:
                send(server.stream(door), events, how)
                print("sent", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
