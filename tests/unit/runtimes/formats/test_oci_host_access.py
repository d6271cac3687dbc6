"""What a runtime specification takes from its host, and nothing that an engine gives to every container."""

from __future__ import annotations

from typing import Any

import pytest

from runtimes.formats import oci_host_access

NAMESPACES = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]


ID = "0123456789abcdef" * 4
DENIED = {"allow": False, "access": "rwm"}


def specification(**changed: Any) -> dict[str, Any]:
    """A container that takes nothing. `changed`: capabilities, mounts, devices, namespaces, rules, root, annotations,
    and parts of `linux`."""
    return {
        "root": {"path": changed.get("root", "rootfs")},
        "annotations": changed.get("annotations", {}),
        "process": {"capabilities": {"bounding": changed.get("capabilities", ["CAP_CHOWN", "CAP_KILL"])}},
        "linux": {
            "namespaces": changed.get("namespaces", NAMESPACES),
            "devices": changed.get("devices", []),
            "resources": {"devices": [DENIED, *changed.get("rules", [])]},
            **changed.get("linux", {}),
        },
        "mounts": changed.get("mounts", [{"destination": "/proc", "type": "proc", "source": "proc"}]),
    }


def allowed(kind: str = "", major: int | None = None, minor: int | None = None, access: str = "rwm") -> dict[str, Any]:
    rule = {"allow": True, "type": kind, "major": major, "minor": minor, "access": access}
    return {key: value for key, value in rule.items() if value not in ("", None)}


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
        # A path of the host where engines mount files of their own, or that looks like a volume.
        ({"mounts": [bind("/srv/secrets", "/run/secrets")]}, ("mounts /srv/secrets of the host",)),
        ({"mounts": [bind("/", "/dev/shm")]}, ("mounts / of the host",)),
        ({"mounts": [bind("/etc/hosts", "/etc/hosts")]}, ("mounts /etc/hosts of the host",)),
        ({"mounts": [bind("/srv/init", "/sbin/docker-init")]}, ("mounts /srv/init of the host",)),
        ({"mounts": [bind("/srv/volumes/x/_data", "/x")]}, ("mounts /srv/volumes/x/_data of the host",)),
        (
            {"mounts": [bind("/var/lib/docker/volumes/../../../../etc/_data", "/x")]},
            ("mounts /etc/_data of the host",),
        ),
        (
            {"mounts": [bind("/srv/volumes/kubernetes.io~x/y", "/x")]},
            ("mounts /srv/volumes/kubernetes.io~x/y of the host",),
        ),
        (
            {"mounts": [bind("/var/lib/docker/containers", "/run/secrets")]},
            ("mounts /var/lib/docker/containers of the host",),
        ),
        # Any mount of a path, whatever its type.
        (
            {"mounts": [{"type": "ext4", "source": "/dev/sda1", "destination": "/x"}]},
            ("mounts /dev/sda1 of the host",),
        ),
        (
            {
                "mounts": [
                    {"type": "overlay", "source": "overlay", "destination": "/x", "options": ["lowerdir=/etc:/a"]}
                ]
            },
            ("mounts /etc of the host",),
        ),
        (
            {"mounts": [bind(f"/run/overlay-containers/{ID}/userdata/overlay/188/merge", "/merge")]},
            (f"mounts /run/overlay-containers/{ID}/userdata/overlay/188/merge of the host",),
        ),
        ({"mounts": [{"type": "tmpfs", "source": "/tmp/x", "destination": "/x"}]}, ()),
        ({"mounts": [bind("../../etc", "/x")]}, ("mounts /etc of the host",)),
        ({"root": "/"}, ("mounts / of the host",)),
        ({"root": "../.."}, ("mounts / of the host",)),
        # Devices without a file.
        ({"rules": [allowed()]}, ("uses the device a *:* rwm of the host",)),
        ({"rules": [allowed("b", 8)]}, ("uses the device b 8:* rwm of the host",)),
        ({"rules": [allowed("b", -1, -1, "rw")]}, ("uses the device b *:* rw of the host",)),
        ({"rules": [allowed("c", 1, 1, "r")]}, ("uses the device c 1:1 r of the host",)),
        ({"rules": [allowed("c", access="m"), allowed("b", access="m"), allowed("c", 136), allowed("c", 5, 2)]}, ()),
        ({"rules": [allowed(), DENIED, allowed("c", 1, 3)]}, ()),
        (
            {"devices": [{"path": "/dev/sda", "type": "b", "major": 8, "minor": 0}], "rules": [allowed("b", 8, 0)]},
            ("uses the device /dev/sda of the host",),
        ),
        ({"linux": {"maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"]}}, ()),
        ({"linux": {"maskedPaths": [], "readonlyPaths": []}}, ("changes its security by systempaths=unconfined",)),
        (
            {"namespaces": [{**one, "path": f"/proc/1/ns/{one['type']}"} for one in NAMESPACES[:1]] + NAMESPACES[1:]},
            ("shares the processes of the host",),
        ),
    ],
)
def test_the_phrases(changed: dict[str, Any], reaches: tuple[str, ...]) -> None:
    assert oci_host_access.find_host_access_of_specification(specification(**changed)) == reaches


_PODMAN = f"overlay-containers/{ID}/userdata"
_CRI = f"io.containerd.grpc.v1.cri/sandboxes/{ID}"
_NERDCTL = f"containers/default/{ID}"


@pytest.mark.parametrize(
    ("root", "mounts", "annotations"),
    [
        (
            f"{folder}/overlay2/{ID}/merged",
            [
                *(
                    (f"{folder}/containers/{ID}/{name}", f"/etc/{name}")
                    for name in ("hosts", "hostname", "resolv.conf")
                ),
                (f"{folder}/containers/{ID}/mounts/shm", "/dev/shm"),
                (f"{folder}/containers/{ID}/mounts/secrets/abc", "/run/secrets/password"),
                (f"{folder}/volumes/data/_data", "/data"),
                ("/usr/bin/docker-init", "/sbin/docker-init"),
            ],
            {},
        )
        for folder in ("/var/lib/docker", "/tmp/x/data", "/home/ann/.local/share/docker")
    ]
    + [
        (
            f"{folder}/overlay/{ID}/merged",
            [
                (f"{run}/{_PODMAN}/hosts", "/etc/hosts"),
                (f"{run}/{_PODMAN}/.containerenv", "/run/.containerenv"),
                (f"{run}/{_PODMAN}/run/secrets", "/run/secrets"),
                (f"{folder}/{_PODMAN}/shm", "/dev/shm"),
                (f"{folder}/volumes/data/_data", "/data"),
                ("/usr/libexec/podman/catatonit", "/run/podman-init"),
            ],
            {},
        )
        for folder, run in (
            ("/var/lib/containers/storage", "/run/containers/storage"),
            ("/tmp/x/root", "/tmp/x/run"),
            ("/home/ann/.local/share/containers/storage", "/run/user/1000/containers"),
        )
    ]
    + [
        (
            "rootfs",
            [
                (f"{folder}/{_CRI}/hostname", "/etc/hostname"),
                (f"{state}/{_CRI}/shm", "/dev/shm"),
                ("/var/lib/kubelet/pods/0a1b/etc-hosts", "/etc/hosts"),
                ("/var/lib/kubelet/pods/0a1b/containers/web/5f", "/dev/termination-log"),
                (
                    "/var/lib/k0s/kubelet/pods/00000000-0000-4000-8000-000000000001/volumes/kubernetes.io~projected/t",
                    "/var/run/secrets/kubernetes.io/serviceaccount",
                ),
            ],
            {},
        )
        for folder, state in (("/var/lib/containerd", "/run/containerd"), ("/tmp/x/root", "/tmp/x/state"))
    ]
    + [
        (
            "rootfs",
            [
                (f"{folder}/{_NERDCTL}/resolv.conf", "/etc/resolv.conf"),
                (f"{folder}/etchosts/default/{ID}/hosts", "/etc/hosts"),
                (f"{folder}/volumes/default/data/_data", "/data"),
            ],
            {"nerdctl/state-dir": f"{folder}/{_NERDCTL}"},
        )
        for folder in ("/var/lib/nerdctl/1935db59", "/tmp/x/1935db59")
    ],
)
def test_what_an_engine_mounts_into_each_container_is_no_access(
    root: str, mounts: list[tuple[str, str]], annotations: dict[str, str]
) -> None:
    """Also with a data directory that its owner chose."""
    spec = specification(root=root, mounts=[bind(*one) for one in mounts], annotations=annotations)
    assert oci_host_access.find_host_access_of_specification(spec) == ()


def test_a_relative_path_starts_from_the_bundle() -> None:
    spec = specification(mounts=[bind("data", "/x")])
    found = oci_host_access.find_host_access_of_specification(spec, "/srv/bundle")
    assert found == ("mounts /srv/bundle/data of the host",)


@pytest.mark.parametrize(
    "linux",
    [
        {"devices": "none"},
        {"devices": [{"path": ["x"], "major": {}, "minor": []}]},
        {"resources": {"devices": [{"allow": True, "type": ["b"], "major": "8", "minor": {}}]}},
        {"namespaces": [{"type": {}, "path": []}]},
    ],
)
def test_damaged_values_raise_nothing(linux: dict[str, Any]) -> None:
    assert oci_host_access.find_host_access_of_specification(specification(linux=linux)) is not None


@pytest.mark.parametrize("what", [None, {}, [], "text", {"linux": {}}, {"process": {"args": []}}])
def test_what_is_no_specification_shows_nothing(what: Any) -> None:
    assert oci_host_access.find_host_access_of_specification(what) is None
