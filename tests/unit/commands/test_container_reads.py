"""top, diff, port, wait, history, df and the lists of tasks: what they ask for and how they show it."""

from __future__ import annotations

import pytest

from bot import plain_text
from core import errors
from core.model.actions import ListContainers
from core.model.background_jobs import FollowResult
from core.model.container_reads import (
    FileChange,
    FileChanges,
    Processes,
    ReadFileChanges,
    ReadProcesses,
    WaitForEnd,
)
from core.model.disk_use import DiskUse, ReadDiskUse
from core.model.images import HistoryStep, ImageHistory
from core.model.replies import Ending
from tests.unit.commands.conftest import NOW

GONE = errors.Unreachable("docker/host7 does not answer.", hint="Is it running?")


def shown(reply):
    return plain_text.render(reply)


async def test_top_is_a_table_for_each_container(world):
    assert [type(action) for action in await world.plan("top web web-2")] == [ReadProcesses, ReadProcesses]
    found = Processes(titles=("UID", "CMD"), rows=(("root", "nginx -g daemon off;"),), missing=3)
    reply = await world.say("top web", lambda _: found)
    assert shown(reply).split("\n") == ["UID   CMD", "root  nginx -g daemon off;", "3 more processes are left out."]
    both = await world.say("top web web-2", lambda action: found if action.target.name == "web" else GONE)
    assert "web-2: docker/host7 does not answer. Is it running?" in shown(both)
    assert both.ending is Ending.OK
    assert (await world.say("top web", lambda _: GONE)).ending is Ending.FAILED


async def test_diff_counts_and_names_the_changes(world):
    (action,) = await world.plan("diff web")
    assert type(action) is ReadFileChanges
    found = FileChanges(changes=(FileChange("changed", "/a"), FileChange("added", "/a/b")), missing=7)
    assert (
        shown(await world.say("diff web", lambda _: found))
        == "web: 1 added, 1 changed; 7 more are left out.\nC /a\nA /a/b"
    )
    assert shown(await world.say("diff web", lambda _: FileChanges(changes=()))) == "web changed no files."


@pytest.mark.parametrize(
    ("line", "text", "ending"),
    [
        ("port web", "web   80/tcp   0.0.0.0:8080", Ending.OK),
        ("port web 80", "web   80/tcp  [::]:8080", Ending.OK),
        ("port web 443/tcp", "web   443/tcp  not published", Ending.OK),
        ("port web 53/udp", "web: no port 53/udp is published or exposed.", Ending.NOTHING),
        ("port batch", "batch: no ports are published or exposed.", Ending.OK),
        ("port none", "There is no container “none”.", Ending.NOTHING),
    ],
)
async def test_port_shows_where_a_port_is_published(world, line, text, ending):
    assert [type(action) for action in await world.plan(line)] == [ListContainers]
    reply = await world.say(line)
    assert text in shown(reply)
    assert reply.ending is ending


@pytest.mark.parametrize("port", ["0", "65536", "80/icmp", "http", "٣"])
async def test_what_is_no_port_is_refused_before_an_engine_is_asked(world, port):
    with pytest.raises(errors.BadUsage, match="is not a port"):
        await world.plan(f"port web {port}")


async def test_wait_says_how_each_ended(world):
    (action,) = await world.plan("wait web -t 5")
    assert (type(action), action.timeout) == (WaitForEnd, 5)
    ended = FollowResult(lines=0, skipped=0, seconds=12.0, why="has ended with code 3")
    assert shown(await world.say("wait web", lambda _: ended)) == "web has ended with code 3 (12 s)."
    assert (await world.say("wait web", lambda _: GONE)).ending is Ending.FAILED


async def test_history_is_the_newest_step_first(world):
    steps = ImageHistory(
        rows=(
            HistoryStep(created_at=NOW.timestamp() - 60, command="CMD sh", size=0),
            HistoryStep(created_at=0.0, command="", size=4_200_000, comment="imported"),
        )
    )
    reply = await world.say("history web", lambda _: steps)
    assert shown(reply).split("\n")[1:] == [
        "2026-11-24T02:59:00Z          CMD sh",
        "                      4.2 MB  imported",
    ]


async def test_df_shows_what_each_engine_reports(two_hosts):
    assert {type(action) for action in await two_hosts.plan("df")} == {ReadDiskUse}
    use = DiskUse(images=4_200_000, volumes=0, unused_volumes=2, read_at=NOW.timestamp() - 90, took=40.0)
    late = errors.TimedOut("docker/host8 did not answer within 120 s.", sent=False)
    reply = await two_hosts.say("df", lambda action: use if action.engine.host == "host7" else late)
    assert shown(reply).split("\n") == [
        "ENGINE        IMAGES  VOLUMES  UNUSED VOLUMES",
        "docker/host7  4.2 MB  0 B      2",
        "docker/host7: needed 40 s, measured 1 min ago.",
        "No result from docker/host8: docker/host8 did not answer within 120 s.",
    ]
