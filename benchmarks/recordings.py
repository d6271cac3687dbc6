"""Generates endless streams of Docker events from a recording of a real Docker 26.1: `churn` and `fleet`.

`churn` is the recording as it is: containers are created, started, stopped and removed all the time. `fleet` is what
hosts with health checks send: before each event of the recording that is not an execution, three health probes run in
other containers, of three events each, so nine of ten events are executions. Their containers carry the labels of
Compose, which Docker copies into every event.

In each repetition of a recording, containers that are destroyed in it are new ones, and what happens to others happens
to some of the standing containers. So the reader's picture changes as much each time, and stays as large. Each event is
later than the one before.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

CAPTURE = Path("tests/captures/docker-26.1.events.jsonl")
EVENT_GAP = 1000  # nanoseconds between two events, by their own times
TIMES = re.compile(r'"time":\d+,"timeNano":\d+')
PROBED, PROBES_FOR_EACH = 60, 3
PROBE = "/bin/sh -c curl -fsS http://localhost:8080/healthz > /dev/null || exit 1"
ESCAPED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}  # as Go writes them


def container_id(number: int) -> str:
    """The id of a container that stands in the list."""
    return hashlib.sha256(f"container {number}".encode()).hexdigest()


def labels(number: int) -> Mapping[str, str]:
    """Those that Compose gives a container."""
    return {
        "com.docker.compose.config-hash": hashlib.sha256(f"config {number}".encode()).hexdigest(),
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.project": f"shop{number // 10}",
        "com.docker.compose.service": f"service{number % 10}",
        "com.docker.compose.version": "2.26.1",
    }


def _captured() -> list[dict[str, Any]]:
    return [json.loads(line) for line in CAPTURE.read_text().splitlines()]


def _is_execution(event: Mapping[str, Any]) -> bool:
    return str(event["Action"]).startswith("exec_")


def _probes() -> Iterator[dict[str, Any]]:
    """The executions of the recording, one probe after another, each in another container."""
    shapes = {event["Action"].partition(":")[0]: event for event in _captured() if _is_execution(event)}
    for number in itertools.count():
        probed = f"probed {number % PROBED}"
        for name in ("exec_create", "exec_start", "exec_die"):
            event = json.loads(json.dumps(shapes[name]))
            event["Action"] = event["status"] = name if name == "exec_die" else f"{name}: {PROBE}"
            event["id"] = event["Actor"]["ID"] = hashlib.sha256(probed.encode()).hexdigest()
            given = {**event["Actor"]["Attributes"], **labels(number % PROBED), "name": f"c{number % PROBED:03}"}
            if name == "exec_die":
                given["exitCode"] = "0"
            event["Actor"]["Attributes"] = dict(sorted(given.items()))  # in Go's order
            yield event


def churn() -> Sequence[dict[str, Any]]:
    return _captured()


def fleet() -> Sequence[dict[str, Any]]:
    probes, events = _probes(), []
    for event in _captured():
        if not _is_execution(event):
            events += [*itertools.islice(probes, 3 * PROBES_FOR_EACH), event]
    return events


RECORDINGS: Mapping[str, Callable[[], Sequence[dict[str, Any]]]] = {"churn": churn, "fleet": fleet}


class Recording:
    """One recording, and the events built from it so far. `standing`: the ids of the containers in the list."""

    def __init__(self, name: str, standing: Sequence[str]) -> None:
        self._standing = standing
        self._lines: list[tuple[str, list[str]]] = []
        events = RECORDINGS[name]()
        ends = {event["Actor"]["ID"] for event in events if event["Action"] == "destroy"}
        # A prune names no container.
        named = [event["Actor"]["ID"] for event in events if event["Type"] == "container" and event["Actor"]["ID"]]
        self._ids = {thing: thing in ends for thing in named}
        for event in events:
            text = json.dumps(event, separators=(",", ":")).translate(ESCAPED)
            self._lines.append((text, [thing for thing in self._ids if thing in text]))
        self._repetition = 0
        self._at = time.time_ns()

    @property
    def newest_ns(self) -> int:
        """The time of the newest event that was built."""
        return self._at

    def build(self, count: int) -> list[bytes]:
        """The next `count` events, each as a chunk of an HTTP body."""
        # A reader compares with its own clock; what lies behind it would count as a replay.
        self._at = max(self._at, time.time_ns() + 2_000_000_000)
        built: list[bytes] = []
        while len(built) < count:
            built += map(_chunk, self._repeat(count - len(built)))
        return built

    def _repeat(self, most: int) -> Iterator[str]:
        self._repetition += 1
        stand_ins = {}
        for number, (thing, ends) in enumerate(self._ids.items()):
            seed = f"{thing} {self._repetition}".encode()
            old = self._standing[(self._repetition * 7 + number) % len(self._standing)]
            stand_ins[thing] = hashlib.sha256(seed).hexdigest() if ends else old
        for text, things in self._lines[:most]:
            self._at += EVENT_GAP
            told = TIMES.sub(f'"time":{self._at // 1_000_000_000},"timeNano":{self._at}', text)
            for thing in things:
                told = told.replace(thing, stand_ins[thing])
            yield told


def _chunk(text: str) -> bytes:
    data = text.encode() + b"\n"
    return b"%x\r\n%b\r\n" % (len(data), data)
