"""A followed log of an engine whose log ends with each run, over restarts; and the lines until a time, of which an
engine only gives the last ones of the whole log."""

from __future__ import annotations

import asyncio

import pytest

from core import errors
from core.model import actions
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from core.model.results import DIVIDER
from runtimes.base.jobs import Job
from runtimes.docker import logs as docker_logs
from runtimes.docker_like import logs
from runtimes.podman import logs as podman_logs

ENGINE = EngineRef(host="h1", kind="docker")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="4f" * 32, name="web")
DAY = "2026-11-24T03:00:"


def frame(second, text, stream=1):
    data = f"{DAY}{second:02d}.000000000Z {text}\n".encode()
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def row(state, **more):
    return Container(
        ref=WEB, image="i", image_id="", command="", state=state, status="", created_at=0.0, labels={}, **more
    )


class Engine(docker_logs.LogVerbs):
    """`parts`: the log of each run; `states`: what each inspection finds, the last one again and again; None: it was
    removed."""

    def __init__(self, parts, states):
        self.parts, self.states, self.queries = list(parts), list(states), []

    async def _read_log(self, target, query, seconds, receive):
        self.queries.append(dict(query))
        for chunk in self.parts.pop(0):
            if isinstance(chunk, Exception):
                raise chunk
            receive(chunk)

    async def _inspected(self, target):
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(logs, "RESTART_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(logs, "RESTART_SECONDS", 0.01)


async def follow(engine, **more):
    job = Job("j", "container.logs", "console:ann", read_only=True)
    action = actions.ReadLogs(engine=ENGINE, target=WEB, tail=10, follow=True, over_restarts=True, **more)
    outcome = await engine._follow(action, job)
    return outcome.detail, [(line.stream, line.text) for line in (await job.page("", 0)).lines]


async def test_a_followed_log_goes_on_over_restarts_and_says_each():
    engine = Engine(
        [[frame(1, "one")], [frame(1, "one"), frame(9, "two")], []],
        [
            row("restarting", exit_code=2),
            row("restarting", exit_code=2),
            row("running", restarts=8, started_at=1_795_489_205.0),
            row("running", restarts=9, started_at=1_795_489_215.0),
            row("exited", exit_code=0, finished_at=None),
        ],
    )
    detail, lines = await follow(engine)
    assert detail == "web has ended with code 0"
    assert lines == [
        ("stdout", "one"),
        (DIVIDER, "── ended with exit 2 · started again · run 9 ──"),
        ("stdout", "two"),
        (DIVIDER, "── ended · started again · run 10 ──"),
    ]
    # It goes on after the last line that was read, and a line that the engine gives again is not shown again.
    assert engine.queries[1]["since"].startswith("1795489201.")


async def test_it_ends_with_a_container_that_does_not_start_again_or_is_removed():
    ended = row("exited", exit_code=3)
    assert await follow(Engine([[frame(1, "one")]], [ended])) == ("web has ended with code 3", [("stdout", "one")])
    assert (await follow(Engine([[]], [None])))[0] == "web was removed"
    assert (await follow(Engine([[]], [ended, None])))[0] == "web was removed"


@pytest.mark.parametrize(
    "answer", [errors.NotFound("There is no such container."), errors.Rejected(409, "It is dead.")]
)
async def test_a_container_that_is_removed_right_after_its_restart_is_no_failure(answer):
    states = [row("exited", exit_code=3), row("running", restarts=1)]
    detail, lines = await follow(Engine([[frame(1, "one")], [answer]], [*states, None]))
    assert (detail, lines[0]) == ("web was removed", ("stdout", "one"))
    with pytest.raises(type(answer)):
        await follow(Engine([[frame(1, "one")], [answer]], [*states, row("running", restarts=1)]))
    with pytest.raises(type(answer)):
        await follow(Engine([[answer]], [None]))


async def test_podman_shows_no_line_from_before_the_time_that_was_asked_for():
    queries = []

    class Quiet(podman_logs.LogVerbs):
        def __init__(self):
            """Has no address."""

        async def _read_log(self, target, query, seconds, receive):
            queries.append(dict(query))
            if "follow" in query:
                receive(frame(1, "old"))
                receive(frame(30, "new"))

        async def _inspected(self, target):
            return None

    job = Job("j", "container.logs", "console:ann", read_only=True)
    since_ns = 1_795_489_210_000_000_000
    await Quiet()._follow(actions.ReadLogs(engine=ENGINE, target=WEB, tail=10, follow=True, since_ns=since_ns), job)
    assert [line.text for line in (await job.page("", 0)).lines] == ["new"]
    assert [query["since"] for query in queries] == ["1795489210", "1795489210"]


async def test_a_container_that_had_ended_before_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(logs, "RESTART_SECONDS", 3_600.0)
    engine = Engine([[frame(1, "one")]], [row("exited", exit_code=0, finished_at=5.0)])
    async with asyncio.timeout(60):
        assert (await follow(engine))[0] == "web has ended with code 0"


async def test_others_follow_one_run_only():
    job = Job("j", "container.logs", "console:ann", read_only=True)
    action = actions.ReadLogs(engine=ENGINE, target=WEB, follow=True)
    outcome = await Engine([[]], [row("running")])._follow(action, job)
    assert outcome.detail == "web was restarted"


class Log(Engine):
    """One log, of which the engine gives the last lines that are asked for."""

    def __init__(self, lines, states=()):
        super().__init__([], states)
        self.lines = lines

    async def _read_log(self, target, query, seconds, receive):
        self.queries.append(dict(query))
        for chunk in self.lines if query["tail"] == "all" else self.lines[-int(query["tail"]) :]:
            receive(chunk)


async def test_the_lines_until_a_time_are_found_behind_any_number_of_newer_ones():
    engine = Log([frame(1, f"old {n}") for n in range(5)] + [frame(30, f"new {n}") for n in range(100)])
    action = actions.ReadLogs(engine=ENGINE, target=WEB, tail=2, until_ns=1_795_489_210_000_000_000)
    page = await engine._page(action, 5.0)
    assert [line.text for line in page.lines] == ["old 3", "old 4"]
    assert [query["tail"] for query in engine.queries] == ["8", "128"]
    nothing = await Log([frame(30, "new")])._page(action, 5.0)
    assert nothing.lines == ()


async def test_the_previous_run_ends_with_the_last_end():
    engine = Log([frame(1, "old"), frame(30, "new")], [row("running", finished_at=1_795_489_210.5)])
    page = await engine.read_logs(actions.ReadLogs(engine=ENGINE, target=WEB, previous=True), 5.0)
    assert [line.text for line in page.lines] == ["old"]
    with pytest.raises(errors.NotFound, match="There is no previous run of web"):
        await Log([], [row("running")]).read_logs(actions.ReadLogs(engine=ENGINE, target=WEB, previous=True), 5.0)
