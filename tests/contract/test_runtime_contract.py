"""What every Runtime promises, held against each real engine. A new engine adds one fixture parameter."""

import asyncio
import time
from datetime import UTC, datetime, timedelta

import pytest

from core import errors
from core.model import actions
from core.model.events import EventKind
from core.model.jobs import ReadJob, Started
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.ports import Call
from runtimes import registry
from tests.remote import private_sshd


class Ground:
    """One engine under test, and a way to put containers on it that is not ours."""

    def __init__(self, runtime, daemon):
        self.runtime, self.daemon = runtime, daemon

    async def do(self, action, seconds=30.0):
        deadline = datetime.now(UTC) + timedelta(seconds=seconds)
        return await self.runtime.run(action, Call(id="t", who="t", deadline=deadline, invocation="t"))

    async def rows(self):
        return {row.ref.name: row for row in (await self.do(actions.ListContainers(engine=self.runtime.ref))).rows}

    async def ref(self, name):
        return (await self.rows())[name].ref


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    with private_sshd(tmp_path_factory.mktemp("sshd")) as made:
        yield made


@pytest.fixture(params=["docker", "docker by ssh"])
async def ground(request):
    kind, _, way = request.param.partition(" by ")
    daemon = request.getfixturevalue(f"{kind}d")
    door = registry.Door(kind=kind, url=daemon.url)
    if way == "ssh":
        far = request.getfixturevalue("sshd")
        door = registry.Door(kind=kind, url=far.url(daemon.socket), ssh=registry.Ssh(**far.files))
    runtime = registry.open_engine(door)
    yield Ground(runtime, daemon)
    await runtime.aclose()


async def test_a_list_tells_what_is_there(ground):
    ground.daemon.run(
        "up", labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "a": "b"}
    )
    ground.daemon.run("made", start=False)
    gone = ground.daemon.run("ended", "exit 3")
    ground.daemon.api.wait(gone)
    rows = await ground.rows()
    assert {name: row.state for name, row in rows.items()} == {"up": "running", "made": "created", "ended": "exited"}
    assert rows["up"].project == "shop"
    assert rows["up"].service == "web"
    assert rows["up"].labels["a"] == "b"
    assert rows["up"].status.startswith("Up ")
    assert rows["ended"].exit_code == 3
    assert rows["ended"].ref.id == gone
    assert rows["up"].ref.engine == ground.runtime.ref
    assert abs(rows["up"].created_at - time.time()) < 120


async def test_an_engine_tells_about_itself_and_one_that_is_away_tells_why(ground):
    ground.daemon.run("up")
    ground.daemon.run("made", start=False)
    told = await ground.do(actions.DescribeEngine(engine=ground.runtime.ref))
    assert (told.ref, told.verbs) == (ground.runtime.ref, tuple(sorted(ground.runtime.verbs)))
    assert (told.containers, told.running, told.fault) == (2, 1, "")
    assert told.version == ground.daemon.api.version()["Version"]
    assert told.system.startswith("linux/")
    assert told.storage
    assert told.cgroup in ("1", "2")
    away = registry.open_engine(registry.Door(kind=ground.runtime.ref.kind, url="unix:///nowhere/e.sock"))
    told = await Ground(away, ground.daemon).do(actions.DescribeEngine(engine=away.ref))
    assert "/nowhere/e.sock" in told.fault
    assert told.address == "unix:///nowhere/e.sock"
    assert told.verbs
    assert told.containers is None
    await away.aclose()


async def test_describe_knows_the_details_and_what_is_gone(ground):
    up = ground.daemon.run("up")
    ended = ground.daemon.run("ended", "exit 3")
    ground.daemon.api.wait(ended)
    found = await ground.runtime.describe([up, ended, "f" * 64], 10)
    assert found["f" * 64] is None
    assert (found[up].state, found[up].exit_code, found[up].restarts, found[up].oom_killed) == (
        "running",
        None,
        0,
        False,
    )
    assert found[up].started_at is not None
    assert found[ended].exit_code == 3
    # An engine has been seen to let a short run end half a millisecond before it began.
    assert abs(found[ended].finished_at - found[ended].started_at) < 30
    assert found[up].ref == (await ground.rows())["up"].ref
    assert ground.runtime.engine_id


async def test_inspection_hides_the_values_of_the_environment(ground):
    ground.daemon.run("up", environment={"DB_PASSWORD": "hunter2", "PLAIN": "hunter3"})
    document = await ground.do(actions.InspectContainer(engine=ground.runtime.ref, target=await ground.ref("up")))
    assert "hunter" not in repr(document.data)
    assert "DB_PASSWORD" in repr(document.data)
    assert document.data["State"]["Running"] is True


@pytest.mark.parametrize(
    ("change", "before", "after", "again"),
    [
        (actions.Start, "exited", "running", Status.NOOP),
        (actions.Stop, "running", "exited", Status.NOOP),
        (actions.Restart, "running", "running", Status.DONE),
        (actions.Pause, "running", "paused", Status.NOOP),
        (actions.Unpause, "paused", "running", Status.NOOP),
    ],
)
async def test_changes_change_and_say_when_there_was_nothing_to_do(ground, change, before, after, again):
    container = ground.daemon.run("it")
    if before == "exited":
        ground.daemon.api.stop(container, timeout=0)
    if before == "paused":
        ground.daemon.api.pause(container)
    action = change(engine=ground.runtime.ref, target=await ground.ref("it"))
    started = ground.daemon.state("it")["StartedAt"]
    outcome = await ground.do(action)
    assert outcome.status == Status.DONE
    assert outcome.took > 0
    assert ground.daemon.state("it")["Status"] == after
    assert (await ground.do(action)).status == again
    if change is actions.Restart:
        assert ground.daemon.state("it")["StartedAt"] != started


async def test_kill_sends_the_signal_it_was_given(ground):
    ground.daemon.run("it", "trap 'echo caught; exit 7' USR1; while :; do sleep 0.05; done", host={"init": False})
    target = await ground.ref("it")
    await asyncio.sleep(0.3)
    await ground.do(actions.Kill(engine=ground.runtime.ref, target=target, signal="USR1"))
    assert await asyncio.to_thread(lambda: ground.daemon.api.wait("it")["StatusCode"]) == 7
    with pytest.raises(errors.Rejected):
        await ground.do(actions.Kill(engine=ground.runtime.ref, target=target))


async def test_remove_refuses_what_runs_unless_forced(ground):
    ground.daemon.run("it")
    target = await ground.ref("it")
    with pytest.raises(errors.Rejected):
        await ground.do(actions.Remove(engine=ground.runtime.ref, target=target))
    assert "it" in await ground.rows()
    assert (await ground.do(actions.Remove(engine=ground.runtime.ref, target=target, force=True))).status == Status.DONE
    assert "it" not in await ground.rows()
    with pytest.raises(errors.NotFound, match="it is gone"):
        await ground.do(actions.Remove(engine=ground.runtime.ref, target=target))


@pytest.mark.parametrize("tty", [False, True])
async def test_logs_come_in_order_with_their_stream_and_a_cursor_to_read_on_from(ground, tty):
    script = (
        "for i in $(seq 30); do echo out $i; done; echo err >&2; "
        "while [ ! -e /go ]; do sleep 0.05; done; echo later; sleep 3600"
    )
    ground.daemon.run("it", script, tty=tty)
    target = await ground.ref("it")

    async def page(**more):
        return await ground.do(actions.ReadLogs(engine=ground.runtime.ref, target=target, **more))

    while len((await page()).lines) < 31:
        await asyncio.sleep(0.02)
    assert len((await page(tail=5)).lines) == 5
    # Each stream keeps its order; one may overtake the other.
    first = await page()
    assert [line.text for line in first.lines if "out" in line.text] == [f"out {number}" for number in range(1, 31)]
    if not tty:
        assert {line.text: line.stream for line in first.lines}["err"] == "stderr"
    assert not (await page(cursor=first.cursor)).lines
    exec_id = ground.daemon.api.exec_create("it", ["/bin/sh", "-c", ": > /go"])["Id"]
    ground.daemon.api.exec_start(exec_id)
    more = ()
    while not more:
        more = (await page(cursor=first.cursor)).lines
    assert [line.text for line in more] == ["later"]


async def test_a_megabyte_line_is_cut_and_says_so(ground):
    ground.daemon.run("it", "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo end; sleep 3600")
    target = await ground.ref("it")
    lines = ()
    while not lines or lines[-1].text != "end":
        lines = (await ground.do(actions.ReadLogs(engine=ground.runtime.ref, target=target, tail=1000))).lines
        await asyncio.sleep(0.05)
    assert max(len(line.text) for line in lines) < 20_000
    assert len(lines) == 2
    assert "more bytes" in lines[0].text


async def test_events_come_live_and_are_replayed_inclusively(ground):
    events, standing = [], asyncio.Event()

    async def listen(since=None):
        async for batch in ground.runtime.events(since):
            standing.set()
            events.extend(batch)

    task = asyncio.create_task(listen())
    await asyncio.wait_for(standing.wait(), 10)
    container = await asyncio.to_thread(ground.daemon.run, "it", "exit 9")

    def of(kind):
        return [event for event in events if event.kind is kind and event.subject.id == container]

    async with asyncio.timeout(20):
        while not of(EventKind.DIED):
            await asyncio.sleep(0.01)
    died = of(EventKind.DIED)[0]
    assert died.attrs["exit_code"] == "9"
    assert died.subject.name == "it"
    assert died.subject.kind is Kind.CONTAINER
    assert of(EventKind.CREATED)
    assert of(EventKind.STARTED)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    again = await ground.do(actions.ListEvents(engine=ground.runtime.ref, since_ns=died.at_ns))
    assert died.identity() in [event.identity() for event in again]
    assert all(event.at_ns >= died.at_ns for event in again)
    later = await ground.do(actions.ListEvents(engine=ground.runtime.ref, since_ns=died.at_ns + 1))
    assert died.identity() not in [event.identity() for event in later]


async def test_what_an_engine_lacks_or_its_owner_forbids_is_refused_by_name(ground):
    from core.model import desk

    with pytest.raises(errors.Unsupported, match="help.show"):
        await ground.do(desk.ShowHelp())
    ground.daemon.run("it")
    tight = registry.open_engine(
        registry.Door(kind=ground.runtime.ref.kind, url=ground.daemon.url, allow=("*.list", "container.logs"))
    )
    try:
        # Reading and ending a job is part of what began it.
        jobs_too = {"job.read", "job.stop", "job.stop-any"} & ground.runtime.verbs
        assert tight.verbs == {"container.list", "engine.list", "event.list", "service.list", "container.logs"} | jobs_too
        call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=9), invocation="t")
        with pytest.raises(errors.Disallowed, match="container.stop"):
            await tight.run(actions.Stop(engine=tight.ref, target=await ground.ref("it")), call)
    finally:
        await tight.aclose()
    assert ground.daemon.state("it")["Running"]


async def test_no_time_left_means_nothing_is_sent(ground):
    ground.daemon.run("it")
    target = await ground.ref("it")
    with pytest.raises(errors.TimedOut) as caught:
        await ground.do(actions.Stop(engine=ground.runtime.ref, target=target), seconds=-1)
    assert not caught.value.sent
    assert ground.daemon.state("it")["Running"]


async def test_a_deadline_that_passes_meanwhile_is_said_to_have_been_sent(ground):
    ground.daemon.run("it", "trap '' TERM; while :; do sleep 1; done", host={"init": False})
    await asyncio.sleep(0.3)
    target = await ground.ref("it")
    with pytest.raises(errors.TimedOut) as caught:
        await ground.do(actions.Stop(engine=ground.runtime.ref, target=target, timeout=30), seconds=1)
    assert caught.value.sent


@pytest.mark.parametrize("kind", list(registry.KINDS))
async def test_an_engine_that_is_not_there_is_a_sentence_with_its_cure(kind, tmp_path):
    runtime = registry.open_engine(registry.Door(kind=kind, url=f"unix://{tmp_path}/none.sock"))
    call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=9), invocation="t")
    with pytest.raises(errors.Unreachable) as caught:
        await runtime.run(actions.ListContainers(engine=runtime.ref), call)
    assert "none.sock" in caught.value.say()
    assert caught.value.hint
    target = Ref(engine=EngineRef(host="x", kind=kind), kind=Kind.CONTAINER, id="a" * 64, name="it")
    with pytest.raises(errors.Unreachable) as caught:
        await runtime.run(actions.Stop(engine=runtime.ref, target=target), call)
    assert not caught.value.sent
    await runtime.aclose()


def replica(number, **more):
    return {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "com.docker.compose.container-number": str(number),
        "com.docker.compose.oneoff": "False",
        **more,
    }


async def ended(ground, action):
    """The outcome of a job, and the progress it told."""
    started = await ground.do(action)
    assert isinstance(started, Started)
    cursor, told = "", []
    while True:
        page = await ground.do(ReadJob(engine=ground.runtime.ref, job=started.job, cursor=cursor, wait=1.0))
        cursor = page.cursor
        told += [page.progress] if page.progress and page.progress not in told else []
        if page.outcome is not None:
            return page.outcome, told


async def test_services_are_what_several_alike_are_replicas_of(ground):
    if actions.ListServices.verb not in ground.runtime.verbs:
        pytest.skip(f"{ground.runtime.ref.kind} knows no services")
    ground.daemon.run("shop-web-2", labels=replica(2, env="prod"), start=False)
    ground.daemon.run("shop-web-1", labels=replica(1))
    ground.daemon.run("once", labels=replica(3, **{"com.docker.compose.oneoff": "True"}))
    ground.daemon.run("alone")
    (row,) = (await ground.do(actions.ListServices(engine=ground.runtime.ref))).rows
    assert (row.ref.kind, row.ref.id, row.ref.name, row.mode) == (Kind.SERVICE, "shop/web", "shop/web", "compose")
    assert (row.project, row.service, row.running, row.desired) == ("shop", "web", 1, 2)
    known = await ground.rows()
    assert row.members == (known["shop-web-1"].ref.id, known["shop-web-2"].ref.id)
    # Each different set of labels, for permission to look at.
    assert [labels.get("env") for labels in row.labels] == [None, "prod"]


async def test_scaling_makes_like_ones_and_takes_the_newest_away(ground):
    if actions.Scale.verb not in ground.runtime.verbs:
        pytest.skip(f"{ground.runtime.ref.kind} scales nothing")
    ground.daemon.run("shop-web-1", labels=replica(1))
    ground.daemon.run("shop-web-3", labels=replica(3))
    (row,) = (await ground.do(actions.ListServices(engine=ground.runtime.ref))).rows
    up = actions.Scale(engine=row.ref.engine, target=row.ref, replicas=4, timeout=30)
    outcome, told = await ended(ground, up)
    assert (outcome.status, outcome.detail) == (Status.DONE, "from 2 to 4")
    assert told[-1] == "4 of 4 run"
    assert {name: row.state for name, row in (await ground.rows()).items()} == {
        f"shop-web-{number}": "running" for number in (1, 2, 3, 4)
    }
    outcome, _ = await ended(ground, up)
    assert (outcome.status, outcome.detail) == (Status.NOOP, "has 4 already")
    down = actions.Scale(engine=row.ref.engine, target=row.ref, replicas=2, timeout=30)
    outcome, _ = await ended(ground, down)
    assert (outcome.status, outcome.detail) == (Status.DONE, "from 4 to 2")
    assert set(await ground.rows()) == {"shop-web-1", "shop-web-2"}
    gone = Ref(engine=row.ref.engine, kind=Kind.SERVICE, id="shop/none", name="shop/none")
    outcome, _ = await ended(ground, actions.Scale(engine=row.ref.engine, target=gone, replicas=2))
    assert outcome.status == Status.FAILED and "docker compose up" in outcome.detail


async def test_a_host_that_forbids_a_step_forbids_the_whole(ground):
    if actions.Scale.verb not in ground.runtime.verbs:
        pytest.skip(f"{ground.runtime.ref.kind} scales nothing")
    ground.daemon.run("shop-web-1", labels=replica(1))
    (row,) = (await ground.do(actions.ListServices(engine=ground.runtime.ref))).rows
    tight = registry.open_engine(
        registry.Door(
            kind=ground.runtime.ref.kind, url=ground.daemon.url, allow=("*.list", "service.scale", "container.start")
        )
    )
    try:
        call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=9), invocation="t")
        with pytest.raises(errors.Disallowed, match="container.stop"):
            await tight.run(actions.Scale(engine=tight.ref, target=row.ref, replicas=2), call)
        assert set(await ground.rows()) == {"shop-web-1"}
    finally:
        await tight.aclose()
