"""stats: figures as people read them, the busiest first, and what is not among them said."""

from __future__ import annotations

from typing import Any

import pytest

from bot import plain_text
from core import errors
from core.model.replies import Ending, Table
from core.model.resource_usage import Point, ReadUsage, Usage, Usages
from tests.unit.commands.conftest import BATCH, FAR, HOST7, HOST8, WEB, WEB2

MIB = 1 << 20
BUSY = Usage(
    ref=WEB2.ref,
    cpu_percent=212.46,
    cpu_seconds=99.0,
    memory=512 * MIB,
    memory_limit=2048 * MIB,
    network_received=1_234_567,
    network_sent=999,
    block_read=0,
    block_written=5_000_000_000,
    processes=12,
)
IDLE = Usage(ref=WEB.ref, cpu_percent=0.04, memory=3 * MIB, processes=1)
DARK = Usage(ref=BATCH.ref)


def shown(reply) -> list[dict[str, Any]]:
    table = reply.blocks[0]
    assert isinstance(table, Table)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def usages(*rows: Usage, missing: str = ""):
    return lambda _: Usages(rows=rows, missing=missing)


async def test_the_busiest_comes_first_in_the_units_people_know(world):
    assert await world.plan("stats") == [ReadUsage(engine=HOST7)]
    rows = shown(await world.say("stats", usages(DARK, IDLE, BUSY)))
    assert [row["NAME"] for row in rows] == ["web-2", "web", "batch"]
    assert rows[0] == {
        "NAME": "web-2",
        "CPU %": "212.5",
        "MEM / LIMIT": "512 MiB / 2.0 GiB",
        "MEM %": "25.0",
        "NET I/O": "1.2 MB / 999 B",
        "BLOCK I/O": "0 B / 5.0 GB",
        "PIDS": 12,
    }
    assert (rows[1]["MEM / LIMIT"], rows[1]["MEM %"], rows[1]["NET I/O"]) == ("3.0 MiB", "-", "-")
    assert set(rows[2].values()) == {"batch", "-"}


@pytest.mark.parametrize(
    ("by", "first"), [("cpu", "web-2"), ("memory", "web-2"), ("network", "web-2"), ("pids", "web-2"), ("name", "batch")]
)
async def test_they_are_sorted_by_what_is_asked_for(world, by, first):
    assert shown(await world.say(f"stats --sort {by}", usages(DARK, IDLE, BUSY)))[0]["NAME"] == first


async def test_words_and_labels_choose_containers_and_each_engine_is_asked_for_its_own(two_hosts):
    plan = await two_hosts.plan("stats web")
    assert plan == [ReadUsage(engine=HOST7, only=(WEB.ref.id,)), ReadUsage(engine=HOST8, only=(FAR.ref.id,))]
    assert [action.only for action in await two_hosts.plan("stats --label app=shop --host host8")] == [(FAR.ref.id,)]


async def test_what_does_not_run_has_no_figures_and_that_is_said(world):
    text = plain_text.render(await world.say("stats web batch", usages(IDLE)))
    assert "1 container of those named is not running." in text
    reply = await world.say("stats batch", usages())
    assert plain_text.render(reply).strip() == "None of these containers is running."
    assert reply.ending is Ending.OK
    assert plain_text.render(await world.say("stats", usages())).strip() == "Nothing is running."


async def test_what_an_engine_cannot_tell_is_said_in_its_words(world):
    reply = await world.say("stats web batch", usages(IDLE, missing="cgroup v1 lets no user read this."))
    text = plain_text.render(reply)
    assert "docker/host7: cgroup v1 lets no user read this." in text
    assert "does not run" not in text


async def test_engines_that_are_away_or_cannot_are_told_apart(two_hosts):
    def answer(action):
        return Usages(rows=(IDLE,)) if action.engine == HOST7 else errors.Unreachable("It is away.")

    reply = await two_hosts.say("stats", answer)
    assert shown(reply)[0]["HOST"] == "host7"
    assert "No result from docker/host8: It is away." in plain_text.render(reply)
    lacking = errors.Unsupported("container.stats", "docker/host8", "Ask its containers' engine.")
    reply = await two_hosts.say("stats", lambda _: lacking)
    assert "docker/host8 does not support container.stats. Ask its containers' engine." in plain_text.render(reply)
    assert reply.ending is Ending.USAGE


async def test_what_is_left_out_is_counted(world):
    many = tuple(Usage(ref=WEB.ref, cpu_percent=float(number)) for number in range(60))
    reply = await world.say("stats --limit 10", usages(*many))
    assert [row["CPU %"] for row in shown(reply)] == [f"{number}.0" for number in range(59, 49, -1)]
    assert "50 more containers are left out" in plain_text.render(reply)


# ── over time ────────────────────────────────────────────────────────────────────────────────────────────────────


def over_time(ref, at, *values):
    points = [
        Point(int(at) + 60 * number, cpu, memory, None, None, None, None) for number, (cpu, memory) in enumerate(values)
    ]
    return Usage(ref=ref, points=tuple(points))


async def test_since_shows_how_cpu_and_memory_developed(world):
    (action,) = await world.plan("stats --since 10m")
    assert action.engine == HOST7 and action.since > 0
    found = over_time(WEB.ref, action.since, (10.0, MIB), (None, 3 * MIB), (30.0, 2 * MIB))
    (row,) = shown(await world.say("stats --since 10m", usages(found, Usage(ref=WEB2.ref))))
    assert (row["NAME"], row["CPU % AVG"], row["CPU % MAX"]) == ("web", "20.0", "30.0")
    assert (row["MEM AVG"], row["MEM MAX"]) == ("2.0 MiB", "3.0 MiB")
    assert len(row["CPU OVER TIME"]) == len(row["MEM OVER TIME"]) == 20
    assert row["CPU OVER TIME"].replace(" ", "") == "▃█"
    assert row["MEM OVER TIME"].replace(" ", "") == "▃█▆"


async def test_without_readings_it_is_said_who_has_them(world):
    text = plain_text.render(await world.say("stats web --since 1h", usages(Usage(ref=WEB.ref))))
    assert text.strip() == "There are no readings of the last 1 h. Only a running bot stores them, for one hour."


async def test_since_goes_back_an_hour_at_most(world):
    with pytest.raises(
        errors.BadUsage, match="--since 2h goes back too far: the usage of one hour is stored"
    ) as caught:
        await world.plan("stats --since 2h")
    assert "--since 1h" in caught.value.hint


async def test_a_flat_and_an_empty_line_are_drawn(world):
    (action,) = await world.plan("stats --since 10m")
    (row,) = shown(
        await world.say("stats --since 10m", usages(over_time(WEB.ref, action.since, (0.0, None), (0.0, None))))
    )
    assert row["CPU OVER TIME"].replace(" ", "") == "▁▁" and row["MEM OVER TIME"] == "-"
