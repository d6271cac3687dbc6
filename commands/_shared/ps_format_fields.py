"""Defines the fields that `ps --format` knows, named as in `docker ps`, and returns their values for one container."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from commands._shared import formatting, list_format
from core.model.containers import Container

# By field: the heading of its column in a table.
FIELDS: Mapping[str, str] = {
    "Names": "NAMES",
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "State": "STATE",
    "Status": "STATUS",
    "Health": "HEALTH",
    "Ports": "PORTS",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Project": "PROJECT",
    "Service": "SERVICE",
    "Host": "HOST",
    "Engine": "ENGINE",
}
_INSPECT = "Show this value with: inspect NAME"
UNSUPPORTED_FIELD_HINTS: Mapping[str, str] = {
    "Command": _INSPECT,
    "Mounts": _INSPECT,
    "Networks": _INSPECT,
    "LocalVolumes": _INSPECT,
    "Platform": "Show the platform of an image with: image inspect NAME",
    "Size": "Show the disk usage with: df",
    "Pod": "List the pods with: pods",
}


def get_container_fields(row: Container, now: datetime, *, whole: bool) -> Mapping[str, Any]:
    """Returns the fields of one container. `whole`: its whole id."""
    created = datetime.fromtimestamp(row.created_at, UTC).isoformat(timespec="seconds") if row.created_at else ""
    return {
        "Names": row.ref.name,
        "ID": row.ref.id if whole else row.ref.short_id,
        "Image": row.image,
        "State": row.state,
        "Status": row.status or row.state,
        "Health": row.health,
        "Ports": formatting.every_port(row.ports),
        "CreatedAt": created.replace("+00:00", "Z"),
        "RunningFor": formatting.ago(row.created_at, now),
        "Project": row.project or "",
        "Service": row.service or "",
        "Host": row.ref.engine.host,
        "Engine": str(row.ref.engine),
        list_format.LABELS: row.labels,
    }
