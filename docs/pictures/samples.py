"""Runs the sample containers of the recorded sessions on a private Docker daemon: a Compose project `shop`.

Each container is a shell of busybox. Its image has the name that such a service would have. Names, labels and ports are
as Docker Compose sets them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.daemons.docker import IMAGE, Dockerd

PROJECT = "shop"
NETWORK = f"{PROJECT}_default"
SECOND = 1_000_000_000  # the engine counts in nanoseconds
WAIT = "exec sleep 100000"
# The first run is never healthy; a restart repairs it.
SICK_ONCE = (
    "[ ! -e /ran ] || : > /healthy; : > /ran; echo 'connecting to postgres://shop:hunter2@db:5432/shop'; "
    f"[ -e /healthy ] && echo 'listening on :8080' || echo 'FATAL: too many connections'; {WAIT}"
)
CRASHING = "echo 'worker 1.4 starts'; sleep 1; echo 'ERROR: queue orders: connection refused'; exit 2"
# A mebibyte every 1.2 seconds, kept in a variable of the shell.
LEAKING = (
    "echo 'api 2.2 starts'; piece=$(head -c 1048576 /dev/zero | tr '\\0' x); all=; n=0; "
    'while :; do all=$all$piece; n=$((n+1)); [ $((n % 10)) != 0 ] || echo "cached $n MiB of carts"; sleep 1.2; done'
)
EATING = "piece=$(head -c 1048576 /dev/zero | tr '\\0' x); all=; while :; do all=$all$piece; done"


def make_network(daemon: Dockerd) -> None:
    """Makes the project's network, in which ports can be published."""
    daemon.api.create_network(NETWORK, driver="bridge", labels={"com.docker.compose.project": PROJECT})


def tag(daemon: Dockerd, image: str) -> None:
    """Gives the one image another name, unless it has that name."""
    if image not in daemon.names_of_images():
        repository, _, version = image.rpartition(":")
        daemon.api.tag(IMAGE, repository, version)


def serve(
    daemon: Dockerd,
    service: str,
    script: str = WAIT,
    *,
    image: str = "",
    ports: Mapping[int, int] | None = None,
    exposed: Sequence[int] = (),
    health: str = "",
    restarts: bool = False,
    memory_mb: int = 0,
    volume: str = "",
    environment: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    project: str = PROJECT,
    start: bool = True,
) -> str:
    """Creates, and unless `start` is False starts, one replica of a service. Returns its id. `ports`: of the host, by
    those of the container. `health`: what its health check runs."""
    image = image or f"{project}/{service}:2.1"
    tag(daemon, image)
    host: dict[str, Any] = {
        "network_mode": NETWORK if ports or exposed else "none",
        "port_bindings": dict(ports or {}),
        "restart_policy": {"Name": "on-failure" if restarts else "no", "MaximumRetryCount": 0},
        "init": True,
    }
    if memory_mb:
        host |= {"mem_limit": memory_mb << 20, "memswap_limit": memory_mb << 20}
    if volume:
        host |= {"binds": [f"{volume}:/data"]}
    made = daemon.api.create_container(
        image,
        ["/bin/sh", "-c", script],
        name=f"{project}-{service}-1",
        labels={
            "com.docker.compose.project": project,
            "com.docker.compose.service": service,
            "com.docker.compose.container-number": "1",
            "com.docker.compose.oneoff": "False",
            **(labels or {}),
        },
        environment=dict(environment or {}),
        ports=[*(ports or {}), *exposed],
        healthcheck={"test": ["CMD-SHELL", health], "interval": 2 * SECOND, "timeout": 2 * SECOND, "retries": 1}
        if health
        else None,
        host_config=daemon.api.create_host_config(**host),
    )["Id"]
    if start:
        daemon.api.start(made)
    return str(made)


def health_of(daemon: Dockerd, container: str) -> str:
    return str(daemon.state(container).get("Health", {}).get("Status", ""))
