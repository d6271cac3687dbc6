"""Every decoder of every engine, on recorded answers that were damaged: it returns values that can be shown and stored,
or raises InvalidResponse; it never raises anything else. `make fuzz` runs this file with many more examples."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from core.model.containers import Container
from core.model.events import Event
from core.model.refs import Kind
from runtimes.formats import status_text
from runtimes.inventory import state_updates
from runtimes.podman import decode as podman
from tests.helpers import mutations
from tests.helpers import sample_answers as samples
from tests.helpers.dialects import DIALECTS


@pytest.fixture(autouse=True)
def _logs_are_kept_apart() -> Iterator[None]:
    with structlog.testing.capture_logs():
        yield


@pytest.mark.parametrize("name", DIALECTS)
def test_an_undamaged_answer_is_read(name: str) -> None:
    for sample in DIALECTS[name].samples:
        with contextlib.suppress(errors.InvalidResponse):  # an error's body is among the recordings
            check(DIALECTS[name].decode(sample))
            return
    raise AssertionError("no sample was read")


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
def test_a_damaged_answer_raises_nothing_but_an_invalid_response(name: str, data: st.DataObject) -> None:
    dialect = DIALECTS[name]
    damaged = data.draw(mutations.damaged(dialect.samples))
    try:
        found = dialect.decode(damaged)
    except errors.InvalidResponse as error:
        assert error.hint
        return
    check(found)


def check(found: Any) -> None:
    """Whatever was decoded can be stored, shown and applied."""
    if isinstance(found, list | tuple):
        for one in found:
            check(one)
    elif isinstance(found, Event):
        # A part of a Swarm without any time of its own has the time 0.
        assert (0 if found.subject.kind in (Kind.TASK, Kind.SERVICE, Kind.NODE) else 1) <= found.at_ns < 1 << 63
        datetime.fromtimestamp(found.at_ns / 1e9, UTC)
        state_updates.apply_event(state_updates.from_first_event(found), found)
        assert re.fullmatch(r"-?[0-9]{1,10}", found.attrs.get("exit_code", "0"))
    elif isinstance(found, Container):
        status_text.refresh_status(found, samples.NOW)
        for at in (found.created_at, found.started_at, found.finished_at):
            datetime.fromtimestamp(at or 0.0, UTC)
        assert len(found.ports) <= podman.MAX_PORTS or len(found.ports) < 3000
    if isinstance(found, msgspec.Struct):
        assert msgspec.json.decode(msgspec.json.encode(found))
    elif isinstance(found, dict):
        json.dumps(found).encode()
    elif isinstance(found, str):
        found.encode()
