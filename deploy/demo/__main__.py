"""Runs the demo until Ctrl-C: `make demo`, or `python -m deploy.demo`.

Starts sample containers, Quarterdeck, Prometheus and Alertmanager, prints their addresses, and removes all of them at
its end. If a demo was killed, the next demo removes its containers at its start. It opens no window and no port except
on loopback, and changes no container but its own. Exit code 1: it could not start, or a part of it has ended.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import sys
import time
from types import FrameType
from typing import TextIO

from core import errors
from deploy.demo import engine as demo_engine
from deploy.demo import programs as demo_programs
from deploy.demo.demo_error import DemoError
from deploy.demo.engine import DemoEngine
from deploy.demo.folder import Folder, Leftovers, usual_folder
from deploy.demo.programs import DemoPrograms
from deploy.demo.summary import summary
from deploy.demo.workloads import WORKLOADS

PAUSE_SECONDS = 0.5
HEALTH_EVERY = 4  # pauses
START_TRIES = 3  # a port may be taken by another program after it was found free


def main() -> int:
    folder = Folder(usual_folder())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        with folder.in_use():
            _run(folder)
    except KeyboardInterrupt:
        return 0
    except DemoError as problem:
        _say(str(problem), sys.stderr)
        return 1
    return 0


def _run(folder: Folder) -> None:
    _remove_what_is_left(folder)
    try:
        engine = demo_engine.find_engine()
    except BaseException:  # also Ctrl-C
        folder.remove()
        raise
    demo_programs.without_own_settings()
    os.chdir(folder.path)  # where no .env of another Quarterdeck is
    servers = DemoPrograms(folder=folder.path, ports=demo_programs.free_ports())
    try:
        _start(folder, engine, servers)
        _say(summary(engine, servers, usage=engine.measures_usage()))
        for pause in itertools.count():
            time.sleep(PAUSE_SECONDS)
            servers.check()
            if pause % HEALTH_EVERY == 0:
                engine.check_health(WORKLOADS)
    except demo_engine.Failed as error:
        raise DemoError(f"{engine.kind} at {engine.url} refused or failed: {demo_engine.reason_of(error)}.") from error
    except errors.QuarterdeckError as error:
        raise DemoError(error.full_message()) from error
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # cleaning up goes to its end
        _clean_up(folder, engine, servers)


def _start(folder: Folder, engine: DemoEngine, servers: DemoPrograms) -> None:
    pulled: list[str] = []

    def pull(name: str) -> None:
        if engine.has_image(name):
            return
        pulled.append(name)
        folder.remember(Leftovers(engine=engine.url, pulled_images=pulled))
        _say(f"Pulling {name} …")
        engine.pull(name)

    folder.remember(Leftovers(engine=engine.url))
    for image in demo_programs.needed_images():
        pull(image)
    if not engine.make_image():
        pull(demo_engine.PUBLIC_IMAGE)
        repository, _, tag = demo_engine.IMAGE.rpartition(":")
        engine.api.tag(demo_engine.PUBLIC_IMAGE, repository, tag)
    for tries_left in reversed(range(START_TRIES)):
        try:
            _start_servers(engine, servers)
            break
        except DemoError:
            servers.stop()
            engine.remove_containers()
            if not tries_left or not servers.lost_a_port():
                raise
            servers.ports = demo_programs.free_ports()
    # Last, so that Quarterdeck sees all of their life.
    for workload in WORKLOADS:
        engine.run_sample(workload)


def _start_servers(engine: DemoEngine, servers: DemoPrograms) -> None:
    """Starts them and waits until they answer. Raises DemoError."""
    servers.start_quarterdeck(engine)
    servers.start_monitoring(engine, "alertmanager", servers.alertmanager_files())
    servers.start_monitoring(engine, "prometheus", servers.prometheus_files())
    for name, path in (("quarterdeck", "/readyz"), ("alertmanager", "/-/ready"), ("prometheus", "/-/ready")):
        servers.wait_until_ready(engine, name, path)


def _clean_up(folder: Folder, engine: DemoEngine, servers: DemoPrograms) -> None:
    """Raises DemoError, and keeps the folder, if something is left."""
    _say("\nCleaning up …")
    servers.stop()
    left = folder.leftovers
    try:
        removed = engine.remove_everything(left.pulled_images if left else ())
    except demo_engine.Failed as error:
        raise DemoError(
            f"The containers of the demo are still on {engine.url}: {demo_engine.reason_of(error)}. "
            "The next `make demo` removes them; or remove those with the label "
            f"{demo_engine.LABEL}={demo_engine.LABELS[demo_engine.LABEL]} yourself."
        ) from error
    finally:
        engine.close()
    folder.remove()
    _say(f"Removed {removed} containers and all files of the demo.")


def _remove_what_is_left(folder: Folder) -> None:
    """Removes the rest of a demo that was killed. Its servers ended with it. Raises DemoError if its engine does not
    answer, because another demo would not know of it."""
    left = folder.leftovers
    if left is not None:
        try:
            engine = DemoEngine(left.engine, "engine")
            removed = engine.remove_everything(left.pulled_images)
            engine.close()
        except demo_engine.Failed as error:
            raise DemoError(
                f"Containers of an earlier demo are still on {left.engine}, which does not answer: "
                f"{demo_engine.reason_of(error)}. Start that engine, or remove {folder.path} to ignore them."
            ) from error
        _say(f"Removed {removed} containers of an earlier demo.")
    folder.empty()


def _say(text: str, out: TextIO | None = None) -> None:
    """Prints it, unless the terminal was closed: cleaning up goes on without it."""
    with contextlib.suppress(OSError):
        print(text, file=out, flush=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
