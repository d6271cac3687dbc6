"""Tests that every operation of every kind of engine is named in a test that runs on a real engine of that kind.

Whether these tests ran it with success is known only after they ran: tests/helpers/exercised_verbs.py.
"""

from __future__ import annotations

import re

import pytest

from runtimes import engine_registry
from runtimes.swarm.engine import Swarm
from tests.helpers import exercised_verbs
from tests.helpers.paths import ROOT
from tests.unit import test_command_table

# The files of tests/engines that run on this kind, besides the contract, which runs on every kind but a Swarm.
FILES = {
    "docker": ("docker", "commands", "scale_compose"),
    "podman": ("podman",),
    "containerd": ("containerd",),
    "cri": ("cri",),
    "oci": ("oci",),
    "swarm": ("swarm",),
}
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
    elsewhere = {verb for one, verb in exercised_verbs.NOT_HERE if one == kind} | {*INHERITED.get(kind, ())}
    assert set(missing) <= elsewhere


async def test_a_cell_of_the_table_that_nothing_ran_is_found():
    opened = test_command_table.engines()
    commands = test_command_table.commands()
    everything = {(kind, verb) for kind, engine in opened.items() for verb in (*engine.verbs, "event.list")}
    assert exercised_verbs.missing(everything, opened, commands) == []
    for gone, cell in (
        (("podman", "container.copy"), "cp on podman: container.copy"),
        (("oci", "event.list"), "events on oci: event.list"),
        (("swarm", "swarm.rotate-token"), "swarm join-token on swarm: swarm.rotate-token"),
    ):
        assert cell in exercised_verbs.missing(everything - {gone}, opened, commands)
    assert "unit.list on podman" in exercised_verbs.outdated(everything, opened)
    assert exercised_verbs.outdated(everything - exercised_verbs.NOT_HERE.keys(), opened) == []
    for engine in opened.values():
        await engine.aclose()
