"""Units of real containers: what Podman itself writes, what is verified by the true systemd-analyze, and that a
container made as its unit would make it is the same as the one it was drafted from."""

import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from core import errors
from core.model import units
from core.model.refs import Kind, Ref
from core.ports import Call
from runtimes.podman import inspect_models, quadlet_draft, unit_drafts
from runtimes.podman.engine import Podman
from runtimes.systemd import systemctl
from tests.daemons.docker import IMAGE
from tests.helpers.requirements import need
from tests.helpers.unit_syntax import argv, generated

SPECIAL = "a b$c%d\"q'\\ é"
# What only a service manager has a use for.
OF_UNITS = ("--cidfile=", "--cgroups=", "--sdnotify=", "--replace", "--rm", "-d")


@pytest.fixture
async def engine(podmand):
    made = Podman(podmand.url)
    yield made
    await made.aclose()


async def draft(engine, daemon, name, style="generate"):
    found = daemon.inspect(name)
    target = Ref(engine=engine.ref, kind=Kind.CONTAINER, id=found["Id"], name=name)
    call = Call(id="c", who="w", deadline=datetime.now(UTC) + timedelta(seconds=30), invocation="i")
    return await engine.run(units.DraftUnit(engine=engine.ref, target=target, style=style), call)


async def test_podman_writes_a_unit_that_makes_the_container_anew(engine, podmand):
    need("systemd", "systemd-analyze")
    podmand.run("web", start=False, labels={"app": "shop"})
    told = await draft(engine, podmand, "web")
    assert told.unit == "container-web.service"
    assert "--replace" in told.files[0].text
    assert "app=shop" in told.files[0].text
    assert not told.notes  # systemd-analyze had nothing to say


async def test_one_made_by_another_program_is_started_as_it_is(engine, podmand):
    """Podman keeps no command line of those made through its API."""
    body = {"name": "web", "image": IMAGE, "command": ["sleep", "9"], "netns": {"nsmode": "none"}}
    answer = await engine._http.request(
        "POST",
        "/v4.0.0/libpod/containers/create",
        deadline=20.0,
        body=msgspec.json.encode(body),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status == 201
    told = await draft(engine, podmand, "web")
    assert "podman start web" in told.files[0].text
    assert "not made by podman's command line" in told.notes[0]


async def test_secrets_of_a_command_line_stay_out_of_the_unit(engine, podmand):
    podmand.run("web", start=False, environment={"PASSWORD": "hunter2"})
    told = await draft(engine, podmand, "web")
    assert "hunter2" not in told.files[0].text
    assert "every user could read" in told.notes[0]


async def test_quadlet_where_there_is_none(engine, podmand):
    if tuple(map(int, podmand.version().split(".")[:2])) >= (4, 4) and unit_drafts.generator() is not None:
        pytest.skip("this Podman has Quadlet")
    podmand.run("web", start=False)
    with pytest.raises(errors.UserError, match="Quadlet"):
        await draft(engine, podmand, "web", "quadlet")


async def test_a_machine_that_systemd_does_not_run(engine, podmand, monkeypatch, tmp_path):
    monkeypatch.setattr(systemctl, "BOOTED", tmp_path / "none")
    call = Call(id="c", who="w", deadline=datetime.now(UTC) + timedelta(seconds=30), invocation="i")
    with pytest.raises(errors.Unreachable, match="systemd"):
        await engine.run(units.ListUnits(engine=engine.ref), call)


MORE = (
    "--workdir", "/bin", "--user", "1000:1000", "--hostname", "webby", "--read-only", "--tmpfs", "/scratch:size=1m",
    "--memory", "64m", "--cap-drop", "CHOWN", "--cap-add", "NET_ADMIN", "--stop-timeout", "3", "--stop-signal", "INT",
    "--health-cmd", 'echo "$HOME" 50% || exit 1', "--health-interval", "20s", "--restart", "on-failure:3",
    "--annotation", "note=a b$c%d", "--volume", "data:/data", "--volume", "/usr/share/doc:/doc:ro",
    "--shm-size", "1m", "--env", f"SPECIAL={SPECIAL}", "--label", f"special={SPECIAL}", "--tty", "--group-add", "5",
)  # fmt: skip


@pytest.mark.parametrize(
    ("more", "script"),
    [
        ((), "exec sleep 3600"),
        (MORE, f"echo '{SPECIAL}' %h ${{HOME}}; exec sleep 3600"),
        (("--entrypoint", '["/bin/echo", "", ";", "a b"]'), "x"),
        (("--health-cmd", '["CMD", "/bin/true", "x y"]', "--privileged", "--ipc", "host"), "true ;"),
    ],
)
async def test_a_container_made_by_its_unit_is_the_same(engine, podmand, tmp_path, more, script):
    podmand.run("web", script, start=False, more=more)
    before = podmand.inspect("web")
    container = msgspec.convert(before, inspect_models.InspectedContainer)
    image = msgspec.convert(
        json.loads(podmand.cli("image", "inspect", container.image))[0], inspect_models.InspectedImage
    )
    environment = tmp_path / "web.env"
    made = quadlet_draft.draft_quadlet_text(
        container, image, version=(5, 4, 2), environment_file=str(environment), header="A test's"
    )
    environment.write_text(quadlet_draft.environment_text(made.environment, "A test's"))
    (line,) = [line for line in generated(made.text).splitlines() if line.startswith("ExecStart=")]
    words = argv(line.removeprefix("ExecStart="))
    assert words[:2] == ["/usr/bin/podman", "run"]
    podmand.remove("web")
    podmand.cli("create", *(word for word in words[2:] if not word.startswith(OF_UNITS[:3]) and word not in OF_UNITS))
    assert told(podmand.inspect("web")) == told(before)


def told(inspected):
    """What a container is, without its names for things, its times, and by which words it was made. Where a program
    ends and its arguments begin is not told by a unit; systemd restarts it, not Podman."""
    config, host = dict(inspected["Config"]), dict(inspected["HostConfig"])
    for key in ("CreateCommand", "Cmd", "Entrypoint", "sdNotifyMode"):
        config.pop(key, None)
    for key in ("RestartPolicy", "ContainerIDFile", "LogConfig", "NanoCpus"):
        host.pop(key, None)
    if inspected["Id"].startswith(own := config["Hostname"]):
        config["Env"] = [entry for entry in config["Env"] if entry != f"HOSTNAME={own}"]
        del config["Hostname"]
    config["Annotations"] = {key: value for key, value in config["Annotations"].items() if key == "note"}
    for part, keys in ((config, ("Env",)), (host, ("Binds", "CapAdd", "CapDrop"))):
        part |= {key: sorted(part.get(key) or ()) for key in keys}
    mounts = sorted(inspected["Mounts"], key=lambda mount: mount["Destination"])
    return {
        "argv": [inspected["Path"], *inspected["Args"]],
        "image": inspected["ImageName"],
        "mounts": [mount | {"Options": sorted(mount["Options"])} for mount in mounts],
        "capabilities": sorted(inspected["BoundingCaps"]),
        "config": config,
        "host": host,
    }


def test_this_machine_is_the_engines():
    assert Path("/proc/sys/kernel/hostname").read_text().strip() == socket.gethostname()
