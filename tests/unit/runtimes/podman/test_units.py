"""Units of Podman's containers, over a libpod and a systemd that a test speaks for: every call in order, what is
refused, and that what was broken off is finished by doing it again."""

import json
import os
import re
import socket
import stat
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from core import errors
from core.model import units
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.ports import Call
from runtimes.podman import json_models, unit_drafts
from runtimes.podman.engine import Podman
from runtimes.systemd import systemctl, unit_file_writer
from runtimes.transport import http_client
from tests.helpers.paths import RECORDED
from tests.helpers.requirements import need
from tests.unit.runtimes.systemd.programs import RUN, paragraph, somebody

WEB = json.loads((RECORDED / "podman-4.3-web.json").read_text())
IMAGE = json.loads((RECORDED / "podman-4.3-image-busybox.json").read_text())
GENERATED = "[Unit]\n[Service]\nExecStart=/usr/bin/podman start web\n[Install]\nWantedBy=default.target\n"
root = pytest.mark.usefixtures("as_root")


class Engine(Podman):
    """Podman with a libpod that answers from `answers`, by the beginning of a path."""

    def __init__(self):
        super().__init__("unix:///run/podman/podman.sock")
        self.asked = []
        self.container = json.loads(json.dumps(WEB))
        self.rows = []
        self.ends = []  # (id, exit code) of each container that ended
        self.host = socket.gethostname()
        self.uid = 0
        self.version = "5.4.2"

    async def _engine_info(self, seconds, *, again=False):
        ids = json_models.IdMaps(users=[json_models.IdMap(inside=0, outside=self.uid)])
        security = json_models.Security(rootless=self.uid != 0)
        self._info = json_models.Info(host=json_models.Host(hostname=self.host, security=security, ids=ids))
        return self._info

    async def _request(self, method, target, seconds, *, name="", kind="container", body=None):
        self.asked.append(f"{method} {target}")
        if target.startswith("/generate"):
            if "new=true" in target and "CreateCommand" not in self.container["Config"]:
                raise errors.Rejected(500, "no create command found")
            value = {"container-web": GENERATED}
        elif target.startswith("/images/"):
            value = IMAGE
        elif target.startswith("/events"):
            events = [
                {
                    "Type": "container",
                    "Action": "died",
                    "timeNano": time.time_ns(),
                    "Actor": {"ID": key, "Attributes": {"containerExitCode": code}},
                }
                for key, code in self.ends
            ]
            return http_client.Response(
                status=200, headers={}, body=b"\n".join(map(msgspec.json.encode, events)) + b"\n"
            )
        elif target.startswith("/containers/json"):
            value = self.rows
        elif target.startswith("/pods/"):
            value = {"Name": "shop"}
        else:
            value = self.container
        return http_client.Response(status=200, headers={}, body=msgspec.json.encode(value))

    async def do(self, action, seconds=20.0):
        deadline = datetime.now(UTC) + timedelta(seconds=seconds)
        return await self.run(action, Call(id="c", who="w", deadline=deadline, invocation="i"))

    def on(self, kind, **more):
        ref = Ref(engine=self.ref, kind=Kind.CONTAINER, id=WEB["Id"], name="web")
        return kind(engine=self.ref, target=ref, **more)

    def at(self, kind, name, **more):
        return kind(engine=self.ref, target=Ref(engine=self.ref, kind=Kind.UNIT, id=name, name=name), **more)


@pytest.fixture
def as_root():
    need("systemd", "sh", root=True)


@pytest.fixture
def etc(monkeypatch, short_tmp):
    monkeypatch.setattr(unit_file_writer, "ETC", short_tmp)
    return short_tmp


@pytest.fixture
async def engine(programs, etc, monkeypatch):
    """Root's, with a generator that is not asked (`verdict` of the verification is systemd-analyze's)."""

    async def taken(file, place, asked, seconds):
        return [], file.text

    monkeypatch.setattr(unit_drafts, "generator", lambda: Path("/usr/libexec/podman/quadlet"))
    monkeypatch.setattr(unit_drafts, "_generate", taken)
    made = Engine()
    yield made
    await made.aclose()


def changes(programs):
    return [call for call in programs.calls if "show" not in call and "verify" not in call]


def quadlet(etc, **more):
    """web.service as systemd tells of it once it was generated."""
    return paragraph("web.service", SourcePath=f"{etc}/containers/systemd/web.container", **more)


STOPPED = {"ActiveState": "inactive", "SubState": "dead", "MainPID": "0"}


# ── listing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_units_are_listed_with_what_they_run(engine, programs):
    programs.say("loaded", "\n".join([paragraph("web.service"), paragraph("ssh.service", "/usr/sbin/sshd -D")]))
    programs.say("files", "web.service generated -\npod-shop.service disabled enabled\nssh.service enabled enabled\n")
    programs.say("show.pod-shop.service", paragraph("pod-shop.service", "/usr/bin/podman pod start shop", **STOPPED))
    engine.rows = [
        {"Id": "1" * 64, "Names": ["web"], "Labels": {"app": "x"}},
        {"Id": "2" * 64, "Names": ["a"], "Labels": {"app": "y"}, "PodName": "shop"},
        {"Id": "3" * 64, "Names": ["b"], "Labels": None, "PodName": "shop"},
        {"Id": "4" * 64, "Names": ["liar"], "Labels": {"PODMAN_SYSTEMD_UNIT": "ssh.service"}},
    ]
    told = await engine.do(units.ListUnits(engine=engine.ref))
    assert [row.ref.name for row in told.rows] == ["pod-shop.service", "web.service"]
    shop, web = told.rows
    assert (web.container, web.active, web.sub, web.enabled, web.members, web.pid) == (
        "web", "active", "running", "generated", ("1" * 64,), 4711,
    )  # fmt: skip
    assert web.since is not None
    assert set(shop.members) == {"2" * 64, "3" * 64}
    now = datetime.now(UTC)
    assert [facts.labels for facts in shop.facts(now)] == [{"app": "y"}, {}]
    assert web.facts(now)[0].at == now
    gone = msgspec.structs.replace(web, members=(), labels=())
    assert gone.facts(now)[0].at is None


async def test_only_this_machines_units_are_told_of(engine):
    engine.host = "another"
    with pytest.raises(errors.Unreachable, match="cannot be reached: it is on another machine") as caught:
        await engine.do(units.ListUnits(engine=engine.ref))
    assert caught.value.hint


# ── drafting ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_draft_writes_nothing_and_hides_what_the_environment_holds(engine, programs, etc):
    programs.say("verdict", "web.service:3: Unknown key 'X' in section [Service], ignoring.\nother.service: bad\n")
    told = await engine.do(engine.on(units.DraftUnit))
    assert told.unit == "web.service"
    environment, unit = told.files
    assert environment.path == f"{etc}/containers/systemd/web.env"
    assert environment.text.splitlines()[1:] == ["S=••••", "TZ=••••"]
    assert unit.path == f"{etc}/containers/systemd/web.container"
    assert f"EnvironmentFile={etc}/containers/systemd/web.env" in unit.text
    assert told.notes == ("web.service:3: Unknown key 'X' in section [Service], ignoring.",)
    assert not list(etc.iterdir())
    assert not changes(programs)


@pytest.mark.parametrize(
    ("made", "new", "note"),
    [
        (None, False, "not made by podman's command line"),
        (["podman", "run", "-e", "A=b", "busybox"], False, "every user could read"),
        (["podman", "run", "busybox"], True, ""),
    ],
)
async def test_podmans_own_units(engine, etc, made, new, note):
    engine.container["Config"].pop("CreateCommand")
    if made:
        engine.container["Config"]["CreateCommand"] = made
    told = await engine.do(engine.on(units.DraftUnit, style="generate"))
    assert told.unit == "container-web.service"
    assert told.files[0].path == f"{etc}/systemd/system/container-web.service"
    assert told.files[0].text.endswith(GENERATED)
    assert note in " ".join(told.notes)
    assert any(f"new={'true' if new else 'false'}&" in asked for asked in engine.asked)


@pytest.mark.parametrize("version", ["4.3.1", "4.0.0-dev", "3.4"])
async def test_a_podman_without_quadlet_says_so(engine, version):
    engine.version = version
    with pytest.raises(errors.UserError, match="has no Quadlet: Quadlet needs 4.4") as caught:
        await engine.do(engine.on(units.DraftUnit))
    assert "--style generate" in caught.value.hint


async def test_a_machine_without_its_generator_says_so(engine, monkeypatch):
    monkeypatch.setattr(unit_drafts, "generator", lambda: None)
    with pytest.raises(errors.UserError, match="is not installed on this machine"):
        await engine.do(engine.on(units.DraftUnit))


@pytest.mark.parametrize("name", ["../../etc/passwd", "a\nb", "a@b", "", "x" * 300])
async def test_a_name_that_is_no_file_name_is_refused(engine, name, etc):
    engine.container["Name"] = name
    with pytest.raises(errors.UserError):
        await engine.do(engine.on(units.DraftUnit, style="generate"))
    assert not list(etc.iterdir())


# ── installing ───────────────────────────────────────────────────────────────────────────────────────────────────────


@root
async def test_a_quadlet_is_written_loaded_and_started(engine, programs, etc):
    programs.say("reloaded.web.service", quadlet(etc, **STOPPED))
    outcome = await engine.do(engine.on(units.InstallUnit))
    assert outcome.status == Status.DONE
    assert outcome.detail == f"as web.service, from {etc}/containers/systemd/web.container"
    assert changes(programs) == ["systemctl daemon-reload", "systemctl start -- web.service"]
    environment = etc / "containers/systemd/web.env"
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    assert 'S=a b$c%d"q' in environment.read_text()
    assert "b$c" not in (etc / "containers/systemd/web.container").read_text()


@root
async def test_from_the_next_boot_on(engine, programs, etc):
    programs.say("reloaded.web.service", quadlet(etc, **STOPPED))
    assert (await engine.do(engine.on(units.InstallUnit, now=False))).status == Status.DONE
    assert changes(programs) == ["systemctl daemon-reload"]


@root
async def test_what_was_broken_off_is_finished_by_doing_it_again(engine, programs, etc, monkeypatch):
    """Before and after each step: what is left is done, and once all is done nothing is."""
    programs.say("reloaded.web.service", quadlet(etc, **STOPPED))
    for method in ("daemon_reload", "change_state"):
        with monkeypatch.context() as broken:

            async def killed(*_):
                raise errors.TimedOut("killed", sent=True)

            broken.setattr(systemctl.Systemd, method, killed)
            with pytest.raises(errors.TimedOut):
                await engine.do(engine.on(units.InstallUnit))
    assert (await engine.do(engine.on(units.InstallUnit))).status == Status.DONE
    # It runs: the container is a new one now, which tells its unit.
    programs.say("show.web.service", quadlet(etc))
    engine.container["Config"]["Labels"]["PODMAN_SYSTEMD_UNIT"] = "web.service"
    before = changes(programs)
    outcome = await engine.do(engine.on(units.InstallUnit))
    assert outcome.status == Status.NOOP
    assert outcome.detail == "is already run by web.service"
    assert changes(programs) == before


@root
async def test_a_unit_that_starts_the_container_that_is_there_takes_it_over(engine, programs, etc):
    engine.version = "4.3.1"
    path = f"{etc}/systemd/system/container-web.service"
    told = {"SourcePath": "", "FragmentPath": path}
    start = "/usr/bin/podman start web"
    programs.say(
        "reloaded.container-web.service",
        paragraph("container-web.service", start, **told, **STOPPED, UnitFileState="disabled"),
    )
    programs.say(
        "started.container-web.service", paragraph("container-web.service", start, **told, UnitFileState="enabled")
    )
    outcome = await engine.do(engine.on(units.InstallUnit, style="generate"))
    assert outcome.status == Status.DONE
    assert changes(programs) == [
        "systemctl daemon-reload",
        "systemctl enable --quiet -- container-web.service",
        "systemctl start -- container-web.service",
    ]
    assert engine.asked[-1] == f"POST /containers/{WEB['Id']}/stop"
    again = await engine.do(engine.on(units.InstallUnit, style="generate"))
    assert again.status == Status.NOOP
    assert engine.asked[-1].startswith("GET /generate/")


@root
@pytest.mark.parametrize("file", ["/lib/systemd/system/web.service", "/etc/containers/systemd/other.container"])
async def test_a_service_of_the_machine_is_not_stood_before(engine, programs, etc, file):
    """A container called ssh would otherwise be started in its place."""
    programs.say("show.web.service", paragraph("web.service", "/usr/sbin/sshd -D", SourcePath="", FragmentPath=file))
    with pytest.raises(errors.Refused, match="A unit web.service exists already") as caught:
        await engine.do(engine.on(units.InstallUnit))
    assert "another name" in caught.value.hint
    assert not list(etc.iterdir())
    assert not changes(programs)


@root
async def test_a_label_that_names_a_service_of_the_machine_is_not_believed(engine, programs, etc):
    engine.container["Config"]["Labels"]["PODMAN_SYSTEMD_UNIT"] = "ssh.service"
    programs.say("show.ssh.service", paragraph("ssh.service", "/usr/sbin/sshd -D"))
    programs.say("reloaded.web.service", quadlet(etc, **STOPPED))
    assert (await engine.do(engine.on(units.InstallUnit))).status == Status.DONE
    assert not [call for call in changes(programs) if "ssh" in call]


@root
async def test_a_foreign_file_is_not_written_over(engine, programs, etc):
    path = etc / "containers/systemd/web.container"
    path.parent.mkdir(parents=True)
    path.write_text("[Container]\nImage=mine\n")
    with pytest.raises(errors.Refused, match="not written by Quarterdeck"):
        await engine.do(engine.on(units.InstallUnit))
    assert path.read_text() == "[Container]\nImage=mine\n"
    assert not changes(programs)


@root
async def test_what_would_not_run_is_not_installed(engine, programs, etc):
    programs.say("verdict", "web.service: Command /usr/bin/podman is not executable: No such file or directory\n")
    programs.say("verdict.bad", "")
    with pytest.raises(errors.Refused, match="is not executable"):
        await engine.do(engine.on(units.InstallUnit))
    assert not list(etc.iterdir())


@root
async def test_what_would_lose_a_volume_is_not_installed(engine, etc):
    engine.container["Mounts"] = [{"Type": "volume", "Name": "ab" * 32, "Destination": "/vol"}]
    with pytest.raises(errors.Refused, match="volume at /vol would be lost"):
        await engine.do(engine.on(units.InstallUnit))
    assert not list(etc.iterdir())


@root
async def test_a_generator_that_makes_nothing_of_it_is_a_failure(engine, etc):
    outcome = await engine.do(engine.on(units.InstallUnit))
    assert outcome.status == Status.FAILED
    assert "systemd did not generate web.service from them" in outcome.detail


@root
async def test_a_unit_that_does_not_start_says_why(engine, programs, etc):
    programs.say("reloaded.web.service", quadlet(etc, **STOPPED))
    failed = {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "125"}
    programs.say("failed.web.service", quadlet(etc, **failed))
    programs.say("fail.act", "Job for web.service failed because the control process exited with error code.")
    outcome = await engine.do(engine.on(units.InstallUnit))
    assert outcome.status == Status.FAILED
    assert outcome.detail == "web.service did not start: its program ended with code 125"


async def test_a_users_unit_is_the_users(engine, programs, short_tmp, monkeypatch):
    need("systemd", "sh", root=True)
    uid = somebody()
    home = short_tmp / "home"
    short_tmp.chmod(0o755)
    home.mkdir()
    who = systemctl.UnixUser(uid=uid, gid=systemctl.unix_user(uid).gid, name="nobody", home=home)
    os.chown(home, uid, -1)
    monkeypatch.setattr(systemctl, "unix_user", lambda _: who)
    engine.uid = uid
    source = home / ".config/containers/systemd/web.container"
    programs.say("reloaded.web.service", paragraph("web.service", SourcePath=str(source), **STOPPED))
    # The user's systemctl moves these.
    os.chown(programs.root / "reloaded.web.service", uid, -1)
    assert (await engine.do(engine.on(units.InstallUnit))).status == Status.DONE
    assert changes(programs) == [
        f"loginctl enable-linger -- {uid}",
        f"systemctl start -- user@{uid}.service",
        "systemctl --user daemon-reload",
        "systemctl --user start -- web.service",
    ]
    assert source.stat().st_uid == uid
    assert (source.parent / "web.env").stat().st_mode & 0o777 == 0o600
    assert "WantedBy=default.target" in source.read_text()


async def test_an_engine_of_another_user_is_refused_before_anything(engine, programs, monkeypatch, etc):
    engine.uid = somebody()
    monkeypatch.setattr(os, "geteuid", lambda: engine.uid - 1)
    for action in (
        engine.on(units.InstallUnit),
        units.ListUnits(engine=engine.ref),
        engine.at(units.StopUnit, "web.service"),
    ):
        with pytest.raises(errors.NotPermitted):
            await engine.do(action)
    assert not programs.calls


# ── starting and stopping ────────────────────────────────────────────────────────────────────────────────────────────


@root
@pytest.mark.parametrize(
    ("kind", "state", "called", "status"),
    [
        (units.StartUnit, STOPPED, ["systemctl start -- web.service"], Status.DONE),
        (units.StartUnit, {}, [], Status.NOOP),
        (units.StopUnit, {}, ["systemctl stop -- web.service"], Status.DONE),
        (units.StopUnit, STOPPED, [], Status.NOOP),
        (units.RestartUnit, {}, ["systemctl restart -- web.service"], Status.DONE),
        (units.RestartUnit, STOPPED, ["systemctl restart -- web.service"], Status.DONE),
    ],
)
async def test_acting_on_a_unit(engine, programs, kind, state, called, status):
    programs.say("show.web.service", paragraph("web.service", RUN, **state))
    assert (await engine.do(engine.at(kind, "web.service"))).status == status
    assert changes(programs) == called


@root
@pytest.mark.parametrize("kind", [units.StartUnit, units.StopUnit, units.RestartUnit])
@pytest.mark.parametrize(
    "name",
    [
        "ssh.service",
        "alias.service",
        "gone.service",
        "podman.service",
        "--root=/x.service",
        "ssh",
        "a\nb.service",
        "*.service",
    ],
)
async def test_what_runs_no_container_cannot_be_touched(engine, programs, kind, name):
    forged = f"/usr/sbin/sshd -D\n\n{paragraph('ssh.service')}"
    programs.say("show.ssh.service", paragraph("ssh.service", forged))
    programs.say("show.alias.service", paragraph("web.service"))
    programs.say("show.podman.service", paragraph("podman.service", "/usr/bin/podman system service"))
    with pytest.raises(errors.NotFound, match="that runs a container"):
        await engine.do(engine.at(kind, name))
    assert not changes(programs)


@root
async def test_a_unit_that_fails_to_start_or_takes_too_long(engine, programs):
    programs.say("show.web.service", paragraph("web.service", RUN, **STOPPED))
    programs.say("failed.web.service", paragraph("web.service", RUN, ActiveState="failed", Result="start-limit-hit"))
    programs.say("fail.act", "Job for web.service failed.")
    outcome = await engine.do(engine.at(units.StartUnit, "web.service"))
    assert outcome.status == Status.FAILED
    assert "started too often" in outcome.detail
    programs.say("hang", "")
    with pytest.raises(errors.TimedOut):
        await engine.do(engine.at(units.RestartUnit, "web.service"), 0.5)


@root
async def test_a_unit_has_the_time_of_its_own_settings(engine, programs, monkeypatch):
    allowed = []

    async def change_state(self, verb, name, seconds):
        allowed.append((verb, round(seconds)))

    monkeypatch.setattr(systemctl.Systemd, "change_state", change_state)
    own = {"TimeoutStartUSec": "15min", "TimeoutStopUSec": "1min 10s"}
    for kind, state in ((units.StartUnit, STOPPED), (units.StopUnit, {}), (units.RestartUnit, {})):
        programs.say("show.web.service", paragraph("web.service", RUN, **own, **state))
        await engine.do(engine.at(kind, "web.service"), seconds=3600.0)
    # What was read before takes some of the time.
    for (verb, seconds), (expected, most) in zip(
        allowed, [("start", 915), ("stop", 155), ("restart", 1055)], strict=True
    ):
        assert verb == expected and most - 30 < seconds <= most


@root
async def test_a_unit_that_used_up_its_time_was_killed(engine, programs):
    programs.say("show.web.service", paragraph("web.service", RUN, TimeoutStopUSec="20s"))
    programs.say(
        "started.web.service", paragraph("web.service", RUN, TimeoutStopUSec="20s", **STOPPED | {"Result": "timeout"})
    )
    outcome = await engine.do(engine.at(units.StopUnit, "web.service"))
    assert (outcome.status, outcome.detail) == (Status.DONE, "did not end within 20 s and was killed")


@root
@pytest.mark.parametrize("kind", [units.StopUnit, units.RestartUnit, units.DisableUnit])
async def test_a_container_of_a_unit_that_used_up_its_grace_was_killed(engine, programs, monkeypatch, kind):
    """Podman removes the container of a Quadlet when the unit stops, so the event of its end is all that is left."""
    programs.say("show.web.service", paragraph("web.service", RUN, UnitFileState="enabled"))
    engine.container["State"]["Status"] = "running"
    engine.container["Config"]["StopTimeout"] = 0
    engine.rows = [{"Id": WEB["Id"], "Names": ["web"], "Labels": {"PODMAN_SYSTEMD_UNIT": "web.service"}}]
    engine.ends = [(WEB["Id"], "137")]
    more = {"now": True} if kind is units.DisableUnit else {}
    outcome = await engine.do(engine.at(kind, "web.service", **more))
    assert (outcome.status, outcome.killed) == (Status.DONE, ("web",))
    assert outcome.detail.endswith("web did not end in time and was killed")
    engine.ends = [(WEB["Id"], "0")]
    outcome = await engine.do(engine.at(kind, "web.service", **more))
    assert not outcome.killed and "killed" not in outcome.detail
    engine.ends, engine.container["Config"]["StopTimeout"] = [(WEB["Id"], "137")], 10
    assert not (await engine.do(engine.at(kind, "web.service", **more))).killed  # its time was not over


@root
async def test_a_unit_is_stopped_also_if_podman_does_not_say_what_it_runs(engine, programs, monkeypatch):
    programs.say("show.web.service", paragraph("web.service", RUN))
    request = engine._request

    async def refuse(method, target, seconds, **more):
        if target.startswith("/containers/json"):
            raise errors.Unreachable("the service does not answer")
        return await request(method, target, seconds, **more)

    monkeypatch.setattr(engine, "_request", refuse)
    assert (await engine.do(engine.at(units.StopUnit, "web.service"))).status == Status.DONE
    assert changes(programs) == ["systemctl stop -- web.service"]


# ── enabling, files, reloading, lingering ────────────────────────────────────────────────────────────────────────────


@root
@pytest.mark.parametrize(
    ("enabled", "now", "state", "called", "status"),
    [
        ("disabled", False, STOPPED, ["systemctl enable --quiet -- web.service"], Status.DONE),
        (
            "disabled",
            True,
            STOPPED,
            ["systemctl enable --quiet -- web.service", "systemctl start -- web.service"],
            Status.DONE,
        ),
        ("disabled", True, {}, ["systemctl enable --quiet -- web.service"], Status.DONE),
        ("enabled", False, STOPPED, [], Status.NOOP),
        ("enabled", True, STOPPED, ["systemctl start -- web.service"], Status.DONE),
        ("generated", True, {}, [], Status.NOOP),
    ],
)
async def test_a_unit_is_enabled_and_with_now_started(engine, programs, enabled, now, state, called, status):
    programs.say("show.web.service", paragraph("web.service", RUN, UnitFileState=enabled, **state))
    outcome = await engine.do(engine.at(units.EnableUnit, "web.service", now=now))
    assert outcome.status == status
    assert changes(programs) == called
    if enabled == "generated":
        assert outcome.detail == "is enabled by its Quadlet file"


@root
async def test_a_unit_that_is_enabled_but_does_not_start_has_failed(engine, programs):
    programs.say("show.web.service", paragraph("web.service", RUN, UnitFileState="disabled", **STOPPED))
    programs.say("failed.web.service", paragraph("web.service", RUN, ActiveState="failed", Result="exit-code"))
    programs.say("fail.act", "Job for web.service failed.")
    outcome = await engine.do(engine.at(units.EnableUnit, "web.service", now=True))
    assert outcome.status == Status.FAILED
    assert outcome.detail.startswith("it is enabled, but web.service did not start: ")
    assert "systemctl enable --quiet -- web.service" in changes(programs)


@root
@pytest.mark.parametrize(
    ("enabled", "now", "state", "called", "status", "detail"),
    [
        ("enabled", False, {}, ["disable"], Status.DONE, "it continues to run until it is stopped"),
        ("enabled", False, STOPPED, ["disable"], Status.DONE, ""),
        ("enabled", True, {}, ["disable", "stop"], Status.DONE, "it is stopped"),
        ("enabled", True, STOPPED, ["disable"], Status.DONE, ""),
        ("disabled", True, {}, ["stop"], Status.DONE, "it is stopped; it was not enabled"),
        ("disabled", False, {}, [], Status.NOOP, "was not enabled"),
        ("static", False, {}, [], Status.NOOP, "has no section [Install], so only other units start it"),
    ],
)
async def test_a_unit_is_disabled_and_with_now_stopped(engine, programs, enabled, now, state, called, status, detail):
    programs.say("show.web.service", paragraph("web.service", RUN, UnitFileState=enabled, **state))
    programs.say("started.web.service", paragraph("web.service", RUN, UnitFileState="disabled", **STOPPED))
    outcome = await engine.do(engine.at(units.DisableUnit, "web.service", now=now))
    assert (outcome.status, outcome.detail) == (status, detail)
    assert changes(programs) == [
        "systemctl disable --quiet -- web.service" if word == "disable" else f"systemctl {word} -- web.service"
        for word in called
    ]


@root
@pytest.mark.parametrize(
    ("enabled", "message", "hint"),
    [
        (
            "generated",
            "was not disabled, because its Quadlet file",
            r"Remove the section \[Install\].* unit stop web\.service",
        ),
        ("linked", "would also remove the link to its unit file", "unit stop"),
    ],
)
async def test_a_unit_that_disabling_would_lose_or_not_change_is_left_alone(engine, programs, enabled, message, hint):
    programs.say("show.web.service", paragraph("web.service", RUN, UnitFileState=enabled))
    with pytest.raises(errors.UserError, match=message) as caught:
        await engine.do(engine.at(units.DisableUnit, "web.service", now=True))
    assert re.search(hint, caught.value.hint)
    assert not changes(programs)


@root
async def test_a_disabled_unit_that_does_not_stop_has_failed(engine, programs):
    programs.say("show.web.service", paragraph("web.service", RUN, UnitFileState="enabled"))
    programs.say("fail.act", "Job for web.service failed.")
    outcome = await engine.do(engine.at(units.DisableUnit, "web.service", now=True))
    assert outcome.status == Status.FAILED
    assert outcome.detail.startswith("it is disabled, but web.service did not stop: ")
    assert "systemctl disable --quiet -- web.service" in changes(programs)


@root
async def test_what_was_done_before_systemd_was_lost_is_said(engine, programs, etc, monkeypatch):
    async def lost(*given):
        raise errors.Unreachable("systemd does not answer.", sent=False)

    monkeypatch.setattr(engine, "_run_job", lost)
    for state, text in (("disabled", "web.service is enabled, and then: "), ("enabled", "systemd does not answer")):
        programs.say("show.web.service", paragraph("web.service", RUN, UnitFileState=state, **STOPPED))
        with pytest.raises(errors.EngineError, match=text) as caught:
            await engine.do(engine.at(units.EnableUnit, "web.service", now=True))
        assert caught.value.sent is (state == "disabled")
    programs.say("show.web.service", paragraph("web.service", RUN, UnitFileState="enabled"))
    with pytest.raises(errors.EngineError, match="web.service is disabled, and then: ") as caught:
        await engine.do(engine.at(units.DisableUnit, "web.service", now=True))
    assert caught.value.sent
    (programs.root / "show.web.service").unlink()
    programs.say("reloaded.web.service", quadlet(etc, **STOPPED))
    with pytest.raises(errors.EngineError, match=r"files of web\.service are written, and then: systemd") as caught:
        await engine.do(engine.on(units.InstallUnit))
    assert caught.value.sent


@root
@pytest.mark.parametrize("kind", [units.EnableUnit, units.DisableUnit, units.InspectUnit])
@pytest.mark.parametrize("name", ["ssh.service", "gone.service", "--root=/x.service", "../../etc/shadow"])
async def test_a_unit_that_runs_no_container_is_neither_enabled_nor_shown(engine, programs, kind, name):
    programs.say("show.ssh.service", paragraph("ssh.service", "/usr/sbin/sshd -D"))
    programs.say("unit.ssh.service", "# /lib/systemd/system/ssh.service\n[Service]\n")
    with pytest.raises(errors.NotFound, match="that runs a container"):
        await engine.do(engine.at(kind, name))
    assert not [call for call in programs.calls if "enable" in call or "disable" in call or " cat " in call]


async def test_the_files_of_a_unit_are_shown_without_values(engine, programs):
    programs.say("show.web.service", paragraph("web.service"))
    programs.say(
        "unit.web.service",
        "# /run/systemd/generator/web.service\n[Service]\nEnvironment=PASSWORD=hunter2\n"
        "ExecStart=/usr/bin/podman run -e K=hunter2 busybox\n",
    )
    told = await engine.do(engine.at(units.InspectUnit, "web.service"))
    (file,) = told.files
    assert file.path == "/run/systemd/generator/web.service"
    assert "hunter2" not in file.text and "PASSWORD=••••" in file.text
    assert "systemctl cat -- web.service" in programs.calls


@root
async def test_systemd_reads_its_files_again(engine, programs):
    assert (await engine.do(units.ReloadUnits(engine=engine.ref))).status == Status.DONE
    assert changes(programs) == ["systemctl daemon-reload"]


@root
async def test_roots_units_need_no_lingering(engine, programs):
    assert await engine.do(units.ShowLinger(engine=engine.ref)) == units.Linger(user="root", enabled=None)
    for kind in (units.EnableLinger, units.DisableLinger):
        outcome = await engine.do(kind(engine=engine.ref))
        assert outcome.status == Status.NOOP and "root" in outcome.detail
    assert not programs.calls


@pytest.fixture
def rootless(engine, monkeypatch, short_tmp):
    need("systemd", "sh", root=True)
    uid = somebody()
    who = systemctl.UnixUser(uid=uid, gid=systemctl.unix_user(uid).gid, name="nobody", home=short_tmp)
    monkeypatch.setattr(systemctl, "unix_user", lambda _: who)
    engine.uid = uid
    return uid


async def test_lingering_is_shown_and_enabled(engine, programs, rootless):
    unknown = f"User ID {rootless} is not logged in or lingering"
    programs.say("fail.loginctl", f"Failed to get path for user '{rootless}': {unknown}\n")
    assert await engine.do(units.ShowLinger(engine=engine.ref)) == units.Linger(user="nobody", enabled=False)
    (programs.root / "fail.loginctl").unlink()
    programs.say(f"show.{rootless}", "Linger=no\n")
    assert not (await engine.do(units.ShowLinger(engine=engine.ref))).enabled
    programs.say("lingers", f"show.{rootless}")
    outcome = await engine.do(units.EnableLinger(engine=engine.ref))
    assert (outcome.status, outcome.detail) == (Status.DONE, "lingering is enabled for nobody")
    assert f"loginctl enable-linger -- {rootless}" in programs.calls
    again = await engine.do(units.EnableLinger(engine=engine.ref, user="nobody"))
    assert again.status == Status.NOOP


async def test_lingering_is_disabled(engine, programs, rootless):
    programs.say(f"show.{rootless}", "Linger=yes\n")
    programs.say("no-longer", f"show.{rootless}")
    outcome = await engine.do(units.DisableLinger(engine=engine.ref))
    assert outcome.status == Status.DONE and outcome.detail.startswith("lingering is disabled for nobody")
    assert f"loginctl disable-linger -- {rootless}" in programs.calls
    again = await engine.do(units.DisableLinger(engine=engine.ref, user="nobody"))
    assert (again.status, again.detail) == (Status.NOOP, "had no lingering for nobody")


@pytest.mark.parametrize("kind", [units.EnableLinger, units.DisableLinger])
async def test_lingering_of_another_user_is_left_alone(engine, programs, rootless, kind):
    outcome = await engine.do(kind(engine=engine.ref, user="alice"))
    assert (outcome.status, outcome.detail) == (Status.NOOP, "runs as nobody, not as alice")
    assert not programs.calls


async def test_lingering_that_loginctl_refuses_or_does_not_set_is_no_success(engine, programs, rootless):
    programs.say(f"show.{rootless}", "Linger=no\n")
    with pytest.raises(errors.EngineError, match="lingering is not enabled for nobody") as caught:
        await engine.do(units.EnableLinger(engine=engine.ref))
    assert caught.value.sent
    programs.say(f"show.{rootless}", "Linger=yes\n")
    with pytest.raises(errors.EngineError, match="lingering is still enabled for nobody"):
        await engine.do(units.DisableLinger(engine=engine.ref))
    programs.say("fail.loginctl", "Could not enable linger: Access denied\n")
    for kind in (units.EnableLinger, units.DisableLinger):
        with pytest.raises(errors.NotPermitted):
            await engine.do(kind(engine=engine.ref))
