"""Swarms of private daemons, for tests of what they run: made and looked at by docker-py, on the hosts' own network,
which needs no address."""

import contextlib
from collections.abc import Iterator

import docker

from runtimes import registry as runtimes_registry
from tests.daemons.docker import IMAGE, Dockerd, private_dockerd
from tests.helpers.waiting import free_tcp_port, wait_for

SLEEP = ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"]


class Cluster:
    """One manager of its own Swarm; `join` adds further nodes, each on a loopback address of its own."""

    def __init__(self, daemon):
        self.daemon, self.api = daemon, daemon.api
        self.daemons = [daemon]
        self.address = f"127.0.0.1:{free_tcp_port()}"
        self.api.init_swarm(advertise_addr=self.address, listen_addr=self.address, default_addr_pool=["10.77.0.0/16"])

    @property
    def id(self):
        return self.api.inspect_swarm()["ID"]

    def join(self, daemon, role="Manager"):
        self.daemons.append(daemon)
        here = f"127.0.0.{len(self.daemons)}:{free_tcp_port()}"
        token = self.api.inspect_swarm()["JoinTokens"][role]
        daemon.api.join_swarm([self.address], token, listen_addr=here, advertise_addr=here)
        wait_for("the node", lambda: self.nodes().get(daemon.host, {}).get("Status", {}).get("State") == "ready", 30)

    def nodes(self):
        return {node["Description"].get("Hostname"): node for node in self.api.nodes()}

    def serve(self, name, command=SLEEP, *, replicas=1, labels=None, mode=None, constraints=(), update=None, **more):
        template = docker.types.TaskTemplate(
            docker.types.ContainerSpec(IMAGE, command=command, labels={"in": "side"}),
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
        wait_for("the tasks to end", lambda: not self.api.containers(all=True), 30)


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
        daemons = [stack.enter_context(private_dockerd(host=f"m{number}")) for number in (1, 2, 3)]
        cluster = Cluster(daemons[0])
        for daemon in daemons[1:]:
            cluster.join(daemon)
        yield cluster
        for daemon in daemons:
            if daemon.process.poll() is None:
                with contextlib.suppress(Exception):
                    daemon.api.leave_swarm(force=True)


class Opened:
    """What a process makes of these daemons: their engines, and the Swarms they turn out to manage."""

    def __init__(self, *daemons: Dockerd, allow=()) -> None:
        doors = [
            runtimes_registry.EngineAddress(kind="docker", url=daemon.url, name=f"d{number}", allow=allow)
            for number, daemon in enumerate(daemons, 1)
        ]
        self.daemons = runtimes_registry.open_engines(doors)
        self.table = runtimes_registry.swarms(doors, self.daemons)
        self.all = (*self.daemons, *self.table.engines)

    async def meet(self):
        await self.table.meet(20.0)
        return self

    @property
    def swarm(self):
        """The one Swarm there is."""
        (engine,) = [engine for engine in self.table.engines if engine.present]
        return engine

    async def aclose(self):
        for engine in self.all:
            await engine.aclose()
