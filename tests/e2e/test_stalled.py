"""With Slack and the store stalled, no event of an engine is lost and the engine is not held up; and a loss would show.

The engine is a stand-in that replays a recording. It ends its work only when Quarterdeck has taken every byte."""

import contextlib
import os
import re
import signal

import pytest

from benchmarks import replay
from tests.helpers.bot_process import get
from tests.helpers.waiting import hang, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]

EVENTS = 20_000
DOOR = "engine"


@contextlib.contextmanager
def stopped(*pids):
    """Processes that keep their connections open and do not answer."""
    for pid in pids:
        hang(pid)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def counted(port):
    """All events on the page, and those that were dropped or were in a gap."""
    page = get(port)[1]
    totals = {
        name: sum(float(value) for value in re.findall(rf"^quarterdeck_{name}{{[^\n]*}} (\S+)$", page, re.MULTILINE))
        for name in ("events_total", "stream_overflows_total", "stream_gaps_total")
    }
    return totals["events_total"], totals["stream_overflows_total"] + totals["stream_gaps_total"]


def test_twenty_thousand_events_arrive_while_slack_and_the_store_hang(deck, valkey, short_tmp):
    server = replay.Engine(short_tmp, [DOOR], containers=20)
    try:
        deck.watch({"kind": "docker", "url": f"unix://{short_tmp}/{DOOR}.sock"})
        deck.keep_in(valkey)
        deck.up()
        deck.deck("ada", "ps")
        deck.last("ada", "c001")
        before, _ = counted(deck.port)
        server.build("churn", EVENTS)
        with stopped(valkey.process.pid, deck.slack.pid):
            server.send(DOOR, "single")
            server.sent()
            wait_for("every event", lambda: counted(deck.port)[0] - before >= EVENTS)
            assert counted(deck.port) == (before + EVENTS, 0)
            server.build("churn", EVENTS)
            server.send(DOOR, "withheld")
            server.sent()
            short = before + 2 * EVENTS - replay.WITHHELD
            wait_for("the rest", lambda: counted(deck.port)[0] >= short)
            assert counted(deck.port)[0] == short, "a loss must show"
        # Both are back, and so is everything that waits for them.
        wait_for("readiness", lambda: get(deck.port, "/readyz")[0] == 200)
        deck.deck("ada", "ps c002")
        deck.last("ada", "c002")
        assert counted(deck.port) == (short, 0)
    finally:
        server.close()
