"""The body of Podman's create request, and the command line that means the same."""

from __future__ import annotations

from typing import Any

import pytest

from core import errors
from core.model.create_container import CreateContainer, Link
from core.model.host_access import HostAccess, MountPoint, Namespace
from core.model.networks_and_volumes import CreateNetwork
from core.model.pods import CreatePod
from core.model.refs import EngineRef, Kind, Ref
from runtimes.podman.create_body import command_line, create_body, network_body, pod_body

ENGINE = EngineRef(host="host7", kind="podman")
DB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="d" * 64, name="db")


def action(**fields: Any) -> CreateContainer:
    return CreateContainer(engine=ENGINE, image="localhost/busybox:1", **fields)


def test_an_image_alone() -> None:
    assert create_body(action(), {"mark": "1"}) == {
        "image": "localhost/busybox:1",
        "labels": {"mark": "1"},
        "containerCreateCommand": ["podman", "run", "-d", "localhost/busybox:1"],
    }
    assert list(command_line(action(start=False))) == ["podman", "create", "localhost/busybox:1"]


def test_everything_that_run_takes() -> None:
    wanted = action(
        name="web",
        command=("sleep", "60"),
        entrypoint=("/bin/sh",),
        environment=(("A", "1=2"),),
        labels=(("team", "a"),),
        ports=("8080:80", "127.0.0.1:53:53/udp", "9000"),
        network="front",
        restart="on-failure:3",
        memory="64m",
        cpus=1.5,
        user="1000",
        workdir="/srv",
        health="test -f /ok",
        remove=True,
        access=HostAccess(
            mounts=(MountPoint(target="/data", source="data", read_only=True), MountPoint(target="/x", source="/etc"))
        ),
    )
    made = create_body(wanted, {"mark": "1"})
    assert (made["command"], made["entrypoint"], made["env"]) == (["sleep", "60"], ["/bin/sh"], {"A": "1=2"})
    assert made["portmappings"] == [
        {"container_port": 80, "protocol": "tcp", "host_port": 8080},
        {"container_port": 53, "protocol": "udp", "host_ip": "127.0.0.1", "host_port": 53},
        {"container_port": 9000, "protocol": "tcp"},
    ]
    assert (made["netns"], made["networks"]) == ({"nsmode": "bridge"}, {"front": {}})
    assert made["resource_limits"] == {
        "memory": {"limit": 64 << 20},
        "cpu": {"quota": 150_000, "period": 100_000},
    }
    assert (made["restart_policy"], made["restart_tries"], made["remove"]) == ("on-failure", 3, True)
    assert made["volumes"] == [{"Name": "data", "Dest": "/data", "Options": ["ro"]}]
    assert made["mounts"] == [{"destination": "/x", "source": "/etc", "type": "bind", "options": ["rbind"]}]
    assert made["healthconfig"]["Test"] == ["CMD-SHELL", "test -f /ok"]
    line = " ".join(made["containerCreateCommand"])
    assert line == (
        "podman run -d --name web -e A=1=2 -l team=a -p 8080:80 -p 127.0.0.1:53:53/udp -p 9000 -v data:/data:ro"
        " -v /etc:/x --network front --restart on-failure:3 --memory 64m --cpus 1.5 --user 1000 --workdir /srv"
        " --health-cmd test -f /ok --entrypoint /bin/sh --rm localhost/busybox:1 sleep 60"
    )


def test_what_reaches_the_host() -> None:
    access = HostAccess(
        namespaces=(Namespace(kind="network"), Namespace(kind="pid", container=DB)),
        volumes_from=(DB,),
        devices=("/dev/null",),
        capabilities=("NET_ADMIN",),
        security_options=("label=disable", "no-new-privileges", "seccomp=/x.json"),
        privileged=True,
    )
    made = create_body(action(access=access), {})
    assert made["netns"] == {"nsmode": "host"}
    assert made["pidns"] == {"nsmode": "container", "value": DB.id}
    assert (made["volumes_from"], made["cap_add"], made["privileged"]) == ([DB.id], ["NET_ADMIN"], True)
    assert (made["selinux_opts"], made["no_new_privileges"]) == (["disable"], True)
    assert made["seccomp_profile_path"] == "/x.json" and made["devices"] == [{"path": "/dev/null"}]
    assert "--network host --pid container:db" in " ".join(made["containerCreateCommand"])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"links": (Link(target=DB, alias="db"),)}, "Podman does not support --link."),
        ({"ports": ("8000-8010:80",)}, "Podman cannot publish the port 80 on a range"),
        ({"access": HostAccess(security_options=("magic=1",))}, "The security option “magic” is not supported"),
        ({"memory": "5 apples"}, "apples"),
    ],
)
def test_what_podman_does_not_have_is_a_sentence(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.BadUsage, match=message) as caught:
        create_body(action(**fields), {})
    assert caught.value.hint


def test_a_network() -> None:
    whole = CreateNetwork(
        engine=ENGINE,
        name="back",
        subnet="10.9.0.0/16",
        ip_range="10.9.1.0/24",
        gateway="10.9.0.1",
        internal=True,
        labels=(("team", "a"),),
    )
    assert network_body(whole) == {
        "name": "back",
        "driver": "bridge",
        "internal": True,
        "subnets": [
            {
                "subnet": "10.9.0.0/16",
                "gateway": "10.9.0.1",
                "lease_range": {"start_ip": "10.9.1.1", "end_ip": "10.9.1.254"},
            }
        ],
        "labels": {"team": "a"},
        "dns_enabled": True,
    }
    for fields in ({"attachable": True}, {"scope": "swarm"}):
        with pytest.raises(errors.BadUsage, match="only local networks"):
            network_body(CreateNetwork(engine=ENGINE, name="back", **fields))  # type: ignore[arg-type]


def test_a_pod_that_podman_cannot_publish_is_refused_with_a_sentence() -> None:
    with pytest.raises(errors.BadUsage, match="on a range of ports of the host"):
        pod_body(CreatePod(engine=ENGINE, name="shop", ports=("8000-8010:80",)))
    with pytest.raises(errors.BadUsage):
        pod_body(CreatePod(engine=ENGINE, name="shop", ports=("8000-8010:80-81",)))
