"""A Swarm as an engine of its own, on real daemons: what it tells and does, and what it tells of by looking."""

import asyncio
import base64
import contextlib
import dataclasses
import json
import time
from datetime import UTC, datetime, timedelta

import docker
import pytest

from collectors import engine_watcher, event_processor
from collectors.exposition import Exposition
from core import errors, metrics
from core.model import actions, event_actions, service_actions
from core.model import swarm as model_swarm
from core.model.background_jobs import JobStarted, ReadJob
from core.model.events import EventKind
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.secrets_and_configs import ListConfigs, ListSecrets
from core.model.service_settings import ServiceSettings
from core.model.verification import RunState, VerifyRuns
from core.ports import Call
from runtimes.base import run_verification
from runtimes.inventory.mirror import Mirror
from runtimes.swarm import membership_tracker, task_verification
from tests.daemons.docker import IMAGE, private_dockerd
from tests.daemons.registry import PASSWORD, USER
from tests.daemons.swarm import Opened, private_swarm
from tests.helpers.waiting import wait_for
from tests.helpers.watch_records import WatchRecords

pytestmark = pytest.mark.engine
ON_HOST = ("shares the network of the host",)


@pytest.fixture(scope="module")
def _cluster():
    with private_swarm() as cluster:
        yield cluster


@pytest.fixture
def cluster(_cluster):
    _cluster.clear()
    return _cluster


@pytest.fixture
async def opened(cluster):
    made = await Opened(cluster.daemon).meet()
    yield made
    await made.aclose()


def call(seconds=60.0):
    return Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=seconds), invocation="t")


async def do(engine, action, seconds=60.0):
    return await engine.run(action, call(seconds))


async def ended(engine, action):
    """The outcome of a job, and the progress it told."""
    started = await do(engine, action)
    assert isinstance(started, JobStarted)
    cursor, told = "", []
    while True:
        page = await do(engine, ReadJob(engine=engine.ref, job=started.job, cursor=cursor, wait=1.0))
        cursor = page.cursor
        told += [page.progress] if page.progress and page.progress not in told else []
        if page.outcome is not None:
            return page.outcome, told


def new_image(engine, target, image, **more):
    settings = ServiceSettings(image=image)
    return service_actions.UpdateService(engine=engine.ref, target=target, settings=settings, **more)


async def service(engine, name):
    rows = (await do(engine, actions.ListServices(engine=engine.ref))).rows
    return next(row for row in rows if row.ref.name == name)


@contextlib.asynccontextmanager
async def listening(engine, since=None):
    heard = []

    async def listen():
        while (
            True
        ):  # as a watcher: a stream ends if no manager sends events for some seconds, and the next one makes up
            with contextlib.suppress(errors.Unreachable, errors.TimedOut):
                async for batch in engine.events(since):
                    heard.extend(batch)
                    standing.set()
            await asyncio.sleep(0.5)

    standing = asyncio.Event()
    task = asyncio.create_task(listen())
    await asyncio.wait_for(standing.wait(), 60)
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(true, seconds=90.0):
    async with asyncio.timeout(seconds):
        while not (found := true()):
            await asyncio.sleep(0.05)
    return found


def of(heard, kind, action=None):
    return [event for event in heard if event.kind is kind and action in (None, event.action)]


async def test_it_is_there_beside_its_daemon_and_tells_about_itself(cluster, opened):
    swarm = opened.swarm
    assert (swarm.ref.kind, swarm.ref.host, swarm.engine_id) == ("swarm", cluster.id[:12], cluster.id)
    told = await do(swarm, actions.DescribeEngine(engine=swarm.ref))
    assert (told.fault, told.version, told.containers) == ("", cluster.api.version()["Version"], None)
    assert told.address == cluster.daemon.url and told.system.startswith("linux/")
    assert told.notes == ("1 node, 1 of them managers.",)
    info = (await do(swarm, actions.ShowInfo(engine=swarm.ref))).data
    assert info["ID"] == cluster.id and "SWMTKN" not in repr(info)
    with pytest.raises(errors.Unsupported, match=r"container\.list.*the engine of their node"):
        await do(swarm, actions.ListContainers(engine=swarm.ref))


async def test_services_belong_to_one_engine_compose_to_the_other(cluster, opened, monkeypatch):
    cluster.serve("shop_web", labels={"com.docker.stack.namespace": "shop"})
    wait_for("the task", lambda: cluster.states("shop_web") == ["running"])
    row = await service(opened.swarm, "shop_web")
    assert (row.ref.engine, row.running, row.desired, row.project) == (opened.swarm.ref, 1, 1, "shop")
    monkeypatch.setattr(task_verification, "SETTLE_SECONDS", 0.1)
    verify = VerifyRuns(engine=opened.swarm.ref, runs=(row.ref,))
    page = await do(opened.swarm, ReadJob(engine=row.ref.engine, job=(await do(opened.swarm, verify)).job))
    assert [run_verification.decode(line).state for line in page.lines] == [RunState.RUNNING]
    own = opened.daemons[0]
    assert (await do(own, actions.ListServices(engine=own.ref))).rows == ()
    with pytest.raises(errors.UserError, match="belongs to the Swarm"):
        await do(own, actions.Scale(engine=own.ref, target=row.ref, replicas=2))
    tasks = (await do(opened.swarm, model_swarm.ListTasks(engine=opened.swarm.ref))).rows
    assert [(task.ref.name, task.state, task.service) for task in tasks] == [("shop_web.1", "running", "shop_web")]
    assert tasks[0].container == row.members[0]
    (node,) = (await do(opened.swarm, model_swarm.ListNodes(engine=opened.swarm.ref))).rows
    for more in ({"service": row.ref.id}, {"node": node.ref.id}, {"node": node.ref.id, "ended": False}):
        assert (await do(opened.swarm, model_swarm.ListTasks(engine=opened.swarm.ref, **more))).rows == tasks
    elsewhere = model_swarm.ListTasks(engine=opened.swarm.ref, node="none")
    assert (await do(opened.swarm, elsewhere)).rows == ()
    inspect = model_swarm.InspectNode(engine=opened.swarm.ref, target=node.ref)
    told = (await do(opened.swarm, inspect)).summary
    assert (told["Availability"], told["Role"], told["Status"]) == ("active", "manager, leader", "ready")
    cluster.daemon.api.create_secret("shop_key", b"hunter2", labels={"app": "shop"})
    cluster.daemon.api.create_config("shop_conf", b"hunter3", labels={"app": "shop"})
    for kind in (ListSecrets, ListConfigs):
        (one,) = (await do(opened.swarm, kind(engine=opened.swarm.ref))).rows
        assert one.ref.name in ("shop_key", "shop_conf")
        assert one.labels == {"app": "shop"} and one.created_at > 0
        assert "hunter" not in repr(one)
    (stack,) = (await do(opened.swarm, model_swarm.ListStacks(engine=opened.swarm.ref))).rows
    assert (stack.name, stack.running, stack.desired) == ("shop", 1, 1)


async def test_a_service_whose_image_is_behind_a_login_runs_and_is_updated(
    cluster, opened, locked_registry, tmp_path, monkeypatch
):
    swarm = opened.swarm
    first = locked_registry.push_busybox("served", "1", layers=[{"one": b"1"}])
    second = locked_registry.push_busybox("served", "2", layers=[{"two": b"2"}])
    entry = {"auth": base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
    (tmp_path / "config.json").write_text(json.dumps({"auths": {locked_registry.host: entry}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    settings = ServiceSettings(command=("/bin/sh", "-c", "exec sleep 3600"), networks=("host",))
    make = service_actions.CreateService(engine=swarm.ref, name="served", image=first, settings=settings)
    outcome, _ = await ended(swarm, make)
    assert outcome.status == Status.DONE and outcome.detail.startswith("1 of 1 run it"), outcome
    assert cluster.states("served") == ["running"]
    row = await service(swarm, "served")
    outcome, _ = await ended(swarm, new_image(swarm, row.ref, second, reaches=ON_HOST))
    assert outcome.status == Status.DONE and "did not return a digest" not in outcome.detail, outcome
    await do(swarm, service_actions.RemoveService(engine=swarm.ref, target=row.ref))


async def test_what_reaches_a_host_is_refused_unless_it_is_declared_and_allowed(cluster, opened):
    """By its name, by the id of the host's network, and by the new image of a service that reaches it already."""
    swarm, api = opened.swarm, cluster.daemon.api
    networks = {row["Name"]: row["Id"] for row in api.networks()}

    def make(*networks):
        settings = ServiceSettings(networks=networks)
        return service_actions.CreateService(engine=swarm.ref, name="deep", image=IMAGE, settings=settings)

    for network in (networks["host"], networks["host"][:12]):
        outcome, _ = await ended(swarm, make(network))
        assert outcome.status == Status.FAILED and "is the network of the host" in outcome.detail
    strict = await Opened(cluster.daemon, allow=("*",)).meet()
    try:
        with pytest.raises(errors.Disallowed, match=r"host\.reach"):
            await do(strict.swarm, make("host"))
    finally:
        await strict.aclose()
    mount = docker.types.Mount("/x", "/etc", type="bind", read_only=True)
    template = docker.types.TaskTemplate(
        docker.types.ContainerSpec(IMAGE, ["/bin/sh", "-c", "exec sleep 3600"], mounts=[mount]),
        networks=[docker.types.NetworkAttachmentConfig("host")],
    )
    api.create_service(template, name="deep", endpoint_spec=docker.types.EndpointSpec(mode="dnsrr"))
    (network,) = api.inspect_service("deep")["Spec"]["TaskTemplate"]["Networks"]
    outcome, _ = await ended(swarm, make(network["Target"]))
    assert outcome.status == Status.FAILED and "is the network of the host" in outcome.detail
    row = await service(swarm, "deep")
    assert row.reaches == ("mounts /etc of the host", *ON_HOST)
    update = new_image(swarm, row.ref, "localhost/busybox:2")
    outcome, _ = await ended(swarm, update)
    assert outcome.status == Status.FAILED
    assert "Now it mounts /etc of the host, shares the network of the host." in outcome.detail
    outcome, _ = await ended(swarm, dataclasses.replace(update, reaches=ON_HOST))
    assert outcome.status == Status.FAILED and "Now it mounts /etc of the host." in outcome.detail
    api.remove_service("deep")


async def test_one_is_made_read_inspected_and_removed(cluster, opened):
    swarm = opened.swarm
    make = service_actions.CreateService(
        engine=swarm.ref,
        name="made",
        image=IMAGE,
        replicas=2,
        settings=ServiceSettings(
            command=("/bin/sh", "-c", "echo one of $SECRET; exec sleep 3600"),
            labels=(("team", "core"),),
            environment=(("SECRET", "two"),),
            networks=("host",),
        ),
    )
    outcome, told = await ended(swarm, make)
    assert outcome.status == Status.DONE and "2 of 2 run it" in told
    assert cluster.states("made") == ["running"] * 2
    row = await service(swarm, "made")
    assert f"; {row.ref.id[:12]}" in outcome.detail and row.labels[0]["team"] == "core"
    document = await do(swarm, model_swarm.InspectService(engine=swarm.ref, target=row.ref))
    assert "two" not in repr(document.data["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"])
    assert document.summary["Replicas"] == "2" and document.summary["Environment"] == "SECRET"
    read = model_swarm.ReadServiceLogs(engine=swarm.ref, target=row.ref)
    async with asyncio.timeout(60):  # the programs may not have written yet
        while len((page := await do(swarm, read)).lines) < 2:
            await asyncio.sleep(0.1)
    assert sorted(line.text for line in page.lines) == ["made.1 | one of two", "made.2 | one of two"]
    assert [line.at for line in page.lines] == sorted(line.at for line in page.lines)
    one = await do(swarm, model_swarm.ReadServiceLogs(engine=swarm.ref, target=row.ref, tail=1))
    assert (len(one.lines), one.dropped) == (1, 1)
    started = await do(swarm, model_swarm.ReadServiceLogs(engine=swarm.ref, target=row.ref, follow=True))
    page = await do(swarm, ReadJob(engine=swarm.ref, job=started.job, wait=50.0))
    assert page.lines[0].text.endswith("| one of two")
    outcome, _ = await ended(swarm, make)
    assert outcome.status == Status.FAILED and "name conflicts" in outcome.detail
    gone = service_actions.RemoveService(engine=swarm.ref, target=row.ref)
    assert (await do(swarm, gone)).status == Status.DONE
    with pytest.raises(errors.NotFound, match=r"swarm/\w+ has no service made"):
        await do(swarm, gone)


async def test_a_bad_image_stops_the_update_with_its_reason_and_the_way_back_leads_back(cluster, opened):
    swarm = opened.swarm
    cluster.serve("web", replicas=2, update=docker.types.UpdateConfig(parallelism=1, failure_action="pause"))
    wait_for("the tasks", lambda: cluster.states("web") == ["running"] * 2)
    target = (await service(swarm, "web")).ref
    async with listening(swarm) as heard:
        bad = new_image(swarm, target, "localhost/nothing-there:1", reaches=ON_HOST)
        outcome, _ = await ended(swarm, bad)
        assert outcome.status == Status.FAILED
        assert "update paused" in outcome.detail and "No such image: localhost/nothing-there:1" in outcome.detail
        (paused,) = await until(lambda: of(heard, EventKind.ROLLOUT, "paused"))
        assert (paused.subject, paused.type) == (target, "service") and "paused due to failure" in paused.attrs["why"]
        (failed, *_) = await until(lambda: of(heard, EventKind.TASK_FAILED, "rejected"))
        assert failed.subject.kind is Kind.TASK and failed.subject.name.startswith("web.")
        assert "No such image" in failed.attrs["why"] and failed.attrs["service"] == "web"
        assert "update paused" in (await service(swarm, "web")).update
        outcome, _ = await ended(swarm, service_actions.RollBackService(engine=swarm.ref, target=target))
        assert (outcome.status, outcome.detail) == (Status.DONE, f"back to {IMAGE}; 2 of 2 run it")
        await until(lambda: of(heard, EventKind.ROLLOUT, "rollback_completed"))
        assert not of(heard, EventKind.REPLICAS)
    known = await do(swarm, event_actions.ListEvents(engine=swarm.ref, since_ns=min(failed.at_ns, paused.at_ns)))
    assert {failed.identity(), paused.identity()} <= {event.identity() for event in known.rows}


async def test_a_good_image_is_waited_for(cluster, opened):
    swarm = opened.swarm
    cluster.api.tag(IMAGE, "localhost/busybox", "2")
    cluster.serve("web", replicas=2, update=docker.types.UpdateConfig(parallelism=2, monitor=500_000_000))
    wait_for("the tasks", lambda: cluster.states("web") == ["running"] * 2)
    target = (await service(swarm, "web")).ref
    outcome, _ = await ended(swarm, new_image(swarm, target, "localhost/busybox:2", reaches=ON_HOST))
    assert outcome.status == Status.DONE
    assert outcome.detail.startswith(f"from {IMAGE} to localhost/busybox:2; 2 of 2 run it")
    assert "its registry did not return a digest" in outcome.detail
    assert (await service(swarm, "web")).image == "localhost/busybox:2"
    cluster.serve("new")
    new = (await service(swarm, "new")).ref
    outcome, _ = await ended(swarm, service_actions.RollBackService(engine=swarm.ref, target=new))
    assert (
        outcome.status == Status.FAILED
        and "new cannot be rolled back: it was not updated since it was created" in outcome.detail
    )


async def test_a_task_that_dies_is_told_once_with_its_code_also_to_who_comes_later(cluster, opened):
    swarm = opened.swarm
    began = time.time_ns()
    async with listening(swarm) as heard:
        cluster.serve("brief", ["/bin/sh", "-c", "exit 7"])
        first = (await until(lambda: of(heard, EventKind.TASK_FAILED)))[0]
        assert (first.action, first.attrs["exit_code"], first.subject.name) == ("failed", "7", "brief.1")
        assert first.attrs["why"] == "task: non-zero exit (7)" and first.attrs["node"]
        assert abs(first.at_ns - time.time_ns()) < 60e9
        await until(lambda: len(of(heard, EventKind.TASK_FAILED)) > 1)
        names = [event.subject.id for event in of(heard, EventKind.TASK_FAILED)]
        assert len(names) == len(set(names))
    (created,) = [event for event in heard if (event.type, event.action) == ("service", "create")]
    assert created.subject.name == "brief"
    # Another process, or this one after a restart: what it missed it is told, as the same event.
    later = await Opened(cluster.daemon).meet()
    try:
        async with listening(later.swarm, since=began) as replayed:
            await until(lambda: of(replayed, EventKind.TASK_FAILED))
            shown = {event.identity() for event in of(replayed, EventKind.TASK_FAILED)}
            assert shown & {event.identity() for event in of(heard, EventKind.TASK_FAILED)}
        listed = (await do(later.swarm, event_actions.ListEvents(engine=later.swarm.ref, since_ns=began))).rows
        assert of(listed, EventKind.TASK_FAILED) and created.identity() in {event.identity() for event in listed}
    finally:
        await later.aclose()


async def test_its_token_is_for_the_asker_and_in_no_words_of_ours(cluster, opened):
    swarm = opened.swarm
    tokens = cluster.api.inspect_swarm()["JoinTokens"]
    for role in ("worker", "manager"):
        token = await do(swarm, model_swarm.ReadJoinToken(engine=swarm.ref, role=role))
        assert token.line == f"docker swarm join --token {tokens[role.capitalize()]} {cluster.address}"
        assert "SWMTKN" not in repr(token)
    with pytest.raises(errors.BadUsage):
        await do(swarm, model_swarm.ReadJoinToken(engine=swarm.ref, role="king"))


async def test_a_host_that_forbids_a_verb_forbids_it_through_its_door(cluster):
    opened = await Opened(cluster.daemon, allow=("*.list", "service.scale")).meet()
    try:
        swarm = opened.swarm
        assert "service.remove" not in swarm.verbs and {"node.list", "service.scale"} <= swarm.verbs
        cluster.serve("web")
        target = (await service(swarm, "web")).ref
        with pytest.raises(errors.Disallowed, match=r"service\.remove"):
            await do(swarm, service_actions.RemoveService(engine=swarm.ref, target=target))
        assert cluster.api.services()
    finally:
        await opened.aclose()


async def test_the_watch_of_one_goes_on_what_it_tells_and_the_page_has_no_containers_of_it(cluster, opened):
    swarm = opened.swarm
    counts, mirror = metrics.Metrics(), Mirror(swarm)

    records = WatchRecords()
    watched = engine_watcher.EngineWatcher(
        swarm, mirror, event_processor.EventProcessor(mirror, counts), records, counts
    )
    task = asyncio.create_task(watched.run())
    try:
        await until(lambda: mirror.live)
        cluster.serve("brief", ["/bin/sh", "-c", "exit 7"])
        await until(lambda: of(mirror.history, EventKind.TASK_FAILED))
        told = await do(mirror, actions.DescribeEngine(engine=swarm.ref))
        assert (told.stream, told.fault, told.events) == ("up", "", "polled")
        assert set(records.records) <= {cluster.id}
        page = Exposition(counts, lambda: [mirror]).render().decode()
        place = f'engine="swarm",host="{cluster.id[:12]}"'
        assert f"quarterdeck_stream_up{{{place}}} 1.0" in page
        assert f'quarterdeck_events_total{{action="failed",{place},type="task"}}' in page
        assert "quarterdeck_containers{" not in page
        swarm.managers.remove(opened.daemons[0])
        await until(lambda: not mirror.live)
        swarm.managers.add(opened.daemons[0])
        await until(lambda: mirror.live)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_daemon_becomes_a_manager_and_stops_being_one_while_we_run(monkeypatch):
    monkeypatch.setattr(membership_tracker, "POLL_SECONDS", 3.0)
    with private_dockerd(host="m1") as daemon:
        opened = await Opened(daemon).meet()
        (docker_engine,) = opened.daemons
        keeping = asyncio.create_task(opened.tracker.keep_polling())
        try:
            assert opened.tracker.swarms == () and opened.all == (docker_engine,)
            init = model_swarm.InitSwarm(engine=docker_engine.ref, address="127.0.0.1", listen="127.0.0.1:0")
            outcome = await do(docker_engine, init)
            assert outcome.status == Status.DONE
            swarm = opened.swarm
            assert outcome.detail == f"Swarm {daemon.api.inspect_swarm()['ID']}" == f"Swarm {swarm.engine_id}"
            assert (await do(docker_engine, init)).status == Status.NOOP
            ends = []

            async def listen():
                async for _ in swarm.events(None):
                    ends.append("stands")
                ends.append("over")

            stream = asyncio.create_task(listen())
            await until(lambda: ends)
            await asyncio.to_thread(daemon.api.leave_swarm, force=True)
            await until(lambda: opened.tracker.swarms == ())
            assert opened.all == (docker_engine,) and opened.removed == [swarm]
            await asyncio.wait([stream], timeout=60)
            assert stream.done()
            with contextlib.suppress(errors.EngineError):
                stream.result()
            gone = Ref(engine=swarm.ref, kind=Kind.NODE, id="n", name="n")
            with pytest.raises(errors.Unreachable, match="has no connection to a manager of"):
                await do(swarm, model_swarm.DrainNode(engine=swarm.ref, target=gone))
            # Another one is made by somebody else: noticed at the next question, by its own id.
            await asyncio.to_thread(daemon.api.init_swarm, "127.0.0.1", "127.0.0.1:0")
            await until(lambda: opened.tracker.swarms)
            assert opened.swarm.engine_id == daemon.api.inspect_swarm()["ID"]
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await opened.aclose()
            await asyncio.to_thread(daemon.api.leave_swarm, force=True)
