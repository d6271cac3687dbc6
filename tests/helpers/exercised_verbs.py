"""Records which operations the tests of `tests/contract` and `tests/engines` ran with success on a real engine, and
finds the cells of docs/commands.md that none of them covers.

With QUARTERDECK_EXERCISED=FILE, each process of a test run appends its lines `KIND VERB` to that file, at once, so that
a process that is killed has written what it ran. Several runs may share a file, such as one on newer engines. Then
`python -m tests.helpers.exercised_verbs FILE` prints each command and engine that the table has and no test ran, and
each verb of NOT_HERE that a test did run; it ends with 1 if there is one. An operation counts when its answer came
without an error, and a change or a job when its outcome is done or unchanged. What a stand-in answered does not count.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from core.model.background_jobs import JobStarted
from core.model.event_actions import ListEvents
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.base.base_adapter import BaseAdapter
from runtimes.base.jobs import Job

VARIABLE = "QUARTERDECK_EXERCISED"
TIERS = ("tests/contract/", "tests/engines/")
STAND_INS = frozenset({"crio", "own_crio", "quiet_crio"})
SYSTEMD = (
    "systemd does not run on the test machines; tests/unit/runtimes/podman tests them with replacements of its programs"
)
NOT_HERE: Mapping[tuple[str, str], str] = {
    ("podman", "unit.disable"): SYSTEMD,
    ("podman", "unit.disable-linger"): SYSTEMD,
    ("podman", "unit.enable"): SYSTEMD,
    ("podman", "unit.enable-linger"): SYSTEMD,
    ("podman", "unit.inspect"): SYSTEMD,
    ("podman", "unit.install"): SYSTEMD,
    ("podman", "unit.linger"): SYSTEMD,
    ("podman", "unit.list"): SYSTEMD,
    ("podman", "unit.reload"): SYSTEMD,
    ("podman", "unit.restart"): SYSTEMD,
    ("podman", "unit.start"): SYSTEMD,
    ("podman", "unit.stop"): SYSTEMD,
}
"""Each verb that cannot succeed on the machines of the tests, with the reason."""
SUCCESS = (Status.DONE, Status.NOOP)

_seen: set[tuple[str, str]] = set()
_counts = False
# Stays open: a test may change the user of the process, or its environment.
_file = -1


def begin(path: str) -> None:
    """Lets every adapter of an engine record what it has done from now on."""
    global _file
    _file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    run, events = BaseAdapter._run, BaseAdapter.events

    @functools.wraps(run)
    async def recorded_run(self: BaseAdapter, action: Any, call: Any) -> Any:
        value = await run(self, action, call)
        if isinstance(value, JobStarted):
            _record_job(self, action.verb, self.jobs._jobs[value.job])
        elif not isinstance(value, Outcome) or value.status in SUCCESS:
            _record(self, action.verb)
        return value

    @functools.wraps(events)
    async def recorded_events(self: BaseAdapter, since_ns: int | None) -> AsyncIterator[Sequence[Any]]:
        async with contextlib.aclosing(events(self, since_ns)) as stream:  # type: ignore[type-var]
            async for batch in stream:
                _record(self, ListEvents.verb)
                yield batch

    BaseAdapter._run, BaseAdapter.events = recorded_run, recorded_events  # type: ignore[method-assign]


def enter(path: str, name: str, fixtures: Sequence[str]) -> None:
    """Says which test runs now."""
    global _counts
    _counts = any(tier in path for tier in TIERS) and "cri-o" not in name and STAND_INS.isdisjoint(fixtures)


def missing(seen: set[tuple[str, str]], engines: Mapping[str, BaseAdapter], commands: Sequence[Any]) -> list[str]:
    """Returns the cells of the table that were not covered, with the verbs that were not run."""
    found = []
    for command in commands:
        for kind, engine in engines.items():
            verbs = [verb for verb in command.verbs if verb in engine.verbs or verb == ListEvents.verb]
            lacking = [verb for verb in verbs if (kind, verb) not in seen and (kind, verb) not in NOT_HERE]
            if lacking:
                found.append(f"{command.name} on {kind}: {', '.join(lacking)}")
    return found


def outdated(seen: set[tuple[str, str]], engines: Mapping[str, BaseAdapter]) -> list[str]:
    """Returns the entries of NOT_HERE that a test did run, or that no engine has."""
    return [
        f"{verb} on {kind}"
        for kind, verb in NOT_HERE
        if (kind, verb) in seen or kind not in engines or verb not in engines[kind].verbs
    ]


def _record(engine: BaseAdapter, verb: str) -> None:
    # The engines in memory and the tests' own subclasses answer for themselves.
    pair = (engine.ref.kind, verb)
    if _counts and pair not in _seen and type(engine).__module__.startswith("runtimes."):
        _seen.add(pair)
        os.write(_file, f"{pair[0]} {verb}\n".encode())


def _record_job(engine: BaseAdapter, verb: str, job: Job) -> None:
    def ended(_: asyncio.Task[None]) -> None:
        if job._outcome is not None and job._outcome.status in SUCCESS:
            _record(engine, verb)

    if job.task is not None:
        job.task.add_done_callback(ended)


async def _main(path: str) -> int:
    from tests.unit import test_command_table as table

    lines = Path(path).read_text(encoding="utf-8").splitlines()
    seen = {(kind, verb) for kind, _, verb in (line.partition(" ") for line in lines)}
    opened = table.engines()
    cells, entries = missing(seen, opened, table.commands()), outdated(seen, opened)
    for engine in opened.values():
        await engine.aclose()
    for cell in cells:
        print(f"No test on a real engine ran {cell}")  # noqa: T201
    for entry in entries:
        print(f"Remove this from NOT_HERE: {entry}")  # noqa: T201
    return 1 if cells or entries else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(sys.argv[1])))
