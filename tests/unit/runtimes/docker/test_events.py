"""The event stream of a Docker daemon."""

from __future__ import annotations

import time
import urllib.parse

import pytest

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
