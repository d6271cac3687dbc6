"""What every Runtime promises, held against each real engine. A new engine adds one line to grounds.py."""

import asyncio
import dataclasses
import fnmatch
import re
import time
from datetime import UTC, datetime, timedelta

import pytest

from core import errors
from core.model import actions, event_actions
from core.model.background_jobs import JobStarted, ReadJob
from core.model.events import EventKind
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Status
from core.ports import Call
from runtimes import engine_registry
from tests.contract.grounds import FIELDS, READY, Ground, capable, over
from tests.helpers.deadlines import sent_in_vain


@over(actions.ListContainers)
async def test_a_list_tells_what_is_there(ground):
    ground.daemon.run(
        "up", labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "a": "b"}
    )
    ground.daemon.run("made", start=False)
    gone = ground.daemon.run("ended", "exit 3")
    ground.daemon.wait("ended")
    rows = await ground.rows()
    assert {name: row.state for name, row in rows.items()} == {"up": "running", "made": "created", "ended": "exited"}
    assert rows["up"].project == "shop"
    assert rows["up"].service == "web"
    assert rows["up"].labels["a"] == "b"
    assert rows["up"].status.startswith("Up ")
    assert rows["ended"].exit_code == (None if "exit codes" in ground.lacks else 3)
    assert rows["ended"].ref.id == gone
    assert rows["up"].ref.engine == ground.runtime.ref
    assert abs(rows["up"].created_at - time.time()) < 120


@over(actions.DescribeEngine)
async def test_an_engine_tells_about_itself_and_one_that_is_away_tells_why(ground):
    ground.daemon.run("up")
    ground.daemon.run("made", start=False)
    told = await ground.do(actions.DescribeEngine(engine=ground.runtime.ref))
    assert (told.ref, told.verbs) == (ground.runtime.ref, tuple(sorted(ground.runtime.verbs)))
    assert (told.containers, told.running, told.fault) == (2, 1, "")
    assert told.version == ground.daemon.version()
    assert told.system.startswith("linux/")
    assert told.storage or "storage" in ground.lacks
    assert told.cgroup in ("1", "2") or "cgroup" in ground.lacks
    away = ground.away()
    told = await Ground(away, ground.daemon).do(actions.DescribeEngine(engine=away.ref))
    assert "/nowhere/e.sock" in told.fault
    assert told.address.endswith("/nowhere/e.sock")
    assert told.verbs
    assert told.containers is None
    await away.aclose()


@over(actions.ListContainers)
async def test_describe_knows_the_details_and_what_is_gone(ground):
    up = ground.daemon.run("up")
    ended = ground.daemon.run("ended", "exit 3")
    ground.daemon.wait("ended")
    gone = up[:-8] + "ffffffff"  # of the form its ids have
    found = await ground.runtime.describe([up, ended, gone], 60)
    assert found[gone] is None
    assert (found[up].state, found[up].exit_code, found[up].restarts, found[up].oom_killed) == (
        "running",
        None,
        0,
        False,
    )
    assert found[up].started_at is not None
    assert found[ended].exit_code == (None if "exit codes" in ground.lacks else 3)
    # An engine has been seen to let a short run end half a millisecond before it began.
    if "times of an end" not in ground.lacks:
        assert abs(found[ended].finished_at - found[ended].started_at) < 30
    assert found[up].ref == (await ground.rows())["up"].ref
    assert ground.runtime.engine_id


@over(actions.InspectContainer)
async def test_inspection_hides_the_values_of_the_environment(ground):
    ground.daemon.run("up", environment={"DB_PASSWORD": "hunter2", "PLAIN": "hunter3"})
    document = await ground.do(actions.InspectContainer(engine=ground.runtime.ref, target=await ground.ref("up")))
    assert "hunter" not in repr(document.data)
    assert "DB_PASSWORD" in repr(document.data)
    assert document.ref.name == ground.called("up")


NOUNS = {"container", "image", "pod", "node", "task", "service", "stack", "swarm", "unit", "network", "volume"}
CHANGES = [
    (actions.Start, "created", "running", Status.NOOP),
    (actions.Start, "exited", "running", Status.NOOP),
    (actions.Stop, "running", "exited", Status.NOOP),
    (actions.Restart, "running", "running", Status.DONE),
    (actions.Pause, "running", "paused", Status.NOOP),
    (actions.Unpause, "paused", "running", Status.NOOP),
]


@pytest.mark.parametrize(
    ("ground", "change", "before", "after", "again"),
    [
        pytest.param(name, *change, id=f"{name}-{change[0].verb.partition('.')[2]}-{change[1]}")
        for change in CHANGES
        for name in capable(change[0])
        if not (change[:2] == (actions.Start, "exited") and "another run" in FIELDS[name].lacks)
    ],
    indirect=["ground"],
)
async def test_changes_change_and_say_when_there_was_nothing_to_do(ground, change, before, after, again):
    ground.daemon.run("it", start=before != "created")
    if before == "exited":
        ground.daemon.stop("it")
    if "paused" in (before, after):
        engine = await ground.do(actions.DescribeEngine(engine=ground.runtime.ref))
        if "pauses" in ground.lacks and engine.cgroup == "1":
            action = actions.Pause(engine=ground.runtime.ref, target=await ground.ref("it"))
            with pytest.raises(errors.Unsupported, match="cgroup v2"):
                await ground.do(action)
            return
    if before == "paused":
        ground.daemon.pause("it")
    action = change(engine=ground.runtime.ref, target=await ground.ref("it"))
    started = ground.daemon.started("it") if before != "created" else ""
    outcome = await ground.do(action)
    assert outcome.status == Status.DONE
    assert outcome.took > 0
    assert ground.daemon.status("it") == after
    assert (await ground.do(action)).status == again
    if change is actions.Restart:
        assert ground.daemon.started("it") != started


@over(actions.Kill)
async def test_kill_sends_the_signal_it_was_given(ground):
    ground.daemon.run("it", f"trap 'echo caught; exit 7' USR1; {READY}; while :; do sleep 0.05; done", init=False)
    target = await ground.ref("it")
    await ground.until_ready(target)
    await ground.do(actions.Kill(engine=ground.runtime.ref, target=target, signal="USR1"))
    assert await asyncio.to_thread(ground.daemon.wait, "it") == 7
    with pytest.raises(errors.Rejected):
        await ground.do(actions.Kill(engine=ground.runtime.ref, target=target))


@over(actions.Remove)
async def test_remove_refuses_what_runs_unless_forced(ground):
    ground.daemon.run("it")
    target = await ground.ref("it")
    with pytest.raises(errors.Rejected):
        await ground.do(actions.Remove(engine=ground.runtime.ref, target=target))
    assert "it" in await ground.rows()
    assert (await ground.do(actions.Remove(engine=ground.runtime.ref, target=target, force=True))).status == Status.DONE
    assert "it" not in await ground.rows()
    with pytest.raises(errors.NotFound, match=f"has no container {re.escape(target.name)}"):
        await ground.do(actions.Remove(engine=ground.runtime.ref, target=target))


@over(actions.ReadLogs)
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
    await asyncio.to_thread(ground.daemon.exec, "it", ["/bin/sh", "-c", ": > /go"])
    more = ()
    while not more:
        more = (await page(cursor=first.cursor)).lines
    assert [line.text for line in more] == ["later"]


@over(actions.ReadLogs)
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


class Hearing:
    """All events of an engine from now on."""

    def __init__(self, ground):
        self.ground, self.events, self.standing = ground, [], asyncio.Event()

    async def __aenter__(self):
        self.task = asyncio.create_task(self._listen())
        await asyncio.wait_for(self.standing.wait(), 60)
        return self

    async def __aexit__(self, *error):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _listen(self):
        async for batch in self.ground.runtime.events(None):
            self.standing.set()
            self.events.extend(batch)

    async def of(self, kind, container):
        """The first of this kind about it."""
        async with asyncio.timeout(60):
            while True:
                for event in self.events:
                    if event.kind is kind and event.subject.id == container:
                        return event
                await asyncio.sleep(0.01)


@over(actions.ListContainers)
async def test_events_come_live(ground):
    async with Hearing(ground) as heard:
        container = await asyncio.to_thread(ground.daemon.run, "it", "sleep 1; exit 9")
        died = await heard.of(EventKind.DIED, container)
        if "exit codes" not in ground.lacks:
            assert died.attrs["exit_code"] == "9"
        assert (died.subject.name, died.subject.kind) == (ground.called("it"), Kind.CONTAINER)
        assert died.subject == await ground.ref("it")
        assert abs(died.at_ns / 1e9 - time.time()) < 60
        for kind in (EventKind.CREATED, EventKind.STARTED):
            assert (await heard.of(kind, container)).at_ns <= died.at_ns
        await asyncio.to_thread(ground.daemon.remove, "it")
        await heard.of(EventKind.REMOVED, container)


@over(event_actions.ListEvents)
async def test_events_are_replayed_inclusively(ground):
    async with Hearing(ground) as heard:
        container = await asyncio.to_thread(ground.daemon.run, "it", "exit 9")
        died = await heard.of(EventKind.DIED, container)
    again = await ground.do(event_actions.ListEvents(engine=ground.runtime.ref, since_ns=died.at_ns))
    assert died.identity() in [event.identity() for event in again.rows]
    assert all(event.at_ns >= died.at_ns for event in again.rows)
    later = await ground.do(event_actions.ListEvents(engine=ground.runtime.ref, since_ns=died.at_ns + 1))
    assert died.identity() not in [event.identity() for event in later.rows]
    # Where the engine itself remembers events, it says since when; an older time is found in a longer memory.
    asked = event_actions.ListEvents(engine=ground.runtime.ref, since_ns=died.at_ns + 1, coverage=True)
    covered = await ground.do(asked)
    assert died.identity() not in [event.identity() for event in covered.rows]
    if ground.runtime.ref.kind in ("docker", "podman"):
        assert 0 < covered.coverage.remembered_ns <= died.at_ns


@over(actions.Stop)
async def test_what_an_engine_lacks_or_its_owner_forbids_is_refused_by_name(ground):
    from core.model import bot_actions

    with pytest.raises(errors.Unsupported, match="help.show"):
        await ground.do(bot_actions.ShowHelp())
    ground.daemon.run("it")
    tight = ground.again(allow=("*.list", "container.logs"))
    try:
        # Reading and ending a job is part of what began it.
        allowed = ("*.list", "container.logs", "job.*")
        assert tight.verbs == {verb for verb in ground.runtime.verbs if any(fnmatch.fnmatch(verb, a) for a in allowed)}
        call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=9), invocation="t")
        with pytest.raises(errors.Disallowed, match="container.stop"):
            await tight.run(actions.Stop(engine=tight.ref, target=await ground.ref("it")), call)
    finally:
        await tight.aclose()
    assert ground.daemon.status("it") == "running"


@over(actions.Stop)
async def test_no_time_left_means_nothing_is_sent(ground):
    ground.daemon.run("it")
    target = await ground.ref("it")
    with pytest.raises(errors.TimedOut) as caught:
        await ground.do(actions.Stop(engine=ground.runtime.ref, target=target), seconds=-1)
    assert not caught.value.sent
    assert ground.daemon.status("it") == "running"


@over(actions.Stop)
async def test_a_deadline_that_passes_meanwhile_is_said_to_have_been_sent(ground):
    ground.daemon.run("it", f"trap '' TERM; {READY}; while :; do sleep 1; done", init=False)
    target = await ground.ref("it")
    await ground.until_ready(target)
    stop = actions.Stop(engine=ground.runtime.ref, target=target, timeout=30)
    await sent_in_vain(lambda seconds: ground.do(stop, seconds=seconds), 1.0)


@pytest.mark.parametrize("kind", list(engine_registry.KINDS))
async def test_an_engine_that_is_not_there_is_a_sentence_with_its_cure(kind, tmp_path):
    folder = any(default.is_directory for default in engine_registry.KINDS[kind].default_addresses)
    url = f"{'file' if folder else 'unix'}://{tmp_path}/none.sock"
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind=kind, url=url))
    call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=9), invocation="t")
    with pytest.raises(errors.Unreachable) as caught:
        await runtime.run(actions.ListContainers(engine=runtime.ref), call)
    assert "none.sock" in caught.value.full_message()
    assert caught.value.hint
    target = Ref(engine=EngineRef(host="x", kind=kind), kind=Kind.CONTAINER, id="a" * 64, name="it")
    with pytest.raises(errors.Unreachable) as caught:
        await runtime.run(actions.Stop(engine=runtime.ref, target=target), call)
    assert not caught.value.sent
    await runtime.aclose()


@pytest.mark.parametrize("kind", list(engine_registry.KINDS))
async def test_what_comes_nearest_is_said_of_every_verb_an_engine_lacks(kind):
    folder = any(default.is_directory for default in engine_registry.KINDS[kind].default_addresses)
    runtime = engine_registry.open_engine(
        engine_registry.EngineAddress(kind=kind, url=f"{'file' if folder else 'unix'}:///none.sock")
    )
    lacking = [action for action in actions.all_actions() if action.verb.partition(".")[0] in NOUNS]
    lacking = [action for action in lacking if action not in runtime._table]
    ref = Ref(engine=runtime.ref, kind=Kind.CONTAINER, id="a", name="it")
    call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=9), invocation="t")
    for action in lacking:
        fields = {field.name for field in dataclasses.fields(action)}
        given = {"image": "i", "name": "n", "command": ("c",), "tag": "t", "replicas": 1, "target": ref, "network": ref}
        given |= {"path": "/etc/hosts", "term": "nginx"}
        made = action(engine=runtime.ref, **{name: value for name, value in given.items() if name in fields})
        with pytest.raises(errors.Unsupported) as caught:
            await runtime.run(made, call)
        assert action.verb in caught.value.full_message()
        assert caught.value.hint
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
    assert isinstance(started, JobStarted)
    cursor, told = "", []
    while True:
        page = await ground.do(ReadJob(engine=ground.runtime.ref, job=started.job, cursor=cursor, wait=1.0))
        cursor = page.cursor
        told += [page.progress] if page.progress and page.progress not in told else []
        if page.outcome is not None:
            return page.outcome, told


@over(actions.ListServices)
async def test_services_are_what_several_alike_are_replicas_of(ground):
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


@over(actions.ListServices, actions.Scale)
async def test_scaling_makes_like_ones_and_takes_the_newest_away(ground):
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


@over(actions.ListServices, actions.Scale)
async def test_a_host_that_forbids_a_step_forbids_the_whole(ground):
    ground.daemon.run("shop-web-1", labels=replica(1))
    (row,) = (await ground.do(actions.ListServices(engine=ground.runtime.ref))).rows
    tight = ground.again(allow=("*.list", "service.scale", "container.start"))
    try:
        call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=9), invocation="t")
        with pytest.raises(errors.Disallowed, match="container.stop"):
            await tight.run(actions.Scale(engine=tight.ref, target=row.ref, replicas=2), call)
        assert set(await ground.rows()) == {"shop-web-1"}
    finally:
        await tight.aclose()
