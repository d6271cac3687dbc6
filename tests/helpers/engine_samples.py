"""What engines report only from time to time, as samples for the metrics page: resources, disk use, units, a Swarm."""

from __future__ import annotations

from core.model.disk_use import DiskUse, Filesystem, ResourceCounts
from core.model.refs import Kind, Ref
from core.model.swarm_status import NodeState, ServiceState, SwarmState
from core.model.units import Unit
from runtimes.inventory.mirror import Mirror
from tests.fake_engine.engine import FakeRuntime


class FakeSwarm(FakeRuntime):
    """An engine that is a Swarm, in the state that the test gives it."""

    state: SwarmState | None = None

    def swarm_state(self) -> SwarmState | None:
        return self.state


def fill_resources(mirror: Mirror, now: float) -> None:
    found = mirror.resources
    found.counts, found.counts_at = ResourceCounts(images=7, dangling_images=2, volumes=3, networks=4), now
    found.disk_use_interval = 900.0
    found.disk_use = DiskUse(
        images=1_000_000,
        volumes=2_000_000,
        unused_volumes=1,
        build_cache=3_000_000,
        writable=4_000_000,
        read_at=now - 60,
        took=1.5,
    )
    found.filesystem = Filesystem(size=100_000_000, free=40_000_000)


def fill_units(mirror: Mirror, now: float) -> None:
    rows = []
    for name, active in (("web.service", "active"), ("job.service", "failed")):
        ref = Ref(engine=mirror.ref, kind=Kind.UNIT, id=name, name=name)
        rows.append(Unit(ref=ref, active=active, sub="", container=name.partition(".")[0]))
    mirror.resources.units, mirror.resources.units_at = tuple(rows), now


def swarm_mirror(host: str, now: float, state: SwarmState | None = None) -> Mirror:
    engine = FakeSwarm(host, kind="swarm", lacks=("container.list",))
    engine.state = state or swarm_state(now)
    mirror = Mirror(engine, now=lambda: now)
    mirror.stream_opened(0)
    mirror.replace((), 1)
    return mirror


def swarm_state(now: float) -> SwarmState:
    return SwarmState(
        services=(
            ServiceState("s1" * 12, "shop_web", "replicated", "shop", desired=3, running=2, update="rollback_started"),
            ServiceState("s2" * 12, "logger", "global", "", desired=2, running=2),
        ),
        nodes=(
            NodeState("n1" * 12, "host1", "manager", "ready", "active", reachability="reachable", leader=True),
            NodeState("n2" * 12, "host2", "worker", "down", "drain"),
        ),
        read_at=now,
    )
