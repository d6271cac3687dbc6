"""Recognises the mounts of an OCI runtime specification that an engine made itself: its own files, such as
`/etc/hosts`, and volumes.

Such a mount is recognised by its source, which is below the data directory of the engine. That directory is one of the
usual ones, or the specification shows it: it contains the root directory of a container of Docker or Podman, and
nerdctl names it in an annotation. The target of a mount proves nothing, because a person can mount any directory of the
host there.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any

from runtimes.formats import summary_text as text

_ID = r"[0-9a-f]{64}"
# The last part of the path of a container's root directory, by storage driver.
_ROOT = re.compile(
    r"(?P<engine>/.+?)/(?:overlay2?|fuse-overlayfs|vfs/dir|btrfs/subvolumes|zfs/graph|aufs/mnt|devicemapper/mnt|rootfs/[\w.-]+)/"
    rf"{_ID}(?:/(?:merged|rootfs))?"
)
_NERDCTL = re.compile(r"(?P<engine>/.+)/containers/[^/]+/[^/]+")
_NERDCTL_STATE = "nerdctl/state-dir"
# The directories of Docker, Podman, CRI-O and nerdctl, also of those that a user runs without root.
_USUAL_ENGINE = re.compile(r"(?:/var/lib|/.+/\.local/share)/(?:docker|containers/storage|nerdctl/[0-9a-f]+)")
_VOLUME = re.compile(r"/volumes/(?:[^/]+/){1,2}_data")
# What these keep for one container: its files by their own names, and copies of secrets.
_DOCKER_FILE = re.compile(r"/containers/[^/]+/(?:hosts|hostname|resolv\.conf|mounts/.+)")
_NERDCTL_FILE = re.compile(r"/(?:containers|etchosts)/[^/]+/[^/]+/(?:hosts|hostname|resolv\.conf)")
# Podman and CRI-O: below the directory of the storage or that of running containers, which is configured apart from it.
# Podman also mounts overlays of directories of the host there.
_STORED_FILE = re.compile(rf"/.+/[\w-]+-containers/{_ID}/userdata/(?!overlay/).+")
# The CRI plugin of containerd, below either of containerd's directories.
_SANDBOX_FILE = re.compile(rf"/.+/io\.containerd\.grpc\.v1\.cri/sandboxes/{_ID}/(?:hosts|hostname|resolv\.conf|shm)")
# The kubelet. Volumes of the kind hostPath are not below its directory.
_POD = r"(?:/var/lib/kubelet/pods/[^/]+|/.+/kubelet/pods/[0-9a-f-]{32,36})"
_POD_FILE = re.compile(rf"{_POD}/(?:etc-hosts|containers/[^/]+/[^/]+)")
_POD_VOLUME = re.compile(rf"{_POD}/volumes/kubernetes\.io~[^/]+/.+")
_INIT_PROGRAMS = ("docker-init", "catatonit", "podman-init", "tini", "tini-static", "dumb-init")
_PROGRAM_FOLDERS = ("/usr/", "/bin/", "/sbin/", "/nix/store/", "/snap/", "/opt/")
_INIT_TARGETS = ("/sbin/docker-init", "/run/podman-init", "/dev/init")


def is_engine_mount(spec: Mapping[str, Any], source: str, target: str) -> bool:
    """Whether an engine has made this mount itself, or it is a volume. `source`: an absolute path of the host."""
    source = posixpath.normpath(source)
    if target in _INIT_TARGETS:
        return posixpath.basename(source) in _INIT_PROGRAMS and source.startswith(_PROGRAM_FOLDERS)
    if _POD_VOLUME.fullmatch(source) or _POD_FILE.fullmatch(source):
        return True
    if _STORED_FILE.fullmatch(source) or _SANDBOX_FILE.fullmatch(source):
        return posixpath.basename(source) == posixpath.basename(target)
    for engine in _engine_folders(spec, source):
        inside = source.removeprefix(engine)
        if _VOLUME.fullmatch(inside):
            return True
        if _DOCKER_FILE.fullmatch(inside) or _NERDCTL_FILE.fullmatch(inside):
            return "/mounts/" in inside or posixpath.basename(source) == posixpath.basename(target)
    return False


def is_layer(spec: Mapping[str, Any], path: str) -> bool:
    """Whether a path is a layer of an image, or what a container has written over one."""
    path = posixpath.normpath(path)
    layers = (f"{engine}/overlay" for engine in _engine_folders(spec, path))
    return path.startswith(tuple(layers)) or _STORED_FILE.fullmatch(path) is not None


def _engine_folders(spec: Mapping[str, Any], source: str) -> Iterator[str]:
    """Yields the directories of engines that the path is below."""
    if usual := _USUAL_ENGINE.match(source):
        yield usual[0]
    if root := _ROOT.fullmatch(str(text.mapping(spec.get("root")).get("path") or "")):
        yield root["engine"]
    if state := _NERDCTL.fullmatch(str(text.mapping(spec.get("annotations")).get(_NERDCTL_STATE) or "")):
        yield state["engine"]
