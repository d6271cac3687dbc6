"""Which container the labels of a Prometheus alert name, in each scheme of labels that exporters use."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bot.outlets.alert_target_finder import AlertTargetFinder
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from core.model.swarm_status import ServiceState, SwarmState

DOCKER, OTHER = EngineRef(host="h1", kind="docker"), EngineRef(host="h2", kind="docker")
ALICE = EngineRef(host="h1", kind="podman", name="alice")
CRI, SWARM = EngineRef(host="node3", kind="cri"), EngineRef(host="prod", kind="swarm")


def row(engine: EngineRef, name: str, digit: str, started: float = 0.0, **labels: str) -> Container:
    ref = Ref(engine=engine, kind=Kind.CONTAINER, id=digit * 64, name=name)
    facts = {"image": "i", "image_id": "", "command": "", "state": "running", "status": "Up", "created_at": 0.0}
    return Container(ref=ref, labels=labels, started_at=started, **facts)  # type: ignore[arg-type]


def pod(name: str, container: str, digit: str, started: float = 0.0, namespace: str = "shop") -> Container:
    labels = {"io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": namespace}
    return row(CRI, container, digit, started, **labels, **{"io.kubernetes.container.name": container})


COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.service": "api"}
ROWS = [
    row(DOCKER, "web", "a"),
    row(OTHER, "web", "b"),
    row(DOCKER, "api", "c", **COMPOSE),
    row(ALICE, "db", "d"),
    pod("api-5d8f9-abcde", "api", "1", started=1.0),
    pod("api-5d8f9-abcde", "api", "2", started=2.0),
    pod("api-5d8f9-abcde", "sidecar", "3"),
    pod("dup", "x", "4", namespace="one"),
    pod("dup", "x", "5", namespace="two"),
    row(DOCKER, "job_api.1.x", "e", **{"com.docker.swarm.service.name": "job_api"}),
]


def mirror(engine: EngineRef, swarm: SwarmState | None = None) -> Any:
    return SimpleNamespace(
        ref=engine, containers={each.ref.id: each for each in ROWS if each.ref.engine == engine}, swarm_state=swarm
    )


SERVICES = tuple(
    ServiceState(id=f"s{name}", name=name, mode="replicated", stack="shop", desired=1, running=1)
    for name in ("shop_db", "job_api")
)
FINDER = AlertTargetFinder(
    [
        *(mirror(each) for each in (DOCKER, OTHER, ALICE, CRI)),
        mirror(SWARM, SwarmState(services=SERVICES, nodes=(), read_at=1.0)),
    ]
)
HEX, COPIED = "a" * 64, "container_label_com_docker_"


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        # Our own metrics.
        ({"host": "h1", "engine": "docker", "name": "web"}, "web@docker/h1"),
        ({"host": "h2", "engine": "docker", "name": "web"}, "web@docker/h2"),
        ({"host": "h1", "engine": "podman/alice", "name": "db"}, "db@podman/h1/alice"),
        ({"host": "h9", "engine": "docker", "name": "db"}, None),
        ({"host": "prod", "engine": "swarm", "service": "shop_db", "id": "sshop_db"}, "shop_db@swarm/prod"),
        ({"host": "h1", "engine": "swarm", "service": "shop_db"}, None),
        # cAdvisor's.
        ({"id": f"/docker/{HEX}", "name": "web", "image": "x", "instance": "h1:8080"}, "web@docker/h1"),
        ({"id": f"/system.slice/docker-{HEX}.scope"}, "web@docker/h1"),
        ({"id": f"/kubepods.slice/kubepods-pod1.slice/cri-containerd-{'1' * 64}.scope"}, "api@cri/node3"),
        ({"id": f"/machine.slice/libpod-{'d' * 64}.scope/container"}, "db@podman/h1/alice"),
        ({"container_id": "a" * 12}, "web@docker/h1"),
        ({"container_id": f"containerd://{'3' * 64}"}, "sidecar@cri/node3"),
        ({"id": f"/docker/{'9' * 64}", "name": "gone"}, None),
        ({"name": "web", "instance": "h2:8080"}, "web@docker/h2"),
        ({"name": "/web", "node": "h1"}, "web@docker/h1"),
        ({"name": "web"}, None),
        ({"name": "web", "instance": "10.0.0.7:8080"}, None),
        ({"name": "db"}, "db@podman/h1/alice"),
        ({"name": "db", "instance": "10.0.0.7:8080"}, None),
        ({"name": "db", "node": "h7"}, None),
        ({f"{COPIED}compose_project": "shop", f"{COPIED}compose_service": "api"}, "api@docker/h1"),
        ({f"{COPIED}swarm_service_name": "job_api"}, "job_api.1.x@docker/h1"),
        ({f"{COPIED}swarm_service_name": "shop_db"}, "shop_db@swarm/prod"),
        # Kubernetes'.
        ({"namespace": "shop", "pod": "api-5d8f9-abcde", "container": "sidecar"}, "sidecar@cri/node3"),
        ({"namespace": "shop", "pod": "api-5d8f9-abcde", "container": "api"}, "api@cri/node3"),
        ({"namespace": "two", "pod": "dup", "container": "x"}, "x@cri/node3"),
        ({"pod": "dup", "container": "x"}, None),
        ({"namespace": "other", "pod": "api-5d8f9-abcde", "container": "api"}, None),
        # What names nothing.
        ({"alertname": "HostDown", "instance": "h1:9100"}, None),
        ({}, None),
        ({"name": "", "id": "", "host": ""}, None),
        ({"id": "/", "name": "x" * 100_000}, None),
    ],
)  # fmt: skip
def test_labels_name_one_container_or_none(labels: dict[str, str], found: str | None) -> None:
    subject = FINDER.find(labels)
    assert (None if subject is None else f"{subject.ref.name}@{subject.ref.engine}") == found


def test_a_restarted_container_of_a_pod_is_the_newest_one() -> None:
    subject = FINDER.find({"namespace": "shop", "pod": "api-5d8f9-abcde", "container": "api"})
    assert subject is not None and subject.ref.id == "2" * 64 and subject.owner == "shop/api-5d8f9-abcde/api"


def test_an_address_of_no_known_host_counts_if_there_is_one_host() -> None:
    alone = AlertTargetFinder([mirror(DOCKER), mirror(ALICE)])
    subject = alone.find({"name": "db", "instance": "10.0.0.7:8080"})
    assert subject is not None and subject.ref.engine == ALICE
