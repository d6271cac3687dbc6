"""The image on a real engine, locked up as tight as it goes: what is in it, and that it does its work like that."""

import json
from pathlib import Path

import pytest

from tests.e2e.helpers import free_port, get, series
from tests.image.conftest import IMAGE, SECRET
from tests.support import wait_for

pytestmark = pytest.mark.timeout(600)

LOOK = """
import importlib.util, json, os, pathlib, sysconfig
home, lib = pathlib.Path("/opt/quarterdeck"), pathlib.Path(sysconfig.get_path("stdlib"))
mine = [p for top in ("bot", "core") for p in pathlib.Path(sysconfig.get_path("purelib"), top).rglob("*.py")]
def compiled(path): return pathlib.Path(importlib.util.cache_from_source(path)).exists()
secret = "SECRET".encode()
places = [home, pathlib.Path("/etc"), pathlib.Path("/var"), pathlib.Path("/tmp")]
print(json.dumps({
    "modules": len(mine),
    "without bytecode": [str(p) for p in [*mine, lib / "asyncio/events.py", lib / "hashlib.py"] if not compiled(p)],
    "found": [name for name in ("pip", "hatchling", "ensurepip", "tests", "docker") if importlib.util.find_spec(name)],
    "writable": [str(p) for p in [home, lib, *mine, "/etc", "/etc/quarterdeck"] if os.access(p, os.W_OK)],
    "secrets": [str(p) for place in places for p in place.rglob("*") if p.is_file() and os.access(p, os.R_OK)
                and secret in p.read_bytes()],
    "id": [os.getuid(), os.getgid()],
}))
"""


def run(stage, name="quarterdeck", *words, env=()):
    """A bot with everything taken away that can be: root, capabilities, a writable disk; `words` are of docker run."""
    given = [word for one in env for word in ("-e", one)]
    stage.docker(
        "run", "-d", "--name", name, "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--tmpfs", "/tmp", "--network", "host", "--health-interval", "1s", "-v", "state:/var/lib/quarterdeck",
        "-v", f"{stage.daemon.socket}:/var/run/docker.sock", "--group-add", str(stage.socket_group),
        *given, *words, IMAGE,
    )  # fmt: skip


def until_healthy(stage, name):
    wait_for("health", lambda: stage.health(name) == "healthy", 60)


def test_what_is_in_the_image(stage, record_property):
    about = stage.inspect(IMAGE)
    held = about["Config"]
    assert held["User"] == "10001:10001"
    assert (held["Entrypoint"], held["Cmd"], held["StopSignal"]) == (
        ["quarterdeck"],
        ["run", "--no-console"],
        "SIGTERM",
    )
    assert held["Healthcheck"]["Test"] == ["CMD", "quarterdeck", "health"]
    assert (list(held["Volumes"]), list(held["ExposedPorts"])) == (["/var/lib/quarterdeck"], ["9108/tcp"])
    assert held["Labels"]["org.opencontainers.image.version"] == "1.2.3"
    assert {"title", "description", "licenses"} <= {label.rpartition(".")[2] for label in held["Labels"]}
    words = ("run", "--rm", "--network", "none", "--entrypoint", "python3", IMAGE, "-c", LOOK.replace("SECRET", SECRET))
    found = json.loads(stage.docker(*words))
    assert found.pop("modules") > 50
    assert found == {"without bytecode": [], "found": [], "writable": [], "secrets": [], "id": [10001, 10001]}
    record_property("size of the image on the test's base, MB", f"{about['Size'] / 1e6:.0f}")
    assert about["Size"] < 500e6


def test_it_works_without_root_capabilities_or_a_writable_disk(stage, record_property):
    port = free_port()
    stage.daemon.run("web")
    run(stage, env=[f"QUARTERDECK_METRICS__LISTEN=127.0.0.1:{port}"])
    until_healthy(stage, "quarterdeck")
    assert get(port, "/healthz") == (200, "ok\n")
    wait_for("readiness", lambda: get(port, "/readyz")[0] == 200)
    assert series(port, "quarterdeck_container_state", name="web", state="running") == 1
    assert series(port, "quarterdeck_container_state", name="quarterdeck", state="running") == 1

    status = Path(f"/proc/{stage.inspect('quarterdeck')['State']['Pid']}/status").read_text()
    facts = {name: words.split() for name, _, words in (line.partition(":") for line in status.splitlines())}
    assert (facts["Uid"], facts["CapEff"], facts["NoNewPrivs"]) == (["10001"] * 4, ["0" * 16], ["1"])
    record_property("resident memory of the bot in its image, kB", facts["VmRSS"][0])

    assert "web" in stage.say("quarterdeck", "ps")
    stage.say("quarterdeck", "stop web -t 1")
    assert stage.daemon.state("web")["Running"] is False
    stage.docker("stop", "-t", "10", "quarterdeck")
    # 137 would mean that it had to be killed.
    assert stage.inspect("quarterdeck")["State"]["ExitCode"] == 0
    assert "Traceback" not in stage.docker("logs", "quarterdeck")


def test_it_does_not_stop_itself(stage):
    run(stage, env=[f"QUARTERDECK_METRICS__LISTEN=127.0.0.1:{free_port()}"])
    until_healthy(stage, "quarterdeck")
    before = stage.inspect("quarterdeck")
    for line in ("stop quarterdeck", f"kill {before['Id'][:6]}", "rm -f quart"):
        assert "is part of Quarterdeck" in stage.say("quarterdeck", line, code=3)
    assert "(self-protection)" in stage.say("quarterdeck", "can quarterdeck restart", code=3)
    assert "is part of Quarterdeck" in stage.say("quarterdeck", "audit")
    after = stage.inspect("quarterdeck")
    assert (after["State"]["Pid"], after["State"]["StartedAt"]) == (
        before["State"]["Pid"],
        before["State"]["StartedAt"],
    )


def test_what_is_known_outlives_a_replaced_container(stage):
    env = [f"QUARTERDECK_METRICS__LISTEN=127.0.0.1:{free_port()}"]
    run(stage, "first", env=env)
    until_healthy(stage, "first")
    stage.say("first", "grant console:bob viewer")
    stage.docker("stop", "-t", "10", "first")
    stage.docker("rm", "first")
    journal = Path(stage.daemon.api.inspect_volume("state")["Mountpoint"]) / "store.log"
    assert "bye bye" in journal.read_text()  # the store's own last words: it was asked to end, not cut off
    run(stage, "second", env=env)
    until_healthy(stage, "second")
    assert "console:bob" in stage.say("second", "grants")
    assert "grant console:bob viewer" in stage.say("second", "audit")
