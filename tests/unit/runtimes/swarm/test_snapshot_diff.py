"""What a Swarm is said to have done between two looks: pure, by the engine's own times, calm about what passes."""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.model.events import EventKind, Origin
from core.model.refs import EngineRef, Kind
from runtimes.formats import json_decoder
from runtimes.swarm import json_models, snapshot_diff
from runtimes.swarm.snapshot_diff import Snapshot

ENGINE = EngineRef(host="k1", kind="swarm")
SECOND = 1_000_000_000
START = 1_795_489_200  # 2026-11-24T03:00:00Z


def at(seconds):
    return f"2026-11-24T03:{seconds // 60:02d}:{seconds % 60:02d}.25Z"


def ns(seconds):
    return (START + seconds) * SECOND + SECOND // 4


def service(*, replicas=3, updated=0, update=None, mode=None, parallelism=1, id="s1"):  # noqa: A002
    return {
        "ID": id,
        "UpdatedAt": at(updated),
        "Spec": {
            "Name": "web",
            "Mode": mode or {"Replicated": {"Replicas": replicas}},
            "UpdateConfig": {"Parallelism": parallelism},
        },
        **({"UpdateStatus": update} if update else {}),
    }


def task(slot, state="running", *, desired="running", when=0, error="", code=None, id="", node="n1"):  # noqa: A002
    ran = {"ContainerStatus": {"ContainerID": f"c{slot}", "ExitCode": code}} if code is not None else {}
    return {
        "ID": id or f"t{slot}",
        "ServiceID": "s1",
        "NodeID": node,
        "Slot": slot,
        "DesiredState": desired,
        "Status": {"State": state, "Timestamp": at(when), "Err": error, **ran},
        "Spec": {"ContainerSpec": {"Image": "nginx:1@sha256:aa"}},
    }


def node(state="ready", *, name="m1", availability="active", updated=0, message="", id="n1"):  # noqa: A002
    return {
        "ID": id,
        "UpdatedAt": at(updated),
        "Spec": {"Availability": availability, "Role": "manager"},
        "Description": {"Hostname": name},
        "Status": {"State": state, "Message": message},
    }


def snapshot(services=(), tasks=(), nodes=()):
    decode = json_decoder.decode_rows
    return Snapshot(
        services=decode(json_models.Service, json.dumps(list(services)).encode()),
        tasks=decode(json_models.Task, json.dumps(list(tasks)).encode()),
        nodes=decode(json_models.Node, json.dumps(list(nodes)).encode()),
    )


class Watched:
    """Looks two seconds apart; `then` returns what is told of the next one."""

    def __init__(self, first):
        self.state = snapshot_diff.baseline(first)
        self.now = 100.0

    def then(self, shown, *, after=2.0):
        self.now += after
        self.state, told = snapshot_diff.step(ENGINE, self.state, shown, self.now)
        return told

    def during(self, shown, seconds):
        """The same snapshot again and again for so many seconds."""
        told = []
        for _ in range(int(seconds / 2)):
            told += self.then(shown)
        return told


UP3 = [task(1), task(2), task(3)]
NODES = [node(), node(name="m2", id="n2"), node(name="m3", id="n3")]


def test_the_first_snapshot_is_where_we_begin_and_one_that_stays_tells_nothing():
    shown = snapshot(
        [service(update={"State": "paused", "StartedAt": at(1)})],
        [task(1), task(2, "failed", desired="shutdown")],
        [node("down")],
    )
    watched = Watched(shown)
    assert watched.state.settled
    assert watched.during(shown, 120) == []


@pytest.mark.parametrize("state", ["failed", "rejected", "orphaned"])
def test_a_task_that_fails_is_told_once_with_its_reason_and_code(state):
    watched = Watched(snapshot([service()], UP3, NODES))
    failed = task(2, state, desired="shutdown", when=7, error="task: non-zero exit (7).", code=7)
    shown = snapshot([service()], [task(1), task(3), failed, task(2, id="t4")], NODES)
    (event,) = watched.then(shown)
    assert (event.kind, event.type, event.action, event.at_ns) == (EventKind.TASK_FAILED, "task", state, ns(7))
    assert (event.subject.kind, event.subject.id, event.subject.name) == (Kind.TASK, "t2", "web.2")
    assert event.attrs == {
        "state": state,
        "why": "task: non-zero exit (7)",
        "service": "web",
        "node": "m1",
        "exit_code": "7",
        "image": "nginx:1",
    }
    assert event.origin is Origin.LIVE
    assert watched.during(shown, 20) == []


@pytest.mark.parametrize(
    ("update", "during"),
    [("updating", "updating"), ("rollback_started", "rollback_started"), ("completed", None), ("paused", None)],
)
def test_a_task_that_fails_in_a_running_update_says_so(update, during):
    rolling = service(update={"State": update, "StartedAt": at(1)})
    watched = Watched(snapshot([rolling], UP3, NODES))
    failed = task(2, "failed", desired="shutdown", when=7, error="task: non-zero exit (7).", code=7)
    (event,) = watched.then(snapshot([rolling], [task(1), task(3), failed], NODES))
    assert event.attrs.get("rollout") == during


def test_a_task_that_came_and_failed_between_two_looks_is_told_too():
    watched = Watched(snapshot([service()], UP3, NODES))
    brief = task(1, "rejected", desired="shutdown", when=3, error="No such image: x", id="new", node="")
    (event,) = watched.then(snapshot([service()], [*UP3, brief], NODES))
    assert event.subject.id == "new" and event.attrs["why"] == "No such image: x" and "node" not in event.attrs


def test_what_was_told_to_end_has_not_failed():
    watched = Watched(snapshot([service()], UP3, NODES))
    watched.then(snapshot([service(replicas=2)], [task(1), task(2), task(3, desired="shutdown")], NODES))
    ended = task(3, "failed", desired="shutdown", when=4, error="task: non-zero exit (143)", code=143)
    assert watched.then(snapshot([service(replicas=2)], [task(1), task(2), ended], NODES)) == []


def test_too_few_are_told_when_that_stands_and_that_they_are_enough_again():
    watched = Watched(snapshot([service()], UP3, NODES))
    short = snapshot([service()], [task(1), task(2), task(3, "failed", desired="shutdown", when=9, code=1)], NODES)
    (failed,) = watched.then(short)
    assert failed.kind is EventKind.TASK_FAILED
    assert not watched.state.settled
    assert watched.then(short) == [] and watched.then(short) == []
    (event,) = watched.then(short)
    assert (event.kind, event.action, event.at_ns) == (EventKind.REPLICAS, "short", ns(9))
    assert (event.subject.name, event.attrs) == ("web", {"running": "2", "desired": "3"})
    assert watched.during(short, 60) == []
    whole = snapshot([service()], [*UP3[:2], task(3, when=30, id="t9")], NODES)
    (event,) = watched.during(whole, 60)
    assert (event.action, event.at_ns, event.attrs) == ("full", ns(30), {"running": "3", "desired": "3"})


def test_what_is_mended_within_seconds_is_not_worth_a_word():
    watched = Watched(snapshot([service()], UP3, NODES))
    short = snapshot([service()], UP3[:2], NODES)
    whole = snapshot([service()], UP3, NODES)
    assert watched.during(short, 4) + watched.during(whole, 20) == []
    # And a moment of wholeness is no end of the want.
    watched.during(short, 10)
    assert watched.then(whole) == []
    assert watched.during(short, 20) == []


def test_a_service_asked_for_more_is_short_since_it_was_asked():
    watched = Watched(snapshot([service()], UP3, NODES))
    (event,) = watched.during(snapshot([service(replicas=5, updated=40)], UP3, NODES), 20)
    assert (event.action, event.at_ns, event.attrs["desired"]) == ("short", ns(40), "5")


def test_an_update_that_gets_on_is_not_short_and_one_that_does_not_is():
    updating = {"State": "updating", "StartedAt": at(1)}
    watched = Watched(snapshot([service(replicas=9)], [task(n) for n in range(9)], NODES))
    told = []
    for number in range(9):
        # One is replaced at a time, which takes ten seconds each: always eight of nine.
        up = [task(n, id=f"new{n}" if n < number else "") for n in range(9) if n != number]
        told += watched.during(snapshot([service(replicas=9, update=updating)], up, NODES), 10)
    assert told == []
    stuck = snapshot([service(replicas=9, update=updating)], [task(n) for n in range(8)], NODES)
    assert [event.action for event in watched.during(stuck, 80)] == ["short"]
    # More are missing than it replaces at once: that is no update's doing.
    watched = Watched(snapshot([service(replicas=9)], [task(n) for n in range(9)], NODES))
    worse = snapshot([service(replicas=9, update=updating)], [task(n) for n in range(6)], NODES)
    assert [event.action for event in watched.during(worse, 10)] == ["short"]


def test_tasks_that_are_meant_to_end_are_never_too_few():
    job = service(mode={"ReplicatedJob": {"TotalCompletions": 3}})
    watched = Watched(snapshot([job], [task(1)], NODES))
    assert watched.during(snapshot([job], [task(1, "complete", desired="complete")], NODES), 30) == []


def test_one_on_each_node_is_short_where_one_of_them_does_not_run():
    everywhere = service(mode={"Global": {}})
    watched = Watched(snapshot([everywhere], UP3, NODES))
    shown = snapshot([everywhere], [task(1), task(2), task(3, "pending", when=5)], NODES)
    (event,) = watched.during(shown, 10)
    assert event.attrs == {"running": "2", "desired": "3"}


@pytest.mark.parametrize("state", ["paused", "completed", "rollback_started", "rollback_paused", "rollback_completed"])
def test_what_becomes_of_an_update_is_told_once(state):
    watched = Watched(snapshot([service()], UP3, NODES))
    begun = {"State": "updating", "StartedAt": at(1), "Message": "update in progress"}
    assert watched.then(snapshot([service(update=begun, updated=1)], UP3, NODES)) == []
    ended = {"State": state, "StartedAt": at(1), "Message": "because of task t9"}
    (event,) = watched.then(snapshot([service(update=ended, updated=6)], UP3, NODES))
    assert (event.kind, event.action, event.at_ns) == (EventKind.ROLLOUT, state, ns(6))
    assert event.attrs == {"state": state, "why": "because of task t9"}
    done = {**ended, "CompletedAt": at(5)}
    watched = Watched(snapshot([service(update=begun)], UP3, NODES))
    (event,) = watched.during(snapshot([service(update=done, updated=9)], UP3, NODES), 20)
    assert event.at_ns == ns(5)


def test_a_node_that_goes_down_is_told_when_it_stays_down_and_when_it_is_back():
    watched = Watched(snapshot([], [], NODES))
    down = snapshot(
        [], [], [NODES[0], NODES[1], node("down", name="m3", id="n3", updated=8, message="heartbeat failure")]
    )
    (event,) = watched.during(down, 20)
    assert (event.kind, event.action, event.subject.kind, event.subject.name) == (
        EventKind.NODE_STATE, "down", Kind.NODE, "m3",
    )  # fmt: skip
    assert (event.at_ns, event.attrs["why"]) == (ns(8), "heartbeat failure")
    back = snapshot([], [], [NODES[0], NODES[1], node(name="m3", id="n3", updated=50)])
    (event,) = watched.during(back, 20)
    assert (event.action, event.at_ns) == ("ready", ns(50))


def test_a_change_of_leader_that_makes_every_node_unknown_is_no_event():
    for seconds in (2, 8, 16):
        watched = Watched(snapshot([], [], NODES))
        unknown = [node("unknown", name=f"m{n}", id=f"n{n}", updated=3, message="leadership change") for n in (1, 2, 3)]
        assert watched.during(snapshot([], [], unknown), seconds) == []
        again = [node(name=f"m{n}", id=f"n{n}", updated=9) for n in (1, 2, 3)]
        assert watched.during(snapshot([], [], again), 60) == []


def test_one_that_stays_unknown_is_told_and_so_is_what_it_turns_out_to_be():
    watched = Watched(snapshot([], [], NODES[:1]))
    told = watched.during(snapshot([], [], [node("unknown", updated=3)]), 30)
    told += watched.during(snapshot([], [], [node("down", updated=40)]), 30)
    assert [event.action for event in told] == ["unknown", "down"]
    # A leader that dies is unknown to the next one first, and then down.
    watched = Watched(snapshot([], [], NODES[:1]))
    told = watched.during(snapshot([], [], [node("unknown", updated=3)]), 10)
    told += watched.during(snapshot([], [], [node("down", updated=40)]), 30)
    assert [(event.action, event.at_ns) for event in told] == [("down", ns(40))]


def test_draining_is_told_at_once_by_the_nodes_own_time():
    watched = Watched(snapshot([], [], NODES[:1]))
    (event,) = watched.then(snapshot([], [], [node(availability="drain", updated=12)]))
    assert (event.action, event.at_ns, event.attrs) == ("drain", ns(12), {"state": "ready", "availability": "drain"})
    assert [event.action for event in watched.then(snapshot([], [], [node(updated=14)]))] == ["active"]


def test_a_node_that_joins_is_left_to_the_manager_to_tell():
    watched = Watched(snapshot([], [], NODES[:1]))
    assert watched.during(snapshot([], [], NODES), 20) == []
    assert watched.during(snapshot([], [], NODES[:2]), 20) == []


def test_what_a_snapshot_still_tells_of_the_time_before_it():
    shown = snapshot(
        [service(update={"State": "paused", "StartedAt": at(1), "Message": "stuck"}, updated=20)],
        [task(1, "failed", desired="shutdown", when=5, id="a"), task(1, "failed", desired="shutdown", when=15, id="b")],
        NODES,
    )
    told = snapshot_diff.replays(ENGINE, shown, ns(10))
    assert [(event.kind, event.at_ns) for event in told] == [
        (EventKind.TASK_FAILED, ns(15)),
        (EventKind.ROLLOUT, ns(20)),
    ]
    assert {event.origin for event in told} == {Origin.REPLAY}
    # The same facts, seen as they happened, are the same events.
    watched = Watched(snapshot([service()], [], NODES))
    live = watched.then(shown)
    assert {event.identity() for event in told} < {event.identity() for event in live}


def test_two_who_look_at_other_moments_tell_of_one_fact_in_the_same_words():
    before = snapshot([service()], UP3, NODES)
    failed = task(3, "failed", desired="shutdown", when=9, code=1)
    steps = [
        snapshot([service()], [*UP3[:2], failed, task(3, state, when=9 + number, id="t9")], NODES)
        for number, state in enumerate(("ready", "preparing", "starting"))
    ]
    told = []
    for begin in (0, 1, 2):
        watched = Watched(before)
        found = [event for shown in steps[begin:] for event in watched.then(shown)]
        found += watched.during(steps[-1], 20)
        told.append({event.identity() for event in found})
    assert told[0] == told[1] == told[2] and len(told[0]) == 2


def test_times_and_states_nobody_knows_pass_through():
    strange = {"ID": "s1", "Spec": {"Mode": {"Novel": {}}}, "UpdateStatus": {"State": "musing"}}
    watched = Watched(snapshot([service()], UP3, NODES))
    shown = snapshot([strange], [task(1, "levitating")], [{"ID": "n1", "Status": {"State": "elsewhere"}}])
    told = watched.during(shown, 20)
    assert [(event.kind, event.action, event.at_ns) for event in told] == [
        (EventKind.NODE_STATE, "elsewhere", 0),
    ]


STATES = st.sampled_from(["new", "running", "failed", "shutdown", "rejected", "odd"])


@settings(deadline=None)
@given(st.lists(st.tuples(STATES, STATES, st.sampled_from(["ready", "down", "unknown"])), max_size=25))
def test_no_fact_is_told_twice_and_calm_ends_every_story(states):
    watched = Watched(snapshot([service(replicas=2)], [], [node()]))
    told = []
    for number, (first, second, state) in enumerate(states):
        rows = [task(1, first, when=number, id=f"a{number}"), task(2, second, when=number, id=f"b{number}")]
        told += watched.then(snapshot([service(replicas=2)], rows, [node(state, updated=number)]))
    failures = [event.subject.id for event in told if event.kind is EventKind.TASK_FAILED]
    assert len(failures) == len(set(failures))
    for kind in (EventKind.REPLICAS, EventKind.NODE_STATE):
        words = [event.action for event in told if event.kind is kind]
        assert all(one != other for one, other in itertools.pairwise(words))
    last = snapshot([service(replicas=2)], [task(1), task(2)], [node()])
    watched.during(last, 60)
    assert watched.during(last, 60) == []
