"""The benchmarks stay runnable: every module says what it is, and every figure can be named. Nothing is measured."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import benchmarks
from benchmarks import __main__ as program
from benchmarks import chart, figures, harness, readers, recordings, replay
from benchmarks.figures import stalls
from tests.helpers.paths import ROOT

MODULES = [module.name for module in pkgutil.walk_packages(benchmarks.__path__, "benchmarks.")]


def test_there_are_modules() -> None:
    assert {"benchmarks.harness", "benchmarks.figures.ps"} <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_can_be_imported_and_says_what_it_is(name: str) -> None:
    assert (importlib.import_module(name).__doc__ or "").strip()


def test_every_file_of_figures_is_listed_by_its_name() -> None:
    files = {module.name for module in pkgutil.iter_modules(figures.__path__)}
    assert set(program.discover()) == files
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--list"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert {line.split()[0] for line in done.stdout.splitlines()} == files


def test_an_unknown_figure_is_refused_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        program.main(["pss"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "there is no figure pss; there are " in said and " events, " in said


def test_ratios_are_taken_round_by_round_and_a_missed_goal_says_so() -> None:
    table = harness.Table(
        title="t",
        unit="ms",
        rows={"ours": [1.0, 2.0, 4.0], "theirs": [3.0, 6.0, 12.0]},
        ours="ours",
        goals=[harness.Goal(what="ms", found=2.0, most=1.0), harness.Goal(what="times", found=3.0, least=2.0)],
    )
    assert table.advantage("theirs") == 3.0
    assert "MISSED  ms: 2, wanted at most 1" in table.text()
    assert "met     times: 3, wanted at least 2" in table.text()


def test_the_chart_has_a_bar_for_each_comparison_also_those_we_lose() -> None:
    tables = [
        harness.Table(title="a: x", unit="ms", rows={"ours": [1.0], "docker-py": [3.0], "bytes": [9.0]}, ours="ours"),
        harness.Table(
            title="b: x", unit="1/s", rows={"ours": [1.0], "docker-py": [4.0]}, ours="ours", more_is_better=True
        ),
        harness.Table(title="c: x", unit="ms", rows={"ours": [1.0], "docker-py list": [40.0]}, ours="ours"),
        harness.Table(title="d: x", unit="n", rows={"ours": [0.0], "docker-py": [0.0]}, ours="ours", compared=False),
    ]
    text = chart.mermaid({"all": [table.as_data() for table in tables]})
    assert 'x-axis ["a", "b", "c, docker-py list: 40"]' in text
    assert "bar [3.00, 0.25, 10.00]" in text


STANDING = [recordings.container_id(number) for number in range(200)]


@pytest.mark.parametrize("name", recordings.RECORDINGS)
async def test_a_flood_while_store_and_chat_hang_and_a_rule_is_slow_loses_nothing_and_stops_no_call(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    server = replay.Engine(tmp_path, [stalls.DOOR], containers=20)
    calls: dict[str, list[float]] = {stalls.IDLE: [], stalls.FLOOD: []}
    try:
        assert await stalls.once(tmp_path, server, name, calls) == 0
    finally:
        server.close()
    assert calls[stalls.FLOOD]


@pytest.mark.parametrize("name", recordings.RECORDINGS)
def test_a_rebuilt_recording_is_whole_chunks_in_the_order_of_time(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    recording, seen = recordings.Recording(name, STANDING), []
    for chunk in recording.build(3000):
        size, _, rest = chunk.partition(b"\r\n")
        assert len(rest) == int(size, 16) + 2
        seen.append(json.loads(rest))
    assert seen[-1]["timeNano"] == recording.newest_ns
    assert [event["timeNano"] for event in seen] == sorted({event["timeNano"] for event in seen})
    born = [event["Actor"]["ID"] for event in seen if (event["Type"], event["Action"]) == ("container", "destroy")]
    assert len(born) == len(set(born)) > 4, "a container that is destroyed never comes back"
    executions = [event for event in seen if event["Action"].startswith("exec_")]
    assert {"churn": 0.1, "fleet": 0.9}[name] == pytest.approx(len(executions) / len(seen), abs=0.02)
    if name == "fleet":
        assert {event["Actor"]["ID"] for event in executions} <= set(STANDING)


async def test_a_loss_of_events_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    server = replay.Engine(tmp_path, ["line"], containers=5)
    side = readers.Side(f"unix://{tmp_path}/line.sock")
    try:
        for recording, how, lost in (("fleet", "bulk", 0), ("churn", "withheld", replay.WITHHELD)):
            taken = await readers.read_ours(side, server, "line", recording, 3000, how)
            assert taken.lost == lost
    finally:
        await side.engine.aclose()
        server.close()


# What a process that only watches must not load: each takes memory, of which `memory` measures the sum.
NOT_TO_WATCH = (
    *("apscheduler", "docker", "jinja2", "podman", "prompt_toolkit", "pydantic", "requests", "slack_sdk", "typer"),
    *("yaml", "bot.app", "bot.dispatch", "bot.slack", "commands", "core.config", "runtimes.swarm.engine", "wcwidth"),
)


def test_a_process_that_watches_loads_no_more_than_that() -> None:
    script = (
        "import sys, benchmarks.watch_only\n"
        "from runtimes import engine_registry; engine_registry.engine_class('docker')\n"
        f"print([name for name in {NOT_TO_WATCH} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stdout + done.stderr
