"""The engine in memory answers as real ones do: examples and other tests stand on that."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core import errors
from core.model import actions, images, inside_containers, pods, resource_usage, swarm, units
from core.model.background_jobs import ReadJob
from core.model.events import EventKind
from core.model.replies import Status
from core.ports import Call
from tests.fake_engine.engine import FakeRuntime


@pytest.fixture
async def engine():
    made = FakeRuntime("h1")
    yield made
    await made.aclose()


async def do(engine, action):
    deadline = datetime.now(UTC) + timedelta(seconds=20)
    return await engine.run(action, Call(id="t", who="t", deadline=deadline, invocation="t"))


async def listed(engine, action, **more):
    return {row.ref.name: row for row in (await do(engine, action(engine=engine.ref, **more))).rows}


async def pulled(engine, name):
    started = await do(engine, images.PullImage(engine=engine.ref, image=name))
    cursor, seen = "", []
    while True:
        page = await do(engine, ReadJob(engine=engine.ref, job=started.job, cursor=cursor, wait=0.5))
        seen.append(page.progress)
        if page.outcome is not None:
            return page.outcome, seen
        cursor = page.cursor
        await asyncio.sleep(0)


async def test_an_image_is_pulled_once_and_tells_how_far_it_is(engine):
    outcome, seen = await pulled(engine, "nginx")
    assert outcome.status == Status.DONE
    assert outcome.detail.startswith("sha256:")
    assert seen[-1] == "3 of 3 layers"
    assert engine.ring[-1].kind is EventKind.PULLED
    again, _ = await pulled(engine, "docker.io/library/nginx:latest")
    assert (again.status, again.detail) == (Status.NOOP, f"is up to date: {outcome.detail}")
    first = (await listed(engine, images.ListImages))["nginx:latest"]
    assert f"nginx@{outcome.detail}" in first.digests
    engine.remote["nginx:latest"] = "sha256:" + "9" * 64
    newer, _ = await pulled(engine, "nginx")
    assert newer.status == Status.DONE
    rows = await listed(engine, images.ListImages)
    # The tag moved; what it named before is left without one.
    assert rows["nginx:latest"].ref.id != first.ref.id
    assert rows[first.ref.id[7:19]].tags == ()
    engine.remote["gone:1"] = None
    lost, _ = await pulled(engine, "gone:1")
    assert lost.status == Status.FAILED
    assert "manifest unknown" in lost.detail


async def test_a_tag_is_taken_before_the_image_and_one_in_use_stays(engine):
    web = engine.add("web", image="nginx:1")
    row = (await listed(engine, images.ListImages))["nginx:1"]
    assert row.containers == 1
    assert (await do(engine, images.TagImage(engine=engine.ref, target=row.ref, tag="mine"))).status == Status.DONE
    assert (await do(engine, images.TagImage(engine=engine.ref, target=row.ref, tag="mine"))).status == Status.NOOP
    both = (await listed(engine, images.ListImages))["mine:latest"]
    assert both.tags == ("mine:latest", "nginx:1")
    await do(engine, images.RemoveImage(engine=engine.ref, target=both.ref))
    last = (await listed(engine, images.ListImages))["nginx:1"]
    for force in (False, True):
        with pytest.raises(errors.Rejected, match="being used by container web"):
            await do(engine, images.RemoveImage(engine=engine.ref, target=last.ref, force=force))
    engine.happen(EventKind.DIED, web, exit_code="0")
    engine.happen(EventKind.REMOVED, web)
    await do(engine, images.RemoveImage(engine=engine.ref, target=last.ref))
    assert await listed(engine, images.ListImages) == {}
    with pytest.raises(errors.NotFound):
        await do(engine, images.InspectImage(engine=engine.ref, target=last.ref))


async def test_a_pod_is_what_its_containers_are(engine):
    members = [engine.add(name) for name in ("a", "b")]
    engine.add_pod("p", *members)

    async def state():
        row = (await listed(engine, pods.ListPods))["p"]
        return row.state, row.running, len(row.members)

    async def turn(action, **more):
        ref = (await listed(engine, pods.ListPods))["p"].ref
        return (await do(engine, action(engine=engine.ref, target=ref, **more))).status

    assert await state() == ("running", 2, 2)
    engine.happen(EventKind.DIED, members[0], exit_code="1")
    assert await state() == ("degraded", 1, 2)
    assert await turn(pods.StartPod) == Status.DONE
    assert await turn(pods.StartPod) == Status.NOOP
    assert await turn(pods.PausePod) == Status.DONE
    assert await state() == ("paused", 2, 2)
    assert await turn(pods.UnpausePod) == Status.DONE
    before = engine.containers[members[1].id].started_at
    assert await turn(pods.RestartPod) == Status.DONE
    assert engine.containers[members[1].id].started_at > before
    with pytest.raises(errors.Rejected, match="running"):
        await turn(pods.RemovePod)
    assert await turn(pods.StopPod) == Status.DONE
    assert await turn(pods.StopPod) == Status.NOOP
    assert await state() == ("exited", 0, 2)
    assert await turn(pods.RemovePod) == Status.DONE
    assert engine.containers == {}
    assert await listed(engine, pods.ListPods) == {}


async def test_a_drained_nodes_tasks_run_elsewhere(engine):
    one, two = engine.add_node("one", role="manager"), engine.add_node("two")
    engine.add_task("web", two)
    engine.add_task("web", two, slot=2, state="complete")
    drain = swarm.DrainNode(engine=engine.ref, target=two)
    assert (await do(engine, drain)).status == Status.DONE
    assert (await do(engine, drain)).status == Status.NOOP
    nodes = await listed(engine, swarm.ListNodes)
    assert [(row.availability, row.tasks) for row in nodes.values()] == [("active", 1), ("drain", 0)]
    alive = await do(engine, swarm.ListTasks(engine=engine.ref, ended=False))
    assert [(task.node, task.state) for task in alive.rows] == [("one", "running")]
    assert len((await do(engine, swarm.ListTasks(engine=engine.ref))).rows) == 3
    await do(engine, swarm.DrainNode(engine=engine.ref, target=one))
    pending = await do(engine, swarm.ListTasks(engine=engine.ref, ended=False))
    assert [(task.node, task.state) for task in pending.rows] == [("", "pending")]
    activate = swarm.ActivateNode(engine=engine.ref, target=two)
    assert [(await do(engine, activate)).status for _ in range(2)] == [Status.DONE, Status.NOOP]


async def test_a_unit_is_as_its_container(engine):
    web = engine.add("web")
    ref = engine.add_unit(web)

    async def turn(action):
        status = (await do(engine, action(engine=engine.ref, target=ref))).status
        return status, (await listed(engine, units.ListUnits))["web.service"].active

    assert await turn(units.StopUnit) == (Status.DONE, "inactive")
    assert await turn(units.StopUnit) == (Status.NOOP, "inactive")
    assert await turn(units.StartUnit) == (Status.DONE, "active")
    assert await turn(units.RestartUnit) == (Status.DONE, "active")
    engine.happen(EventKind.DIED, web, exit_code="3")
    row = (await listed(engine, units.ListUnits))["web.service"]
    assert (row.active, row.why) == ("failed", "exit code 3")
    db = engine.add("db", start=False)
    for style, path in (("quadlet", "db.container"), ("generate", "db.service")):
        drafted = await do(engine, units.DraftUnit(engine=engine.ref, target=db, style=style))
        assert drafted.unit == "db.service"
        assert drafted.files[0].path.endswith(path)
    install = units.InstallUnit(engine=engine.ref, target=db)
    assert [(await do(engine, install)).status for _ in range(2)] == [Status.DONE, Status.NOOP]
    assert engine.containers[db.id].state == "running"


async def test_what_runs_uses_something_and_runs_programs(engine):
    web, idle = engine.add("web"), engine.add("idle", start=False)
    engine.use(web, cpu_percent=50.0, memory_limit=None)
    (row,) = (await do(engine, resource_usage.ReadUsage(engine=engine.ref))).rows
    assert (row.ref, row.cpu_percent, row.memory_limit) == (web, 50.0, None)
    assert (await do(engine, resource_usage.ReadUsage(engine=engine.ref, only=(idle.id,)))).rows == ()

    async def run(*command, ref=web):
        return await do(engine, inside_containers.Exec(engine=engine.ref, target=ref, command=command))

    assert (await run("echo", "a", "b")).stdout == "a b\n"
    assert [(await run(word)).exit_code for word in ("true", "false", "nonsense")] == [0, 1, 127]
    with pytest.raises(errors.Rejected, match="not running"):
        await run("true", ref=idle)
    with pytest.raises(errors.Rejected, match="no defined healthcheck"):
        await do(engine, actions.CheckHealth(engine=engine.ref, target=web))
    engine.happen(EventKind.HEALTH, web, health="unhealthy")
    assert (await do(engine, actions.CheckHealth(engine=engine.ref, target=web))).detail == "unhealthy"
    assert (await do(engine, actions.ShowInfo(engine=engine.ref))).data["Containers"] == 2


async def test_what_it_is_said_to_lack_is_no_verb_of_it():
    plain = FakeRuntime("h1", lacks=("pod.*", "image.pull"))
    assert not {verb for verb in plain.verbs if verb.startswith("pod.") or verb == "image.pull"}
    assert {"image.list", "container.stats"} <= plain.verbs
    with pytest.raises(errors.Unsupported, match="Its containers are listed by: ps"):
        await do(plain, pods.ListPods(engine=plain.ref))
    with pytest.raises(errors.Unsupported, match=r"It supports: image\.history, image\.inspect, "):
        await do(plain, images.PullImage(engine=plain.ref, image="x"))
    assert (await do(plain, actions.DescribeEngine(engine=plain.ref))).verbs == tuple(sorted(plain.verbs))


async def test_its_parts_are_as_unreachable_as_itself(engine):
    engine.reachable = False
    lists = (
        images.ListImages,
        pods.ListPods,
        swarm.ListNodes,
        units.ListUnits,
        resource_usage.ReadUsage,
        actions.ShowInfo,
    )
    for action in lists:
        with pytest.raises(errors.Unreachable):
            await do(engine, action(engine=engine.ref))
