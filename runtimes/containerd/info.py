"""What containerd tells of itself and of one container, in its own words: plugins, warnings, documents. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from google.protobuf.json_format import MessageToDict

from runtimes.proto import containerd_containers_pb2, containerd_daemon_pb2, containerd_task_types_pb2

SNAPSHOTTERS = "io.containerd.snapshotter.v1"


def system(plugins: Iterable[containerd_daemon_pb2.Plugin]) -> str:
    for plugin in plugins:
        for platform in plugin.platforms:
            return f"{platform.os}/{platform.architecture}"
    return ""


def snapshotter(plugins: Iterable[containerd_daemon_pb2.Plugin]) -> str:
    """What keeps file systems: overlayfs unless it is not to be had, as its clients choose."""
    ready = [plugin.id for plugin in plugins if plugin.type == SNAPSHOTTERS and not plugin.init_err.message]
    return "overlayfs" if "overlayfs" in ready else next(iter(ready), "")


def notes(
    plugins: Iterable[containerd_daemon_pb2.Plugin], deprecations: Iterable[containerd_daemon_pb2.DeprecationWarning]
) -> tuple[str, ...]:
    """Parts that did not come up, but for ways to keep file systems that this host lacks, and what it warns of."""
    failed = [
        f"Its part {plugin.id} is off: {plugin.init_err.message[:160]}."
        for plugin in plugins
        if plugin.init_err.message and plugin.type != SNAPSHOTTERS and "skip" not in plugin.init_err.message
    ]
    return (*failed, *(f"It warns: {warning.message[:200]}" for warning in deprecations))


def document(
    space: str, held: containerd_containers_pb2.Container, task: containerd_task_types_pb2.Process | None
) -> dict[str, Any]:
    """All that is told of one container, in containerd's own words."""
    shown = containerd_containers_pb2.Container.FromString(held.SerializeToString())
    # Anys of types nobody here knows cannot be shown; the specification is, as what it is.
    shown.ClearField("spec")
    shown.runtime.ClearField("options")
    data = MessageToDict(shown)
    try:
        spec = msgspec.json.decode(held.spec.value) if held.spec.value else None
    except msgspec.DecodeError:
        spec = None
    return {"namespace": space, **data, "task": MessageToDict(task) if task is not None else None, "spec": spec}
