"""What only a real dockerd shows: OOM, more events missed than it remembers, death amid a command, closed doors."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import errors
from core.model import actions
from core.model.background_jobs import ReadJob
from core.model.create_container import CreateContainer
from core.model.events import EventKind, Origin
from core.model.replies import Status
from core.ports import Call
from runtimes import engine_registry
from tests.daemons.docker import IMAGE
from tests.helpers import hungry_container
from tests.helpers.socket_proxy import proxied
from tests.helpers.watch_records import WatchRecords
from tests.helpers.watched_engine import WatchedEngine


def watched(daemon, cursors=None):
    return WatchedEngine(engine_registry.EngineAddress(kind="docker", url=daemon.url), cursors)


async def test_a_container_out_of_memory_is_known_as_such(dockerd):
    async with watched(dockerd) as eye:
        limit = {"mem_limit": "16m", "memswap_limit": "16m"}
        await asyncio.to_thread(hungry_container.run, dockerd, "hungry", init=False, host=limit)
        await eye.until(lambda: (row := eye.row("hungry")) is not None and row.state == "exited" and row.oom_killed)
        assert eye.row("hungry").exit_code == 137
        assert EventKind.OOM in eye.kinds("hungry")


async def test_a_restart_policy_counts_restarts(dockerd):
    async with watched(dockerd) as eye:
        policy = {"Name": "on-failure", "MaximumRetryCount": 2}
        await asyncio.to_thread(dockerd.run, "flaky", "exit 4", host={"restart_policy": policy})
        await eye.until(lambda: (row := eye.row("flaky")) is not None and row.restarts == 2 and row.state == "exited")
        assert eye.row("flaky").exit_code == 4


async def test_more_missed_events_than_the_daemon_remembers_still_end_in_the_truth(dockerd):
    cursors = WatchRecords()
    dockerd.run("stays")
    dockerd.run("goes")
    async with watched(dockerd, cursors) as eye:
        await eye.until(lambda: eye.row("goes") is not None)
    assert cursors.kept

    def meanwhile():
        dockerd.api.remove_container("goes", force=True)
        dockerd.run("comes")
        # The daemon remembers 256 events of all kinds together; these are more.
        for number in range(280):
            dockerd.api.rename("stays" if number == 0 else f"stays-{number - 1}", f"stays-{number}")

    await asyncio.to_thread(meanwhile)
    async with watched(dockerd, cursors) as eye:
        await eye.until(lambda: eye.mirror.live and eye.row("comes") is not None)
        assert eye.row("goes") is None
        assert eye.row("stays-279").state == "running"


async def test_a_daemon_killed_and_back_is_resumed_and_its_dead_are_seen(own_dockerd):
    async with watched(own_dockerd) as eye:
        await asyncio.to_thread(own_dockerd.run, "web")
        await eye.until(lambda: (row := eye.row("web")) is not None and row.state == "running")
        await asyncio.to_thread(own_dockerd.kill)
        await eye.until(lambda: not eye.mirror.live)
        await asyncio.to_thread(own_dockerd.start)
        await eye.until(lambda: eye.mirror.live and eye.row("web").state == "exited")
        assert EventKind.DIED in eye.kinds("web")
        late = [event for event in eye.seen if event.subject.name == "web" and event.kind is EventKind.DIED]
        assert all(event.origin is not Origin.LIVE for event in late[-1:])


async def test_a_daemon_killed_in_the_middle_of_a_change_leaves_it_unknown(own_dockerd):
    own_dockerd.run("slow", "trap '' TERM; while :; do sleep 1; done", host={"init": False})
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url=own_dockerd.url))

    def call():
        return Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=60), invocation="t")

    (row,) = (await runtime.run(actions.ListContainers(engine=runtime.ref), call())).rows
    await asyncio.sleep(0.3)
    stop = actions.Stop(engine=runtime.ref, target=row.ref, timeout=30)
    task = asyncio.create_task(runtime.run(stop, call()))

    def being_stopped():
        events = own_dockerd.api.events(since=0, until=datetime.now(UTC).timestamp(), decode=True)
        return [event for event in events if event.get("Action") == "kill"]

    async with asyncio.timeout(60):
        while not await asyncio.to_thread(being_stopped):
            await asyncio.sleep(0.05)
    await asyncio.to_thread(own_dockerd.kill)
    with pytest.raises(errors.Unreachable) as caught:
        await task
    assert caught.value.sent
    await runtime.aclose()


@pytest.mark.parametrize("kind", ["docker", "podman"])
async def test_a_creation_whose_answer_is_lost_is_found_by_its_label_or_unknown(request, short_tmp, kind):
    daemon = request.getfixturevalue("dockerd" if kind == "docker" else "podmand")
    with proxied(daemon.socket, short_tmp / "between.sock") as between:
        runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind=kind, url=between.url))
        found = await created(runtime, between, "found", (b"/containers/create",))
        assert found.status == Status.DONE and "the container was found by its label" in found.detail, found
        unknown = await created(runtime, between, "unknown", (b"/containers/create", b"quarterdeck.request"))
        assert unknown.status == Status.UNKNOWN, unknown
        assert "ps -a --label quarterdeck.request=unknown" in unknown.detail
        between.lost = ()
        rows = (await runtime.run(actions.ListContainers(engine=runtime.ref), call("look"))).rows
        labels = {row.ref.name: row.labels["quarterdeck.request"] for row in rows}
        assert labels == {"found": "found", "unknown": "unknown"}
        await runtime.aclose()


def call(name):
    return Call(id=name, who="t", deadline=datetime.now(UTC) + timedelta(seconds=60), invocation=name)


async def created(runtime, between, name, lost):
    """How a creation ends when these answers are lost."""
    between.lost = ()
    await runtime.run(actions.DescribeEngine(engine=runtime.ref), call("meet"))
    between.lost = lost
    action = CreateContainer(
        engine=runtime.ref, image=IMAGE, name=name, command=("sleep", "60"), network="none", pull="never", start=False
    )
    job, cursor = (await runtime.run(action, call(name))).job, ""
    async with asyncio.timeout(60):
        while True:
            page = await runtime.run(ReadJob(engine=runtime.ref, job=job, cursor=cursor, wait=1.0), call("read"))
            cursor = page.cursor
            if page.outcome is not None:
                return page.outcome


def test_a_socket_without_permission_says_which_group_gives_it(dockerd):
    dockerd.socket.chmod(0o660)
    dockerd.root.chmod(0o755)
    script = (
        "import asyncio, os\n"
        "from datetime import UTC, datetime, timedelta\n"
        "from core import errors\n"
        "from core.model import actions\n"
        "from core.ports import Call\n"
        "from runtimes import engine_registry as registry\n"
        "from runtimes.transport import connect\n"
        "connect.in_container = lambda: False\n"  # as which some machines of CI count
        "async def main():\n"
        f"    runtime = registry.open_engine(registry.EngineAddress(kind='docker', url='{dockerd.url}'))\n"
        "    call = Call(id='t', who='t', deadline=datetime.now(UTC) + timedelta(seconds=9), invocation='t')\n"
        # Another user, once all is loaded: they need not be able to read this checkout.
        "    os.setgroups([]), os.setgid(65534), os.setuid(65534)\n"
        "    try:\n"
        "        await runtime.run(actions.ListContainers(engine=runtime.ref), call)\n"
        "    except errors.Unreachable as error:\n"
        "        print(error.full_message())\n"
        "    await runtime.aclose()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=Path.cwd(), capture_output=True, text=True, check=False, timeout=60
    )
    group = dockerd.socket.group()
    assert f"the group {group} may use the engine socket" in done.stdout, done.stdout + done.stderr
    assert "Join the group" in done.stdout
