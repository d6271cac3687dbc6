"""The event stream of a Docker daemon."""

from __future__ import annotations

import json
import time
import urllib.parse

import pytest

from core.model.event_actions import ListEvents
from tests.helpers.prepared_daemon import PreparedDaemon


@pytest.mark.parametrize("since_ns", [None, 7_000_000_000])
async def test_a_stream_asks_for_what_happens_before_the_daemon_has_subscribed_it(
    daemon: PreparedDaemon, since_ns: int | None
) -> None:
    daemon.answers["/events"] = (200, b"")
    before = time.time()
    async for batch in daemon.engine.events(since_ns):
        assert not batch
    (target,) = (one for one in daemon.asked if "/events" in one)
    since = float(urllib.parse.parse_qs(urllib.parse.urlsplit(target).query)["since"][0])
    assert since == 7.0 if since_ns else before - 0.001 <= since <= time.time()


async def test_a_list_of_past_events_takes_no_labels_away_from_the_stream(daemon: PreparedDaemon) -> None:
    created = {
        "Type": "container",
        "Action": "create",
        "Actor": {"ID": "c1", "Attributes": {"name": "web", "image": "i", "team": "shop"}},
        "timeNano": 7_000_000_000,
    }
    daemon.answers["/events"] = (200, json.dumps(created).encode() + b"\n")
    listed = await daemon.do(ListEvents(engine=daemon.engine.ref))
    streamed = [event async for batch in daemon.engine.events(None) for event in batch]
    assert [event.labels for event in (*listed.rows, *streamed)] == [{"team": "shop"}] * 2
