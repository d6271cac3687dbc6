"""events: which events it asks for, how it folds them, and what a narrow terminal shows."""

from __future__ import annotations

import msgspec
import pytest

from bot import plain_text
from commands._shared import event_coverage_text
from core import errors
from core.model.event_actions import ListEvents
from core.model.event_coverage import Coverage, Missed
from core.model.events import Event, EventKind, EventList, Origin
from core.model.gaps import Gap, GapReason, Recovery
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Ending
from tests.unit.commands.conftest import BATCH, HOST7, NOW, WEB, WEB2

SECOND = 1_000_000_000
NOW_NS = int(NOW.timestamp()) * SECOND
BRIDGE = Ref(engine=HOST7, kind=Kind.NETWORK, id="b" * 64, name="bridge")
IMAGE = Ref(engine=HOST7, kind=Kind.IMAGE, id="sha256:" + "c" * 64, name="shop:2")
EXPLAINED = {"cause": "requested", "cause_text": "stop through Quarterdeck", "cause_by": "slack:T1/ADA"}


def event(
    ago: float, kind: EventKind, action: str, ref: Ref = WEB.ref, type_: str = "container", **attrs: str
) -> Event:
    return Event(NOW_NS - int(ago * SECOND), kind, ref, Origin.LIVE, type_, action, attrs)


def stop(ago: float, ref: Ref = WEB.ref, **cause: str) -> tuple[Event, ...]:
    """`docker stop`, as Docker reports it."""
    return (
        event(ago, EventKind.KILLED, "kill", ref, signal="15"),
        event(ago - 0.2, EventKind.DIED, "die", ref, exit_code="0", **cause),
        event(ago - 0.3, EventKind.STOPPED, "stop", ref),
    )


def lines(reply) -> list[tuple[str, ...]]:
    return [tuple(row[1:]) for row in reply.blocks[0].rows]


async def say(world, line: str, *happened: Event):
    return await world.say(line, lambda action: action.select(happened))


async def test_a_stop_is_one_line_with_its_cause_and_the_requester(world):
    happened = (*stop(60, **EXPLAINED), event(30, EventKind.STARTED, "start", image="nginx"))
    assert lines(await say(world, "events", *happened)) == [
        ("died", "web", "stop through Quarterdeck (slack:T1/ADA)"),
        ("started", "web", "nginx"),
    ]
    assert [row[0] for row in lines(await say(world, "events --all", *happened))] == [
        "killed",
        "died",
        "stopped",
        "started",
    ]


async def test_what_no_cause_tells_stays(world):
    reload = event(90, EventKind.KILLED, "kill", signal="1")
    assert lines(await say(world, "events", reload, *stop(60, **EXPLAINED)))[0] == ("killed", "web", "signal HUP")
    # The cause of an end is known a few seconds later; until then, everything is shown.
    assert [row[0] for row in lines(await say(world, "events", *stop(2)))] == ["killed", "died", "stopped"]
    oom = event(61, EventKind.OOM, "oom")
    crashed = event(60, EventKind.DIED, "die", exit_code="1", cause="crashed", cause_text="crashed")
    assert [row[0] for row in lines(await say(world, "events", oom, crashed))] == ["oom", "died"]
    killed = event(60, EventKind.DIED, "die", exit_code="137", cause="out_of_memory", cause_text="out of memory")
    assert [row[0] for row in lines(await say(world, "events", oom, killed))] == ["died"]


async def test_an_end_whose_cause_is_still_looked_for_says_so(world):
    died = event(2, EventKind.DIED, "die", exit_code="137", cause_pending="true")
    assert lines(await say(world, "events", died)) == [("died", "web", "exit code 137, its cause is not known yet")]
    nobody_looks = event(2, EventKind.DIED, "die", exit_code="137")
    assert lines(await say(world, "events", nobody_looks)) == [("died", "web", "exit code 137")]


async def test_a_crash_loop_is_two_lines_with_their_number(world):
    loop = [
        each
        for number in range(20)
        for each in (
            event(
                300 - 10 * number,
                EventKind.DIED,
                "die",
                exit_code="1",
                cause="crashed",
                cause_text="crashed: it failed",
            ),
            event(299 - 10 * number, EventKind.STARTED, "start", image="nginx"),
        )
    ]
    other = event(205, EventKind.DIED, "die", BATCH.ref, exit_code="0", cause="finished", cause_text="finished")
    assert lines(await say(world, "events", *loop, other)) == [
        ("died", "batch", "finished"),
        ("died 20×", "web", "crashed: it failed, last 1 min ago, first at 2026-11-24T02:55:00Z"),
        ("started 20×", "web", "nginx, last 1 min ago, first at 2026-11-24T02:55:01Z"),
    ]
    assert len(lines(await say(world, "events --all", *loop, other))) == 41


async def test_only_the_life_of_things_is_shown_unless_more_is_asked_for(world):
    happened = (
        event(9, EventKind.OTHER, "exec_start"),
        event(8, EventKind.OTHER, "connect", BRIDGE, "network", container=WEB.ref.id, container_name="web"),
        event(7, EventKind.OTHER, "pull", IMAGE, "image"),
        event(6, EventKind.OTHER, "attach"),
    )
    pulled = ("image pull", "shop:2", "")
    connected = ("network connect", "bridge", "container web")
    assert lines(await say(world, "events", *happened)) == [pulled]
    assert lines(await say(world, "events --type network", *happened)) == [connected]
    assert lines(await say(world, "events --type image --type network", *happened)) == [connected, pulled]
    assert lines(await say(world, "events --action connect", *happened)) == [connected]
    assert lines(await say(world, "events --action 'image *'", *happened)) == [pulled]
    assert lines(await say(world, "events --action 'exec*'", *happened)) == [("exec_start", "web", "")]
    assert len(lines(await say(world, "events --all", *happened))) == 4
    assert lines(await say(world, "events web --all", *happened))[1:2] == [connected]
    nothing = await say(world, "events --type volume", *happened)
    assert nothing.blocks[0].empty == "No such event happened in the last 1 h." and nothing.ending is Ending.OK


async def test_until_ends_the_window_and_must_lie_in_it(world):
    (action,) = await world.plan("events --since 2h --until 30m")
    assert isinstance(action, ListEvents)
    assert (action.since_ns, action.until_ns) == (NOW_NS - 7200 * SECOND, NOW_NS - 1800 * SECOND)
    reply = await say(world, "events --since 2h --until 30m")
    assert reply.blocks[0].empty == "Nothing happened between 2026-11-24T01:00:00Z and 2026-11-24T02:30:00Z."
    with pytest.raises(
        errors.BadUsage, match="--until 2026-11-24T01:00:00Z is not later than --since 2026-11-24T02:00:00Z"
    ) as raised:
        await world.plan("events --until 2h")
    assert "--since 2h --until 1h" in raised.value.hint


@pytest.mark.parametrize(
    ("since", "seconds_ago"),
    [
        ("90s", 90),
        ("2:30", 1800),
        ("02:59:30", 30),
        ("3:00", 0),
        ("3:01", 86_400 - 60),  # of yesterday: it is 3:00
        ("2026-11-24", 3 * 3600),
        ("2026-11-24T02:30", 1800),
        ("'2026-11-24 02:30:15Z'", 1785),
        ("2026-11-24T03:30:00+01:00", 1800),
    ],
)
async def test_a_time_may_be_a_span_a_time_of_day_or_a_date(world, since, seconds_ago):
    (action,) = await world.plan(f"events --since {since}")
    assert action.since_ns == NOW_NS - seconds_ago * SECOND


@pytest.mark.parametrize("since", ["25:00", "2026-13-01", "2026-11-24T99", "14:5", "-1h", "1:2:3:4", "9" * 50 + "-1"])
async def test_no_time_is_refused_with_those_that_are(world, since):
    with pytest.raises(errors.BadUsage, match="--since cannot be") as raised:
        await world.plan(f"events --since={since}")
    assert "14:05" in raised.value.hint


async def test_a_gap_of_the_engine_is_shown_with_the_events_of_a_name(world):
    gap = Gap(
        engine=HOST7,
        engine_id="e1",
        from_ns=NOW_NS - 90 * SECOND,
        until_ns=NOW_NS - 60 * SECOND,
        reason=GapReason.STREAM_LOST,
        recovery=Recovery.RESYNCED,
    ).to_event()
    started = event(50, EventKind.STARTED, "start", image="nginx")
    for line in ("events", "events web", "events --type engine --type container"):
        (blind, *_) = lines(await say(world, line, gap, started))
        assert blind[0] == "gap" and blind[1] == "docker/host7" and "30 s without events" in blind[2]
    other = msgspec.structs.replace(gap, attrs=gap.attrs | {"reason": "unheard_of"})
    assert lines(await say(world, "events", other)) == [("gap", "docker/host7", "some time without events")]
    assert len(lines(await say(world, "events nosuch", gap, started))) == 0
    assert [row[0] for row in lines(await say(world, "events --type container", gap, started))] == ["started"]


async def test_an_answer_says_what_is_missing(world):
    listed = EventList(rows=(), notes=("The store does not answer, so older events may be missing.",))
    assert "older events may be missing" in plain_text.render(await world.say("events", lambda _: listed))


async def test_80_columns_show_the_whole_cause(world):
    text = "killed by SIGKILL from outside the engine, or out of memory (exit code 137)"
    died = event(60, EventKind.DIED, "die", WEB2.ref, exit_code="137", cause="killed", cause_text=text)
    reply = await say(world, "events", died)
    assert plain_text.render(reply, 60, clock=lambda at: f"{at:%H:%M:%S %Z}").split("\n") == [
        "TIME          WHAT  NAME   DETAIL",
        "02:59:00 UTC  died  web-2  killed by SIGKILL from outside",
        "                           the engine, or out of memory",
        "                           (exit code 137)",
    ]
    assert max(map(len, plain_text.render(reply, width=80).split("\n"))) <= 80


def covered(*happened, **coverage):
    """An answer that covers what `coverage` says; times are seconds ago."""
    times = {name: NOW_NS - int(value * SECOND) for name, value in coverage.items()}
    return lambda action: action.select(happened, coverage=Coverage(**times))


async def test_an_engine_that_remembers_only_seconds_never_says_that_nothing_happened(world):
    reply = await world.say("events --host host7", covered(remembered_ns=31))
    assert plain_text.render(reply) == (
        "docker/host7 itself stores only the events of the last 31 s; nothing happened in that time. Earlier events"
        " are missing: Quarterdeck did not watch it."
    )
    text = plain_text.render(await world.say("events --host host7", covered(*stop(20), remembered_ns=31)))
    assert "died" in text and "stores only the events of the last 31 s. Earlier events are missing" in text


async def test_an_engine_without_memory_says_so(world):
    text = plain_text.render(await world.say("events web --host host7 --since 2h", covered()))
    assert text.startswith("No event of web is known in the last 2 h.")
    assert "docker/host7 stores no events of this time, and Quarterdeck did not watch it." in text


async def test_the_history_of_a_bot_covers_what_it_watched(world):
    known = covered(watched_ns=7_200, watched_until_ns=0)
    assert plain_text.render(await world.say("events --host host7", known)) == "Nothing happened in the last 1 h."
    late = covered(watched_ns=600, watched_until_ns=0, remembered_ns=31)
    text = plain_text.render(await world.say("events --host host7 --action died", late))
    assert text.startswith("No such event is known in the last 1 h.")
    assert "Events of docker/host7 are missing before 2026-11-24T02:50:00Z (Quarterdeck did not watch it yet)." in text
    stopped = covered(watched_ns=7_200, watched_until_ns=600, remembered_ns=31)
    text = plain_text.render(await world.say("events --host host7", stopped))
    assert "are missing from 2026-11-24T02:50:00Z to 2026-11-24T02:59:29Z (Quarterdeck does not watch it now)." in text


async def test_gaps_are_named_even_where_they_are_not_listed(world):
    lost = Missed(NOW_NS - 1_800 * SECOND, NOW_NS - 1_200 * SECOND, "its event stream was lost")
    coverage = Coverage(watched_ns=1, watched_until_ns=NOW_NS, missed=(lost,))
    reply = await world.say("events --host host7 --action died", lambda action: action.select((), coverage=coverage))
    text = plain_text.render(reply)
    assert "No such event is known" in text
    assert "are missing from 2026-11-24T02:30:00Z to 2026-11-24T02:40:00Z (its event stream was lost)." in text


def test_many_engines_are_not_a_page_of_notes():
    engines = [EngineRef(host=f"h{number}", kind="docker") for number in range(100)]
    unknown = event_coverage_text.find_unknown_times(
        [(engine, Coverage()) for engine in engines], NOW_NS - 60 * SECOND, NOW_NS, NOW
    )
    assert len(unknown.notes) == 6 and "Events of 95 more engines" in unknown.notes[-1] and not unknown.only
