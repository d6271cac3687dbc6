"""Labels of containers that were never inspected: read from their events, without the engine's own attributes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.model.events import Event, EventKind
from core.model.refs import EngineRef
from runtimes.docker import decode as docker
from runtimes.formats import event_attributes
from runtimes.podman import decode as podman

DOCKER, PODMAN = EngineRef(host="h", kind="docker"), EngineRef(host="h", kind="podman")
JOB, OTHER = "a" * 64, "b" * 64


def line(action: str, at: int, actor: str = JOB, kind: str = "container", **attributes: str) -> dict[str, Any]:
    return {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": actor, "Attributes": {"image": "busybox:1", "name": "job", **attributes}},
        "scope": "local",
        "time": at // 10**9,
        "timeNano": at,
    }


def body(*lines: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one, separators=(",", ":")).encode() + b"\n" for one in lines)


def labels(events: list[Event]) -> list[tuple[EventKind, dict[str, str] | None]]:
    return [(event.kind, event.labels) for event in events]


def test_the_first_event_of_an_unknown_container_has_its_labels() -> None:
    decoder = docker.Decoder(DOCKER)
    mine = {"team": "payments", "com.docker.compose.service": "job"}
    found = decoder.events(
        body(
            line("connect", 1, "n" * 64, "network", container=JOB),
            line("create", 2, **mine),
            line("create", 3, OTHER),
            line("start", 4, **mine),
            line("die", 5, exitCode="3", execDuration="1", **mine),
            line("destroy", 6, **mine),
        ),
        replay_before=0,
    )
    assert labels(found)[1:] == [
        (EventKind.CREATED, mine),
        (EventKind.CREATED, {}),
        (EventKind.STARTED, None),
        (EventKind.DIED, None),
        (EventKind.REMOVED, None),
    ]
    # Later chunks ask no more.
    assert labels(decoder.events(body(line("start", 7, **mine)), replay_before=0)) == [(EventKind.STARTED, None)]


def test_an_end_whose_creation_was_missed_has_the_labels_too() -> None:
    found = docker.Decoder(DOCKER).events(
        body(line("die", 5, exitCode="3", execDuration="1", team="a")), replay_before=0
    )
    assert labels(found) == [(EventKind.DIED, {"team": "a"})]
    assert found[0].attrs["exit_code"] == "3"


def test_labels_with_the_names_of_attributes_are_labels_where_the_daemon_does_not_set_them() -> None:
    forged = {"exitCode": "0", "signal": "9", "oldName": "x", "execDuration": "1"}
    found = docker.Decoder(DOCKER).events(body(line("create", 1, **forged), line("die", 2, **forged)), replay_before=0)
    assert labels(found) == [(EventKind.CREATED, forged), (EventKind.DIED, None)]
    assert "exit_code" not in found[1].attrs, "the label hides the daemon's own"


def test_the_labels_of_a_listed_container_are_not_read_again() -> None:
    decoder = docker.Decoder(DOCKER)
    decoder.containers(json.dumps([{"Id": JOB, "Names": ["/job"], "Labels": {"team": "a"}}]).encode())
    assert labels(decoder.events(body(line("start", 4, team="a")), replay_before=0)) == [(EventKind.STARTED, None)]


@pytest.mark.parametrize("text", ['"Action":"create"', "\\", "\u2028", "\n{}", JOB, "🚀"])
def test_no_text_in_a_label_misleads(text: str) -> None:
    other = line("create", 1, OTHER, note=text)
    found = docker.Decoder(DOCKER).events(body(other, line("create", 2, team=text)), replay_before=0)
    assert labels(found) == [(EventKind.CREATED, {"note": text}), (EventKind.CREATED, {"team": text})]


def test_thousands_of_containers_in_one_chunk_are_read_in_linear_time() -> None:
    many = [line("create", number + 1, f"{number:064x}", team=str(number)) for number in range(3000)]
    found = docker.Decoder(DOCKER).events(body(*many), replay_before=0)
    assert [event.labels for event in found] == [{"team": str(number)} for number in range(3000)]


def test_labels_are_limited_and_never_cut() -> None:
    assert event_attributes.labels({"a": "x" * 5_000, "b": "y"}) == {"b": "y"}
    assert len(event_attributes.labels({str(number): "" for number in range(500)})) == event_attributes.MAX_LABELS
    assert sum(map(len, event_attributes.labels({f"{n:08}": "x" * 100 for n in range(100)}).values())) < 5_000


def test_podmans_api_sets_some_attributes_over_the_labels() -> None:
    own = {"containerExitCode": "0", "podId": ""}
    decoder = podman.Decoder(PODMAN)
    found = decoder.events(body(line("create", 1, exitCode="7", team="a", **own)), replay_before=0)
    assert labels(found) == [(EventKind.CREATED, {"exitCode": "7", "team": "a"})]
    late = decoder.events(body(line("died", 2, OTHER, team="b", **own)), replay_before=0)
    assert labels(late) == [(EventKind.DIED, {"team": "b"})]


def test_podmans_event_file_has_nothing_but_labels_in_its_attributes() -> None:
    given = {"containerExitCode": "9", "image": "forged", "name": "forged", "team": "a"}
    at = "2026-11-29T23:41:20.491768158Z"
    entry = {"ID": JOB, "Image": "busybox:1", "Name": "job", "Type": "container", "Time": at, "Attributes": given}
    decoder = podman.Decoder(PODMAN)
    found = decoder.file_events(body({**entry, "Status": "create"}, {**entry, "Status": "start"}), replay_before=0)
    assert labels(found) == [(EventKind.CREATED, given), (EventKind.STARTED, None)]
    assert (found[0].subject.name, found[0].attrs["image"]) == ("job", "busybox:1")
    bare = decoder.file_events(body({**entry, "ID": OTHER, "Status": "died", "Attributes": None}), replay_before=0)
    assert labels(bare) == [(EventKind.DIED, {})]
