"""Swarms of private daemons, for tests of what they run: made and looked at by docker-py, on the hosts' own network,
which needs no address."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import docker

from runtimes import engine_registry
from runtimes.inventory.fleet import Fleet
from runtimes.swarm import membership_tracker
from tests.daemons.docker import IMAGE, Dockerd, private_dockerd
from tests.helpers.waiting import free_tcp_port, wait_for

HEARTBEAT_NS = 1_000_000_000  # instead of five seconds
SLEEP = ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"]


class Cluster:
    """One manager of its own Swarm; `join` adds further nodes, each on a loopback address of its own."""

    def __init__(self, daemon):
        self.daemon, self.api = daemon, daemon.api
        self.daemons = [daemon]
        self.address = f"127.0.0.1:{free_tcp_port()}"
        self.api.init_swarm(
            advertise_addr=self.address,
            listen_addr=self.address,
            default_addr_pool=["10.77.0.0/16"],
            # A node that is silent for three of these is down.
            swarm_spec=self.api.create_swarm_spec(dispatcher_heartbeat_period=HEARTBEAT_NS),
        )

    @property
    def id(self):
        return self.api.inspect_swarm()["ID"]

    def join(self, daemon, role="Manager"):
        self.daemons.append(daemon)
        here = f"127.0.0.{len(self.daemons)}:{free_tcp_port()}"
        token = self.api.inspect_swarm()["JoinTokens"][role]
        daemon.api.join_swarm([self.address], token, listen_addr=here, advertise_addr=here)
        wait_for("the node", lambda: self.nodes().get(daemon.host, {}).get("Status", {}).get("State") == "ready")

    def nodes(self):
        return {node["Description"].get("Hostname"): node for node in self.api.nodes()}

    def serve(
        self,
        name,
        command=SLEEP,
        *,
        replicas=1,
        labels=None,
        mode=None,
        constraints=(),
        update=None,
        grace=None,
        **more,
    ):
        seconds = grace and grace * 1_000_000_000
        template = docker.types.TaskTemplate(
            docker.types.ContainerSpec(IMAGE, command=command, labels={"in": "side"}, stop_grace_period=seconds),
            placement=docker.types.Placement(constraints=list(constraints)),
            restart_policy=docker.types.RestartPolicy(condition="any", delay=200_000_000),
            networks=["host"],
            **more,
        )
        mode = mode or docker.types.ServiceMode("replicated", replicas)
        made = self.api.create_service(
            template, name, labels, mode, endpoint_spec=docker.types.EndpointSpec(mode="dnsrr"), update_config=update
        )
        return made["ID"]

    def states(self, name):
        return sorted(task["Status"]["State"] for task in self.api.tasks({"service": name, "desired-state": "running"}))

    def clear(self):
        for one in self.api.services():
            self.api.remove_service(one["ID"])
        wait_for("the tasks to end", lambda: not self.api.containers(all=True))


@contextlib.contextmanager
def private_swarm() -> Iterator[Cluster]:
    """Of one daemon."""
    with private_dockerd() as daemon:
        try:
            yield Cluster(daemon)
        finally:
            daemon.api.leave_swarm(force=True)


@contextlib.contextmanager
def three_managers() -> Iterator[Cluster]:
    """`daemons[0]` leads at first. Those that are killed are swept up all the same."""
    with contextlib.ExitStack() as stack:
        with ThreadPoolExecutor() as pool:
            daemons = list(pool.map(lambda name: stack.enter_context(private_dockerd(host=name)), ("m1", "m2", "m3")))
        cluster = Cluster(daemons[0])
        for daemon in daemons[1:]:
            cluster.join(daemon)
        yield cluster
        for daemon in daemons:
            if daemon.process.poll() is None:
                daemon.kill()  # to leave a Swarm without a leader takes ten seconds


class Opened:
    """What a process makes of these daemons: their engines, and the Swarms that they turn out to manage, which are
    members of `fleet` as long as they do."""

    def __init__(self, *daemons: Dockerd, allow=("*", "host.reach")) -> None:
        registry = engine_registry.EngineRegistry()
        self.tracker = membership_tracker.MembershipTracker(self._opened, self._removed)
        self.fleet = Fleet()
        self.daemons, self.removed = [], []
        for number, daemon in enumerate(daemons, 1):
            address = engine_registry.EngineAddress(kind="docker", url=daemon.url, name=f"d{number}", allow=allow)
            self.daemons.append(registry.open(address))
            self.fleet.add(self.daemons[-1])
            self.tracker.add(self.daemons[-1])

    def _opened(self, swarm) -> None:
        self.fleet.add(swarm)

    def _removed(self, swarm) -> None:
        self.fleet.remove(swarm)
        self.removed.append(swarm)

    async def meet(self):
        await self.tracker.meet(60.0)
        return self

    @property
    def all(self):
        """All engines there are now."""
        return self.fleet.runtimes

    @property
    def swarm(self):
        """The one Swarm there is."""
        (engine,) = self.tracker.swarms
        return engine

    async def aclose(self):
        for engine in (*self.all, *self.removed):
            await engine.aclose()
