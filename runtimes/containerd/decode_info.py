"""Decodes what containerd reports about itself (plugins, warnings) and about one container for `inspect`."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterable
from typing import Any

from core import errors
from runtimes.formats import json_decoder, protobuf_conversion
from runtimes.proto import containerd_containers_pb2, containerd_daemon_pb2, containerd_task_types_pb2

SNAPSHOTTERS = "io.containerd.snapshotter.v1"


def format_platform(plugins: Iterable[containerd_daemon_pb2.Plugin]) -> str:
    """Returns the platform of the daemon, such as `linux/amd64`."""
    for plugin in plugins:
        for platform in plugin.platforms:
            return f"{platform.os}/{platform.architecture}"
    return ""


def snapshotters(plugins: Iterable[containerd_daemon_pb2.Plugin]) -> list[str]:
    """Returns the names of the snapshotters that work."""
    return [plugin.id for plugin in plugins if plugin.type == SNAPSHOTTERS and not plugin.init_err.message]


def snapshotter(plugins: Iterable[containerd_daemon_pb2.Plugin]) -> str:
    """Returns the snapshotter for new containers. This is overlayfs if it works, as in containerd's own clients."""
    ready = snapshotters(plugins)
    return "overlayfs" if "overlayfs" in ready else next(iter(ready), "")


def data_root(plugins: Iterable[containerd_daemon_pb2.Plugin]) -> str:
    """Returns containerd's data directory: the parent of the folder that its snapshotters report; empty if none
    reports one."""
    for plugin in plugins:
        folder = plugin.exports.get("root", "")
        if plugin.type == SNAPSHOTTERS and posixpath.basename(folder) == f"{SNAPSHOTTERS}.{plugin.id}":
            return posixpath.dirname(folder)
    return ""


def warning_notes(
    plugins: Iterable[containerd_daemon_pb2.Plugin], deprecations: Iterable[containerd_daemon_pb2.DeprecationWarning]
) -> tuple[str, ...]:
    """Returns a sentence for each plugin that failed to load, and for each deprecation warning. Skipped plugins are
    left out. Snapshotters that this host does not support are left out too."""
    failed = [
        f"The plugin {plugin.id} failed to load: {plugin.init_err.message[:160]}."
        for plugin in plugins
        if plugin.init_err.message and plugin.type != SNAPSHOTTERS and "skip" not in plugin.init_err.message
    ]
    return (*failed, *(f"Deprecation warning: {warning.message[:200]}" for warning in deprecations))


def container_document(
    namespace: str, container: containerd_containers_pb2.Container, task: containerd_task_types_pb2.Process | None
) -> dict[str, Any]:
    """Returns all that containerd reports about one container, with containerd's own field names."""
    shown = containerd_containers_pb2.Container.FromString(container.SerializeToString())
    # An Any of an unknown type cannot be converted. The specification is JSON and is added below.
    shown.ClearField("spec")
    shown.runtime.ClearField("options")
    spec = None
    with contextlib.suppress(errors.InvalidResponse):
        spec = json_decoder.decode_json_object(container.spec.value)
    return {
        "namespace": namespace,
        **protobuf_conversion.to_dict(shown),
        "task": protobuf_conversion.to_dict(task) if task is not None else None,
        "spec": spec,
    }
