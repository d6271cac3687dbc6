"""Summarises the inspect documents of containerd's containers and images for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.model.containers import Container
from runtimes.formats import oci_summary
from runtimes.formats import summary_text as text


def summarise_container(data: Mapping[str, Any], row: Container) -> dict[str, str]:
    """Summarises one container. `row`: its row in a list, which knows its state and its ports."""
    task = text.mapping(data.get("task"))
    ended = f" with code {row.exit_code}" if row.exit_code is not None else ""
    return text.keep_nonempty_texts(
        {
            "ID": data.get("id"),
            "Namespace": data.get("namespace"),
            "State": f"{row.state}{ended}{', killed because its memory was exhausted' if row.oom_killed else ''}",
            "Started": text.time((row.started_at or 0) * text.NANOSECONDS),
            "Ended": text.time((row.finished_at or 0) * text.NANOSECONDS),
            "Restarts": row.restarts or "",
            "Image": data.get("image"),
            "Created": text.time(data.get("createdAt")),
            "Process ID": task.get("pid") or "",
            "Runtime": text.mapping(data.get("runtime")).get("name"),
            "Snapshotter": data.get("snapshotter"),
            "Ports": text.ports(row.ports),
            **oci_summary.summarise_specification(data.get("spec")),
            "Labels": text.labels(data.get("labels")),
        }
    )


def summarise_image(data: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one image."""
    target, manifest = text.mapping(data.get("target")), text.mapping(data.get("manifest"))
    layers = [text.number(layer.get("size")) for layer in text.mappings(manifest.get("layers"))]
    return text.keep_nonempty_texts(
        {
            "Names": text.items(data.get("names")),
            "Namespace": data.get("namespace"),
            "Digest": target.get("digest"),
            "Size": text.size(sum(layers)),
            **oci_summary.summarise_image_configuration(data.get("image")),
        }
    )
