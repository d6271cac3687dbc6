"""The log of a container that ran several times: the dividers between its runs, only its errors, and older lines."""

from __future__ import annotations

import pytest

from core import errors
from core.model.replies import Lines, Text
from core.model.results import LogLine, LogPage, LogRun

AT = "2026-11-24T02:59:{:02d}.{:09d}Z"


def line(second, text, fraction=0, stream="stdout"):
    return LogLine(at=AT.format(second, fraction), stream=stream, text=text)


def ns(second):
    return (1_795_489_140 + second) * 1_000_000_000  # 2026-11-24, 02:59 and so many seconds


RUNS = (
    LogRun(number=8, ended_ns=ns(10), exit_code=2),
    LogRun(number=9, started_ns=ns(11), ended_ns=ns(20), exit_code=137, out_of_memory=True),
    LogRun(number=10, started_ns=ns(21)),
)


def page(*lines, runs=RUNS, **more):
    return LogPage(lines=lines, runs=runs, **more)


async def shown(world, typed, answered):
    reply = await world.say(typed, lambda action: answered)
    return list(next(block for block in reply.blocks if isinstance(block, Lines)).lines)


async def test_each_run_begins_with_how_it_ended(world):
    answered = page(line(9, "a"), line(10, "b"), line(12, "c"), line(20, "d"), line(22, "e"))
    assert await shown(world, "logs web", answered) == [
        "── run 8 · exit 2 · 50 s ago ──",
        *("a", "b"),
        "── run 9 · exit 137, out of memory · 40 s ago ──",
        *("c", "d"),
        "── run 10 · running for 39 s ──",
        "e",
    ]


async def test_a_first_line_written_before_the_event_of_its_start_is_of_the_new_run(world):
    got = await shown(world, "logs web", page(line(10, "old"), line(10, "new", 900_000_000)))
    assert got[2] == "── run 9 · exit 137, out of memory · 40 s ago ──"
    assert got[3] == "new"


async def test_runs_without_lines_share_a_divider(world):
    silent = tuple(LogRun(number=n, started_ns=ns(n), ended_ns=ns(n + 1), exit_code=2) for n in range(1, 9))
    got = await shown(world, "logs web", page(line(1, "only"), runs=silent))
    assert got == [
        "── run 1 · exit 2 · 58 s ago ──",
        "only",
        "── runs 2 to 7 · wrote nothing ──",
        "── run 8 · exit 2 · 51 s ago ──",
    ]


@pytest.mark.parametrize("runs", [(), (LogRun(number=1, started_ns=ns(1)),)])
async def test_a_container_with_one_run_has_no_dividers(world, runs):
    assert await shown(world, "logs web", page(line(2, "a"), line(3, "b"), runs=runs)) == ["a", "b"]


async def test_a_program_cannot_write_a_divider(world):
    forged = "── run 10 · exit 0 · 1 s ago ──"
    assert await shown(world, "logs web", page(line(2, forged), runs=())) == [f" {forged}"]


async def test_only_errors_are_shown_with_what_continues_them(world):
    got = await shown(
        world,
        "logs web --errors",
        page(
            line(12, "GET /error.html 200 err=nil"),
            line(13, "Traceback (most recent call last):", stream="stderr"),
            line(14, '  File "a.py", line 1', stream="stderr"),
            line(15, "  indented on another stream"),
            line(16, "ValueError: no", stream="stderr"),
            line(17, "fine"),
            runs=(),
        ),
    )
    assert got == ["Traceback (most recent call last):", '  File "a.py", line 1', "ValueError: no"]
    reply = await world.say("logs web --errors", lambda action: page(line(1, "fine"), runs=()))
    assert isinstance(reply.blocks[0], Text)
    assert "looks like an error" in reply.blocks[0].text


async def test_older_lines_are_one_button_away_and_no_line_comes_twice(world):
    full = page(*(line(30, f"{n}", n * 1_000) for n in range(1, 101)), runs=())
    reply = await world.say("logs web", lambda action: full)
    older = next(button.line for button in reply.buttons if button.label == "Older")
    assert older == "logs web --until 2026-11-24T02:59:30.000000Z"
    (action,) = await world.plan(older)
    assert action.until_ns == ns(30)
    short = await world.say("logs web", lambda action: page(line(1, "all there is"), runs=()))
    assert "Older" not in [button.label for button in short.buttons]


async def test_a_crash_loop_offers_its_previous_run(world):
    reply = await world.say("logs web", lambda action: page(line(9, "a"), line(22, "e")))
    assert "logs web --previous" in [button.line for button in reply.buttons]
    (action,) = await world.plan("logs web --previous")
    assert action.previous


async def test_following_past_lines_is_refused(world):
    for option in ("--until 10m", "--previous", "--errors"):
        with pytest.raises(errors.BadUsage, match="cannot be combined"):
            await world.plan(f"logs web -f {option}")
    (action,) = await world.plan("logs web -f")
    assert action.over_restarts
