"""The image on a real engine, locked up as tight as it goes: what is in it, and that it does its work like that."""

import json
import sys
from pathlib import Path

import pytest

from tests.helpers.bot_process import get, series
from tests.helpers.paths import ROOT
from tests.helpers.waiting import free_tcp_port, wait_for
from tests.image.conftest import BASE, IMAGE, SECRET

pytestmark = pytest.mark.timeout(600)

LOOK = """
import importlib.util, json, os, pathlib, ssl, sys, sysconfig, zoneinfo
from bot.access import own_container
home, lib = pathlib.Path("/opt/quarterdeck"), pathlib.Path(sysconfig.get_path("stdlib"))
site = pathlib.Path(sysconfig.get_path("purelib"))
tops = ("bot", "collectors", "commands", "core", "runtimes")
mine = [p for top in tops for p in (site / top).rglob("*.py")]
def compiled(path): return pathlib.Path(importlib.util.cache_from_source(path)).exists()
for path in mine:
    importlib.import_module(".".join(path.relative_to(site).with_suffix("").parts).removesuffix(".__init__"))
import docker, grpc.aio, podman, prompt_toolkit.patch_stdout, slack_bolt.adapter.socket_mode.aiohttp
files = [str(getattr(module, "__file__", "")) for module in list(sys.modules.values())]
loaded = [pathlib.Path(file) for file in files if file.endswith(".py")]
unwanted = ("pip", "hatchling", "ensurepip", "tests", "pytest", "rich")
def size(top):
    return sum(p.lstat().st_size for p in pathlib.Path(top).rglob("*") if not p.is_dir())
secret = "SECRET".encode()
places = [home, pathlib.Path("/etc"), pathlib.Path("/var"), pathlib.Path("/tmp")]
print(json.dumps({
    "modules": sorted(str(p.relative_to(site)) for p in mine),
    "sizes": {top: size(top) for top in ("/opt", "/usr/local")},
    "without bytecode": [str(p) for p in [*mine, *loaded] if not compiled(p)],
    "loaded": len(loaded),
    "found": [name for name in unwanted if importlib.util.find_spec(name)],
    "programs": sorted(p.name for top in ("bin", "usr/bin", "usr/local/bin") for p in pathlib.Path("/", top).glob("*")),
    "unlicensed": [p.name for p in site.glob("*.dist-info") if not [*p.rglob("*LICEN*"), *p.rglob("*COPY*")]],
    "certificates": ssl.create_default_context().cert_store_stats()["x509_ca"] > 100,
    "zone": zoneinfo.ZoneInfo("Europe/Berlin").key,
    "temporary files": os.access("/tmp", os.W_OK),
    "writable": [str(p) for p in [home, lib, *mine, "/etc", "/etc/quarterdeck"] if os.access(p, os.W_OK)],
    "secrets": [str(p) for place in places for p in place.rglob("*") if p.is_file() and os.access(p, os.R_OK)
                and secret in p.read_bytes()],
    "id": [os.getuid(), os.getgid()],
    "by cgroup": list(own_container.ids_in_cgroup(pathlib.Path("/proc/self/cgroup").read_text())),
    "by mounts": list(own_container.ids_in_mountinfo(pathlib.Path("/proc/self/mountinfo").read_text())),
    "by name": own_container.container_id_prefix(),
}))
"""


def run(stage, name, port):
    """A bot with everything taken away that can be: root, capabilities, a writable disk."""
    stage.docker(
        "run", "-d", "--name", name, "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--tmpfs", "/tmp", "--network", "host", "--health-interval", "1s", "-v", "state:/var/lib/quarterdeck",
        "-v", f"{stage.daemon.socket}:/var/run/docker.sock", "--group-add", str(stage.socket_group),
        "-e", f"QUARTERDECK_METRICS__LISTEN=127.0.0.1:{port}", IMAGE,
    )  # fmt: skip


def until_healthy(stage, name):
    wait_for("health", lambda: stage.health(name) == "healthy")


def test_what_is_in_the_image(stage, record_property):
    about = stage.inspect(IMAGE)
    held = about["Config"]
    assert held["User"] == "10001:10001"
    assert (held["Entrypoint"], held["Cmd"], held["StopSignal"]) == (
        ["quarterdeck"],
        ["run", "--no-console"],
        "SIGTERM",
    )
    assert held["Healthcheck"]["Test"] == ["CMD", "python3", "-I", "-S", "/opt/quarterdeck/health_check.py"]
    assert (list(held["Volumes"]), list(held["ExposedPorts"])) == (["/var/lib/quarterdeck"], ["9108/tcp"])
    assert held["Labels"]["org.opencontainers.image.version"] == "1.2.3"
    assert held["Labels"]["org.opencontainers.image.base.name"] == BASE
    assert {"title", "description", "licenses", "vendor"} <= {label.rpartition(".")[2] for label in held["Labels"]}
    words = ("run", "--rm", "--network", "none", "--entrypoint", "python3", IMAGE, "-c", LOOK.replace("SECRET", SECRET))
    found = json.loads(stage.docker(*words))
    # On cgroup v2 the container's own namespace hides the id, and its mounts and its name are left.
    (own,) = found.pop("by mounts")
    assert found.pop("by cgroup") in ([own], [])
    assert found.pop("by name") == own[:12]
    assert found.pop("modules") == sorted(
        str(path.relative_to(ROOT))
        for top in ("bot", "collectors", "commands", "core", "runtimes")
        for path in (ROOT / top).rglob("*.py")
    )
    sizes = found.pop("sizes")
    assert found.pop("loaded") > 1500
    assert found.pop("programs") == ["python3", f"python{sys.version_info.major}.{sys.version_info.minor}"]
    assert found == {
        "without bytecode": [],
        "found": [],
        "unlicensed": [],
        "certificates": True,
        "zone": "Europe/Berlin",
        "temporary files": True,
        "writable": [],
        "secrets": [],
        "id": [10001, 10001],
    }
    # Nothing of the base is in it but what the build copied, so it is about as large on the official base.
    record_property("size of the image, MB", f"{about['Size'] / 1e6:.0f}")
    for part, size in sizes.items():
        record_property(f"{part} in the image, MB", f"{size / 1e6:.1f}")
    assert about["Size"] < 150e6


def test_it_works_locked_up_spares_itself_stops_in_order_and_keeps_what_it_knows(stage, record_property):
    port = free_tcp_port()
    stage.daemon.run("web")
    run(stage, "quarterdeck", port)
    until_healthy(stage, "quarterdeck")
    assert get(port, "/healthz") == (200, "ok\n")
    wait_for("readiness", lambda: get(port, "/readyz")[0] == 200)
    assert series(port, "quarterdeck_container_state", name="web", state="running") == 1
    assert series(port, "quarterdeck_container_state", name="quarterdeck", state="running") == 1

    before = stage.inspect("quarterdeck")["State"]
    status = Path(f"/proc/{before['Pid']}/status").read_text()
    facts = {name: words.split() for name, _, words in (line.partition(":") for line in status.splitlines())}
    assert (facts["Uid"], facts["CapEff"], facts["NoNewPrivs"]) == (["10001"] * 4, ["0" * 16], ["1"])
    record_property("resident memory of the bot in its image, kB", facts["VmRSS"][0])

    assert "web" in stage.do("quarterdeck", "ps")
    assert "is part of Quarterdeck" in stage.do("quarterdeck", "stop quarterdeck", code=3)
    begins = stage.inspect("quarterdeck")["Id"][:6]
    said = stage.talk(
        "quarterdeck",
        f"kill {begins}",
        "rm -f quart",
        "can quarterdeck restart",
        "stop web -t 1",
        "grant console:bob viewer",
    )
    assert said.count("quarterdeck is part of Quarterdeck") == 3
    assert "(rule self-protection)" in said
    assert stage.daemon.state("web")["Running"] is False
    after = stage.inspect("quarterdeck")["State"]
    assert (after["Pid"], after["StartedAt"]) == (before["Pid"], before["StartedAt"])

    stage.docker("stop", "-t", "10", "quarterdeck")
    # 137 would mean that it had to be killed.
    assert stage.inspect("quarterdeck")["State"]["ExitCode"] == 0
    assert "Traceback" not in stage.docker("logs", "quarterdeck")
    journal = Path(stage.daemon.api.inspect_volume("state")["Mountpoint"]) / "store.log"
    assert "bye bye" in journal.read_text()  # the store's own last words: it was asked to end, not cut off

    stage.docker("rm", "quarterdeck")
    run(stage, "another", port)
    until_healthy(stage, "another")
    said = stage.talk("another", "grants", "audit")
    assert "console:bob" in said
    assert "stop quarterdeck" in said
