"""Formats the status of a container as `docker ps` does, for any point in time.

An engine formats the status when it is called, so a stored text is out of date after a second. The mirror formats the
text again. The watcher compares the engine's text with this module's text, to find restarts that no event reported.
"""

from __future__ import annotations

import msgspec

from core.model.containers import LIVE_STATES, Container
from core.text import durations


def format_status(container: Container, now: float) -> str:
    """Returns the status column of `docker ps`, such as `Up 3 minutes (healthy)` or `Exited (0) 2 hours ago`."""
    state = container.state
    if state in LIVE_STATES and container.started_at is not None:
        up = f"Up {durations.format_duration_in_words(now - container.started_at)}"
        if state == "paused":
            return f"{up} (Paused)"
        if container.health:
            return f"{up} (health: starting)" if container.health == "starting" else f"{up} ({container.health})"
        return up
    if state in ("exited", "restarting") and container.finished_at is not None:
        verb = "Exited" if state == "exited" else "Restarting"
        code = "" if container.exit_code is None else f" ({container.exit_code})"
        return f"{verb}{code} {durations.format_duration_in_words(now - container.finished_at)} ago"
    return {"created": "Created", "dead": "Dead", "removing": "Removal In Progress"}.get(state, container.status)


def refresh_status(row: Container, now: float) -> Container:
    """Returns `row` with the status of the time `now`, in seconds since the epoch; the same object if it is
    unchanged."""
    status = format_status(row, now)
    return row if status == row.status else msgspec.structs.replace(row, status=status)
