"""Decoding of CRI's messages: recordings of containerd 1.7, generated containers, and unknown values."""

import json
import random

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from core.model import containers
from core.model.events import EventKind, Origin
from core.model.policy_selectors import Selector
from core.model.refs import EngineRef, Kind, Ref
from runtimes.cri import decode, decode_info, derive_events
from runtimes.cri.decode import ContainerRecord
from runtimes.proto import cri_pb2 as cri
from tests.helpers.paths import CAPTURES

CAPTURE = CAPTURES / "containerd-1.7.cri.jsonl"
ENGINE = EngineRef(host="h", kind="cri")


def recorded(kind):
    lines = map(json.loads, CAPTURE.read_text().splitlines())
    return [
        json_format.ParseDict(one["body"], getattr(cri, kind)(), ignore_unknown_fields=True)
        for one in lines
        if one["message"] == kind
    ]


def subject(one, name="x"):
    return Ref(engine=ENGINE, kind=Kind.CONTAINER, id=one.id, name=name)


def test_a_recorded_container_is_a_row_with_its_pods_labels():
    (listed,) = recorded("ListContainersResponse")
    (pods,) = recorded("ListPodSandboxResponse")
    running, *_ = recorded("ContainerStatus")
    (line,), (pod,) = listed.containers, pods.items
    known = decode.decode_container_record(line, running, pod)
    row = decode.container_row(ENGINE, known, decode.container_names([known])[known.id], known.started_ns / 1e9 + 120)
    assert row.ref.name == "default/pod50606/main"
    assert (row.project, row.service, row.group_name) == ("default", "pod50606", "default/pod50606")
    assert (row.state, row.status, row.exit_code, row.restarts) == ("running", "Up 2 minutes", None, 0)
    assert (row.image, row.image_id) == ("localhost/busybox:1", line.image_ref)
    assert row.labels["app"] == "demo"  # which only the pod has
    assert row.created_at == pytest.approx(line.created_at / 1e9)


def test_recorded_ends_tell_their_code_and_memory_that_ran_out():
    _, stopped, killed, _ = recorded("ContainerStatus")
    events = list(
        derive_events.past_events(
            decode.decode_container_record(stopped, stopped, None), subject(stopped), Origin.LIVE, 0
        )
    )
    assert [event.kind for event in events] == [EventKind.CREATED, EventKind.STARTED, EventKind.DIED]
    assert (events[-1].attrs["exit_code"], events[-1].at_ns) == ("7", stopped.finished_at)
    assert events[1].at_ns == stopped.started_at
    events = list(
        derive_events.past_events(decode.decode_container_record(killed, killed, None), subject(killed), Origin.LIVE, 0)
    )
    assert [event.kind for event in events][-2:] == [EventKind.OOM, EventKind.DIED]
    assert events[-1].attrs["exit_code"] == "137"
    assert events[-2].at_ns < events[-1].at_ns


def test_what_is_told_twice_is_the_same_event():
    """From a snapshot, from the stream, and after a lost connection."""
    status = recorded("ContainerStatus")[1]
    listed = cri.Container(id=status.id, metadata=status.metadata, state=2, created_at=status.created_at)
    seen = decode.decode_container_record(listed, status, None)
    heard = decode.decode_container_record(status, status, cri.PodSandboxStatus(id="p"))
    told = [
        {event.identity() for event in derive_events.past_events(one, subject(one), origin, at)}
        for one, origin, at in ((seen, Origin.LIVE, 5), (heard, Origin.REPLAY, 7))
    ]
    assert told[0] == told[1]


def test_image_and_engine_as_recorded():
    (images,) = recorded("ListImagesResponse")
    first = decode.image_row(ENGINE, images.images[0])
    assert (first.ref.kind, first.ref.name, first.tags) == (Kind.IMAGE, "localhost/pause:1", ("localhost/pause:1",))
    assert first.size > 0
    (status,) = recorded("StatusResponse")
    assert decode_info.condition_notes(status.status) == ()
    status.status.conditions[1].status = False
    status.status.conditions[1].reason = "NetworkPluginNotReady"
    status.status.conditions[1].message = "cni plugin not initialized"
    assert decode_info.condition_notes(status.status) == (
        "NetworkReady is false (NetworkPluginNotReady): cni plugin not initialized.",
    )


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1), st.integers(-(2**31), 2**31 - 1))
def test_any_number_for_a_state_or_a_time_makes_a_row(state, at, code):
    """CRI-O reports an unset time as a time in year 1."""
    status = cri.ContainerStatus(id="a" * 64, state=state, created_at=at, started_at=at, finished_at=at, exit_code=code)
    known = decode.decode_container_record(status, status, None)
    row = decode.container_row(ENGINE, known, "x", 1.8e9)
    assert row.state in containers.STATES
    assert row.started_at is None or row.started_at > 0
    assert row.created_at >= 0
    for event in derive_events.past_events(known, subject(known), Origin.LIVE, 10):
        assert event.at_ns >= 0


def test_a_message_without_any_field_is_a_container_too():
    bare = decode.decode_container_record(cri.Container(), None, None)
    assert decode.container_row(ENGINE, bare, decode.container_names([bare])[""], 0).state == "created"
    assert bare.has_status is False
    message = cri.ContainerEventResponse(container_id="a" * 64, container_event_type=9)
    event = derive_events.unknown_event(ENGINE, message, 5)
    assert (event.kind, event.action) == (EventKind.OTHER, "event_9")


def test_nobody_claims_another_namespace_by_a_label():
    """Users write their pods' labels."""
    pod = cri.PodSandbox(
        id="p",
        metadata=cri.PodSandboxMetadata(name="mine", namespace="sandbox"),
        labels={"io.kubernetes.pod.namespace": "kube-system", "com.docker.compose.project": "shop", "team": "a"},
    )
    known = decode.decode_container_record(cri.Container(id="c", metadata=cri.ContainerMetadata(name="app")), None, pod)
    row = decode.container_row(ENGINE, known, "x", 0)
    assert (row.project, row.service, row.labels["team"]) == ("sandbox", "mine", "a")
    facts = row.facts(None)
    assert not Selector(project="shop").matches(row.ref, facts) and Selector(project="sandbox").matches(row.ref, facts)
    assert decode.pod_row(ENGINE, pod, "x", (), "").labels["io.kubernetes.pod.namespace"] == "sandbox"


some = st.builds(
    lambda number, namespace, pod, name, attempt, created: ContainerRecord(
        id=f"{number:064x}",
        pod="",
        name=name,
        attempt=attempt,
        state=1,
        created_ns=created,
        labels={decode.NAMESPACE: namespace, decode.POD_NAME: pod},
    ),
    st.integers(0, 2**256 - 1),
    st.sampled_from(["a", "b", ""]),
    st.sampled_from(["a", "web-0"]),
    st.sampled_from(["a", "app", ""]),
    st.integers(0, 2),
    st.integers(0, 3),
)


@given(st.lists(some, max_size=12, unique_by=lambda one: one.id[:8]), st.randoms())
def test_no_two_containers_have_one_name_and_the_newest_has_the_plain_one(crowd, chance):
    names = decode.container_names(crowd)
    assert len(set(names.values())) == len(crowd)
    for path in {one.path for one in crowd}:
        newest = max((one for one in crowd if one.path == path), key=lambda one: (one.attempt, one.created_ns, one.id))
        assert names[newest.id] == path
    shuffled = list(crowd)
    random.Random(chance.random()).shuffle(shuffled)
    assert decode.container_names(shuffled) == names


def test_a_container_that_is_gone_died_if_it_ran():
    ran = ContainerRecord(id="r", pod="", name="r", attempt=0, state=1, created_ns=1, labels={})
    ended = ContainerRecord(id="e", pod="", name="e", attempt=0, state=2, created_ns=1, labels={}, exit_code=0)
    assert [event.kind for event in derive_events.removal_events(ran, subject(ran), 9)] == [
        EventKind.DIED,
        EventKind.REMOVED,
    ]
    assert [event.kind for event in derive_events.removal_events(ended, subject(ended), 9)] == [EventKind.REMOVED]
    assert "exit_code" not in next(derive_events.removal_events(ran, subject(ran), 9)).attrs


def test_what_opens_registries_is_hidden_in_documents():
    words = {"registry": {"configs": {"r": {"auth": {"password": "hunter2", "auth": "aHVudGVyMg==", "user": "u"}}}}}
    told = decode_info.make_masked_document(
        cri.StatusResponse(), {"config": json.dumps(words), "golang": "go1.19", "odd": "{"}
    )
    assert "hunter2" not in repr(told) and "aHVudGVyMg" not in repr(told)
    assert (told["info"]["golang"], told["info"]["odd"]) == ("go1.19", "{")


def test_the_digest_is_that_of_the_repository_that_was_asked():
    image = cri.Image(repo_digests=["docker.io/library/nginx@sha256:1", "mirror:5000/nginx@sha256:2"])
    assert decode.digest_of("nginx:1", image) == "sha256:1"
    assert decode.digest_of("mirror:5000/nginx:1", image) == "sha256:2"
    assert decode.digest_of("other", image) == "sha256:1"
    assert decode.digest_of("other", cri.Image()) == ""


@pytest.mark.parametrize(
    ("mountpoint", "storage"),
    [
        ("/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs", "overlayfs"),
        ("/var/lib/containerd/io.containerd.snapshotter.v1.fuse-overlayfs/", "fuse-overlayfs"),
        ("/var/lib/containers/storage/overlay-images", "overlay"),
        ("/var/lib/docker", ""),
        ("", ""),
    ],
)
def test_the_storage_driver_is_read_from_where_the_images_are(mountpoint, storage):
    """containerd 2 reports it in no other place."""
    place = cri.FilesystemUsage(fs_id=cri.FilesystemIdentifier(mountpoint=mountpoint))
    assert decode_info.storage_of_mountpoints(cri.ImageFsInfoResponse(image_filesystems=[place])) == storage
    assert decode_info.storage_of_mountpoints(cri.ImageFsInfoResponse()) == ""
