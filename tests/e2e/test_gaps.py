"""Quarterdeck is killed and started again: what happened meanwhile on each kind of engine is in `events` once, and so
is everything from before."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.helpers import missed_events
from tests.helpers.bot_process import get, series, table_of
from tests.helpers.waiting import free_tcp_port, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

# Everything that ever happened to the containers of the test, from the first one on.
EVER = Counter(
    [(what, name) for name in ("stays", "goes", "crashes", "comes") for what in ("created", "started")]
    + [("died", "crashes"), ("died", "goes"), ("removed", "goes")]
)


def test_what_happened_while_the_process_was_killed_is_found_once_on_every_engine(
    bot, dockerd, podmand, containerdd, crid, ocid
):
    daemons = (dockerd, podmand, containerdd, crid, ocid)
    bot.watch(*({"kind": daemon.kind, "url": daemon.url} for daemon in daemons))
    port = free_tcp_port()

    def value(name, daemon, **labels):
        return series(port, f"quarterdeck_{name}", engine=daemon.kind, **labels)

    def started(daemon):
        action = {"containerd": "task_start", "cri": "started"}.get(daemon.kind, "start")
        return value("events_total", daemon, type="container", action=action) or 0

    first = bot.start("run", port=port)
    wait_for("every engine", lambda: all(value("mirror_live", daemon) for daemon in daemons))
    with ThreadPoolExecutor(len(daemons)) as pool:
        list(pool.map(missed_events.prepare, daemons))
        wait_for("every container", lambda: all(value("mirror_containers", daemon) == 3 for daemon in daemons))
        # An inspection may show a start before its event, and only what events have reported is saved.
        wait_for("every start", lambda: all(started(daemon) >= 3 for daemon in daemons))
        seen = time.monotonic()
        wait_for(
            "what is known to be saved",
            lambda: all(value("stream_cursor_age_seconds", daemon) < time.monotonic() - seen - 1 for daemon in daemons),
        )
        first.kill()
        first.wait()
        list(pool.map(missed_events.happen, daemons))
    bot.start("run", port=port)
    gaps = "stream_gaps_total"

    def reported(daemon):
        return [
            value(gaps, daemon, reason="not_watched", recovery=each) or 0 for each in ("replayed", "resynced", "lost")
        ]

    wait_for("every gap", lambda: get(port)[0] == 200 and all(sum(reported(each)) for each in daemons))
    # Podman's event file is complete; the others were found by comparing lists.
    assert {daemon.kind: reported(daemon) for daemon in daemons} == {
        daemon.kind: [1, 0, 0] if daemon.kind == "podman" else [0, 1, 0] for daemon in daemons
    }
    found = table_of(bot.do("events --since 1h --all --limit 1000 --type container", "--json"))["rows"]
    for daemon in daemons:
        called = getattr(daemon, "called", lambda name: name)
        names = {called(name): name for name in ("stays", "goes", "crashes", "comes")}
        life = Counter(
            (row["WHAT"], names[row["NAME"]])
            for row in found
            if row["ENGINE"].partition("/")[0] == daemon.kind
            and row["NAME"] in names
            and row["WHAT"] in ("created", "started", "died", "removed")
        )
        assert life == EVER, (daemon.kind, life - EVER, EVER - life)
    shown = table_of(bot.do("events --since 1h --type engine", "--json"))["rows"]
    assert Counter(row["WHAT"] for row in shown) == {"gap": len(daemons)}
    assert all("without events: Quarterdeck did not watch this engine; " in row["DETAIL"] for row in shown)
