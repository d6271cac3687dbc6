"""Which project and service a container belongs to, when labels of its image claim another one."""

from __future__ import annotations

import pytest

from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref

COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
STACK = {"com.docker.stack.namespace": "mail", "com.docker.swarm.service.name": "mail_smtp"}
POD = {"io.kubernetes.pod.namespace": "prod", "io.kubernetes.pod.name": "web-0"}
PODMAN = {"io.podman.compose.project": "side", "io.podman.compose.service": "car"}


def group(kind: str, **labels: str) -> tuple[str | None, str | None]:
    ref = Ref(engine=EngineRef(host="h", kind=kind), kind=Kind.CONTAINER, id="a", name="a")
    row = Container(
        ref=ref, image="", image_id="", command="", state="running", status="", created_at=0.0, labels=labels
    )
    return row.project, row.service


@pytest.mark.parametrize("kind", ["docker", "podman", "containerd", "cri", "oci"])
def test_labels_of_one_tool_are_enough_on_every_engine(kind: str) -> None:
    assert group(kind, **COMPOSE) == ("shop", "web")
    assert group(kind, **STACK) == ("mail", "mail_smtp")
    assert group(kind, **POD) == ("prod", "web-0")
    assert group(kind, **PODMAN) == ("side", "car")
    assert group(kind) == (None, None)


def test_an_image_cannot_take_a_container_out_of_its_project() -> None:
    for kind in ("docker", "podman"):
        assert group(kind, **COMPOSE, **POD, **STACK) == ("shop", "web")
        assert group(kind, **STACK, **POD) == ("mail", "mail_smtp")
    assert group("cri", **COMPOSE, **POD) == ("prod", "web-0")
    assert group("containerd", **COMPOSE, **POD) == ("shop", "web")
    assert group("containerd", **COMPOSE, **POD, **{"containerd.namespace": "k8s.io"}) == ("prod", "web-0")
