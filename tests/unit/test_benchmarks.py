"""The benchmarks stay runnable: every module says what it is, and every figure can be named. Nothing is measured."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

import benchmarks
from benchmarks import __main__ as program
from benchmarks import figures, harness, replay
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
    assert "there is no figure pss; there are events, " in capsys.readouterr().err


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


def test_a_rebuilt_recording_is_whole_chunks_in_the_order_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    seen = []
    for chunk in replay.Recording().build(400):
        size, _, rest = chunk.partition(b"\r\n")
        assert len(rest) == int(size, 16) + 2
        seen.append(replay.json.loads(rest))
    assert [event["timeNano"] for event in seen] == sorted({event["timeNano"] for event in seen})
    born = [event["Actor"]["ID"] for event in seen if (event["Type"], event["Action"]) == ("container", "destroy")]
    assert len(born) == len(set(born)), "a container that is destroyed never comes back"
