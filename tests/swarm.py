"""A Swarm of one private daemon, for tests of what it runs."""

import docker

from tests.support import IMAGE, free_tcp_port, wait_for

SLEEP = ["/bin/sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"]


class Cluster:
    """One manager of its own Swarm. Services are made by docker-py on the host network, which needs no address."""

    def __init__(self, daemon):
        self.daemon, self.api = daemon, daemon.api
        port = free_tcp_port()
        self.address = f"127.0.0.1:{port}"
        self.api.init_swarm(advertise_addr=self.address, listen_addr=self.address, default_addr_pool=["10.77.0.0/16"])

    def serve(self, name, command=SLEEP, *, replicas=1, labels=None, mode=None, constraints=(), **more):
        template = docker.types.TaskTemplate(
            docker.types.ContainerSpec(IMAGE, command=command, labels={"in": "side"}),
            placement=docker.types.Placement(constraints=list(constraints)),
            restart_policy=docker.types.RestartPolicy(condition="any", delay=200_000_000),
            networks=["host"],
            **more,
        )
        mode = mode or docker.types.ServiceMode("replicated", replicas)
        made = self.api.create_service(
            template, name, labels, mode, endpoint_spec=docker.types.EndpointSpec(mode="dnsrr")
        )
        return made["ID"]

    def states(self, name):
        return sorted(task["Status"]["State"] for task in self.api.tasks({"service": name, "desired-state": "running"}))

    def clear(self):
        for one in self.api.services():
            self.api.remove_service(one["ID"])
        wait_for("the tasks to end", lambda: not self.api.containers(all=True), 30)
