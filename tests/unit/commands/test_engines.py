"""engines: rows for those that answer and those that do not, and everything about one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from bot import plain_text
from core import errors
from core.model.actions import DescribeEngine
from core.model.engines import Engine
from core.model.refs import EngineRef
from core.model.replies import Ending, Fields, Table
from core.ports import Query
from tests.unit.commands.conftest import HOST7, HOST8, NOW

VERBS = ("container.list", "container.logs", "engine.list")
UP = Engine(
    ref=HOST7,
    address="unix:///var/run/docker.sock",
    verbs=VERBS,
    version="26.1.5",
    api="1.45",
    system="linux/x86_64",
    storage="overlay2",
    cgroup="2",
    containers=12,
    running=9,
    stream="up",
    stream_since=NOW.timestamp() - 200,
)
DEAD = Engine(
    ref=HOST8,
    address="ssh://ops@host8/var/run/docker.sock",
    verbs=VERBS,
    fault="host8 cannot be reached by ssh on port 22: connection refused. Is the host up?",
    stream="down",
    stream_since=NOW.timestamp() - 4000,
    stream_fault="The ssh connection to host8 was lost.",
)


def answers(*of: object) -> Callable[[Any], Any]:
    """What host7 and host8 say, in this order."""
    said = dict(zip((HOST7, HOST8), of, strict=False))
    return lambda action: said[action.engine]


async def test_each_engine_is_a_row_and_a_dead_one_tells_why(two_hosts):
    reply = await two_hosts.say("engines", answers(UP, DEAD))
    assert await two_hosts.plan("engines") == [DescribeEngine(engine=HOST7), DescribeEngine(engine=HOST8)]
    table = reply.blocks[0]
    assert isinstance(table, Table)
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [row["ENGINE"] for row in rows] == ["docker/host7", "docker/host8"]
    assert (rows[0]["CONTAINERS"], rows[0]["RUNNING"], rows[0]["STATE"]) == (12, 9, "up 3 min")
    assert (rows[1]["VERSION"], rows[1]["STATE"]) == ("-", "down 1 h")
    assert reply.ending is Ending.OK
    assert "docker/host8: host8 cannot be reached" in plain_text.render(reply)


@pytest.mark.parametrize("width", [80, 100])
async def test_no_cell_is_cut_in_a_narrow_terminal(two_hosts, width):
    names = [
        EngineRef(host=HOST7.host, kind="podman", name="1001"),
        EngineRef(host="prod-eu-west-1a", kind="containerd"),
    ]
    fleet = [msgspec.structs.replace(UP, ref=ref, version="20.10.24+dfsg1", containers=1234) for ref in names]
    shown = plain_text.render(await two_hosts.say("engines", answers(*fleet)), width)
    assert shown == (
        "ENGINE                      STATE     CONTAINERS  RUNNING  VERSION\n"
        "containerd/prod-eu-west-1a  up 3 min        1234        9  20.10.24+dfsg1\n"
        "podman/host7/1001           up 3 min        1234        9  20.10.24+dfsg1"
    )


async def test_a_stream_that_is_down_is_told_although_the_engine_answers(two_hosts):
    deaf = msgspec.structs.replace(UP, stream="down", stream_fault="The stream was refused.")
    shown = plain_text.render(await two_hosts.say("engines", answers(UP, deaf)))
    assert "down 3 min" in shown
    assert "docker/host7: The stream was refused." in shown


async def test_one_that_may_not_be_used_is_a_row_and_no_fault(two_hosts):
    denied = Engine(ref=HOST8, address="file:///run/runc", verbs=(), not_permitted="The user may not read it.")
    reply = await two_hosts.say("engines", answers(UP, denied))
    assert [row[1] for row in reply.blocks[0].rows] == ["up 3 min", "not permitted"]
    assert len(reply.blocks) == 1
    assert reply.ending is Ending.OK
    fields = (await two_hosts.say("engines host8 --host host8", answers(denied, denied))).blocks[0].fields
    assert fields["State"] == "not permitted: The user may not read it."


async def test_a_name_shows_everything_about_it(two_hosts):
    reply = await two_hosts.say("engines host7 --host host7", answers(UP))
    assert two_hosts.find.asked == [Query(engine="host7", host="host7", verb="engine.list")]
    fields = reply.blocks[0]
    assert isinstance(fields, Fields)
    assert fields.title == "docker/host7"
    assert fields.fields["Containers"] == "12 (9 running)"
    assert fields.fields["Verbs"] == "container.list, container.logs, engine.list"
    assert fields.fields["Event stream"] == "up since 2026-11-24T02:56:40Z"


async def test_without_a_watch_an_engine_answers_or_does_not(two_hosts):
    quiet = [msgspec.structs.replace(engine, stream="") for engine in (UP, DEAD)]
    table = (await two_hosts.say("engines", answers(*quiet))).blocks[0]
    assert [row[1] for row in table.rows] == ["answers", "down"]


async def test_what_may_not_be_listed_is_not_there(two_hosts):
    reply = await two_hosts.say("engines", answers(UP, None))
    assert len(reply.blocks[0].rows) == 1
    assert "host8" not in plain_text.render(reply)
    reply = await two_hosts.say("engines", answers(None, None))
    assert "no engines that you may list" in plain_text.render(reply)
    assert reply.ending is Ending.NOTHING


async def test_a_host_that_forbids_even_that_is_told(two_hosts):
    reply = await two_hosts.say("engines", answers(UP, errors.Disallowed("engine.list", "docker/host8")))
    assert "docker/host8 does not allow engine.list" in plain_text.render(reply)
    assert reply.ending is Ending.OK
