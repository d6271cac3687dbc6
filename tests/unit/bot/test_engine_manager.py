"""Engines that come and go while the process runs, on fake loop time: found, watched, refused, removed, and back."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from bot import engine_manager
from core import errors, metrics, supervise
from core.model import actions
from core.model.refs import EngineRef, Kind, Ref
from core.ports import Call, Query
from runtimes import engine_discovery, engine_registry
from runtimes.base.engine_options import EngineOptions
from runtimes.engine_registry import DefaultAddress, EngineKind
from runtimes.swarm import membership_tracker
from runtimes.swarm.json_models import SwarmManagerStatus
from tests.fake_engine.core import FakeEngine
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.watch_records import WatchRecords

pytestmark = pytest.mark.looptime
KINDS = {
    "docker": EngineKind("", (DefaultAddress("/var/run/docker.sock"), DefaultAddress("/var/run/other.sock", "other"))),
    "podman": EngineKind("", (DefaultAddress("/run/podman/podman.sock"),)),
    "containerd": EngineKind("", (DefaultAddress("/run/containerd.sock"),)),
}
DOCKER, OTHER, PODMAN = "/var/run/docker.sock", "/var/run/other.sock", "/run/podman/podman.sock"
EACH = engine_manager.DISCOVERY_SECONDS + 1


class Adapter(FakeRuntime):
    """A fake engine at a socket of the machine: it answers while a daemon runs there."""

    def __init__(self, machine: Machine, kind: str, url: str, options: EngineOptions) -> None:
        FakeEngine.__init__(self, host="h", kind=kind, name=options.name, allow=options.allow)
        assert options.identity is not None
        self.machine, self.path, self.identity = machine, url.removeprefix("unix://"), options.identity
        self.watched_kinds = options.watched_kinds
        self.engine_id = ""
        self.closed = 0
        self.on_membership: Callable[[SwarmManagerStatus], None] = lambda membership: None
        self.part = SwarmManagerStatus(manager=False)
        self.address, self.api = url, "1.41"

    async def _answer(self, what: str, seconds: float) -> None:
        daemon = self.machine.daemons.get(os.path.realpath(self.path))
        self.reachable = daemon is not None
        await super()._answer(what, seconds)
        assert daemon is not None
        self.identity.enter(f"unix://{self.path}", daemon, self.ref)
        self.engine_id = daemon

    async def aclose(self) -> None:
        self.closed += 1
        await super().aclose()

    def permits(self, verb: str) -> bool:
        return True

    async def meet(self, seconds: float) -> None:
        self.on_membership(await self.membership(seconds))

    async def membership(self, seconds: float) -> SwarmManagerStatus:
        await self._answer("swarm", seconds)
        return self.part

    async def ask(self, method: str, target: str, seconds: float, *, body: Any = None, image: str = "") -> Any:
        raise errors.Unreachable("It has no Swarm's API.")

    stream = ask


class Machine(WatchRecords):
    """Files and daemons; `opened` are all adapters ever opened here."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.root = root
        self.daemons: dict[str, str] = {}
        self.opened: list[Adapter] = []
        monkeypatch.setattr(engine_registry, "KINDS", KINDS)
        monkeypatch.setattr(
            engine_registry, "engine_class", lambda kind: lambda url, options: self._open(kind, url, options)
        )
        monkeypatch.setattr(engine_discovery, "DEFAULT_DOCKER_URL", f"unix://{root}{DOCKER}")

    def _open(self, kind: str, url: str, options: EngineOptions) -> Adapter:
        self.opened.append(Adapter(self, kind, url, options))
        return self.opened[-1]

    def socket(self, path: str) -> Path:
        place = Path(f"{self.root}{path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
        return place

    def start(self, path: str, daemon: str) -> None:
        self.daemons[os.path.realpath(self.socket(path))] = daemon

    def stop(self, path: str) -> None:
        """As systemd does it: the daemon ends, and its socket is gone."""
        place = Path(f"{self.root}{path}")
        self.daemons.pop(os.path.realpath(place), None)
        place.unlink()
        for adapter in self.opened:
            adapter.cut()


class Process:
    def __init__(self, machine: Machine, supervisor: supervise.Supervisor, *, watch: bool = True) -> None:
        self.machine = machine
        self.counts = metrics.Metrics()
        self.supervisor = supervisor
        search = engine_discovery.Discovery({}, str(machine.root))
        self.engines = engine_manager.EngineManager(
            builtin=FakeRuntime(kind="bot"),
            supervisor=supervisor,
            counts=self.counts,
            cursors=machine,
            history=machine,
            watch=watch,
            discovery=search,
        )
        self.engines.add_all(search.look())
        self.engines.keep_current()

    @property
    def names(self) -> Sequence[str]:
        return [str(runtime.ref) for runtime in self.engines.fleet.runtimes]

    @property
    def live(self) -> Sequence[str]:
        return [str(mirror.ref) for mirror in self.engines.mirrors if mirror.live]

    def series(self, engine: str) -> Sequence[str]:
        """The names of all series that carry this engine."""
        found = [sample for family in self.counts.registry.collect() for sample in family.samples]
        return [sample.name for sample in found if sample.labels.get("engine") == engine]


def call() -> Call:
    return Call(id="1", who="test", deadline=datetime.now(UTC) + timedelta(hours=1), invocation="")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


@contextlib.asynccontextmanager
async def running(machine: Machine, *, watch: bool = True) -> AsyncIterator[Process]:
    async with supervise.Supervisor() as supervisor:
        yield Process(machine, supervisor, watch=watch)
    assert all(adapter.closed == 1 for adapter in machine.opened)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_an_engine_that_appears_is_watched_and_listed(machine: Machine) -> None:
    async with running(machine) as process:
        assert process.names == ["docker/h"]  # waited for where there is nothing
        await asyncio.sleep(60)
        assert process.live == []
        machine.start(PODMAN, "p1")
        await asyncio.sleep(EACH)
        # Docker never answered and its socket does not exist: it was a guess.
        assert process.names == process.live == ["podman/h"]
        machine.opened[-1].add("web")
        await asyncio.sleep(1)
        listed = await process.engines.fleet.list_rows(Query(), call())
        assert [row.ref.name for row in listed.rows] == ["web"] and not listed.missing
        assert process.series("docker") == []
        assert "quarterdeck_stream_up" in process.series("podman")
        machine.start(DOCKER, "d1")
        await asyncio.sleep(EACH)
        assert process.names == process.live == ["podman/h", "docker/h"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket away")
async def test_a_user_s_engine_that_answers_first_with_another_s_identity_is_refused_when_that_one_answers(
    machine: Machine,
) -> None:
    machine.start(PODMAN, "d1")
    os.chown(f"{machine.root}{PODMAN}", 12345, -1)
    async with running(machine) as process:
        await asyncio.sleep(EACH)
        assert process.live == ["podman/h"]
        liar = machine.opened[-1]
        machine.start(DOCKER, "d1")
        await asyncio.sleep(EACH + 60)
        assert process.live == ["docker/h"]
        assert liar.closed == 1  # nothing of its stream is left
        with pytest.raises(errors.DuplicateEngine, match="are the same engine"):
            await process.engines.fleet.run(
                actions.ListContainers(engine=EngineRef(host="h", kind="podman"), fresh=True), call()
            )


async def test_an_engine_that_stops_stays_visible_and_comes_back(machine: Machine) -> None:
    machine.start(DOCKER, "d1")
    async with running(machine) as process:
        await asyncio.sleep(5)
        assert process.live == ["docker/h"]
        machine.stop(DOCKER)
        await asyncio.sleep(600)
        assert process.names == ["docker/h"] and process.live == []
        listed = await process.engines.fleet.list_rows(Query(), call())
        assert list(map(str, listed.missing)) == ["docker/h"]
        machine.start(DOCKER, "d1")
        await asyncio.sleep(60)
        assert process.live == ["docker/h"]
        assert len(machine.opened) == 1


async def test_a_socket_that_never_answered_is_removed_with_its_file(machine: Machine) -> None:
    machine.start(DOCKER, "d1")
    async with running(machine) as process:
        await asyncio.sleep(5)
        before = len(asyncio.all_tasks())
        for _ in range(100):
            place = machine.socket(PODMAN)
            await asyncio.sleep(EACH)
            assert process.names == ["docker/h", "podman/h"] and process.live == ["docker/h"]
            place.unlink()
            await asyncio.sleep(EACH)
            assert process.names == process.live == ["docker/h"]
            assert process.series("podman") == []
        assert len(asyncio.all_tasks()) <= before + 1  # it may be closing one
        assert len(process.supervisor._background) == 5


async def test_a_path_that_comes_to_lead_to_another_engine_is_that_engine(machine: Machine) -> None:
    """podman-docker takes Docker's socket over, again and again."""
    machine.start(DOCKER, "d1")
    machine.start(PODMAN, "p1")
    docker_file = Path(f"{machine.root}{DOCKER}")
    async with running(machine) as process:
        await asyncio.sleep(1)  # so that no search is at the very moment of a change
        for _ in range(30):
            await asyncio.sleep(EACH + 62)
            assert sorted(process.live) == ["docker/h", "podman/h"]
            machine.stop(DOCKER)
            docker_file.symlink_to(f"{machine.root}{PODMAN}")
            await asyncio.sleep(EACH + 62)
            assert process.names == process.live == ["podman/h"]
            docker_file.unlink()
            machine.start(DOCKER, "d1")
    # One adapter each time; what it knew is stored under the daemon's own id.
    assert len(machine.opened) == 31
    assert set(machine.kept) == {"d1", "p1"}


async def test_two_sockets_of_one_daemon_are_one_engine(machine: Machine) -> None:
    machine.start(DOCKER, "d1")
    async with running(machine) as process:
        await asyncio.sleep(5)
        machine.start(OTHER, "d1")
        await asyncio.sleep(EACH + 60)
        assert process.names == ["docker/h", "docker/h/other"] and process.live == ["docker/h"]
        # The daemon moved: where the first socket is gone, the other one is not refused for ever.
        machine.stop(DOCKER)
        await asyncio.sleep(EACH + 60)
        assert process.live == ["docker/h/other"]
        # And where the first one is back it is the one too many.
        machine.start(DOCKER, "d1")
        await asyncio.sleep(EACH + 60)
        assert process.live == ["docker/h/other"]


async def test_engines_know_the_kinds_beside_them_as_they_come_and_go(machine: Machine) -> None:
    machine.start("/run/containerd.sock", "c1")
    async with running(machine):
        (containerd,) = machine.opened
        assert set(containerd.watched_kinds) == set()
        place = machine.socket(DOCKER)
        await asyncio.sleep(EACH)
        assert set(containerd.watched_kinds) == {"docker"}
        place.unlink()
        await asyncio.sleep(EACH)
        assert set(containerd.watched_kinds) == set()


async def test_a_command_that_runs_while_its_engine_is_removed_gets_a_sentence(machine: Machine) -> None:
    machine.start(DOCKER, "d1")
    machine.start(PODMAN, "p1")
    async with running(machine, watch=False) as process:
        fleet, (engine, _) = process.engines.fleet, machine.opened
        ref = engine.add("web")
        engine.slow = 20.0
        read = asyncio.create_task(fleet.run(actions.ReadLogs(engine=engine.ref, target=ref), call()))
        change = asyncio.create_task(fleet.run(actions.Stop(engine=engine.ref, target=ref, timeout=1), call()))
        listed = asyncio.create_task(fleet.list_rows(Query(), call()))
        await asyncio.sleep(1)

        async def broken(what: str, seconds: float) -> None:
            raise RuntimeError("the client is closed")

        Path(f"{machine.root}{DOCKER}").unlink()
        process.engines.remove(next(iter(process.engines._by_address)))
        engine._answer = broken  # type: ignore[method-assign]
        with pytest.raises(errors.NotFound, match="Quarterdeck does not watch docker/h now"):
            await read
        with pytest.raises(errors.Unreachable, match="stopped watching docker/h while") as caught:
            await change
        assert caught.value.sent
        assert (await listed).rows == [] and (await listed).missing == {}
        for action in (actions.ListContainers(engine=engine.ref), actions.DescribeEngine(engine=engine.ref)):
            with pytest.raises(errors.NotFound, match="Quarterdeck does not watch docker/h now"):
                await fleet.run(action, call())
        assert process.names == ["podman/h"]


async def test_a_change_that_had_left_when_its_engine_was_removed_is_unknown(machine: Machine) -> None:
    machine.start(DOCKER, "d1")
    async with running(machine, watch=False) as process:
        (engine,) = machine.opened
        target = Ref(engine=engine.ref, kind=Kind.CONTAINER, id="x", name="x")
        for error, sent in (
            (RuntimeError("the client is closed"), True),
            (errors.TimedOut("It did not answer.", sent=True), True),
            (errors.Unreachable("The connection was lost.", sent=False), False),
        ):

            async def failing(action: Any, call: Call, error: Exception = error) -> Any:
                await asyncio.sleep(1)
                raise error

            engine.run = failing  # type: ignore[method-assign]
            runtime = process.engines._members[engine].runtime
            process.engines.fleet._runtimes[:] = [runtime]
            change = asyncio.create_task(
                process.engines.fleet.run(actions.Kill(engine=engine.ref, target=target, signal="KILL"), call())
            )
            await asyncio.sleep(0.1)
            process.engines.fleet.remove(runtime)
            with pytest.raises(errors.Unreachable if sent else errors.NotFound) as caught:
                await change
            assert getattr(caught.value, "sent", False) is sent
        process.engines.fleet.add(runtime)


async def test_swarms_come_and_go_with_their_managers(machine: Machine) -> None:
    machine.start(DOCKER, "d1")
    async with running(machine) as process:
        await asyncio.sleep(5)
        (docker,) = machine.opened
        swarm = EngineRef(host="k1", kind="swarm")
        before = len(asyncio.all_tasks())
        for _ in range(100):
            docker.part = SwarmManagerStatus(manager=True, cluster="k1")
            await asyncio.sleep(membership_tracker.POLL_SECONDS + 1)
            assert process.names == ["docker/h", "swarm/k1"]
            process.engines.fleet.runtime(swarm)
            docker.part = SwarmManagerStatus(manager=False)
            await asyncio.sleep(membership_tracker.POLL_SECONDS + 1)
            assert process.names == ["docker/h"]
            with pytest.raises(errors.NotFound, match="Quarterdeck does not watch swarm/k1 now"):
                process.engines.fleet.runtime(swarm)
        await asyncio.sleep(2)
        assert process.series("swarm") == []
        assert len(asyncio.all_tasks()) == before


async def test_a_swarm_goes_with_the_daemon_it_was_known_by(machine: Machine) -> None:
    machine.start(DOCKER, "d1")
    machine.start(PODMAN, "p1")
    async with running(machine) as process:
        machine.opened[0].part = SwarmManagerStatus(manager=True, cluster="k1")
        await asyncio.sleep(membership_tracker.POLL_SECONDS + 1)
        assert process.names == ["docker/h", "podman/h", "swarm/k1"]
        machine.stop(DOCKER)
        await asyncio.sleep(60)
        assert process.names == ["docker/h", "podman/h", "swarm/k1"]  # down is not gone
        Path(f"{machine.root}{DOCKER}").symlink_to(f"{machine.root}{PODMAN}")
        await asyncio.sleep(EACH)
        assert process.names == ["podman/h"]


async def test_a_single_command_finds_what_is_there_at_its_start(machine: Machine) -> None:
    machine.start(DOCKER, "d1")
    async with supervise.Supervisor() as supervisor:
        process = Process(machine, supervisor, watch=False)
        machine.opened[0].part = SwarmManagerStatus(manager=True, cluster="k1")
        await process.engines.meet(3.0)
        assert process.names == ["docker/h", "swarm/k1"] and process.engines.mirrors == ()
        assert process.engines.refs == tuple(runtime.ref for runtime in process.engines.fleet.runtimes)


async def test_nothing_is_added_while_the_process_stops(machine: Machine) -> None:
    machine.start(DOCKER, "d1")
    async with supervise.Supervisor() as supervisor:
        process = Process(machine, supervisor)
        supervisor.stop()
        machine.start(PODMAN, "p1")
        process.engines.discover()
        assert process.names == ["docker/h"]


async def test_an_engine_that_does_not_close_holds_nobody_up(machine: Machine) -> None:
    machine.start(DOCKER, "d1")
    machine.start(PODMAN, "p1")
    async with supervise.Supervisor() as supervisor:
        Process(machine, supervisor)

        async def stuck() -> None:
            await asyncio.sleep(3600)

        machine.opened[0].aclose = stuck  # type: ignore[method-assign]
        began = asyncio.get_running_loop().time()
        await supervisor.aclose()
    assert asyncio.get_running_loop().time() - began < 10
    assert machine.opened[1].closed == 1


async def test_what_may_not_be_used_is_only_described_until_it_may(machine, monkeypatch):
    machine.start(DOCKER, "d1")
    machine.start("/run/containerd.sock", "c1")
    denied = {f"{machine.root}/run/containerd.sock"}
    monkeypatch.setattr(engine_discovery, "_may", lambda path, mode: str(path) not in denied)
    with structlog.testing.capture_logs() as logs:
        async with supervise.Supervisor() as supervisor:
            process = Process(machine, supervisor)
            await asyncio.sleep(10 * EACH)
            assert process.live == ["docker/h"]
            assert process.names == ["docker/h"]
            assert [str(ref.kind) for ref in process.engines.fleet.engines(Query())] == ["docker"]
            _, shown = process.engines.fleet.engines(Query(verb="engine.list"))
            told = await process.engines.fleet.run(actions.DescribeEngine(engine=shown), call())
            assert "may not use" in told.not_permitted
            rows = await process.engines.fleet.list_rows(Query(), call())
            assert not rows.missing
            assert not process.series("containerd")
            assert len(machine.opened) == 1  # it was never contacted
            denied.clear()
            await asyncio.sleep(EACH)
            assert process.live == ["docker/h", "containerd/h"]
            assert [str(ref) for ref in process.engines.fleet.engines(Query(verb="engine.list"))] == process.names
    assert sum("may not use" in line["event"] for line in logs) == 1


async def test_data_that_cannot_be_decoded_is_counted_for_its_engine(machine: Machine) -> None:
    machine.start(DOCKER, "d1")
    async with running(machine) as process:
        await asyncio.sleep(60)
        machine.opened[0].skipped.add("row", "it is no row", 2)
        labels = {"host": "h", "engine": "docker", "what": "row"}
        name = "quarterdeck_engine_data_skipped_total"
        assert process.counts.registry.get_sample_value(name, labels) == 2
