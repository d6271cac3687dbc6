"""Decoding of containerd's messages: recorded event streams of 1.6 and 1.7, and hostile and broken messages."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from google.protobuf import any_pb2, timestamp_pb2
from hypothesis import given
from hypothesis import strategies as st

from core.model.containers import STATES, Port
from core.model.events import EventKind
from core.model.refs import EngineRef, Kind
from runtimes.containerd import decode, decode_info, newest_runs
from runtimes.containerd.decode_events import MESSAGE_TYPES, EventDecoder
from runtimes.proto import (
    containerd_containers_pb2,
    containerd_daemon_pb2,
    containerd_events_pb2,
    containerd_task_types_pb2,
    containerd_types_pb2,
)
from tests.helpers.paths import CAPTURES

ENGINE = EngineRef(host="h", kind="containerd")
T = 1_800_000_000_000_000_000
Status = containerd_task_types_pb2.Status


def envelope(topic: str, type_url: str, value: bytes, at_ns: int = T, space: str = "default") -> Any:
    at = timestamp_pb2.Timestamp()
    at.FromNanoseconds(at_ns)
    return containerd_types_pb2.Envelope(
        timestamp=at, namespace=space, topic=topic, event=any_pb2.Any(type_url=type_url, value=value)
    )


def packed(topic: str, message: Any, at_ns: int = T, space: str = "default") -> Any:
    return envelope(topic, message.DESCRIPTOR.full_name, message.SerializeToString(), at_ns, space)


def recorded(version: str) -> list[Any]:
    """The recorded envelopes. Fields that Quarterdeck does not use are left out."""
    found = []
    for line in (CAPTURES / f"containerd-{version}.events.jsonl").read_text().splitlines():
        told = json.loads(line)
        shape = getattr(containerd_events_pb2, told["type_url"].rpartition(".")[2], None)
        value = b""
        if shape is not None:
            known = {field.name for field in shape.DESCRIPTOR.fields}
            message = shape()
            for key, given in told["event"].items():
                if key in known and key != "runtime":
                    if key == "exited_at":
                        message.exited_at.FromJsonString(given)
                    elif key == "labels":
                        message.labels.update(given)
                    else:
                        setattr(message, key, given)
            value = message.SerializeToString()
        at = timestamp_pb2.Timestamp()
        at.FromJsonString(told["ts"])
        found.append(envelope(told["topic"], told["type_url"], value, at.ToNanoseconds(), told["ns"]))
    return found


def heard(version: str, **more: Any) -> list[Any]:
    decoder = EventDecoder(decode.ContainerDecoder(ENGINE), **more)
    events = [decoder.decode(one) for one in recorded(version) if decoder.is_relevant(one)]
    return [event for event in events if event is not None]


@pytest.mark.parametrize("version", ["1.6", "1.7"])
def test_the_recorded_stream_in_our_words(version: str) -> None:
    events = heard(version)
    counted = Counter(event.kind for event in events)
    assert (counted[EventKind.PAUSED], counted[EventKind.UNPAUSED]) == (1, 1)
    oom = [event.subject.id for event in events if event.kind is EventKind.OOM]
    assert len(oom) == len(set(oom)) == 2, "each was told many times"
    assert Counter(event.attrs.get("exit_code") for event in events if event.kind is EventKind.DIED) >= Counter(
        {"7": 1, "137": 2}
    )
    # What ran beside a container is not its end.
    assert {event.action for event in events if event.action.startswith("exec_")} == {
        "exec_added", "exec_started", "exec_exit"
    }  # fmt: skip
    assert all(event.kind is EventKind.OTHER for event in events if event.action.startswith("exec_"))
    assert "localhost/pause:1" not in {event.attrs.get("image") for event in events if event.kind is EventKind.UPDATED}
    images = {(event.action, event.subject.name) for event in events if event.subject.kind is Kind.IMAGE}
    assert ("delete", "localhost/bb:2") in images
    assert not [event for event in events if event.type in ("snapshot", "content")]
    assert {event.subject.id.partition("/")[0] for event in events if event.type == "container"} == {"k8s.io", "dev"}


@pytest.mark.parametrize("version", ["1.6", "1.7"])
def test_a_run_is_told_in_order_and_its_memory_before_its_end(version: str) -> None:
    events = heard(version)
    oom = next(event for event in events if event.kind is EventKind.OOM)
    own = [event.kind for event in events if event.subject.id == oom.subject.id and event.kind is not EventKind.OTHER]
    assert own == [EventKind.CREATED, EventKind.STARTED, EventKind.OOM, EventKind.DIED, EventKind.REMOVED]


def test_namespaces_of_other_engines_are_left_out() -> None:
    events = heard("1.6", excluded=frozenset({"k8s.io"}))
    assert events
    assert not [event for event in events if event.attrs["namespace"] == "k8s.io"]


def test_an_exit_that_is_told_late_has_its_own_time() -> None:
    containers = decode.ContainerDecoder(ENGINE)
    events = EventDecoder(containers)
    ended = containerd_events_pb2.TaskExit(container_id="web", id="web", exit_status=3)
    ended.exited_at.FromNanoseconds(T - 60_000_000_000)
    late = events.decode(packed("/tasks/exit", ended))
    ended.exited_at.FromNanoseconds(T - 1_000_000)
    prompt = events.decode(packed("/tasks/exit", ended))
    assert late is not None and prompt is not None
    assert (late.at_ns, prompt.at_ns) == (T - 60_000_000_000, T)


def test_memory_runs_out_once_in_each_run() -> None:
    containers = decode.ContainerDecoder(ENGINE)
    events = EventDecoder(containers)
    oom = packed("/tasks/oom", containerd_events_pb2.TaskOOM(container_id="web"))
    started = packed("/tasks/start", containerd_events_pb2.TaskStart(container_id="web", pid=7))
    again = packed("/tasks/start", containerd_events_pb2.TaskStart(container_id="web", pid=8))
    told = [events.decode(one) for one in (started, oom, oom, again, oom, oom)]
    assert [event.kind if event else None for event in told] == [
        EventKind.STARTED, EventKind.OOM, None, EventKind.STARTED, EventKind.OOM, None
    ]  # fmt: skip


def test_pause_containers_are_never_told_of_once_their_labels_are_known() -> None:
    containers = decode.ContainerDecoder(ENGINE)
    events = EventDecoder(containers)
    created = packed("/containers/create", containerd_events_pb2.ContainerCreate(id="p", image="pause"), space="k8s.io")
    assert events.unknown_container(created) == ("k8s.io", "p")
    containers.cache_labels("k8s.io", "p", {"io.cri-containerd.kind": "sandbox"})
    assert events.decode(created) is None
    started = packed("/tasks/start", containerd_events_pb2.TaskStart(container_id="p", pid=7), space="k8s.io")
    assert events.decode(started) is None
    gone = packed("/containers/delete", containerd_events_pb2.ContainerDelete(id="p"), space="k8s.io")
    assert events.decode(gone) is None
    assert events.decode(started) is not None, "its id was given to another one"


def test_strangers_are_asked_about_once() -> None:
    containers = decode.ContainerDecoder(ENGINE)
    events = EventDecoder(containers)
    started = packed("/tasks/start", containerd_events_pb2.TaskStart(container_id="web", pid=7))
    assert events.unknown_container(started) == ("default", "web")
    ref = containers.cache_labels("default", "web", {"nerdctl/name": "shop"})
    assert (ref.id, ref.name) == ("default/web", "shop")
    assert events.unknown_container(started) is None
    event = events.decode(started)
    assert event is not None and event.subject is ref
    image = packed("/images/create", containerd_events_pb2.ImageCreate(name="web"))
    assert events.unknown_container(image) is None
    # A new container under an old id may be called something else.
    created = packed("/containers/create", containerd_events_pb2.ContainerCreate(id="web"))
    assert events.unknown_container(created) == ("default", "web")


@pytest.mark.parametrize(
    ("topic", "type_url", "value"),
    [
        ("/sandboxes/start", "containerd.events.SandboxStart", b"\x0a\x01x"),
        ("/tasks/flip", "containerd.events.TaskFlip", b"\x0a\x01x"),
        ("/tasks/exit", "type.googleapis.com/containerd.events.TaskExit", b""),
        ("", "", b""),
        ("///", "no.dots/here.", b"\x00"),
    ],
)
def test_new_events_pass_as_other(topic: str, type_url: str, value: bytes) -> None:
    event = EventDecoder(decode.ContainerDecoder(ENGINE)).decode(envelope(topic, type_url, value))
    assert event is not None
    assert event.kind is EventKind.OTHER


def test_an_event_that_cannot_be_decoded_or_has_no_time_is_left_out_and_counted() -> None:
    containers = decode.ContainerDecoder(ENGINE)
    events = EventDecoder(containers)
    assert events.decode(envelope("/tasks/exit", "containerd.events.TaskExit", b"\xff\xff\xff")) is None
    assert events.decode(envelope("/tasks/exit", "containerd.events.TaskExit", b"\x0a\x01\xff")) is None
    for seconds, nanos in ((1 << 62, 0), (5, -7), (-5, 0), (0, 0)):
        damaged = packed("/tasks/start", containerd_events_pb2.TaskStart(container_id="web", pid=7))
        damaged.timestamp.seconds, damaged.timestamp.nanos = seconds, nanos
        assert events.decode(damaged) is None
    assert containers.skipped.counts == {"event": 6}


def test_a_time_outside_all_years_is_unknown() -> None:
    container = containerd_containers_pb2.Container(id="web")
    container.created_at.seconds = 1 << 62
    task = containerd_task_types_pb2.Process(status=containerd_task_types_pb2.Status.STOPPED, exit_status=3)
    task.exited_at.nanos = -7
    row = decode.ContainerDecoder(ENGINE).row("default", container, task, 1_800_000_000.0)
    assert (row.created_at, row.state, row.exit_code, row.finished_at) == (0.0, "exited", 3, None)
    document = decode_info.container_document("default", container, task)
    assert (document["id"], document["task"]["exitStatus"]) == ("web", 3)
    assert "createdAt" not in document


def test_a_label_hides_a_container_in_no_other_namespace_than_cris() -> None:
    containers = decode.ContainerDecoder(ENGINE)
    sandbox = {"io.cri-containerd.kind": "sandbox"}
    containers.cache_labels("default", "web", sandbox)
    containers.cache_labels("k8s.io", "pause", sandbox)
    assert not decode.is_sandbox("default", sandbox) and decode.is_sandbox("k8s.io", sandbox)
    assert not containers.is_known_sandbox("default/web") and containers.is_known_sandbox("k8s.io/pause")
    row = containers.row("default", containerd_containers_pb2.Container(id="web", labels=sandbox), None, 0.0)
    assert row.ref.name == "web"


def test_the_namespace_is_the_engines_own_word() -> None:
    labels = {decode.NAMESPACE_LABEL: "prod"}
    row = decode.ContainerDecoder(ENGINE).row(
        "dev", containerd_containers_pb2.Container(id="a", labels=labels), None, 0.0
    )
    assert row.labels[decode.NAMESPACE_LABEL] == "dev"


@given(st.text(max_size=40), st.sampled_from(["", *MESSAGE_TYPES, "Nothing"]), st.binary(max_size=60), st.text())
def test_no_event_breaks_the_stream(topic: str, word: str, value: bytes, space: str) -> None:
    containers = decode.ContainerDecoder(ENGINE)
    events = EventDecoder(containers)
    told = envelope(topic, f"containerd.events.{word}", value, space=space)
    events.unknown_container(told)
    event = events.decode(told)
    assert event is None or event.attrs["namespace"] == space


def held(name: str = "web", created_ns: int = T, **more: Any) -> Any:
    made = containerd_containers_pb2.Container(id=name, image="localhost/busybox:1", **more)
    made.created_at.FromNanoseconds(created_ns)
    return made


def task(status: Any, *, pid: int = 7, code: int = 0, ended_ns: int = 0) -> Any:
    made = containerd_task_types_pb2.Process(id="web", pid=pid, status=status, exit_status=code)
    if ended_ns:
        made.exited_at.FromNanoseconds(ended_ns)
    return made


NOW = T / 1e9 + 60


@pytest.mark.parametrize("status", [*Status.values(), 99])
def test_every_state_of_a_task_is_one_of_ours(status: int) -> None:
    row = decode.ContainerDecoder(ENGINE).row("default", held(), task(status), NOW)
    assert row.state in STATES
    assert row.exit_code is None or row.state == "exited"


def test_a_container_without_a_task_is_created_unless_its_end_was_seen() -> None:
    containers = decode.ContainerDecoder(ENGINE)
    assert containers.row("default", held(), None, NOW).state == "created"
    ended = containers.row("default", held(), task(Status.STOPPED, code=3, ended_ns=T + 5), NOW)
    assert (ended.state, ended.exit_code, ended.oom_killed) == ("exited", 3, None)
    left = containers.row("default", held(), None, NOW)
    assert (left.state, left.exit_code, left.finished_at) == ("exited", 3, (T + 5) / 1e9)
    # Another container under the same id knows nothing of that.
    assert containers.row("default", held(created_ns=T + 10_000_000_000), None, NOW).state == "created"


def test_a_container_that_was_seen_running_and_has_no_task_any_more_has_ended() -> None:
    """From 1.7 on a starting daemon deletes the tasks that ended while it was away, with their exit codes."""
    containers = decode.ContainerDecoder(ENGINE)
    for seen in (Status.RUNNING, Status.PAUSED, Status.PAUSING):
        containers.row("default", held(), task(seen), NOW)
        row = containers.row("default", held(), None, NOW)
        assert (row.state, row.status, row.exit_code, row.finished_at) == ("exited", "Exited", None, None)
        assert row.oom_killed is None, "nobody knows"
        assert containers.row("default", held(created_ns=T + 5_000_000_000), None, NOW).state == "created"


def test_a_start_that_was_only_told_by_an_event_is_a_start() -> None:
    containers = decode.ContainerDecoder(ENGINE)
    events = EventDecoder(containers)
    events.decode(packed("/tasks/create", containerd_events_pb2.TaskCreate(container_id="web", pid=7)))
    assert containers.row("default", held(created_ns=T), None, NOW).state == "created"
    events.decode(packed("/tasks/start", containerd_events_pb2.TaskStart(container_id="web", pid=7)))
    row = containers.row("default", held(created_ns=T), None, NOW)
    assert (row.state, row.exit_code, row.started_at) == ("exited", None, T / 1e9)


def test_a_task_that_was_made_and_never_started_leaves_its_container_created() -> None:
    containers = decode.ContainerDecoder(ENGINE)
    assert containers.row("default", held(), task(Status.CREATED), NOW).state == "created"
    assert containers.row("default", held(), None, NOW).state == "created"


def test_when_a_run_began_is_heard_or_read_of_its_process() -> None:
    containers = decode.ContainerDecoder(ENGINE)
    events = EventDecoder(containers)
    row = containers.row(
        "default", held(), task(Status.RUNNING), NOW, process_started_at=lambda pid: NOW - 30 if pid == 7 else 0
    )
    assert (row.started_at, row.status) == (NOW - 30, "Up 30 seconds")
    events.decode(packed("/tasks/start", containerd_events_pb2.TaskStart(container_id="web", pid=8), T + 9))
    row = containers.row("default", held(), task(Status.RUNNING, pid=8), NOW, process_started_at=lambda pid: None)
    assert row.started_at == (T + 9) / 1e9
    # A process older than the container is another host's, or somebody else's by now.
    row = containers.row("other", held(), task(Status.RUNNING), NOW, process_started_at=lambda pid: T / 1e9 - 100)
    assert (row.started_at, row.status) == (None, "Up")


def test_what_was_seen_of_an_earlier_run_is_not_told_of_the_next() -> None:
    containers = decode.ContainerDecoder(ENGINE)
    events = EventDecoder(containers)
    for one in (
        packed("/tasks/start", containerd_events_pb2.TaskStart(container_id="web", pid=7), T + 1),
        packed("/tasks/oom", containerd_events_pb2.TaskOOM(container_id="web"), T + 2),
    ):
        events.decode(one)
    assert containers.row("default", held(), task(Status.RUNNING), NOW).oom_killed is True
    later = containers.row("default", held(), task(Status.RUNNING, pid=9), NOW)
    assert (later.oom_killed, later.started_at) == (False, None)


def test_labels_tell_names_ports_restarts_and_the_namespace() -> None:
    labels = {
        "nerdctl/name": "shop",
        "nerdctl/ports": '[{"HostPort":8080,"ContainerPort":80,"Protocol":"tcp","HostIP":"0.0.0.0"}]',
        "containerd.io/restart.count": "4",
        "containerd.namespace": "a lie",
    }
    row = decode.ContainerDecoder(ENGINE).row("default", held(labels=labels), None, NOW)
    assert (row.ref.name, row.restarts, row.labels["containerd.namespace"]) == ("shop", 4, "default")
    assert row.ports == (Port(80, "tcp", 8080, "0.0.0.0"),)


@given(
    st.dictionaries(st.sampled_from([*decode.NAME_LABELS, "nerdctl/ports", "containerd.io/restart.count"]), st.text()),
    st.binary(),
)
def test_hostile_labels_and_specifications_are_only_text(labels: dict[str, str], spec: bytes) -> None:
    made = held(labels=labels, spec=any_pb2.Any(value=spec))
    row = decode.ContainerDecoder(ENGINE).row("default", made, None, NOW)
    assert row.ref.id == "default/web"
    assert row.ref.name
    decode_info.container_document("default", made, None)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest_runs, "MAX_CONTAINERS", 10)
    containers = decode.ContainerDecoder(ENGINE)
    events = EventDecoder(containers)
    for number in range(100):
        events.decode(
            packed("/tasks/start", containerd_events_pb2.TaskStart(container_id=f"c{number}", pid=number + 1))
        )
        containers.cache_labels("k8s.io", f"c{number}", {"io.cri-containerd.kind": "sandbox"})
    assert max(len(table) for table in (containers.history.runs, containers._refs, containers._sandboxes)) <= 10


def test_a_daemon_tells_its_parts() -> None:
    plugin = containerd_daemon_pb2.Plugin
    failure = containerd_daemon_pb2.Failure
    native = plugin(type=decode_info.SNAPSHOTTERS, id="native")
    native.platforms.add(os="linux", architecture="amd64")
    aufs = plugin(type=decode_info.SNAPSHOTTERS, id="aufs", init_err=failure(message="no such file system"))
    cri = plugin(type="io.containerd.grpc.v1", id="cri", init_err=failure(message="bad config"))
    warned = containerd_daemon_pb2.DeprecationWarning(message="old things go")
    assert decode_info.format_platform([aufs, native]) == "linux/amd64"
    assert decode_info.snapshotter([aufs, native]) == "native"
    assert decode_info.snapshotter([native, plugin(type=decode_info.SNAPSHOTTERS, id="overlayfs")]) == "overlayfs"
    assert decode_info.warning_notes([aufs, native, cri], [warned]) == (
        "The plugin cri failed to load: bad config.",
        "Deprecation warning: old things go",
    )
    assert (decode_info.format_platform([]), decode_info.snapshotter([])) == ("", "")


@pytest.mark.parametrize(
    ("thing", "parts"),
    [("k8s.io/web", ("k8s.io", "web")), ("web", ("", "web")), ("/web", ("", "/web")), ("ns/", ("", "ns/"))],
)
def test_ids_are_taken_apart(thing: str, parts: tuple[str, str]) -> None:
    assert decode.split_id(thing) == parts
