"""What an inspected container takes from its host, and nothing that every container has."""

from __future__ import annotations

from typing import Any

import pytest

from runtimes.docker_like import inspected_host_access

BIND = {"Type": "bind", "Source": "/etc", "Destination": "/host/etc", "RW": False}
VOLUME = {"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data/_data", "Destination": "/data"}
MASKED = ["/proc/acpi", "/proc/kcore", "/sys/firmware"]
READ_ONLY = ["/proc/bus", "/proc/sys", "/proc/sysrq-trigger"]


def overlay(options: str) -> dict[str, Any]:
    """The mount of `podman run -v /etc:/host:O`, as a running container of Podman shows it."""
    return {"Type": "bind", "Source": "overlay", "Destination": "/host", "Options": [options, "private"]}


def volume_of(**options: str) -> dict[str, Any]:
    return {"Type": "volume", "Target": "/v", "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": options}}}


@pytest.mark.parametrize(
    ("host", "mounts", "reaches"),
    [
        ({}, [], ()),
        ({"NetworkMode": "bridge", "PidMode": "", "IpcMode": "private", "CgroupnsMode": "host"}, [VOLUME], ()),
        ({"NetworkMode": "container:abc", "CapAdd": None, "SecurityOpt": None, "Devices": []}, [], ()),
        ({"SecurityOpt": ["no-new-privileges:true"], "CapDrop": ["ALL"]}, [], ()),
        ({"Privileged": True}, [], ("runs privileged",)),
        ({"NetworkMode": "host"}, [], ("shares the network of the host",)),
        ({"PidMode": "host"}, [], ("shares the processes of the host",)),
        ({"IpcMode": "host"}, [], ("shares the shared memory of the host",)),
        ({"UTSMode": "host"}, [], ("shares the host name of the host",)),
        ({"UsernsMode": "host"}, [], ("shares the users of the host",)),
        ({"CapAdd": ["SYS_ADMIN"]}, [], ("has the capability SYS_ADMIN",)),
        ({"SecurityOpt": ["seccomp=unconfined"]}, [], ("changes its security by seccomp=unconfined",)),
        ({"Devices": [{"PathOnHost": "/dev/sda"}]}, [], ("uses the device /dev/sda of the host",)),
        ({}, [BIND, VOLUME], ("mounts /etc of the host",)),
        (
            {},
            [{"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/var/run/docker.sock"}],
            ("mounts the engine's socket /var/run/docker.sock",),
        ),
        ({"DeviceCgroupRules": ["b *:* rwm"]}, [], ("uses the device b *:* rwm of the host",)),
        ({"DeviceRequests": [{"Driver": "", "Count": -1}]}, [], ("uses the device gpu of the host",)),
        ({"MaskedPaths": MASKED, "ReadonlyPaths": READ_ONLY}, [], ()),
        ({"MaskedPaths": None, "ReadonlyPaths": None}, [], ()),
        ({"MaskedPaths": [], "ReadonlyPaths": []}, [], ("changes its security by systempaths=unconfined",)),
        ({"MaskedPaths": ["/proc/acpi"]}, [], ("changes its security by systempaths=unconfined",)),
        ({"ReadonlyPaths": READ_ONLY[:-1]}, [], ("changes its security by systempaths=unconfined",)),
        ({"PidMode": "ns:/proc/1/ns/pid"}, [], ("shares the processes of the host",)),
        ({}, [overlay("lowerdir=/etc,upperdir=/x/upper,workdir=/x/work")], ("mounts /etc of the host",)),
        ({}, [overlay("lowerdir=relative")], ("mounts /overlay of the host",)),
        ({"Mounts": [volume_of(type="none", o="bind", device="/srv")]}, [VOLUME], ("mounts /srv of the host",)),
        ({"Mounts": [volume_of(type="none", o="rw,bind", device="srv")]}, [], ("mounts /srv of the host",)),
        ({"Mounts": [volume_of(type="overlay", o="lowerdir=/:/x", device="overlay")]}, [], ("mounts / of the host",)),
        ({"Mounts": [volume_of(type="nfs", o="addr=10.0.0.1", device=":/srv")]}, [], ()),
        (None, None, ()),
        ("no object", {"no": "list"}, ()),
    ],
)
def test_the_phrases(host: Any, mounts: Any, reaches: tuple[str, ...]) -> None:
    assert inspected_host_access.find_host_access_of_container({"HostConfig": host, "Mounts": mounts}) == reaches


@pytest.mark.parametrize(
    ("words", "reaches"),
    [
        (["--security-opt", "unmask=ALL"], ("changes its security by unmask=ALL",)),
        (["--security-opt=unmask=/proc/sysrq-trigger"], ("changes its security by unmask=/proc/sysrq-trigger",)),
        (["--device-cgroup-rule", "b 8:0 rwm"], ("uses the device b 8:0 rwm of the host",)),
        (["--device-cgroup-rule=b *:* rw"], ("uses the device b *:* rw of the host",)),
        (["--security-opt", "mask=/proc/x", "--name", "web"], ()),
        ([], ()),
    ],
)
def test_what_only_the_command_line_of_podman_shows(words: list[str], reaches: tuple[str, ...]) -> None:
    arguments = ["lint", "--security-opt", "unmask=ALL"]
    config = {"Cmd": arguments, "CreateCommand": ["podman", "run", *words, "busybox", *arguments]}
    assert inspected_host_access.find_host_access_of_container({"HostConfig": {}, "Config": config}) == reaches


@pytest.mark.parametrize(("root", "reaches"), [("/", ("mounts / of the host",)), ("/srv/root", ()), ("", ())])
def test_a_container_whose_root_is_that_of_the_host(root: str, reaches: tuple[str, ...]) -> None:
    assert inspected_host_access.find_host_access_of_container({"Rootfs": root}) == reaches
