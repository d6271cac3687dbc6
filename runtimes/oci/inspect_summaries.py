"""Summarises the documents of OCI containers for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.model.containers import NO_EXIT_CODE, Container
from runtimes.formats import oci_summary
from runtimes.formats import summary_text as text


def _exit_code(row: Container) -> str:
    if row.state != "exited":
        return ""
    return str(row.exit_code) if row.exit_code is not None else NO_EXIT_CODE["oci"]


def summarise_container(data: Mapping[str, Any], row: Container) -> dict[str, str]:
    """Summarises one container. `row`: its row in a list, which knows when it ran."""
    return text.keep_nonempty_texts(
        {
            "ID": data.get("id"),
            "State": f"{row.state}{', killed because its memory was exhausted' if row.oom_killed else ''}",
            "Started": text.time((row.started_at or 0) * text.NANOSECONDS),
            "Ended": text.time((row.finished_at or 0) * text.NANOSECONDS),
            "Exit code": _exit_code(row),
            "Created": text.time(data.get("created")),
            "Process ID": data.get("pid") or "",
            "Bundle": data.get("bundle"),
            "Runtime": data.get("runtime"),
            "State directory": data.get("stateDirectory"),
            "Belongs to": data.get("owner"),
            **oci_summary.summarise_specification(data.get("spec")),
            "Labels": text.labels(row.labels),
        }
    )
