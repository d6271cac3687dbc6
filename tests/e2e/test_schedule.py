"""Recurring jobs in real processes: several that share a store have one leader and one measurement of an engine."""

import signal
from pathlib import Path

import pytest
import redis

from core.store import keys
from tests.helpers.bot_process import series
from tests.helpers.socket_proxy import proxied
from tests.helpers.waiting import free_tcp_port, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]


def started(bot):
    port = free_tcp_port()
    process = bot.start("run", port=port)
    process.port = port
    return process


def leads(process):
    return series(process.port, "quarterdeck_schedule_leader") == 1


def test_a_killed_leader_is_replaced_and_one_measurement_serves_both(bot, valkey):
    bot.env["QUARTERDECK_STORE__URL"] = valkey.url
    processes = [started(bot), started(bot)]
    wait_for("a leader", lambda: any(leads(each) for each in processes))
    measured = "quarterdeck_disk_use_timestamp_seconds"
    wait_for("the first measurement", lambda: any(series(each.port, measured) for each in processes))
    with redis.Redis(unix_socket_path=str(valkey.socket)) as store:
        assert len(store.keys(f"*:{keys.disk_use('*')}")) == 1
    (leader,) = [each for each in processes if leads(each)]
    (other,) = [each for each in processes if each is not leader]
    leader.kill()
    leader.wait()
    wait_for("the next leader", lambda: leads(other), pause=0.2)
    wait_for("the measurement on its page", lambda: series(other.port, measured), 120, pause=0.2)
    jobs = {"job_name": "resources", "outcome": "ok"}
    assert series(other.port, "quarterdeck_job_runs_total", **jobs) >= 1
    other.send_signal(signal.SIGTERM)
    assert other.wait(60) == 0
    for process in processes:
        assert "Traceback" not in process.log.read_text()


def test_a_process_that_waits_for_a_measurement_ends_at_once_and_frees_the_engine(bot, dockerd, valkey, short_tmp):
    bot.env["QUARTERDECK_STORE__URL"] = valkey.url
    with proxied(Path(dockerd.url.removeprefix("unix://")), short_tmp / "p.sock") as proxy:
        proxy.hold = b"/system/df"
        bot.watch({"kind": "docker", "url": proxy.url})
        process = started(bot)
        assert proxy.held.wait(60), "the daemon was never asked for its disk use"
        with redis.Redis(unix_socket_path=str(valkey.socket)) as store:
            leases = f"*:{keys.lease('disk-use:*')}"
            assert len(store.keys(leases)) == 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert store.keys(leases) == store.keys(f"*:{keys.lease('schedule')}") == []
    assert "Traceback" not in process.log.read_text() and "left running" not in process.log.read_text()
