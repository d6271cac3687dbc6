"""What an inspected container takes from its host, and nothing that every container has."""

from __future__ import annotations

from typing import Any

import pytest

from runtimes.docker_like import inspected_host_access

BIND = {"Type": "bind", "Source": "/etc", "Destination": "/host/etc", "RW": False}
VOLUME = {"Type": "volume", "Name": "data", "Source": "/var/lib/docker/volumes/data/_data", "Destination": "/data"}


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
        (None, None, ()),
        ("no object", {"no": "list"}, ()),
    ],
)
def test_the_phrases(host: Any, mounts: Any, reaches: tuple[str, ...]) -> None:
    assert inspected_host_access.host_access_of_container({"HostConfig": host, "Mounts": mounts}) == reaches
