"""Events from snapshots and from CRI-O's stream: the same facts, none twice and none out of order."""

import asyncio
import itertools
import time

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from core.model.events import EventKind, Origin
from core.model.refs import EngineRef, Kind
from runtimes.cri import decode, events
from runtimes.cri.snapshot import Snapshot, SnapshotReader
from runtimes.proto import cri_pb2 as cri
from tests.helpers.paths import CAPTURES

ENGINE = EngineRef(host="h", kind="cri")
NS = 1_000_000_000


def status(number=1, state=1, *, attempt=0, code=0, reason=""):
    begun = state > 0
    return cri.ContainerStatus(
        id=f"{number:064x}",
        metadata=cri.ContainerMetadata(name="app", attempt=attempt),
        state=state,
        created_at=number * 100 * NS,
        started_at=number * 100 * NS + NS if begun else 0,
        finished_at=number * 100 * NS + 2 * NS if state == 2 else 0,
        exit_code=code,
        reason=reason,
    )


def pod(name="web", number="p", created=0, state=0):
    metadata = cri.PodSandboxMetadata(name=name, namespace="shop")
    return cri.PodSandboxStatus(id=number * 64, metadata=metadata, created_at=created, state=state)


def view(*statuses, at=1, pods=None):
    known = {one.id: decode.decode_container_record(one, one, pod()) for one in statuses}
    pods = {pod().id: pod()} if pods is None else pods
    return Snapshot(ENGINE, at, known, pods, decode.container_names(known.values()))


def message(kind, thing, *statuses, at=7, of=None):
    return cri.ContainerEventResponse(
        container_id=thing,
        container_event_type=kind,
        created_at=at,
        pod_sandbox_status=pod() if of is None else of,
        containers_statuses=statuses,
    )


def kinds(events):
    return [event.kind for event in events if event.subject.kind is Kind.CONTAINER]


def test_two_looks_tell_what_happened_between_them():
    assert events.compare(view(status()), view(status(), at=2)) == []
    found = events.compare(view(), view(status(state=2, code=137, reason="OOMKilled"), at=2))
    assert kinds(found) == [EventKind.CREATED, EventKind.STARTED, EventKind.OOM, EventKind.DIED]
    assert [event.at_ns for event in found] == sorted(event.at_ns for event in found)
    assert kinds(events.compare(view(status(state=0)), view(status(), at=2))) == [EventKind.STARTED]
    assert kinds(events.compare(view(status()), view(at=2))) == [EventKind.DIED, EventKind.REMOVED]
    # A container the engine lost its hold of: nobody knows better than that it does not run.
    assert kinds(events.compare(view(status()), view(status(state=3), at=2))) == [EventKind.DIED]


def listed(method, one):
    """The engine's lists, which have this container and its pod."""
    if method == "ListPodSandbox":
        return cri.ListPodSandboxResponse(items=[cri.PodSandbox(id=pod().id, metadata=pod().metadata)])
    row = cri.Container(id=one.id, pod_sandbox_id=pod().id, metadata=one.metadata, state=one.state)
    return cri.ListContainersResponse(containers=[row])


async def test_a_status_that_cannot_be_read_for_a_moment_makes_no_second_start():
    now, readable = status(), True

    async def request(method, request, response, seconds):
        if method.startswith("List"):
            return listed(method, now)
        if not readable:
            raise errors.Rejected(2, "the container is being changed")
        return cri.ContainerStatusResponse(status=now)

    reader = SnapshotReader(request)
    views = [await reader.read(ENGINE, 5.0)]
    now, readable = status(state=2, code=3), False
    views.append(await reader.read(ENGINE, 5.0))
    readable = True
    views.append(await reader.read(ENGINE, 5.0))
    found = [kinds(events.compare(before, after)) for before, after in itertools.pairwise(views)]
    assert found == [[EventKind.DIED], []]
    assert views[2].containers[now.id].exit_code == 3


@pytest.mark.parametrize(("ended_ago", "kind"), [(0, [EventKind.OOM]), (60, [])])
async def test_an_end_that_is_called_out_of_memory_a_moment_later_is_told_as_such(ended_ago, kind):
    now = status(state=2, code=137, reason="Error")
    now.finished_at = time.time_ns() - ended_ago * NS

    async def request(method, request, response, seconds):
        if method.startswith("List"):
            return listed(method, now)
        return cri.ContainerStatusResponse(status=now)

    reader = SnapshotReader(request)
    before = await reader.read(ENGINE, 5.0)
    now.reason = "OOMKilled"
    after = await reader.read(ENGINE, 5.0)
    (found, row) = events.compare(before, after), after.rows()[0]
    assert kinds(found) == kind
    assert row.oom_killed is bool(kind)
    assert [event.at_ns for event in found] == [now.finished_at - 1 for _ in kind]


def test_pods_come_and_go_beside_their_containers():
    ready, stopped = pod(), pod()
    stopped.state = 1
    begun = events.compare(view(pods={}), view(pods={"p": ready}, at=2))
    ended = events.compare(view(pods={"p": ready}), view(pods={"p": stopped}, at=3))
    gone = events.compare(view(pods={"p": stopped}), view(pods={}, at=4))
    assert [event.action for event in (*begun, *ended, *gone)] == ["created", "stopped", "deleted"]
    assert {(event.kind, event.type, event.subject.name) for event in (*begun, *ended, *gone)} == {
        (EventKind.OTHER, "pod", "shop/web")
    }


def test_a_newer_attempt_takes_the_name():
    first, second = status(1, 2), status(2, 1, attempt=1)
    found = events.compare(view(first), view(first, second, at=2))
    (renamed,) = [event for event in found if event.kind is EventKind.RENAMED]
    assert (renamed.subject.id, renamed.attrs["old_name"]) == (first.id, "shop/web/app")
    assert renamed.subject.name == f"shop/web/app.{first.id[:8]}"
    back = events.compare(view(first, second, at=2), view(first, at=3))
    assert [event.subject.name for event in back if event.kind is EventKind.RENAMED] == ["shop/web/app"]


def test_an_event_older_than_the_first_look_takes_nothing_back():
    seen = view(status(state=2, code=3))
    later, found = events.apply_event(seen, message(1, status().id, status(state=1)))
    assert kinds(found) == []
    assert later.containers[status().id].exit_code == 3


def test_one_that_is_removed_at_once_still_tells_how_it_ended():
    ended = status(state=2, code=9)
    later, found = events.apply_event(view(status()), message(2, ended.id, ended))
    assert [event.attrs["exit_code"] for event in found if event.kind is EventKind.DIED] == ["9"]
    later, found = events.apply_event(later, message(3, ended.id))
    assert kinds(found) == [EventKind.REMOVED]
    assert ended.id not in later.containers and ended.id not in later.names
    assert events.apply_event(later, message(3, "f" * 64))[1] == []


lives = st.lists(
    st.tuples(st.integers(1, 4), st.sampled_from([0, 1, 2, 3])),  # which container, how far it comes (3: removed)
    max_size=20,
)


@given(lives, st.lists(st.booleans(), min_size=20, max_size=20))
def test_snapshots_and_the_stream_give_the_same_events(history, looks):
    """However often snapshots are read, their events are among those of the stream, and the final state is the same."""
    now: dict[int, int] = {}
    heard = looked = view()
    told_by_stream, told_by_looks = set(), set()
    removed = set()
    for (number, far), look in zip(history, looks, strict=False):
        if number in removed or far <= now.get(number, -1):
            continue
        for step in range(now.get(number, -1) + 1, far + 1):
            now[number] = step
            alive = [status(one, state) for one, state in sorted(now.items()) if state < 3]
            kind = {0: 0, 1: 1, 2: 2, 3: 3}[step]
            heard, found = events.apply_event(heard, message(kind, status(number).id, *alive, at=number * 1000 * NS))
            told_by_stream |= {event.identity() for event in found if event.kind is not EventKind.RENAMED}
        if far == 3:
            removed.add(number)
            del now[number]
        if look:
            fresh = view(*[status(one, state) for one, state in sorted(now.items())], at=len(told_by_looks) + 2)
            found = events.compare(looked, fresh)
            # When it went is the time of the look here.
            passing = (EventKind.RENAMED, EventKind.REMOVED)
            told_by_looks |= {
                event.identity()
                for event in found
                if event.kind not in passing and not (event.kind is EventKind.DIED and "exit_code" not in event.attrs)
            }
            looked = fresh
    assert told_by_looks <= told_by_stream
    final = view(*[status(one, state) for one, state in sorted(now.items())])
    assert heard.containers == final.containers
    assert heard.names == final.names


class Engine:
    """Returns one snapshot after the other; the last one is repeated, or is an error."""

    def __init__(self, *views):
        self.views = list(views)

    async def __call__(self, seconds):
        found = self.views.pop(0) if len(self.views) > 1 else self.views[0]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(events, "POLL_SECONDS", 0.0)
    slept = asyncio.sleep
    monkeypatch.setattr(events.asyncio, "sleep", lambda seconds: slept(0))


async def gathered(engine, since=None, watch=None):
    batches, reason = [], None
    try:
        async for batch in (watch or events.EventWatch(engine, lambda enabled: None)).events(None, since):
            batches.append(batch)
    except errors.QuarterdeckError as error:
        reason = error
    return batches, reason


async def test_looks_follow_each_other_until_the_engine_is_away(hurried):
    away = errors.Unreachable("gone")
    batches, reason = await gathered(Engine(view(), view(status(), at=2), view(status(), at=3), away))
    assert reason is away
    assert batches[0] == ()
    assert [kinds(batch) for batch in batches[1:]] == [[EventKind.CREATED, EventKind.STARTED]]


async def test_what_is_there_tells_of_itself_from_a_time_on(hurried):
    away = errors.Unreachable("gone")
    batches, _ = await gathered(Engine(view(status(1, 2), status(2, 1)), away), since=102 * NS)
    assert [(event.kind, event.subject.id) for event in batches[1]] == [
        (EventKind.DIED, status(1).id),
        (EventKind.CREATED, status(2).id),
        (EventKind.STARTED, status(2).id),
    ]
    batches, _ = await gathered(Engine(view(status(1, 2)), away), since=103 * NS)
    assert batches == [()]


async def test_a_new_stream_repeats_nothing_of_the_one_before(hurried):
    """The times of one fact may differ between two streams: CRI-O's clocks do, and one moves with its restarts."""
    away = errors.Unreachable("gone")
    watch = events.EventWatch(Engine(view(), view(status(), at=2), away), lambda enabled: None)
    batches, _ = await gathered(None, watch=watch)
    assert kinds(batches[1]) == [EventKind.CREATED, EventKind.STARTED]
    moved = status(state=2, code=3)
    moved.created_at += NS
    watch._read_snapshot = Engine(view(moved, status(2), at=3), away)
    batches, _ = await gathered(None, since=0, watch=watch)
    assert [(event.kind, event.subject.id, event.origin) for event in batches[1]] == [
        (EventKind.DIED, status(1).id, Origin.REPLAY),
        (EventKind.CREATED, status(2).id, Origin.REPLAY),
        (EventKind.STARTED, status(2).id, Origin.REPLAY),
    ]


class Stream:
    """An event stream of prepared batches. It ends after the last one, or stays silent."""

    enabled = True

    def __init__(self, *batches, ends=True):
        self.batches, self.ends = list(batches), ends

    @property
    def ended(self):
        return self.ends and not self.batches

    async def wait(self, seconds):
        if not self.batches and not self.ends:
            await asyncio.sleep(min(seconds, 0.01))
        return self.batches.pop(0) if self.batches else []


@pytest.fixture
def eager(monkeypatch):
    for name in ("MIN_COMPARE_SECONDS", "SETTLE_SECONDS"):
        monkeypatch.setattr(events, name, 0.0)


async def streamed(watch, stream, batches=1000):
    found = []
    async for batch in watch.events(stream, None):
        found += batch
        batches -= 1
        if not batches:
            break
    return found


def told(found):
    return [
        (event.kind if event.subject.kind is Kind.CONTAINER else event.action, event.subject.name) for event in found
    ]


async def test_events_kept_from_before_are_not_told_as_live(eager):
    """Engines keep up to 1,000 events for their first listener, some of them about what has gone since."""
    gone = status(9)
    stream = Stream([message(1, gone.id, gone, at=NS), message(1, status().id, status(), at=5 * NS - 1)])
    watch = events.EventWatch(Engine(view(status(), at=5 * NS)), lambda enabled: None)
    assert await streamed(watch, stream) == []
    assert list(watch.snapshot.containers) == [status().id]


async def test_a_pod_that_goes_without_a_word_is_forgotten_with_its_containers(eager):
    stopped = pod(state=1)
    ended = status(state=2)
    stream = Stream([message(2, ended.id, ended), message(2, stopped.id, of=stopped)], [], ends=False)
    engine = Engine(view(status()), view(pods={}, at=9))
    watch = events.EventWatch(engine, lambda enabled: None)
    found = await streamed(watch, stream, batches=3)
    assert told(found) == [
        (EventKind.DIED, "shop/web/app"),
        ("stopped", "shop/web"),
        ("deleted", "shop/web"),
        (EventKind.REMOVED, "shop/web/app"),
    ]
    assert not watch.snapshot.containers and not watch.snapshot.pods and not watch.snapshot.names
    # What comes late brings nothing back.
    late = Stream([message(2, ended.id, ended, at=99), message(2, stopped.id, at=99, of=stopped)])
    watch._read_snapshot = Engine(view(pods={}, at=9))
    assert await streamed(watch, late) == []
    assert not watch.snapshot.containers and not watch.snapshot.pods


async def test_pods_that_go_are_noticed_even_if_nothing_is_sent_at_all(monkeypatch):
    monkeypatch.setattr(events, "COMPARE_SECONDS", 0.0)
    watch = events.EventWatch(Engine(view(status()), view(pods={}, at=9)), lambda enabled: None)
    found = await streamed(watch, Stream(ends=False), batches=2)
    assert told(found) == [
        ("deleted", "shop/web"), (EventKind.DIED, "shop/web/app"), (EventKind.REMOVED, "shop/web/app")
    ]  # fmt: skip


async def test_a_recreated_pod_has_its_name_at_once_and_the_old_one_has_gone(eager):
    again = pod(number="q", created=50 * NS)
    fresh = decode.decode_container_record(status(2), status(2), again)
    after = Snapshot(ENGINE, 9, {fresh.id: fresh}, {again.id: again}, decode.container_names([fresh]))
    watch = events.EventWatch(Engine(view(status(state=2, attempt=4)), after), lambda enabled: None)
    found = await streamed(watch, Stream([message(1, again.id, at=60 * NS, of=again)]))
    assert (EventKind.REMOVED, "shop/web/app") in told(found)
    assert (EventKind.CREATED, "shop/web/app") in told(found)
    assert EventKind.RENAMED not in [kind for kind, _ in told(found)]
    assert list(watch.snapshot.names.values()) == ["shop/web/app"]


def test_a_leftover_of_a_higher_attempt_does_not_keep_the_name():
    old = decode.decode_container_record(status(1, 2, attempt=7), status(1, 2, attempt=7), pod(created=1))
    new = decode.decode_container_record(status(2), status(2), pod(number="q", created=2))
    names = decode.container_names([old, new])
    assert names == {new.id: "shop/web/app", old.id: f"shop/web/app.{old.id[:8]}"}
    pods = decode.pod_names([pod(created=1), pod(number="q", created=2)])
    assert pods == {"q" * 64: "shop/web", "p" * 64: f"shop/web.{'p' * 8}"}


async def test_a_container_that_no_message_lists_has_a_row_at_once_and_its_end_too(eager):
    """CRI-O lists only containers with the kubelet's label."""
    thing = status().id
    stream = Stream([message(1, thing)], [message(2, thing)], [], ends=False)
    watch = events.EventWatch(
        Engine(view(), view(status(), at=2), view(status(state=2, code=4), at=3)), lambda enabled: None
    )
    found = await streamed(watch, stream, batches=3)
    assert [kind for kind, _ in told(found)] == [EventKind.CREATED, EventKind.STARTED, EventKind.DIED]
    assert found[-1].attrs["exit_code"] == "4"


async def test_one_that_came_and_went_before_the_look_is_told_of(eager):
    ended = status(state=2, code=5)
    stream = Stream([message(2, ended.id, ended), message(3, ended.id)])
    watch = events.EventWatch(Engine(view(), view(at=2)), lambda enabled: None)
    assert [kind for kind, _ in told(await streamed(watch, stream))] == [
        EventKind.CREATED, EventKind.STARTED, EventKind.DIED, EventKind.REMOVED
    ]  # fmt: skip
    assert not watch.snapshot.containers


async def test_many_messages_about_strangers_need_one_look(eager):
    looks = []

    async def look(seconds):
        looks.append(seconds)
        return view(at=len(looks))

    many = [message(1, f"{number:064x}", status(number)) for number in range(1, 500)]
    watch = events.EventWatch(look, lambda enabled: None)
    found = await streamed(watch, Stream(many))
    assert len(looks) == 2, "the first one, and one for all messages"
    assert [kind for kind, _ in told(found)].count(EventKind.CREATED) == len(many)


async def test_what_is_remembered_of_the_removed_is_bounded(eager, monkeypatch):
    monkeypatch.setattr(events, "MAX_REMOVED", 10)
    many = [message(3, f"{number:064x}") for number in range(100)]
    watch = events.EventWatch(Engine(view()), lambda enabled: None)
    await streamed(watch, Stream(many))
    assert len(watch._removed) == 10


def test_an_event_with_another_tag_of_the_image_changes_no_name():
    listed = cri.Container(id=status().id, image=cri.ImageSpec(image="shop:1"), created_at=100 * NS - 90_000_000)
    told_status = status()
    told_status.image.image = "latest:9"
    record = decode.decode_container_record(listed, told_status, pod())
    assert (record.image, record.created_ns) == ("shop:1", 100 * NS)
    seen = Snapshot(ENGINE, 1, {record.id: record}, {pod().id: pod()}, decode.container_names([record]))
    ended = status(state=2, code=1)
    ended.image.image = "latest:9"
    later, found = events.apply_event(seen, message(2, record.id, ended))
    assert later.containers[record.id].image == "shop:1"
    assert {event.attrs["image"] for event in found} == {"shop:1"}


def test_a_pods_label_does_not_name_its_containers():
    labelled = pod()
    labelled.labels["io.kubernetes.container.name"] = "POD"
    record = decode.decode_container_record(cri.Container(id="c" * 64), None, labelled)
    assert record.path == f"shop/web/{'c' * 12}"
    assert "io.kubernetes.container.name" not in record.labels


async def test_a_removed_pod_that_sends_no_status_is_removed(eager):
    """containerd 2 sends the end of a pod without the pod."""
    gone = cri.ContainerEventResponse(container_id=pod().id, container_event_type=3, created_at=7)
    watch = events.EventWatch(Engine(view(), view(pods={}, at=2)), lambda enabled: None)
    assert told(await streamed(watch, Stream([gone]))) == [("deleted", "shop/web")]


async def test_the_stream_of_containerd_2_as_recorded(eager):
    lines = (CAPTURES / "containerd-2.1.cri-events.jsonl").read_text().splitlines()
    messages = [json_format.Parse(line, cri.ContainerEventResponse()) for line in lines]
    watch = events.EventWatch(Engine(view(pods={})), lambda enabled: None)
    found = await streamed(watch, Stream(messages))
    assert told(found) == [
        ("created", "default/web"),
        ("started", "default/web"),
        (EventKind.CREATED, "default/web/web"),
        (EventKind.STARTED, "default/web/web"),
        (EventKind.DIED, "default/web/web"),
        ("stopped", "default/web"),
        (EventKind.REMOVED, "default/web/web"),
        ("deleted", "default/web"),
    ]
    assert [event.attrs["exit_code"] for event in found if event.kind is EventKind.DIED] == ["5"]
    assert not watch.snapshot.containers and not watch.snapshot.pods
