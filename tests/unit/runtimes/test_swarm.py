"""A Swarm that a test speaks for: what is read of it, what is sent to it, and what is said when it does not do it."""

import asyncio
import json

import pytest

from core import errors
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from runtimes import swarm, swarm_dialect
from runtimes.engine_http import Response
from runtimes.jobs import Job

ENGINE = EngineRef(host="m1", kind="docker")
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
        self.info = {"Swarm": {"LocalNodeState": "active", "ControlAvailable": True}}

    async def __call__(self, method, target, seconds, *, about="", body=None):
        path = target.partition("?")[0]
        self.asked.append(f"{method} {target if method == 'POST' else path}")
        for error in self.fail.get(path, [])[:1]:
            self.fail[path].pop(0)
            raise error
        if path == "/info":
            return answer(self.info)
        if path == "/services":
            return answer([self.service])
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
    monkeypatch.setattr(swarm, "STEADY", 0.0)
    monkeypatch.setattr(swarm, "POLL", 0.0)


def a_job():
    return Job("j", "service.scale", "console:alice", watches=False)


async def scaled(manager, wanted, timeout=20.0, job=None):
    return await swarm.Swarm(manager, lambda: ENGINE).scale(WEB, wanted, timeout, job or a_job())


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


async def test_an_update_that_came_too_late_is_made_once_more_and_not_thrice():
    manager = Manager()
    manager.looks = [RUN3]
    late = errors.Rejected(500, "rpc error: code = Unknown desc = update out of sequence")
    manager.fail["/services/web1/update"] = [late]
    assert (await scaled(manager, 3)).status == Status.DONE
    assert sum(one.startswith("POST") for one in manager.asked) == 2
    manager = Manager()
    manager.fail["/services/web1/update"] = [late, late]
    with pytest.raises(errors.Rejected, match="out of sequence"):
        await scaled(manager, 3)
    manager = Manager()
    manager.fail["/services/web1/update"] = [errors.TimedOut("It did not answer.", sent=True)]
    with pytest.raises(errors.TimedOut):
        await scaled(manager, 3)
    assert sum(one.startswith("POST") for one in manager.asked) == 1


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
    assert (outcome.status, outcome.detail) == (Status.UNKNOWN, "2 were asked for; nobody waited until they run")


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
    ("info", "told"),
    [
        (
            {"LocalNodeState": "active", "RemoteManagers": [{"Addr": "10.0.0.1:2377"}, {"Addr": "10.0.0.2:2377"}]},
            "docker/m1 is a worker of its Swarm: only a manager can scale shop_web. Its managers: 10.0.0.1, 10.0.0.2.",
        ),
        ({"LocalNodeState": "active", "ControlAvailable": True}, "the Swarm has no leader"),
        ({"LocalNodeState": "inactive"}, "docker/m1 is in no Swarm any more"),
    ],
)
async def test_where_we_are_no_manager_one_is_named(info, told):
    manager = Manager()
    manager.info = {"Swarm": info}
    manager.fail["/tasks"] = [errors.Rejected(503, "This node is not a swarm manager.")]
    with pytest.raises(errors.QuarterdeckError) as caught:
        await scaled(manager, 3)
    assert told in caught.value.say()


async def test_a_service_that_is_gone_is_said_to_be():
    manager = Manager()
    manager.fail["/services/web1"] = [errors.NotFound("service web1 not found")]
    with pytest.raises(errors.NotFound, match="shop_web is gone"):
        await scaled(manager, 3)


async def test_a_list_holds_what_people_and_permission_look_at():
    ports = [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080}]
    manager = Manager(3, Endpoint={"Ports": ports}, UpdateStatus={"State": "updating", "Message": "update in progress"})
    manager.before[2] = task(3, "pending", error="no suitable node")
    (row,) = await swarm.Swarm(manager, lambda: ENGINE).services(10.0)
    assert (row.ref, row.mode, row.image, row.running, row.desired) == (WEB, "replicated", "nginx:1.27", 2, 3)
    assert (row.project, row.service, row.short, row.update) == ("shop", "shop_web", "web", "updating")
    assert row.words == ("shop_web", "shop/web")
    assert row.health == "1 pending: no suitable node"
    assert [str(port) for port in row.ports] == ["*:8080->80/tcp"]
    assert row.members == ("c1", "c2", "c3")
    # Labels of the service and of its containers differ: permission must hold for either.
    assert [labels["env"] for labels in row.labels] == ["dev", "prod"]


def test_a_service_without_labels_or_tasks_is_a_service():
    bare = {"ID": "x" * 25, "Spec": {"Mode": {"Replicated": {}}, "TaskTemplate": {}}}
    row = swarm_dialect.service(ENGINE, bare, ())
    assert (row.ref.name, row.running, row.desired, row.project, row.labels) == ("x" * 12, 0, 1, None, ({},))


async def test_what_is_not_what_we_expect_is_garbled():
    async def nonsense(method, target, seconds, **more):
        return Response(status=200, headers={}, body=b"[{}]" if target == "/tasks" else b"nonsense")

    with pytest.raises(errors.Garbled):
        await swarm.Swarm(nonsense, lambda: ENGINE).services(1.0)
    with pytest.raises(errors.Garbled):
        await swarm.Swarm(nonsense, lambda: ENGINE).node(1.0)
