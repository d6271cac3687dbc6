"""What a reply says of containers that were watched after a change."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from bot import plain_text
from commands.containers import restart, stop
from commands.projects import restart as project_restart
from commands.services import scale
from commands.spec import Result
from core.model.actions import Restart, Scale, Stop
from core.model.project_actions import RestartProject
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Ending, Reply, Status, Text, Tone
from core.model.results import Outcome
from core.model.verification import RunState, RunVerdict
from tests.unit.commands.conftest import HOST7

ONE_ENGINE: Any = SimpleNamespace(find=SimpleNamespace(engines=lambda query: [HOST7]))
NEXT = ["logs", "logs -f", "restart", "events"]  # what is offered if all is well


def ref(name: str, kind: Kind = Kind.CONTAINER, engine: EngineRef = HOST7) -> Ref:
    return Ref(engine=engine, kind=kind, id=f"id of {name}", name=name)


def verdict(name: str, state: RunState, **more: Any) -> RunVerdict:
    return RunVerdict(ref=ref(name), state=state, seconds=more.pop("seconds", 6.0), **more)


def restarted(*runs: RunVerdict, took: float = 0.3, detail: str = "") -> Reply:
    results = [
        Result(
            action=Restart(engine=HOST7, target=run.ref),
            value=Outcome(status=Status.DONE, took=took, detail=detail),
            runs=[run],
        )
        for run in runs
    ]
    return restart.command.render(ONE_ENGINE, results)


LOOP = verdict("worker", RunState.ENDED, seconds=1.2, exit_code=2, ends=8, restarting=True)


@pytest.mark.parametrize(
    ("run", "text", "tone", "ending", "buttons"),
    [
        (verdict("worker", RunState.HEALTHY), "healthy after 6 s", Tone.GOOD, Ending.OK, NEXT),
        (verdict("worker", RunState.RUNNING, seconds=10.0), "still running after 10 s", Tone.GOOD, Ending.OK, NEXT),
        (LOOP, "died again after 1 s (exit 2, 8th time in 1 h)", Tone.WARN, Ending.FAILED, ["logs", "stop"]),
        (
            verdict("worker", RunState.ENDED, seconds=0.4, exit_code=137, out_of_memory=True, ends=1),
            "died after 0.4 s (out of memory, exit 137)",
            Tone.WARN,
            Ending.FAILED,
            ["logs", "start"],
        ),
        (
            verdict("worker", RunState.ENDED, exit_code=0, ends=1),
            "ended after 6 s (exit 0)",
            Tone.PLAIN,
            Ending.OK,
            ["logs", "start"],
        ),
        (verdict("worker", RunState.UNHEALTHY), "unhealthy after 6 s", Tone.WARN, Ending.FAILED, ["logs", "stop"]),
        (
            verdict("worker", RunState.UNCHECKED, seconds=35),
            "runs, but its health check has not succeeded after 35 s",
            Tone.WARN,
            Ending.OK,
            ["logs", "stop"],
        ),
        (verdict("worker", RunState.STOPPED), "stopped by somebody after 6 s", Tone.WARN, Ending.OK, ["logs", "start"]),
        (
            verdict("worker", RunState.UNKNOWN, why="docker/host7 does not answer."),
            "but it is not known whether it still runs: docker/host7 does not answer",
            Tone.WARN,
            Ending.UNKNOWN,
            [],
        ),
        (
            verdict("worker", RunState.UNWATCHED, why="the watching was ended"),
            "not watched any further: the watching was ended",
            Tone.PLAIN,
            Ending.OK,
            NEXT,
        ),
    ],
)
def test_one_container(run: RunVerdict, text: str, tone: Tone, ending: Ending, buttons: Sequence[str]) -> None:
    reply = restarted(run)
    assert reply.blocks == [Text(text=f"worker restarted in 0.3 s, {text}.", tone=tone)]
    assert reply.ending is ending
    assert [button.line.replace(" worker", "") for button in reply.buttons] == buttons
    assert all(button.offered for button in reply.buttons)


def test_a_kill_is_told_before_what_became_of_it() -> None:
    killed = restarted(verdict("web", RunState.HEALTHY), took=10.2, detail="did not end within 10 s and was killed")
    (text,) = killed.blocks
    assert isinstance(text, Text)
    assert text.text == "web restarted in 10.2 s; did not end within 10 s and was killed; healthy after 6 s."


def test_of_several_those_that_were_killed_are_counted_and_named() -> None:
    def stopped(name: str, grace: int) -> Result:
        killed = (name,) if grace else ()
        detail = f"did not end within {grace} s and was killed" if grace else ""
        outcome = Outcome(status=Status.DONE, took=grace + 0.3, detail=detail, killed=killed)
        return Result(action=Stop(engine=HOST7, target=ref(name)), value=outcome)

    reply = stop.command.render(ONE_ENGINE, [stopped("api", 10), stopped("db", 3), stopped("web", 0)])
    assert plain_text.render(reply).splitlines() == [
        "3 stopped; 2 did not end in time and were killed.",
        "NAME  RESULT",
        "api   stopped in 10.3 s; did not end within 10 s and was killed",
        "db    stopped in 3.3 s; did not end within 3 s and was killed",
        "web   stopped in 0.3 s",
    ]


def test_a_group_that_shrank_says_how_long_it_took_and_then_what_was_killed() -> None:
    text = "2 did not end in time and were killed: shop-web-2, shop-web-3"
    outcome = Outcome(status=Status.DONE, took=10.4, detail=f"from 3 to 1; {text}", killed=("shop-web-2", "shop-web-3"))
    result = Result(action=Scale(engine=HOST7, target=ref("shop/web", Kind.SERVICE), replicas=1), value=outcome)
    shown = plain_text.render(scale.command.render(ONE_ENGINE, [result]))
    assert shown == f"shop/web scaled from 3 to 1 in 10.4 s; {text}."


def test_several_are_counted_and_each_has_its_row() -> None:
    reply = restarted(verdict("api", RunState.HEALTHY), verdict("web", RunState.HEALTHY), LOOP)
    assert plain_text.render(reply) == (
        "2 restarted, 1 died again.\n"
        "NAME    RESULT\n"
        "api     restarted in 0.3 s, healthy after 6 s\n"
        "web     restarted in 0.3 s, healthy after 6 s\n"
        "worker  restarted in 0.3 s, died again after 1 s (exit 2, 8th time in 1 h)"
    )
    assert reply.ending is Ending.FAILED


def test_as_long_as_something_is_watched_the_reply_says_so() -> None:
    waiting = [verdict(name, RunState.WATCHED) for name in ("web", "api")]
    assert plain_text.render(restarted(waiting[0])) == "web restarted in 0.3 s.\nWatching web…"
    assert plain_text.render(restarted(*waiting, LOOP)).splitlines()[-1] == "Watching 2 containers…"


def test_a_log_line_that_was_read_follows() -> None:
    shown = plain_text.render(restarted(verdict("web", RunState.ENDED, exit_code=1, log="no such table: users")))
    assert "Last line of web:\nno such table: users" in shown


def scaled(*runs: RunVerdict, kind: str = "docker") -> str:
    engine = EngineRef(host="host7", kind=kind)
    service = ref("shop/web", Kind.SERVICE, engine)
    outcome = Outcome(status=Status.DONE, took=4.0, detail="from 1 to 3")
    result = Result(action=Scale(engine=engine, target=service, replicas=3), value=outcome, runs=runs)
    return plain_text.render(scale.command.render(ONE_ENGINE, [result]))


def test_a_service_is_summed_up() -> None:
    well = [verdict(f"shop-web-{number}", RunState.HEALTHY) for number in (1, 2, 3)]
    assert scaled(*well) == "shop/web scaled from 1 to 3 in 4.0 s, 3 containers healthy after 6 s."
    died = verdict("shop-web-3", RunState.ENDED, seconds=1.0, exit_code=2, ends=1)
    assert scaled(*well[:2], died).splitlines() == [
        "shop/web scaled from 1 to 3 in 4.0 s, shop-web-3 died after 1 s (exit 2); 2 others run.",
    ]
    assert "Watching 2 containers…" in scaled(well[0], *[verdict(f"x{n}", RunState.WATCHED) for n in range(2)])


def test_a_service_of_a_swarm_has_tasks() -> None:
    service = ref("shop/web", Kind.SERVICE, EngineRef(host="host7", kind="swarm"))
    fine = RunVerdict(ref=service, state=RunState.RUNNING, seconds=10)
    assert scaled(fine, kind="swarm").endswith("in 4.0 s, all tasks still running after 10 s.")
    failed = RunVerdict(
        ref=service, state=RunState.ENDED, seconds=4, exit_code=2, ends=2, restarting=True, why="no disk"
    )
    assert scaled(failed, kind="swarm").splitlines() == [
        "shop/web scaled from 1 to 3 in 4.0 s, but 2 tasks failed after 4 s (exit 2, no disk).",
    ]


def test_a_project_is_summed_up() -> None:
    action = RestartProject(engine=HOST7, project="shop", containers=(ref("web"),))
    outcome = Outcome(status=Status.DONE, took=4.0, detail="in this order: db, web")
    runs = [verdict("db", RunState.RUNNING), verdict("web", RunState.ENDED, exit_code=1, ends=1)]
    reply = project_restart.command.render(ONE_ENGINE, [Result(action=action, value=outcome, runs=runs)])
    assert plain_text.render(reply).splitlines()[0] == (
        "shop restarted in 4.0 s, in this order: db, web; web died after 6 s (exit 1); 1 other runs."
    )
    assert reply.ending is Ending.FAILED
