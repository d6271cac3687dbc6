"""The body of Docker's create request: what was asked for, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from core import errors
from core.model.create_container import CreateContainer, Link
from core.model.host_access import HostAccess, MountPoint, Namespace
from core.model.networks_and_volumes import CreateNetwork
from core.model.refs import EngineRef, Kind, Ref
from runtimes.docker.create_body import create_body, network_body

ENGINE = EngineRef(host="host7", kind="docker")
DB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="d" * 64, name="db")


def body(**fields: Any) -> dict[str, Any]:
    return create_body(CreateContainer(engine=ENGINE, image="busybox", **fields), {"mark": "1"}, "1.41")


def given(value: dict[str, Any]) -> dict[str, Any]:
    """Without what docker-py sends although it is empty."""
    return {key: part for key, part in value.items() if part not in (None, False, [], {}, 0, "")}


def test_an_image_alone() -> None:
    made = body()
    assert given(made) == {"Image": "busybox:latest", "Labels": {"mark": "1"}, "HostConfig": made["HostConfig"]}
    assert given(made["HostConfig"]) == {"NetworkMode": "default"}


def test_everything_that_run_takes() -> None:
    made = body(
        name="web",
        command=("sleep", "60"),
        entrypoint=("/bin/sh",),
        environment=(("A", "1=2"), ("B", "")),
        labels=(("team", "a"),),
        ports=("8080:80", "127.0.0.1:53:53/udp", "9000"),
        network="front",
        restart="on-failure:3",
        memory="64m",
        cpus=1.5,
        user="1000:1000",
        workdir="/srv",
        health="test -f /ok",
        remove=True,
        access=HostAccess(
            mounts=(MountPoint(target="/data", source="data", read_only=True), MountPoint(target="/tmp"))
        ),
    )
    host = made["HostConfig"]
    assert (made["Cmd"], made["Entrypoint"], made["Env"]) == (["sleep", "60"], ["/bin/sh"], ["A=1=2", "B="])
    assert (made["Labels"], made["User"], made["WorkingDir"]) == ({"team": "a", "mark": "1"}, "1000:1000", "/srv")
    assert set(made["ExposedPorts"]) == {"80/tcp", "53/udp", "9000/tcp"}
    assert host["PortBindings"]["80/tcp"] == [{"HostIp": "", "HostPort": "8080"}]
    assert host["PortBindings"]["53/udp"] == [{"HostIp": "127.0.0.1", "HostPort": "53"}]
    assert made["NetworkingConfig"]["EndpointsConfig"].keys() == {"front"}
    assert (host["NetworkMode"], host["Memory"], host["NanoCpus"]) == ("front", 64 << 20, 1_500_000_000)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 3}
    assert made["Healthcheck"]["Test"] == ["CMD-SHELL", "test -f /ok"]
    assert host["AutoRemove"] is True
    kinds = [(mount["Type"], mount.get("Source"), mount["Target"], mount.get("ReadOnly")) for mount in host["Mounts"]]
    assert [kind[:3] for kind in kinds] == [("volume", "data", "/data"), ("volume", None, "/tmp")]
    assert [bool(kind[3]) for kind in kinds] == [True, False]
    assert not host.get("Privileged") and "Binds" not in host


def test_a_link_is_in_the_network_that_it_works_in() -> None:
    link = Link(target=DB, alias="database")
    assert body(links=(link,))["HostConfig"]["Links"] == [f"{DB.id}:database"]
    made = body(links=(link,), network="front")
    assert not made["HostConfig"].get("Links")
    assert made["NetworkingConfig"]["EndpointsConfig"]["front"]["Links"] == [f"{DB.id}:database"]


def test_what_reaches_the_host() -> None:
    access = HostAccess(
        mounts=(MountPoint(target="/x", source="/etc", read_only=True),),
        namespaces=(Namespace(kind="network"), Namespace(kind="pid", container=DB), Namespace(kind="uts")),
        volumes_from=(DB,),
        devices=("/dev/null:/dev/x",),
        capabilities=("NET_ADMIN",),
        security_options=("seccomp=unconfined",),
        privileged=True,
    )
    host = body(access=access)["HostConfig"]
    assert host["Mounts"][0]["Type"] == "bind" and host["Mounts"][0]["Source"] == "/etc"
    assert (host["NetworkMode"], host["PidMode"], host["UTSMode"]) == ("host", f"container:{DB.id}", "host")
    assert (host["VolumesFrom"], host["CapAdd"], host["Privileged"]) == ([DB.id], ["NET_ADMIN"], True)
    assert host["Devices"][0]["PathOnHost"] == "/dev/null" and host["SecurityOpt"] == ["seccomp=unconfined"]


@pytest.mark.parametrize(
    "fields",
    [{"memory": "5 apples"}, {"ports": ("8000-8001:80-85",)}],
)
def test_what_the_package_refuses_is_a_sentence(fields: dict[str, Any]) -> None:
    with pytest.raises(errors.BadUsage) as caught:
        body(**fields)
    assert caught.value.hint and caught.value.message.endswith(".")


def test_a_network() -> None:
    whole = CreateNetwork(
        engine=ENGINE,
        name="back",
        driver="overlay",
        scope="swarm",
        subnet="10.9.0.0/16",
        ip_range="10.9.1.0/24",
        gateway="10.9.0.1",
        internal=True,
        attachable=True,
        labels=(("team", "a"),),
    )
    made = network_body(whole)
    assert given(made["IPAM"]["Config"][0]) == {
        "Subnet": "10.9.0.0/16",
        "IPRange": "10.9.1.0/24",
        "Gateway": "10.9.0.1",
    }
    assert (made["Name"], made["Driver"], made["Scope"], made["Labels"]) == ("back", "overlay", "swarm", {"team": "a"})
    assert made["Internal"] is made["Attachable"] is True
    assert "IPAM" not in network_body(CreateNetwork(engine=ENGINE, name="back"))
