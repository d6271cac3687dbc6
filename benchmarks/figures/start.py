"""From nothing to a printed list: `quarterdeck do "ps -a"` as a process, beside `docker ps -a` and a docker-py script.

Beside a bot, the process only gives the command to the bot. Without one, it brings its own store up, and asks the
engine itself. The console counts until its prompt is painted. The wanted figures are those of a quiet machine, so they
are compared as a ratio to docker-py in the same run, too. Below are the parts: a bare interpreter, and with our command
line imported. The second table is the processor time of the same processes and of all that they started, such as the
store's server: on a busy machine, it says more than the time that passed.
"""

from __future__ import annotations

import contextlib
import functools
import os
import pty
import resource
import select
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

from benchmarks import stage
from benchmarks.harness import Figure, Goal, Once, Table, ratio, rounds
from benchmarks.processes import QUARTERDECK, end

DOCKER_PY = "import docker; print([c.name for c in docker.from_env(version='1.41').containers.list(all=True)])"
OURS, ALONE, CONSOLE = "quarterdeck do, beside a bot", "quarterdeck do, own store", "quarterdeck console, first paint"
THEIRS = "docker-py containers.list"
# Seconds wanted of each, where docker-py takes 0.38.
WANTED = {OURS: 0.25, ALONE: 0.5, CONSOLE: 0.6}
SECONDS_OF_DOCKER_PY = 0.38
PROMPT = b"deck>"


PS = [*QUARTERDECK, "do", "ps -a"]


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    alone = {"QUARTERDECK_STATE": str(scene.room / "alone")}
    spent: dict[str, list[float]] = {}

    def ends(name: str, words: Sequence[str], **more: str) -> Once:
        return functools.partial(until_end, scene, words, spent.setdefault(name, []), **more)

    with standing(scene):
        taken = await rounds(
            {
                OURS: ends(OURS, PS),
                ALONE: ends(ALONE, PS, **alone),
                CONSOLE: functools.partial(paint, scene, **alone),
                "docker ps -a": ends("docker ps -a", ["docker", "ps", "-a"]),
                THEIRS: ends(THEIRS, [sys.executable, "-c", DOCKER_PY]),
                "python, nothing": ends("python, nothing", [sys.executable, "-c", ""]),
                "python, import bot.cli": ends("python, import bot.cli", [sys.executable, "-c", "import bot.cli"]),
            },
            times,
        )
    used = {name: values[-times:] for name, values in spent.items()}  # without the rounds that warm up
    goals = [
        Goal(what=f"{name}, times docker-py", found=ratio(taken[name], taken[THEIRS]), most=most / SECONDS_OF_DOCKER_PY)
        for name, most in WANTED.items()
    ]
    goals.append(_milliseconds(f"ms, {ALONE}", taken[ALONE]))
    title = "start: a process that lists 200 containers and ends"
    processor = "start, processor time: the same processes, with all that they started"
    within = [_milliseconds(f"ms of processor time, {ALONE}", used[ALONE])]
    return [
        Table(title=title, unit="ms", rows=taken, ours=OURS, goals=goals),
        Table(title=processor, unit="ms", rows=used, ours=ALONE, goals=within),
    ]


def _milliseconds(what: str, values: Sequence[float]) -> Goal:
    return Goal(what=what, found=statistics.median(values), most=WANTED[ALONE] * 1000)


async def until_end(scene: stage.Stage, words: Sequence[str], spent: list[float], **more: str) -> float:
    """Returns the milliseconds that passed until a process ended. Appends its processor time, and that of all that it
    started and waited for, to `spent`."""
    before, began = _children_seconds(), time.perf_counter()
    scene.run(words, **more)
    took = (time.perf_counter() - began) * 1000
    spent.append((_children_seconds() - before) * 1000)
    return took


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def paint(scene: stage.Stage, **more: str) -> float:
    """Returns the milliseconds that a console takes to show its prompt. It is ended afterwards."""
    near, far = pty.openpty()
    environment = {**scene.environment, **more, "TERM": "xterm"}
    began = time.perf_counter()
    process = subprocess.Popen(
        [*QUARTERDECK, "console"], env=environment, cwd=scene.room, stdin=far, stdout=far, stderr=far
    )
    os.close(far)
    try:
        seen, ends = b"", began + 60
        while PROMPT not in seen:
            if not select.select([near], [], [], max(0.0, ends - time.perf_counter()))[0]:
                raise RuntimeError(f"the console shows no prompt: {seen!r}")
            seen += os.read(near, 65536)
        return (time.perf_counter() - began) * 1000
    finally:
        process.terminate()
        end(process)
        os.close(near)


@contextlib.contextmanager
def standing(scene: stage.Stage) -> Iterator[None]:
    """A bot that runs beside, with its store."""
    process = subprocess.Popen(
        [*QUARTERDECK, "run", "--no-console"], env=dict(scene.environment), cwd=scene.room,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_bot(scene)
        yield
    finally:
        process.terminate()
        process.wait(20)


def wait_for_bot(scene: stage.Stage) -> None:
    """Waits until the bot answers commands."""
    ends = time.monotonic() + 60
    while not (scene.room / "state" / "commands.sock").exists():
        if time.monotonic() > ends:
            raise RuntimeError("the bot beside did not start")
        time.sleep(0.05)
    time.sleep(1)  # it lists and describes the 200 now; what is measured should not share the machine with that


figure = Figure(name="start", summary="a process that lists 200 containers and ends", rounds=15, measure=measure)
