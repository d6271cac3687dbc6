"""Services that are created, updated and rolled back, on a Swarm that a test speaks for: what is sent, what is lost to
nobody, and what is said when the tasks do not run."""

import asyncio
import copy
import dataclasses
import json

import pytest

from core import errors
from core.model.actions import Effect, Risk
from core.model.host_access import MountPoint
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.model.service_actions import CreateService, RollBackService, UpdateService
from core.model.service_settings import Amount, PublishedPort, Removals, ServiceSettings
from runtimes.base.jobs import Job
from runtimes.swarm import rollouts, service_jobs, service_updates
from runtimes.swarm.service_host_access import KnownNetworks
from runtimes.transport.http_client import Response

ENGINE = EngineRef(host="k1", kind="swarm")
WEB = Ref(engine=ENGINE, kind=Kind.SERVICE, id="web1", name="shop_web")
LATE = errors.Rejected(500, "rpc error: code = Unknown desc = update out of sequence")
NEW = "nginx:1.28@sha256:bb"


class Swarm:
    """One service. `states`: those of its one task, look by look after a change, each with more fields of the task; the
    last stays. `updates`: what the service says of its update, look by look. `between`: runs before a POST arrives."""

    def __init__(self, *states, updates=(None,), digest="sha256:bb", replicas=1, **service):
        template = {"ContainerSpec": {"Image": "nginx:1.27@sha256:aa", "Env": ["A=1"], "Labels": {"env": "prod"}}}
        spec = {
            "Name": "shop_web",
            "Labels": {"env": "dev"},
            "TaskTemplate": {**template, "Runtime": "container"},
            "Mode": {"Replicated": {"Replicas": replicas}},
        }
        self.service = {"ID": "web1", "Version": {"Index": 10}, "Spec": spec, **service}
        self.states, self.updates, self.digest = list(states), list(updates), digest
        self.networks = {"host": "host", "n-host": "host", "n-front": "overlay"}
        self.asked, self.posted, self.created = [], [], []
        self.fail = {}
        self.between = None

    async def __call__(self, method, target, seconds, *, body=None, image=""):
        path = target.partition("?")[0]
        self.asked.append(f"{method} {target}")
        if method == "POST" and self.between is not None:
            self.between()
        if self.fail.get(path):
            error = self.fail[path].pop(0)
            if error is not None:
                raise error
        if path.startswith("/distribution/"):
            if not self.digest:
                raise errors.Rejected(500, "no such host")
            return answer({"Descriptor": {"digest": self.digest}})
        if path.startswith("/networks/"):
            name = path.removeprefix("/networks/")
            if name not in self.networks:
                raise errors.NotFound("no such network")
            return answer({"Name": name.removeprefix("n-"), "Driver": self.networks[name]})
        if path == "/services/create":
            self.created.append((json.loads(json.dumps(body)), image))
            self.service = {**self.service, "Spec": body}
            return answer({"ID": "web1", "Warnings": None})
        if method == "POST":
            self.posted.append((json.loads(json.dumps(body)), image))
            self.service = {**self.service, "Spec": body, "PreviousSpec": self.service["Spec"]}
            return answer({})
        if path == "/services":
            return answer([{"ID": "web1"}] if self.created else [])
        if path == "/tasks":
            return answer(self.tasks())
        if (self.posted or self.created) and self.updates:
            told = self.updates.pop(0) if len(self.updates) > 1 else self.updates[0]
            return answer({**self.service, "UpdateStatus": told} if told else self.service)
        return answer(self.service)

    def tasks(self):
        if not self.posted and not self.created:
            return [self.task("running", name="old")]
        look = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return [self.task(**one) for one in look]

    def task(self, state, *, name="new", desired="running", error="", old=False):
        template = {} if old else {**self.service["Spec"]["TaskTemplate"], "Placement": {"Platforms": [1]}}
        return {
            "ID": name,
            "ServiceID": "web1",
            "NodeID": "n1",
            "Slot": 1,
            "DesiredState": desired,
            "CreatedAt": "2026-11-24T03:00:00Z",
            "Status": {"State": state, "Err": error},
            "Spec": template,
        }


def answer(value):
    return Response(status=200, headers={}, body=json.dumps(value).encode())


RUNS = [{"state": "running"}]


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(service_updates, "STEADY_SECONDS", 0.0)
    monkeypatch.setattr(rollouts, "POLL_SECONDS", 0.0)


def a_job():
    return Job("j", "service.update", "console:alice", read_only=False)


def creation(**more):
    return CreateService(engine=ENGINE, name="shop_web", image="nginx:1.28", **more)


def change(timeout=20, removals=None, replicas=None, wait=True, force=False, reaches=(), **settings):
    return UpdateService(
        engine=ENGINE,
        target=WEB,
        settings=ServiceSettings(**settings),
        removals=removals or Removals(),
        replicas=replicas,
        timeout=timeout,
        wait=wait,
        force=force,
        reaches=reaches,
    )


async def created(swarm, job=None, **more):
    return await service_jobs.create_service(swarm, creation(**more), "call-1", KnownNetworks(), job or a_job())


async def updated(swarm, job=None, **more):
    return await service_jobs.update(swarm, change(**more), KnownNetworks(), job or a_job())


async def test_a_new_service_is_pinned_labelled_and_waited_for():
    swarm = Swarm([{"state": "preparing"}], RUNS)
    job = a_job()
    outcome = await created(swarm, job)
    assert (outcome.status, outcome.detail) == (Status.DONE, "1 of 1 run it; web1")
    ((body, login),) = swarm.created
    assert body["TaskTemplate"]["ContainerSpec"]["Image"] == NEW and login == "nginx:1.28"
    assert body["Labels"] == {"quarterdeck.request": "call-1"}
    assert (await job.page("", 0)).progress == "1 of 1 run it"


async def test_a_program_that_ends_by_itself_is_no_service_and_the_sentence_says_so():
    ends = [{"state": "complete", "desired": "shutdown", "name": name} for name in ("a", "b")]
    outcome = await created(Swarm(ends))
    assert outcome.status == Status.FAILED
    assert outcome.detail.startswith(
        "0 of 1 run it; shop_web.1 ended by itself with code 0, but the program of a service must keep running. The"
        " service exists, and the Swarm goes on trying; to end that: service rm shop_web"
    )
    done = [{"state": "complete", "desired": "complete"}]
    outcome = await created(Swarm(done), mode="replicated-job")
    assert (outcome.status, outcome.detail) == (Status.DONE, "1 of 1 run it; web1")


async def test_a_service_that_never_converges_says_what_the_swarm_says():
    pending = [{"state": "pending", "error": "no suitable node (scheduling constraints not satisfied on 1 node)"}]
    outcome = await created(Swarm(pending), timeout=0)
    assert outcome.status == Status.FAILED
    assert "0 of 1 run it after 0 s; 1 pending: no suitable node (scheduling" in outcome.detail


async def test_nobody_waits_if_nobody_wants_to():
    assert "not waited for" in (await created(Swarm([]), wait=False)).detail
    outcome = await updated(Swarm([]), wait=False, image="nginx:1.28")
    assert (outcome.status, outcome.detail) == (Status.DONE, "its tasks are not waited for")


async def test_a_creation_whose_answer_is_lost_is_found_by_its_label_or_unknown():
    swarm = Swarm(RUNS)
    lost = errors.TimedOut("It did not answer.", sent=True)
    ask = swarm.__call__

    async def forgets(method, target, seconds, **more):
        answered = await ask(method, target, seconds, **more)
        if method == "POST":
            raise lost
        return answered

    outcome = await created(forgets)
    assert outcome.status == Status.DONE and "the service was found by its label" in outcome.detail
    assert any("quarterdeck.request%3Dcall-1" in one for one in swarm.asked)
    swarm = Swarm(RUNS)
    swarm.fail["/services/create"] = [lost]
    with pytest.raises(errors.EngineError) as told:
        await created(swarm)
    assert told.value.sent and told.value.hint == "Look for it with: services shop_web"
    swarm.fail["/services/create"] = [errors.Unreachable("refused")]
    with pytest.raises(errors.Unreachable) as told:
        await created(swarm)
    assert not told.value.sent


async def test_a_creation_that_is_stopped_is_unknown():
    swarm, job, begun = Swarm(RUNS), a_job(), asyncio.Event()

    async def waits(method, target, seconds, **more):
        if method == "POST":
            begun.set()
            await asyncio.Event().wait()
        return await swarm(method, target, seconds, **more)

    running = asyncio.create_task(created(waits, job))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    outcome = (await job.page("", 0)).outcome
    assert outcome is not None and outcome.status == Status.UNKNOWN and "services shop_web" in outcome.detail


async def test_the_network_of_the_host_is_known_by_its_id_too():
    with pytest.raises(errors.BadUsage, match="“n-host” is the network of the host"):
        await created(Swarm(RUNS), settings=ServiceSettings(networks=("n-host",)))
    assert (await created(Swarm(RUNS), settings=ServiceSettings(networks=("host",)))).status == Status.DONE


async def test_an_image_goes_in_with_its_digest_and_the_swarms_own_word_ends_it():
    swarm = Swarm(
        [{"state": "running", "old": True, "name": "old"}, {"state": "preparing"}],
        RUNS,
        updates=[{"State": "updating"}, {"State": "completed", "Message": "update completed"}],
    )
    outcome = await updated(swarm, image="nginx:1.28")
    assert (outcome.status, outcome.detail) == (Status.DONE, "from nginx:1.27 to nginx:1.28; 1 of 1 run it")
    ((body, login),) = swarm.posted
    assert body["TaskTemplate"]["ContainerSpec"] == {"Image": NEW, "Env": ["A=1"], "Labels": {"env": "prod"}}
    assert login == "nginx:1.28"
    assert "POST /services/web1/update?version=10&registryAuthFrom=spec" in swarm.asked
    assert (await updated(swarm, image="nginx:1.28")).status == Status.NOOP


async def test_a_registry_that_does_not_answer_leaves_the_name_alone_and_is_told_of():
    swarm = Swarm(RUNS, digest="")
    outcome = await updated(swarm, image="nginx:1.28")
    assert swarm.posted[0][0]["TaskTemplate"]["ContainerSpec"]["Image"] == "nginx:1.28"
    assert outcome.status == Status.DONE and "its registry did not return a digest" in outcome.detail


@pytest.mark.parametrize(
    ("state", "message", "told"),
    [
        ("paused", "update paused due to failure of task t2", "update paused: update paused due to failure of task t2"),
        ("rollback_completed", "rollback completed", "the Swarm rolled it back: rollback completed"),
        ("rollback_paused", "stuck", "rollback paused: stuck"),
    ],
)
async def test_an_update_that_stops_tells_what_became_of_it_and_why(state, message, told):
    failed = [{"state": "rejected", "desired": "shutdown", "error": "No such image: nginx:1.28"}]
    swarm = Swarm(failed, updates=[{"State": "updating"}, {"State": state, "Message": message}])
    outcome = await updated(swarm, image="nginx:1.28")
    assert outcome.status == Status.FAILED
    assert told in outcome.detail and "shop_web.1 rejected: No such image: nginx:1.28" in outcome.detail


async def test_an_update_that_goes_on_after_failures_is_not_waited_for_until_the_end():
    twice = [
        {"state": "failed", "desired": "shutdown", "error": "task: non-zero exit (1)", "name": name}
        for name in ("a", "b")
    ]
    swarm = Swarm(twice, updates=[{"State": "updating"}])
    swarm.service["Spec"]["UpdateConfig"] = {"FailureAction": "continue"}
    outcome = await updated(swarm, image="nginx:1.28")
    assert outcome.status == Status.FAILED and "to go back: service rollback shop_web" in outcome.detail
    swarm = Swarm([{"state": "running", "old": True, "name": "old"}], updates=[{"State": "updating"}])
    outcome = await updated(swarm, image="nginx:1.28", timeout=0)
    assert outcome.status == Status.FAILED and "0 of 1 run it after 0 s; updating" in outcome.detail


async def test_where_no_task_has_to_change_nothing_is_waited_for():
    swarm = Swarm([])
    swarm.service["Spec"]["Mode"] = {"Replicated": {"Replicas": 0}}
    assert (await updated(swarm, image="nginx:1.28")).status == Status.DONE
    outcome = await updated(Swarm(RUNS), labels=(("team", "a"),))
    assert (outcome.status, outcome.detail) == (Status.DONE, "1 of 1 run it")


# ── two at once ──────────────────────────────────────────────────────────────────────────────────────────────────────


def somebody_else(swarm, **template):
    """Changes the service just before the next POST arrives, which is then refused as Docker refuses it."""

    def happens():
        swarm.between = None
        spec = copy.deepcopy(swarm.service["Spec"])
        spec["TaskTemplate"] |= template
        swarm.service = {**swarm.service, "Spec": spec, "Version": {"Index": 11}}
        swarm.fail["/services/web1/update"] = [LATE]

    swarm.between = happens


async def test_two_changes_at_once_are_both_made():
    swarm = Swarm(RUNS)
    somebody_else(swarm, Resources={"Limits": {"MemoryBytes": 1}})
    outcome = await updated(swarm, image="nginx:1.28")
    assert outcome.status == Status.DONE
    assert "somebody else changed it at the same time, and both changes apply" in outcome.detail
    ((body, _),) = swarm.posted
    assert body["TaskTemplate"]["Resources"] == {"Limits": {"MemoryBytes": 1}}
    assert body["TaskTemplate"]["ContainerSpec"]["Image"] == NEW
    assert "POST /services/web1/update?version=11&registryAuthFrom=spec" in swarm.asked


async def test_of_two_changes_of_one_setting_the_second_is_refused_with_a_sentence():
    swarm = Swarm(RUNS)
    somebody_else(swarm, ContainerSpec={"Image": "nginx:1.29", "Env": ["A=1"], "Labels": {"env": "prod"}})
    with pytest.raises(errors.EngineError) as told:
        await updated(swarm, image="nginx:1.28")
    assert "Somebody else changed TaskTemplate.ContainerSpec.Image of shop_web at the same time" in str(told.value)
    assert "this change was not made" in str(told.value) and not told.value.sent
    assert not swarm.posted


async def test_a_change_that_somebody_else_made_meanwhile_is_left_alone():
    swarm = Swarm(RUNS)
    somebody_else(swarm, ContainerSpec={"Image": NEW, "Env": ["A=1"], "Labels": {"env": "prod"}})
    assert (await updated(swarm, image="nginx:1.28")).status == Status.NOOP


async def test_a_rollback_after_somebody_elses_update_is_not_made():
    swarm = Swarm(RUNS, PreviousSpec={"Name": "shop_web"})
    somebody_else(swarm, ForceUpdate=1)
    with pytest.raises(errors.EngineError, match="changed TaskTemplate.ForceUpdate of shop_web at the same time"):
        await rolled_back(swarm)
    assert not swarm.posted
    # The Swarm itself reports the progress of an update: that is nobody's change.
    swarm = Swarm(RUNS, PreviousSpec={"Name": "shop_web"}, updates=[{"State": "rollback_completed"}])
    somebody_else(swarm)
    assert (await rolled_back(swarm)).status == Status.DONE


# ── what reaches the host ────────────────────────────────────────────────────────────────────────────────────────────


def mounting(source="/etc"):
    return {"Mounts": [{"Type": "bind", "Source": source, "Target": "/x"}], "Image": "nginx:1.27@sha256:aa"}


async def test_a_new_program_for_a_service_that_reaches_its_host_must_be_declared():
    for more in ({"image": "nginx:1.28"}, {"environment": (("A", "2"),)}, {"command": ("sh",)}, {"user": "0"}):
        swarm = Swarm(RUNS)
        swarm.service["Spec"]["TaskTemplate"]["ContainerSpec"] = mounting()
        with pytest.raises(errors.NotPermitted, match="shop_web was changed. Now it mounts /etc of the host"):
            await updated(swarm, **more)
        assert not swarm.posted
        assert (await updated(swarm, reaches=("mounts /etc of the host",), **more)).status == Status.DONE
    swarm = Swarm(RUNS)
    swarm.service["Spec"]["TaskTemplate"] |= {"ContainerSpec": mounting(), "Networks": [{"Target": "n-host"}]}
    with pytest.raises(errors.NotPermitted, match="shares the network of the host"):
        await updated(swarm, image="nginx:1.28", reaches=("mounts /etc of the host",))


async def test_what_does_not_touch_the_program_needs_no_declaration():
    for more in ({"limits": Amount(memory="64m")}, {"labels": (("a", "b"),)}, {"force": True}):
        swarm = Swarm(RUNS)
        swarm.service["Spec"]["TaskTemplate"]["ContainerSpec"] = mounting()
        assert (await updated(swarm, **more)).status == Status.DONE, more
    swarm = Swarm(RUNS)
    with pytest.raises(errors.BadUsage):
        await updated(swarm, limits=Amount(memory="lots"))
    added = change(mounts=(MountPoint(target="/y", source="/root"),))
    assert (await service_jobs.update(Swarm(RUNS), added, KnownNetworks(), a_job())).status == Status.DONE
    assert added.declared_reaches() == ("mounts /root of the host",)


async def rolled_back(swarm, **more):
    action = RollBackService(engine=ENGINE, target=WEB, timeout=20, **more)
    check = service_jobs.roll_back_check(swarm, WEB, action.reaches, KnownNetworks())
    return await rollouts.roll_back(swarm, action, a_job(), check)


async def test_back_goes_to_what_was_before_and_needs_something_to_go_back_to():
    swarm = Swarm(RUNS, updates=[{"State": "rollback_started"}, {"State": "rollback_completed"}])
    with pytest.raises(errors.UserError, match="shop_web cannot be rolled back"):
        await rolled_back(swarm)
    assert not swarm.posted
    swarm.service["PreviousSpec"] = {"Name": "shop_web"}
    outcome = await rolled_back(swarm)
    assert (outcome.status, outcome.detail) == (Status.DONE, "back to nginx:1.27; 1 of 1 run it")
    assert "POST /services/web1/update?version=10&registryAuthFrom=previous-spec&rollback=previous" in swarm.asked


async def test_a_version_that_reached_more_comes_back_only_if_that_is_declared():
    swarm = Swarm(RUNS, PreviousSpec={"TaskTemplate": {"ContainerSpec": mounting("/")}})
    with pytest.raises(errors.NotPermitted, match="mounts / of the host"):
        await rolled_back(swarm)
    assert not swarm.posted
    assert (await rolled_back(swarm, reaches=("mounts / of the host",), wait=False)).status == Status.DONE


async def test_what_runs_no_container_has_nothing_to_change():
    swarm = Swarm(RUNS)
    del swarm.service["Spec"]["TaskTemplate"]["ContainerSpec"]
    with pytest.raises(errors.UserError, match="runs no containers"):
        await updated(swarm, image="nginx:1.28")


async def test_the_network_of_a_service_is_left_by_its_name():
    swarm = Swarm(RUNS)
    swarm.service["Spec"]["TaskTemplate"]["Networks"] = [{"Target": "n-front"}, {"Target": "n-gone"}]
    outcome = await updated(swarm, removals=Removals(networks=("front",)), ports=(PublishedPort(target=80),))
    assert outcome.status == Status.DONE
    ((body, _),) = swarm.posted
    assert body["TaskTemplate"]["Networks"] == [{"Target": "n-gone"}]
    assert body["EndpointSpec"]["Ports"] == [{"Protocol": "tcp", "TargetPort": 80, "PublishMode": "ingress"}]


async def test_a_service_that_somebody_scaled_up_meanwhile_is_not_shrunk_without_a_question():
    """The number was not below that of the service when the policy decided, so nobody confirmed the end of tasks."""
    unasked = dataclasses.replace(change(replicas=3), effects=())
    swarm = Swarm(RUNS, replicas=5)
    with pytest.raises(errors.Expired, match="has 5 replicas now, so a change to 3 would end tasks"):
        await service_jobs.update(swarm, unasked, KnownNetworks(), a_job())
    assert not swarm.posted
    # Between the first look and the request.
    swarm = Swarm(RUNS, replicas=2)
    swarm.fail["/services/web1/update"] = [LATE]

    def scale_up():
        swarm.service["Spec"]["Mode"]["Replicated"]["Replicas"] = 5

    swarm.between = scale_up
    with pytest.raises(errors.Expired):
        await service_jobs.update(swarm, unasked, KnownNetworks(), a_job())
    assert not swarm.posted
    ends = Effect(verb="service.update", risk=Risk.DESTROY, ref=WEB, ends=True)
    asked = dataclasses.replace(unasked, effects=(ends,), wait=False)
    swarm = Swarm(RUNS, replicas=5)
    assert (await service_jobs.update(swarm, asked, KnownNetworks(), a_job())).status == Status.DONE
    assert len(swarm.posted) == 1


async def test_another_program_is_refused_if_the_service_got_a_secret_meanwhile():
    swarm = Swarm(RUNS)
    swarm.service["Spec"]["TaskTemplate"]["ContainerSpec"]["Secrets"] = [{"SecretID": "s1", "SecretName": "key"}]
    action = dataclasses.replace(change(command=("cat", "/run/secrets/key"), wait=False), effects=())
    with pytest.raises(errors.NotPermitted, match="somebody else added the secret key to") as caught:
        await service_jobs.update(swarm, action, KnownNetworks(), a_job())
    assert caught.value.rule == "secret.use" and not swarm.posted
    seen = dataclasses.replace(action, values=(Ref(engine=ENGINE, kind=Kind.SECRET, id="s1", name="key"),))
    assert (await service_jobs.update(swarm, seen, KnownNetworks(), a_job())).status == Status.DONE
