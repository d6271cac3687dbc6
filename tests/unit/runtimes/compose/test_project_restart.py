"""The restart of a project over an engine that a test scripts: the order, the conditions, and what is told when it ends
half-way."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from core import errors
from core.model.actions import MAX_STOP_SECONDS
from core.model.containers import Container
from core.model.project_actions import RestartProject
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.jobs import Job
from runtimes.compose import dependencies, project_restart, services

ENGINE = EngineRef(host="h1", kind="docker")


class Engine:
    """`later`: how a restarted container is, look by look; the last stays. `fail`: raised by the restart of a name.
    `now`: a clock, which each look moves on by a second and a half; `given`: the seconds that a restart may take."""

    now, given = 0.0, 0.0

    def __init__(self, **services_and_dependencies):
        self.rows, self.done, self.later, self.fail, self.killed = {}, [], {}, {}, set()
        for service, needed in services_and_dependencies.items():
            self.add(service, needed)

    def add(self, service, needed="", state="running", number=1, **more):
        name = f"shop-{service}-{number}"
        ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id=f"id-{name}", name=name)
        labels = {services.PROJECT: "shop", services.SERVICE: service, dependencies.LABEL: needed}
        self.rows[ref.id] = Container(
            ref=ref, image="i", image_id="", command="", state=state, status="", created_at=0, labels=labels, **more
        )
        return ref

    async def describe(self, ids, deadline):
        self.now += 1.5
        found = {}
        for id_ in ids:
            row = self.rows.get(id_)
            looks = self.later.get(row.ref.name) if row is not None else None
            if looks and row.ref.name in self.done:
                change = looks.pop(0) if len(looks) > 1 else looks[0]
                row = msgspec.structs.replace(row, **change)
            found[id_] = row
        return found

    async def restart(self, action, seconds):
        await asyncio.sleep(0)
        self.given = seconds
        name = action.target.name
        if error := self.fail.get(name):
            raise error
        self.done.append(name)
        killed = (name,) if name in self.killed else ()
        return Outcome(
            status=Status.DONE, detail="did not end within 10 s and was killed" if killed else "", killed=killed
        )


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(project_restart, "MIN_UPTIME", 0.0)
    monkeypatch.setattr(project_restart, "POLL_SECONDS", 0.0)


def a_job():
    return Job("j", "project.restart", "console:alice", read_only=False)


async def restarted(engine, job=None, timeout=20):
    refs = tuple(row.ref for row in engine.rows.values())
    action = RestartProject(engine=ENGINE, project="shop", containers=refs, timeout=timeout)
    return await project_restart.restart_project(engine, action, job or a_job())


async def test_each_is_restarted_after_what_it_depends_on():
    engine = Engine(
        proxy="web:service_started:true",
        web="api:service_started:false,cache:service_started:false",
        cache="",
        api="db",
    )
    engine.add("db")
    engine.add("web", "api:service_started:false", number=2)
    outcome = await restarted(engine)
    assert (outcome.status, outcome.detail) == (Status.DONE, "in this order: cache, db, api, web, proxy")
    assert set(engine.done[:2]) == {"shop-cache-1", "shop-db-1"} and engine.done[2] == "shop-api-1"
    assert set(engine.done[3:5]) == {"shop-web-1", "shop-web-2"} and engine.done[5] == "shop-proxy-1"


async def test_what_is_restarted_now_and_what_had_to_be_killed_is_told():
    engine = Engine(web="db:service_started:false", db="")
    engine.killed.add("shop-db-1")
    job, told = a_job(), []
    restart = engine.restart

    async def look(action, seconds):
        told.append((await job.page("", 0)).progress)
        return await restart(action, seconds)

    engine.restart = look
    outcome = await restarted(engine, job)
    assert outcome.detail == "in this order: db, web; shop-db-1 did not end in time and was killed"
    assert outcome.killed == ("shop-db-1",)
    assert told == ["restarting shop-db-1", "restarting shop-web-1"]


async def test_a_dependency_that_must_be_healthy_is_waited_for():
    engine = Engine(web="db:service_healthy:false", db="")
    engine.later["shop-db-1"] = [{"health": "starting"}, {"health": "starting"}, {"health": "healthy"}]
    job, seen = a_job(), []
    describe = engine.describe

    async def look(ids, deadline):
        seen.append(list(engine.done))
        return await describe(ids, deadline)

    engine.describe = look
    assert (await restarted(engine, job)).status == Status.DONE
    assert seen.count(["shop-db-1"]) == 3 and engine.done == ["shop-db-1", "shop-web-1"]
    engine = Engine(web="db:service_healthy:false", db="")
    engine.later["shop-db-1"] = [{"health": "starting"}, {"health": "unhealthy"}]
    outcome = await restarted(engine)
    assert outcome.status == Status.FAILED
    assert outcome.detail == (
        "restarted shop-db-1, then shop-db-1 failed its health check. Read the log of the container: logs shop-db-1."
        " Not restarted: shop-web-1."
    )


async def test_a_dependency_that_must_end_well_is_waited_for():
    engine = Engine(web="migrate:service_completed_successfully:false", migrate="")
    engine.later["shop-migrate-1"] = [{}, {"state": "exited", "exit_code": 0}]
    assert (await restarted(engine)).status == Status.DONE
    engine.later["shop-migrate-1"] = [{}, {"state": "exited", "exit_code": 3}]
    engine.done.clear()
    outcome = await restarted(engine)
    assert outcome.status == Status.FAILED and "shop-migrate-1 ended with code 3" in outcome.detail
    assert engine.done == ["shop-migrate-1"]
    # One that ended well long ago is done, and is not run again.
    engine = Engine(web="migrate:service_completed_successfully:false")
    engine.add("migrate", state="exited", exit_code=0)
    outcome = await restarted(engine)
    assert outcome.detail == "in this order: web; left as they are, because they do not run: shop-migrate-1"


@pytest.mark.parametrize(
    ("condition", "state", "words"),
    [
        ("service_healthy", {"state": "exited", "exit_code": 0}, "web depends on db, which does not run."),
        ("service_completed_successfully", {"state": "exited", "exit_code": 2}, "db, which ended with code 2."),
        ("service_completed_successfully", {"state": "created"}, "db, which is created."),
    ],
)
async def test_what_cannot_come_up_is_said_before_anything_is_touched(condition, state, words):
    engine = Engine(web=f"db:{condition}:false")
    engine.add("db", **state)
    outcome = await restarted(engine)
    assert outcome.status == Status.FAILED and words in outcome.detail and "Nothing was restarted" in outcome.detail
    assert engine.done == []


async def test_services_that_depend_on_each_other_are_named():
    engine = Engine(web="api", api="db:service_healthy:true", db="web:service_started:false", free="")
    outcome = await restarted(engine)
    assert outcome.status == Status.FAILED and engine.done == []
    assert "The services of shop depend on each other in a circle: api, db, web, api." in outcome.detail
    outcome = await restarted(Engine(web="web"))
    assert "circle: web, web" in outcome.detail


async def test_the_tasks_of_a_stack_are_no_project_of_compose():
    engine = Engine(web="")
    row = engine.rows["id-shop-web-1"]
    engine.rows[row.ref.id] = msgspec.structs.replace(row, labels={"com.docker.stack.namespace": "shop"})
    outcome = await restarted(engine)
    assert outcome.status == Status.FAILED and "service update --force NAME" in outcome.detail and engine.done == []


async def test_what_does_not_run_stays_and_what_is_elsewhere_is_said():
    engine = Engine(web="db:service_started:false,queue:service_healthy:true")
    engine.add("db", state="exited", exit_code=0)
    outcome = await restarted(engine)
    assert outcome.detail == (
        "in this order: web; left as they are, because they do not run: shop-db-1;"
        " 1 service was not waited for: you may not list its containers, or it has none"
    )
    engine = Engine()
    engine.add("db", state="exited", exit_code=0)
    outcome = await restarted(engine)
    assert outcome.status == Status.NOOP and "start them with: start shop/" in outcome.detail


async def test_after_a_failure_nothing_more_is_restarted_and_a_lost_answer_is_unknown():
    engine = Engine(web="db", db="", other="")
    engine.fail["shop-db-1"] = errors.Rejected(500, "cannot restart")
    outcome = await restarted(engine)
    assert outcome.status == Status.FAILED and engine.done == ["shop-other-1"]
    assert outcome.detail == ("restarted shop-other-1, then cannot restart. Not restarted: shop-web-1, shop-db-1.")
    engine.fail["shop-db-1"] = errors.TimedOut("It did not answer.", sent=True)
    assert (await restarted(engine)).status == Status.UNKNOWN


async def test_one_that_ends_again_or_was_removed_is_said():
    engine = Engine(web="")
    engine.rows["id-shop-web-1"] = msgspec.structs.replace(engine.rows["id-shop-web-1"], restarts=4)
    assert (await restarted(engine)).status == Status.DONE
    engine.done.clear()
    engine.later["shop-web-1"] = [{"restarts": 5}]
    assert "its restart policy started it again" in (await restarted(engine)).detail
    engine.done.clear()
    engine.later["shop-web-1"] = [{"state": "exited", "exit_code": 7}]
    assert "shop-web-1 ended with code 7" in (await restarted(engine)).detail
    gone = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="gone", name="shop-old-1")
    action = RestartProject(engine=ENGINE, project="shop", containers=(gone,))
    outcome = await project_restart.restart_project(engine, action, a_job())
    assert "shop-old-1 was removed after you gave the command. Nothing was done" in outcome.detail


@pytest.fixture
def clock(monkeypatch):
    """Lets the clock of an engine be that of the job."""

    def use(engine):
        monkeypatch.setattr(project_restart, "time", SimpleNamespace(monotonic=lambda: engine.now))
        monkeypatch.setattr(project_restart, "MIN_UPTIME", 2.0)

    return use


async def test_a_container_that_ends_again_and_again_is_never_up(clock):
    engine = Engine(web="")
    clock(engine)
    engine.later["shop-web-1"] = [{}, *[{}, {"state": "restarting"}] * 4, {"state": "exited", "exit_code": 7}]
    outcome = await restarted(engine, timeout=60)
    assert outcome.status == Status.FAILED and "shop-web-1 ended with code 7" in outcome.detail
    # An engine counts from 0 again after a restart that somebody asked for.
    engine = Engine()
    ref = engine.add("web", restarts=7)
    clock(engine)
    engine.later[ref.name] = [{"restarts": 0}, {"restarts": 0}, {"restarts": 1}]
    assert "its restart policy started it again" in (await restarted(engine, timeout=60)).detail
    engine.done.clear()
    engine.later[ref.name] = [{"restarts": 0}]
    assert (await restarted(engine, timeout=60)).status == Status.DONE


async def test_none_is_begun_after_a_failure_nor_after_the_time_limit(clock):
    engine = Engine()
    for number in range(1, 10):
        engine.add("web", number=number)
    engine.fail["shop-web-1"] = errors.Rejected(500, "cannot restart")
    outcome = await restarted(engine)
    assert outcome.status == Status.FAILED and engine.done == ["shop-web-2", "shop-web-3", "shop-web-4"]
    assert "Not restarted: shop-web-1, shop-web-5" in outcome.detail
    engine.fail.clear()
    engine.done.clear()
    clock(engine)
    outcome = await restarted(engine, timeout=4)
    assert outcome.status == Status.FAILED and 0 < len(engine.done) < 9
    assert "is not restarted yet, and the time limit of 4 s is over" in outcome.detail
    assert engine.given > MAX_STOP_SECONDS, "one that has begun gets its own time to stop"


async def test_the_time_limit_names_what_it_waited_for():
    engine = Engine(web="db:service_healthy:false", db="")
    engine.later["shop-db-1"] = [{"health": "starting"}]
    outcome = await restarted(engine, timeout=0)
    assert outcome.status == Status.FAILED
    assert "shop-db-1 is not healthy yet, and the time limit of 0 s is over. Read the log" in outcome.detail
    assert "give a longer --timeout" in outcome.detail


async def test_a_stop_half_way_is_unknown_and_names_what_was_done():
    engine = Engine(web="db:service_healthy:false", db="")
    engine.later["shop-db-1"] = [{"health": "starting"}]
    job = a_job()
    running = asyncio.create_task(restarted(engine, job))
    while not engine.done:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    outcome = (await job.page("", 0)).outcome
    assert outcome is not None
    assert (outcome.status, outcome.detail) == (Status.UNKNOWN, "restarted shop-db-1, then the job was stopped")


def test_a_label_that_anybody_wrote_is_only_a_dependency():
    rows = Engine(web=",,db,:x, cache : service_healthy ,api:sometimes:x," + "y," * 500).rows.values()
    found = dependencies.read_dependencies(rows)["web"]
    assert found["db"] == found["api"] == dependencies.STARTED
    assert len(found) <= dependencies.MAX_DEPENDENCIES
