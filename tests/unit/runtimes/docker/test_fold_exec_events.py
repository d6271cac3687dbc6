"""Folding the events of executions: the same counts, times and other events as when every line is decoded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import recordings
from core.model.events import Event, Origin, is_execution
from core.model.refs import EngineRef
from runtimes.docker.decode import Decoder
from runtimes.formats.skipped_data import EVENT, SkippedDataCounter
from tests.helpers import mutations
from tests.helpers.paths import CAPTURES, ROOT

ENGINE = EngineRef(host="h", kind="docker")
ID = "a" * 64


@pytest.fixture(autouse=True)
def _logs_are_kept_apart() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


def line(action: str, at_ns: int = 5_000, *, status: bool = True, **attributes: Any) -> bytes:
    event = {"status": action, "id": ID, "from": "i"} if status else {}
    given = {"execID": "b" * 64, "image": "i", "name": "web", **attributes}
    actor = {"ID": ID, "Attributes": given}
    event |= {"Type": "container", "Action": action, "Actor": actor, "scope": "local", "time": 0, "timeNano": at_ns}
    return json.dumps(event, separators=(",", ":")).encode()


PROBE = [line("exec_create: /bin/sh -c true"), line("exec_start: /bin/sh -c true"), line("exec_die", exitCode="0")]


class Decoded:
    """What one decoder makes of lines, in the form in which both ways must agree."""

    def __init__(self, lines: bytes, *, fold: bool, replay_before: int = 0) -> None:
        skipped = SkippedDataCounter(lambda: "an engine")
        decoder = Decoder(ENGINE, skipped)
        self.events = decoder.events(lines, replay_before=replay_before, fold=fold)
        self.others = [event for event in self.events if not is_execution(event)]
        self.numbers: Counter[tuple[str, str, Origin]] = Counter()
        for event in self.events:
            self.numbers[event.type, event.action.partition(": ")[0], event.origin] += event.folded or 1
        self.newest = max((event.at_ns for event in self.events), default=0)
        self.labels = decoder._misleading_labels._found
        self.lost = skipped.counts[EVENT]


def assert_same(lines: bytes, replay_before: int = 0) -> Sequence[Event]:
    folded, full = (Decoded(lines, fold=fold, replay_before=replay_before) for fold in (True, False))
    for name in ("others", "numbers", "newest", "labels", "lost"):
        assert getattr(folded, name) == getattr(full, name), name
    return folded.events


def samples() -> list[bytes]:
    captured = (CAPTURES / "docker-26.1.events.jsonl").read_bytes().splitlines()
    older = (CAPTURES / "docker-20.10.events.jsonl").read_bytes().splitlines()
    without_status = [line(action, status=False) for action in ("exec_create: x", "exec_start: x", "exec_die")]
    labels = [line("exec_die", exitCode="1", signal="9"), line("exec_start: x", oldName="/y"), *without_status]
    parts = [captured[at : at + 12] for at in range(0, len(captured), 12)]
    return [b"\n".join(one) for one in (*parts, older[:30], [*PROBE, *captured[:3], *PROBE], labels, PROBE)]


@given(
    lines=mutations.damaged(samples()), replay_before=st.sampled_from([0, 0, 4_000, 5_001, 1_795_451_044_652_150_388])
)
def test_both_ways_agree_on_any_lines(lines: bytes, replay_before: int) -> None:
    assert_same(lines, replay_before)


@pytest.mark.parametrize("version", ["20.10", "26.1"])
def test_the_executions_of_a_real_daemon_are_folded(version: str) -> None:
    events = assert_same((CAPTURES / f"docker-{version}.events.jsonl").read_bytes())
    folded = [event for event in events if event.folded]
    assert {event.action for event in folded} >= {"exec_create", "exec_start", "exec_die"}
    assert not [event for event in events if is_execution(event) and not event.folded]
    assert sum(event.folded for event in folded) > len(folded)


def test_a_fleet_of_probes_becomes_three_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    made = [json.dumps(event) for event in recordings.fleet() if is_probe_of(event)]
    assert len(made) > 1000
    assert [event.folded for event in assert_same("\n".join(made).encode())] == [len(made) // 3] * 3


def is_probe_of(event: dict[str, Any]) -> bool:
    return str(event["Action"]).startswith("exec_")


def test_a_folded_event_names_no_container_and_has_the_newest_time() -> None:
    batch = b"\n".join([*PROBE, line("exec_start: b", 7_000), line("start", 6_000), line("exec_start: c", 6_500)])
    other, *folded = assert_same(batch)
    assert (other.action, other.at_ns, other.folded) == ("start", 6_000, 0)
    assert {(event.action, event.folded, event.at_ns) for event in folded} == {
        ("exec_create", 1, 7_000), ("exec_start", 3, 7_000), ("exec_die", 1, 7_000)
    }  # fmt: skip
    assert {event.subject.id for event in folded} == {""}


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(line("exec_start: x", exitCode="0"), id="an exit code that only a label can have set"),
        pytest.param(line("exec_die", exitCode="0", signal="9"), id="a label named signal"),
        pytest.param(line("exec_create: x", oldName="/y"), id="a label named oldName"),
        pytest.param(PROBE[0].replace(b"web", b"w\xffb"), id="not UTF-8"),
        pytest.param(PROBE[0].replace(b'"web"', b'"\\ud800"'), id="half a surrogate"),
        pytest.param(PROBE[0][:-20], id="torn"),
        pytest.param(PROBE[0] + b"}", id="a bracket too many"),
        pytest.param(line("exec_start: x", 0), id="no time"),
        pytest.param(line("exec_start: x", 1 << 63), id="a time after 2262"),
        pytest.param(line("exec_start: x", -5), id="a time before the epoch"),
        pytest.param(PROBE[2].replace(b'"Action":"exec_die"', b'"Action":"die"'), id="another action than its status"),
        pytest.param(PROBE[2].replace(b'"Type":"container"', b'"Type":"image"'), id="another type"),
        pytest.param(PROBE[2].replace(b"exec_die", b"exec_died"), id="an unknown action"),
        pytest.param(PROBE[2][:-1] + b',"Action":"die"}', id="an action given twice"),
        pytest.param(line("exec_die", 100, exitCode="1"), id="a replay"),
        pytest.param(PROBE[2].replace(b'"timeNano":5000', b'"timeNano":null'), id="null as time"),
        pytest.param(PROBE[0].replace(b'"Attributes":{', b'"Attributes":[],"x":{'), id="a list as attributes"),
    ],
)
def test_an_odd_line_is_treated_alike_and_hides_no_other(odd: bytes) -> None:
    events = assert_same(b"\n".join([*PROBE, odd, line("die", exitCode="3")]), replay_before=1_000)
    assert {event.action for event in events if event.folded} == {"exec_create", "exec_start", "exec_die"}
    assert [event.attrs for event in events if event.at_ns == 5_000 and event.action == "die"]


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(line("exec_start: x", exitCode="0"), id="an exit code that only a label can have set"),
        pytest.param(line("exec_die", exitCode="0", signal="9"), id="a label named signal"),
        pytest.param(line("exec_create: x", oldName="/y"), id="a label named oldName"),
        pytest.param(line("exec_die", 100, exitCode="1"), id="a replay"),
        pytest.param(PROBE[2].replace(b"exec_die", b"exec_died"), id="an unknown action"),
        pytest.param(PROBE[2].replace(b'"Type":"container"', b'"Type":"image"'), id="another type"),
    ],
)
def test_an_event_that_needs_a_closer_look_stays_by_itself(odd: bytes) -> None:
    events = assert_same(b"\n".join([*PROBE, odd]), replay_before=1_000)
    assert [event.folded for event in events] == [0, 1, 1, 1]


def test_labels_that_forge_attributes_are_learnt_from_executions() -> None:
    forged = b"\n".join([line("exec_start: x", exitCode="0"), line("die", exitCode="0")])
    assert [event.attrs for event in assert_same(forged) if event.action == "die"] == [{"image": "i"}]
    honest = b"\n".join([PROBE[2], line("die", exitCode="7")])
    assert [event.attrs["exit_code"] for event in assert_same(honest) if event.action == "die"] == ["7"]


def test_past_events_are_never_folded() -> None:
    assert len(Decoded(b"\n".join(PROBE), fold=False).events) == 3
