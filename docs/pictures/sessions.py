"""Records the terminal sessions of the README: the real console, on private engines, in a real terminal.

Each function of SESSIONS returns the lines that its terminal showed. The machine is called HOST meanwhile, because
`record.py` runs everything in namespaces of its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import samples
from samples import serve
from terminal import SHELL, Terminal, open_terminal

from tests.daemons.cri import COMPOSE_PROJECT, COMPOSE_SERVICE, private_crid
from tests.daemons.docker import Dockerd, private_dockerd
from tests.daemons.podman import private_podman
from tests.helpers.private_root import private_root
from tests.helpers.waiting import wait_for
from tests.standins.slack import client

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = 100
DOCKER = "unix:///run/docker.sock"  # where `make run` finds it without any setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The lines of a session, and a part of them with its ANSI colours, if the session has one for a picture."""

    lines: Sequence[str]
    coloured: Sequence[str] = ()


def first_minute() -> Recording:
    """Starts it without any configuration, looks around, repairs a container, and is asked before a removal."""
    with private_dockerd("-H", DOCKER) as docker:
        samples.make_network(docker)
        docker.volume("shop_data")
        serve(docker, "web", ports={80: 80})
        sick = serve(docker, "api", samples.SICK_ONCE, ports={8080: 8080}, health="test -e /healthy")
        serve(docker, "db", exposed=(5432,), volume="shop_data")
        docker.wait(serve(docker, "migrate", "echo 'schema is at version 41'"))
        wait_for("api to be unhealthy", lambda: samples.health_of(docker, sick) == "unhealthy")
        with shell() as terminal:
            terminal.type("make run")
            for line in ("ps", "logs api -n 2", "restart api", "rm db", "rm -f db", "2", "restart ap1", "audit"):
                terminal.type(line)
            return Recording(lines=terminal.since("make run"))


def bad_day() -> Recording:
    """One `ps` of a bad day: a crash loop, a failing health check, an OOM kill, a stopped container."""
    with private_dockerd("-H", DOCKER) as docker:
        _run_a_bad_day(docker)
        with shell(columns=80) as terminal:
            terminal.type("make run")
            terminal.type("ps -a")
            return Recording(lines=terminal.since("ps -a"), coloured=terminal.since("ps -a", coloured=True))


def events() -> Recording:
    """Ends of containers for every kind of reason, and their causes."""
    with private_dockerd("-H", DOCKER) as docker, shell() as terminal:
        for service in ("web", "api", "cache", "job", "worker", "db"):
            samples.tag(docker, f"shop/{service}:2.1")
        terminal.type("make run")
        serve(docker, "web")
        crashing = serve(docker, "api", "sleep 0.3; exit 3", restarts=True)
        serve(docker, "cache", samples.EATING, memory_mb=24)
        serve(docker, "job", "sleep 0.5")
        serve(docker, "worker")
        database = serve(docker, "db")
        terminal.type("restart web")
        docker.stop("shop-web-1")
        docker.remove(database)
        serve(docker, "db")
        terminal.type("stop worker")
        wait_for("a crash loop", lambda: docker.api.inspect_container(crashing)["RestartCount"] >= 7, 90)
        docker.remove(crashing)
        wait_for("the cause of every end", lambda: _all_ends_are_explained(terminal), 60, pause=2.0)
        terminal.type("events --since 10m")
        return Recording(lines=terminal.since("events --since 10m"))


def _all_ends_are_explained(terminal: Terminal) -> bool:
    """A cause is known some seconds after an end. Until then, the exit code is shown."""
    terminal.type("events --since 5m")
    return not any(re.search(r"died.*  exit code \d+$", line) for line in terminal.since("events --since 5m"))


def two_engines() -> Recording:
    """Lines of docker and podman, as they are known, on a host with both."""
    with private_dockerd("-H", DOCKER) as docker, private_podman() as podman, usual_place(podman.socket, "podman"):
        docker.run("batch-1", "exit 0")
        docker.run("batch-2", "exit 3")
        docker.run("web")
        podman.cli("pod", "create", "--name", "shop", "--infra=false")
        script = "echo listening on 8080; exec sleep 3600"
        podman.cli("run", "-d", "--pod", "shop", "--name", "shop-api", "localhost/busybox:1", "/bin/sh", "-c", script)
        with shell() as terminal:
            terminal.type("make run")
            for line in (
                "docker ps -a",
                "podman pod ps",
                "podman pod logs shop",
                "docker update --memory 256m --cpus 0.5 web",
                "docker rename web front",
                "docker rm -a",
                "1",
                'freeze --for 2h --reason "data centre move"',
                "restart front",
                "unfreeze",
                "podman run -it busybox",
            ):
                terminal.type(line)
            return Recording(lines=terminal.since("docker ps -a"))


def unsupported() -> Recording:
    """What an engine cannot do is refused with what it can."""
    with private_crid() as kubelet:
        kubelet.run("web", labels={COMPOSE_PROJECT: "shop", COMPOSE_SERVICE: "web-7f"})
        with shell(QUARTERDECK_ENGINES=f'[{{"kind": "cri", "url": "{kubelet.url}"}}]') as terminal:
            terminal.type("make run")
            terminal.type("restart web-7f@cri")
            return Recording(lines=terminal.since("restart web-7f@cri"))


def permissions() -> Recording:
    """A grant, and what it allows."""
    with private_dockerd("-H", DOCKER) as docker:
        serve(docker, "web")
        with shell() as terminal:
            terminal.type("make run")
            grant = "grant console:alice container.restart --name 'shop-web-*'"
            for line in (grant, "grants", "can web restart"):
                terminal.type(line)
            return Recording(lines=terminal.since(grant))


def claim() -> Recording:
    """The first start with Slack's tokens, against the stand-in for Slack."""
    with (
        private_dockerd("-H", DOCKER),
        private_root() as folder,
        client.start(folder) as slack,
        shell(QUARTERDECK_SLACK__API_URL=slack.api) as terminal,
    ):
        settings = terminal.at / ".env"
        settings.write_text(f"SLACK_BOT_TOKEN={slack.bot_token}\nSLACK_APP_TOKEN={slack.app_token}\n")
        settings.chmod(0o600)
        terminal.type("cat .env", SHELL)
        terminal.send("make run")
        terminal.wait_for("/deck claim ")
        slack.until_sockets(1)
        return Recording(lines=[_without_secrets(line) for line in terminal.since("cat .env")])


SESSIONS: Mapping[str, Callable[[], Recording]] = {
    "first-minute": first_minute,
    "events": events,
    "two-engines": two_engines,
    "unsupported": unsupported,
    "permissions": permissions,
    "claim": claim,
    "bad-day": bad_day,
}
DRAWN = frozenset({"bad-day"})
"""Those that are shown as a picture."""


def _run_a_bad_day(docker: Dockerd) -> None:
    """Runs the project and waits until all of it has gone wrong."""
    samples.make_network(docker)
    serve(docker, "web", ports={80: 80})
    sick = serve(docker, "api", samples.SICK_ONCE, ports={8080: 8080}, health="test -e /healthy")
    serve(docker, "db", exposed=(5432,))
    crashing = serve(docker, "worker", samples.CRASHING, restarts=True, image="shop/worker:1.4")
    docker.wait(serve(docker, "cache", samples.EATING, memory_mb=24, image="valkey/valkey:9", exposed=(6379,)))
    docker.stop(serve(docker, "admin"))
    docker.wait(serve(docker, "migrate", "echo 'schema is at version 41'"))
    wait_for("api to be unhealthy", lambda: samples.health_of(docker, sick) == "unhealthy")
    wait_for("a crash loop", lambda: docker.api.inspect_container(crashing)["RestartCount"] >= 4, 60)


@contextlib.contextmanager
def shell(columns: int = COLUMNS, **environment: str) -> Iterator[Terminal]:
    """A terminal in a folder that looks like a checkout: the Makefile, and the environment that it would make."""
    with private_root() as folder:
        checkout, home = folder / "quarterdeck", folder / "home"
        (checkout / ".venv/bin").mkdir(parents=True)
        home.mkdir()
        for name in ("Makefile", "pyproject.toml", "requirements.lock"):
            (checkout / name).symlink_to(ROOT / name)
        (checkout / ".venv/bin/python").symlink_to(sys.executable)
        program = checkout / ".venv/bin/quarterdeck"
        program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT}:{folder} exec {sys.executable} -m bot.cli "$@"\n')
        program.chmod(0o755)
        version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
        installed = folder / f"quarterdeck-{version}.dist-info/METADATA"
        installed.parent.mkdir()
        installed.write_text(f"Metadata-Version: 2.1\nName: quarterdeck\nVersion: {version}\n")
        (checkout / ".venv/.run-stamp").touch()  # what `make run` would have to install is installed
        given = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_STATE_HOME": str(folder / "state"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            **environment,
        }
        with open_terminal(folder, columns, given, checkout) as terminal:
            yield terminal


@contextlib.contextmanager
def usual_place(socket: Path, name: str) -> Iterator[None]:
    """The socket of an engine where people have it. /run is a private one here."""
    folder = Path("/run", name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.symlink_to(socket.parent)
    try:
        yield
    finally:
        folder.unlink()


def _without_secrets(line: str) -> str:
    """The tokens and the code of this run are of no use to anybody, but look like some that are."""
    return re.sub(r"(xoxb-|xapp-|/deck claim .{8})\S*", r"\1…", line)
