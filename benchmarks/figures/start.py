"""From nothing to a printed list: `quarterdeck do "ps -a"` as a process, beside `docker ps -a` and a docker-py script.

We lose to the CLI, a compiled program, and say by how much. A single command brings its own store up when no bot runs
beside it, which is a row of its own. Below are the parts: a bare interpreter, and with our command line imported.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import stage
from benchmarks.harness import Figure, Table, called, rounds
from benchmarks.processes import QUARTERDECK

DOCKER_PY = "import docker; print([c.name for c in docker.from_env(version='1.41').containers.list(all=True)])"


async def measure(scene: stage.Stage, times: int) -> Sequence[Table]:
    ours, theirs = "quarterdeck do, beside a bot", "docker ps -a"
    ps = [*QUARTERDECK, "do", "ps -a"]
    with standing(scene):
        taken = await rounds(
            {
                ours: called(lambda: scene.run(ps)),
                "quarterdeck do, own store": called(lambda: scene.run(ps, QUARTERDECK_STATE=str(scene.room / "alone"))),
                theirs: called(lambda: scene.run(["docker", "ps", "-a"])),
                "docker-py containers.list": called(lambda: scene.run([sys.executable, "-c", DOCKER_PY])),
                "python, nothing": called(lambda: scene.run([sys.executable, "-c", ""])),
                "python, import bot.cli": called(lambda: scene.run([sys.executable, "-c", "import bot.cli"])),
            },
            times,
        )
    return [Table(title="start: a process that lists 200 containers and ends", unit="ms", rows=taken, ours=ours)]


@contextlib.contextmanager
def standing(scene: stage.Stage) -> Iterator[None]:
    """A bot that runs beside, with its store."""
    process = subprocess.Popen(
        [*QUARTERDECK, "run", "--no-console"], env=dict(scene.environment), cwd=scene.room,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for_store(scene.room / "state")
        yield
    finally:
        process.terminate()
        process.wait(20)


def wait_for_store(state: Path) -> None:
    ends = time.monotonic() + 30
    while not (state / "store.sock").exists():
        if time.monotonic() > ends:
            raise RuntimeError("the bot beside did not start")
        time.sleep(0.05)
    time.sleep(1)  # it lists and describes the 200 now; what is measured should not share the machine with that


figure = Figure(name="start", summary="a process that lists 200 containers and ends", rounds=7, measure=measure)
