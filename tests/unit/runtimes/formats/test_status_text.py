"""The status of a container reads as Docker words it, at any moment."""

from __future__ import annotations

from typing import Any

import msgspec

from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from runtimes.formats import status_text


def test_statuses_read_as_docker_words_them() -> None:
    ref = Ref(engine=EngineRef(host="h", kind="docker"), kind=Kind.CONTAINER, id="1", name="web")
    up = Container(ref, "i", "", "", "running", "", 0.0, {}, started_at=100.0, finished_at=40.0, exit_code=3)

    def text(**changes: Any) -> str:
        return status_text.format_status(msgspec.structs.replace(up, **changes), 280.0)

    assert text() == "Up 3 minutes"
    assert text(health="healthy") == "Up 3 minutes (healthy)"
    assert text(health="starting") == "Up 3 minutes (health: starting)"
    assert text(state="paused", health="healthy") == "Up 3 minutes (Paused)"
    assert text(state="exited") == "Exited (3) 4 minutes ago"
    assert text(state="restarting") == "Restarting (3) 4 minutes ago"
    assert text(state="created") == "Created"
    assert text(state="running", started_at=None, status="Up for ever") == "Up for ever"


def test_a_row_that_says_so_already_stays_the_same_object() -> None:
    ref = Ref(engine=EngineRef(host="h", kind="docker"), kind=Kind.CONTAINER, id="1", name="web")
    row = Container(ref, "i", "", "", "running", "Up 3 minutes", 0.0, {}, started_at=100.0)
    assert status_text.refresh_status(row, 280.0) is row
    assert status_text.refresh_status(row, 340.0).status == "Up 4 minutes"
