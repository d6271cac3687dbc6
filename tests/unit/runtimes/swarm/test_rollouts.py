"""Jobs on a Swarm that a test speaks for: what is read of it, what is sent to it, and what is said when it does not do
it."""

import asyncio
import json

import pytest

from core import errors
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from runtimes.base.jobs import Job
from runtimes.formats import json_decoder
from runtimes.swarm import decode, json_models, killed_tasks, rollouts, service_updates
from runtimes.transport.http_client import Response

ENGINE = EngineRef(host="k1", kind="swarm")
WEB = Ref(engine=ENGINE, kind=Kind.SERVICE, id="web1", name="shop_web")


class Manager:
    """`states` of the service's tasks after each update, look by look; the last stays. `fail` raises once per path."""

    def __init__(self, replicas=1, mode=None, **service):
        spec = {
            "Name": "shop_web",
            "Labels": {"com.docker.stack.namespace": "shop", "env": "dev"},
            "TaskTemplate": {"ContainerSpec": {"Image": "nginx:1.27@sha256:aa", "Labels": {"env": "prod"}}},
            "Mode": mode or {"Replicated": {"Replicas": replicas}},
        }
        self.service = {"ID": "web1", "Version": {"Index": 10}, "Spec": spec, **service}
        self.before = [task(number, "running") for number in range(1, replicas + 1)]
        self.looks = []
        self.asked = []
        self.fail = {}
        self.updated = False

    async def __call__(self, method, target, seconds, *, body=None, image=""):
        path = target.partition("?")[0]
        self.asked.append(f"{method} {target if method == 'POST' else path}")
        for error in self.fail.get(path, [])[:1]:
            self.fail[path].pop(0)
            raise error
        if method == "POST":
            self.service = {**self.service, "Spec": body, "Version": {"Index": 11}}
            self.updated = True
            return answer({})
        if path == "/tasks":
            if not self.updated:
                return answer(self.before)
            return answer(self.looks.pop(0) if len(self.looks) > 1 else self.looks[0])
        return answer(self.service)


def answer(value):
    return Response(status=200, headers={}, body=json.dumps(value).encode())


def task(slot, state, *, desired="running", error="", name="", node="n1"):
    return {
        "ID": name or f"t{slot}",
        "ServiceID": "web1",
        "NodeID": node,
        "Slot": slot,
        "DesiredState": desired,
        "CreatedAt": f"2026-11-24T03:00:{slot:02d}Z",
        "Status": {"State": state, "Err": error, "ContainerStatus": {"ContainerID": f"c{slot}"}},
    }


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(service_updates, "STEADY_SECONDS", 0.0)
    monkeypatch.setattr(rollouts, "POLL_SECONDS", 0.0)


def a_job():
    return Job("j", "service.scale", "console:alice", read_only=False)


async def scaled(manager, wanted, timeout=20.0, job=None):
    return await rollouts.scale(manager, WEB, wanted, timeout, job or a_job())


RUN3 = [task(number, "running") for number in (1, 2, 3)]


async def test_the_whole_of_the_service_goes_back_with_another_number():
    manager = Manager()
    manager.looks = [[task(1, "running"), task(2, "preparing"), task(3, "new")], RUN3]
    before = json.loads(json.dumps(manager.service["Spec"]))
    job = a_job()
    outcome = await scaled(manager, 3, job=job)
    assert (outcome.status, outcome.detail) == (Status.DONE, "from 1 to 3")
    assert [one for one in manager.asked if one.startswith("POST")] == [
        "POST /services/web1/update?version=10&registryAuthFrom=spec"
    ]
    assert manager.service["Spec"] == before | {"Mode": {"Replicated": {"Replicas": 3}}}
    assert (await job.page("", 0)).progress == "1 of 3 run"


async def test_an_update_that_came_too_late_is_made_again_and_at_last_given_up_with_a_sentence():
    manager = Manager()
    manager.looks = [RUN3]
    late = errors.Rejected(500, "rpc error: code = Unknown desc = update out of sequence")
    manager.fail["/services/web1/update"] = [late]
    outcome = await scaled(manager, 3)
    assert (outcome.status, outcome.detail) == (Status.DONE, "from 1 to 3")  # nobody changed a setting
    assert sum(one.startswith("POST") for one in manager.asked) == 2
    manager = Manager()
    manager.fail["/services/web1/update"] = [late] * 3
    with pytest.raises(
        errors.EngineError, match="Somebody else changed shop_web at the same time, so this change"
    ) as told:
        await scaled(manager, 3)
    assert not told.value.sent and "service inspect shop_web" in told.value.hint
    assert sum(one.startswith("POST") for one in manager.asked) == 3
    manager = Manager()
    manager.fail["/services/web1/update"] = [errors.TimedOut("It did not answer.", sent=True)]
    with pytest.raises(errors.TimedOut):
        await scaled(manager, 3)
    assert sum(one.startswith("POST") for one in manager.asked) == 1


async def test_a_number_that_rose_meanwhile_does_not_fall_unasked():
    manager = Manager(3)
    said = "shop_web has 3 replicas now, so a change to 2 would end tasks. Nothing was done."
    with pytest.raises(errors.Expired, match=said):
        await rollouts.scale(manager, WEB, 2, 20.0, a_job(), may_shrink=False)
    assert not any(one.startswith("POST") for one in manager.asked)
    assert (await rollouts.scale(manager, WEB, 3, 20.0, a_job(), may_shrink=False)).status == Status.NOOP


async def test_what_is_so_already_is_left_alone():
    assert (await scaled(Manager(3), 3)).status == Status.NOOP
    manager = Manager(3)
    manager.before[2] = task(3, "pending", error="no suitable node (insufficient resources on 1 node)")
    outcome = await scaled(manager, 3)
    assert outcome.status == Status.NOOP
    assert outcome.detail == (
        "was asked to have 3 already; 2 run; 1 pending: no suitable node (insufficient resources on 1 node)"
    )
    assert not any(one.startswith("POST") for one in manager.asked)


@pytest.mark.parametrize("state", ["failed", "rejected"])
async def test_tasks_that_end_twice_in_one_place_are_a_failure(state):
    manager = Manager()
    once = [task(2, state, desired="shutdown", error="no such image: x", name="a")]
    again = [*once, task(2, state, desired="shutdown", error="no such image: x", name="b")]
    manager.looks = [[task(1, "running"), *once, task(2, "ready", name="b")], [task(1, "running"), *again]]
    outcome = await scaled(manager, 2)
    assert outcome.status == Status.FAILED
    assert outcome.detail.startswith(f"1 of 2 run; shop_web.2 {state}: no such image: x.")
    assert "scale shop_web=1" in outcome.detail


async def test_tasks_that_failed_before_are_not_held_against_it():
    manager = Manager()
    old = [task(1, "failed", desired="shutdown", error="old", name=f"old{number}") for number in range(5)]
    manager.before += old
    manager.looks = [[*RUN3, *old]]
    assert (await scaled(manager, 3)).status == Status.DONE


async def test_those_that_end_count_until_they_have():
    manager = Manager(3)
    manager.looks = [[task(1, "running"), task(2, "running", desired="remove")], [task(1, "running")]]
    assert (await scaled(manager, 1)).detail == "from 3 to 1"
    manager = Manager(1)
    manager.looks = [[task(1, "running", desired="remove")], []]
    assert (await scaled(manager, 0)).detail == "from 1 to 0"


async def test_when_the_time_is_over_the_engines_own_reason_is_said():
    manager = Manager(UpdateStatus={"State": "paused", "Message": "update paused due to failure of task t9"})
    manager.looks = [[task(1, "running"), task(2, "pending", error="no suitable node")]]
    outcome = await scaled(manager, 2, timeout=0.0)
    assert outcome.status == Status.FAILED
    assert outcome.detail == (
        "1 of 2 run after 0 s; 1 pending: no suitable node; update paused: update paused due to failure of task t9"
    )


async def test_a_swarm_that_chooses_another_leader_is_waited_for_and_at_last_unknown():
    manager = Manager()
    manager.looks = [RUN3]
    away = errors.Rejected(500, "The swarm does not have a leader")
    manager.fail["/tasks"] = []
    ask = manager.__call__

    async def later(method, target, seconds, **more):
        if method == "POST":
            manager.fail["/tasks"] = [away, away]
        return await ask(method, target, seconds, **more)

    assert (await scaled(later, 3)).status == Status.DONE

    manager.updated, manager.service["Spec"]["Mode"] = False, {"Replicated": {"Replicas": 1}}

    async def never(method, target, seconds, **more):
        if manager.updated and target.startswith("/tasks"):
            raise away
        return await ask(method, target, seconds, **more)

    outcome = await scaled(never, 3, timeout=0.0)
    assert outcome.status == Status.UNKNOWN
    assert outcome.detail == "3 were asked for, and then: The swarm does not have a leader"


async def test_stopped_while_they_start_it_tells_what_was_asked_for():
    manager = Manager()
    manager.looks = [[task(1, "running"), task(2, "new")]]
    job = a_job()
    running = asyncio.create_task(scaled(manager, 2, job=job))
    while not manager.updated:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    outcome = (await job.page("", 0)).outcome
    assert outcome is not None
    assert (outcome.status, outcome.detail) == (
        Status.UNKNOWN,
        "2 were asked for; the job was stopped before the tasks ran",
    )


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ({"Global": {}}, "shop_web is a global service: one task runs on each node"),
        ({"ReplicatedJob": {"MaxConcurrent": 1}}, "shop_web is a replicated-job service: its tasks run once"),
        ({"GlobalJob": {}}, "shop_web is a global-job service"),
    ],
)
async def test_what_has_no_number_is_refused(mode, told):
    manager = Manager(mode=mode)
    with pytest.raises(errors.UserError, match=told):
        await scaled(manager, 3)
    assert not manager.updated


@pytest.mark.parametrize(
    ("local", "told"),
    [
        (
            {"LocalNodeState": "active", "RemoteManagers": [{"Addr": "10.0.0.1:2377"}, {"Addr": "10.0.0.2:2377"}]},
            "shop_web cannot be scaled: docker/m1 is only a worker of its Swarm, not a manager."
            " Add a manager of the Swarm to `engines` in quarterdeck.yaml: 10.0.0.1, 10.0.0.2.",
        ),
        ({"LocalNodeState": "active", "ControlAvailable": True}, "shop_web belongs to the Swarm, not to docker/m1."),
        ({"LocalNodeState": "inactive"}, "shop_web cannot be scaled: docker/m1 left its Swarm"),
    ],
)
def test_where_a_daemon_is_no_manager_one_is_named(local, told):
    info = json_decoder.decode_json(json_models.Info, json.dumps({"Swarm": local}).encode())
    error = decode.no_manager(EngineRef(host="m1", kind="docker"), info.swarm, WEB)
    assert told in error.full_message()


async def test_a_service_that_is_gone_is_said_to_be():
    manager = Manager()
    manager.fail["/services/web1"] = [errors.NotFound("service web1 not found")]
    with pytest.raises(errors.NotFound, match="The Swarm has no service shop_web"):
        await scaled(manager, 3)


async def test_tasks_that_were_killed_are_named_and_read_often_before_the_swarm_removes_them(monkeypatch):
    def stopping(slot, state="running", code=None):
        made = task(slot, state, desired="remove")
        made["Status"]["ContainerStatus"]["ExitCode"] = code or 0
        return made

    pauses = []
    sleep = asyncio.sleep

    async def look(seconds):
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(rollouts.asyncio, "sleep", look)
    monkeypatch.setattr(rollouts, "POLL_SECONDS", 0.5)
    monkeypatch.setattr(killed_tasks, "EARLY_SECONDS", 60.0)
    manager, kept = Manager(4), task(1, "running")
    manager.before[3] = task(4, "running")
    manager.looks = [
        [kept, stopping(2), stopping(3), stopping(4)],
        [kept, stopping(2, "shutdown", 137), stopping(3, "shutdown", 0), stopping(4)],
        [kept, stopping(4, "shutdown", 137)],
        [kept],
    ]
    outcome = await scaled(manager, 1)
    text = "2 did not end in time and were killed: shop_web.2, shop_web.4"
    assert (outcome.status, outcome.detail) == (Status.DONE, f"from 4 to 1; {text}")
    assert outcome.killed == ("shop_web.2", "shop_web.4")
    assert pauses and set(pauses) <= {killed_tasks.OFTEN_SECONDS, 0.5} and pauses[0] == killed_tasks.OFTEN_SECONDS


async def test_a_task_that_failed_or_that_nobody_stopped_was_not_killed_by_the_change():
    manager, kept = Manager(3), task(1, "running")
    failed = task(2, "failed", desired="shutdown")
    failed["Status"]["ContainerStatus"]["ExitCode"] = 137  # out of memory, as one example
    old = task(9, "shutdown", desired="shutdown", name="old")  # of an earlier change
    old["Status"]["ContainerStatus"]["ExitCode"] = 137
    manager.before = [*manager.before, old]
    manager.looks = [[kept, failed, old]]
    outcome = await scaled(manager, 1)
    assert (outcome.detail, outcome.killed) == ("from 3 to 1", ())
