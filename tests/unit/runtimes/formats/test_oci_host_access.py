"""What a runtime specification takes from its host, and nothing that an engine gives to every container."""

from __future__ import annotations

from typing import Any

import pytest

from runtimes.formats import oci_host_access

NAMESPACES = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]


def specification(**changed: Any) -> dict[str, Any]:
    """A container that takes nothing. `changed`: capabilities, mounts, devices, namespaces."""
    return {
        "process": {"capabilities": {"bounding": changed.get("capabilities", ["CAP_CHOWN", "CAP_KILL"])}},
        "linux": {"namespaces": changed.get("namespaces", NAMESPACES), "devices": changed.get("devices", [])},
        "mounts": changed.get("mounts", [{"destination": "/proc", "type": "proc", "source": "proc"}]),
    }


def bind(source: str, target: str) -> dict[str, Any]:
    return {"type": "bind", "source": source, "destination": target, "options": ["rbind", "rw"]}


@pytest.mark.parametrize(
    ("changed", "reaches"),
    [
        ({}, ()),
        ({"capabilities": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}, ("has the capability CAP_SYS_ADMIN",)),
        (
            {"namespaces": [one for one in NAMESPACES if one["type"] != "network"]},
            ("shares the network of the host",),
        ),
        ({"namespaces": [{**one, "path": "/proc/9/ns/x"} for one in NAMESPACES]}, ()),
        ({"devices": [{"path": "/dev/sda"}, {"path": "/dev/null"}]}, ("uses the device /dev/sda of the host",)),
        ({"mounts": [bind("/", "/host")]}, ("mounts / of the host",)),
        ({"mounts": [{"source": "/srv", "destination": "/srv", "options": ["rbind"]}]}, ("mounts /srv of the host",)),
        (
            {"mounts": [bind("/run/containerd/containerd.sock", "/s")]},
            ("mounts the engine's socket /run/containerd/containerd.sock",),
        ),
        ({"mounts": [bind("/var/lib/docker/containers/abc/hosts", "/etc/hosts")]}, ()),
        ({"mounts": [bind("/var/lib/docker/volumes/data/_data", "/data")]}, ()),
        ({"mounts": [bind("/var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/x", "/x")]}, ()),
    ],
)
def test_the_phrases(changed: dict[str, Any], reaches: tuple[str, ...]) -> None:
    assert oci_host_access.host_access_of_specification(specification(**changed)) == reaches


@pytest.mark.parametrize("what", [None, {}, [], "text", {"linux": {}}, {"process": {"args": []}}])
def test_what_is_no_specification_shows_nothing(what: Any) -> None:
    assert oci_host_access.host_access_of_specification(what) is None
