"""Summarises an inspected Swarm node for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtimes.formats import summary_text as text


def make_summary_fields(data: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one node of `/nodes/ID`."""
    spec, status, described = (text.mapping(data.get(key)) for key in ("Spec", "Status", "Description"))
    manager, engine = text.mapping(data.get("ManagerStatus")), text.mapping(described.get("Engine"))
    platform, resources = text.mapping(described.get("Platform")), text.mapping(described.get("Resources"))
    leads = ", leader" if manager.get("Leader") else ""
    cpus = text.number(resources.get("NanoCPUs")) / text.NANOSECONDS
    return text.keep_nonempty_texts(
        {
            "ID": data.get("ID"),
            "Hostname": described.get("Hostname"),
            "Status": text.command(status.get("State"), status.get("Message")),
            "Availability": spec.get("Availability"),
            "Role": f"{spec.get('Role') or ''}{leads}",
            "Manager": text.command(manager.get("Reachability"), manager.get("Addr")),
            "Address": status.get("Addr"),
            "Joined": text.time(data.get("CreatedAt")),
            "Platform": "/".join(str(platform.get(key) or "") for key in ("OS", "Architecture")).strip("/"),
            "Engine": engine.get("EngineVersion"),
            "Resources": text.limits(memory=resources.get("MemoryBytes"), cpus=cpus),
            "Engine labels": text.labels(engine.get("Labels")),
            "Labels": text.labels(spec.get("Labels")),
        }
    )
