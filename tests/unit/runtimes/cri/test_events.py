"""Events from snapshots and from CRI-O's stream: the same facts, none twice and none out of order."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from core.model.events import EventKind
from core.model.refs import EngineRef, Kind
from runtimes.cri import decode, events
from runtimes.cri.snapshot import Snapshot
from runtimes.proto import cri_pb2 as cri

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


def pod(name="web"):
    return cri.PodSandboxStatus(id="p" * 64, metadata=cri.PodSandboxMetadata(name=name, namespace="shop"))


def view(*statuses, at=1, pods=None):
    known = {one.id: decode.container_record(one, one, pod()) for one in statuses}
    pods = {pod().id: pod()} if pods is None else pods
    return Snapshot(ENGINE, at, known, pods, decode.container_names(known.values()))


def message(kind, thing, *statuses, at=7):
    return cri.ContainerEventResponse(
        container_id=thing,
        container_event_type=kind,
        created_at=at,
        pod_sandbox_status=pod(),
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


async def gathered(engine, since=None):
    batches, reason = [], None
    try:
        async for batch in events.watch(engine, None, since, lambda enabled: None):
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
