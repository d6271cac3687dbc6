"""Tests that every operation of every kind of engine is named in a test that runs on a real engine of that kind."""

from __future__ import annotations

import re

import pytest

from runtimes import engine_registry
from runtimes.swarm.engine import Swarm
from tests.helpers.paths import ROOT

# The files of tests/engines that run on this kind, besides the contract, which runs on every kind but a Swarm.
FILES = {
    "docker": ("docker", "commands", "scale_compose"),
    "podman": ("podman",),
    "containerd": ("containerd",),
    "cri": ("cri",),
    "oci": ("oci",),
    "swarm": ("swarm",),
}
# systemd does not run on the machines of the tests: tests/unit/runtimes/podman/test_units.py has its programs replaced.
ELSEWHERE = re.compile(r"unit\.(?!list|draft)")
# The Swarm's methods are those of any engine for these, a Docker daemon becomes a manager only in a Swarm's tests, and
# tests/engines/test_restart_compose.py types the line that restarts a project.
INHERITED = {
    "swarm": ("job.stop", "job.stop-any"),
    "docker": ("swarm.init", "project.restart"),
    "podman": ("project.restart",),
}


def source(folder: str, *words: str) -> str:
    paths = sorted((ROOT / "tests" / folder).glob("test_*.py"))
    return "".join(path.read_text() for path in paths if not words or any(word in path.name for word in words))


@pytest.mark.parametrize("kind", FILES)
def test_every_operation_is_named_in_a_test_on_a_real_engine(kind):
    table = Swarm._table if kind == "swarm" else engine_registry.engine_class(kind)._table
    text = source("engines", *FILES[kind]) + (source("contract") if kind != "swarm" else "")
    named = set(re.findall(r"\w+", text))
    missing = [action.verb for action in table if action.__name__ not in named]
    missing = [verb for verb in missing if not ELSEWHERE.match(verb) and verb not in INHERITED.get(kind, ())]
    assert not missing
