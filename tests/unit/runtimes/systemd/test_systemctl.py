"""The one seam to systemd: what it calls, as whom, what it makes of answers, and whom it refuses."""

import asyncio
import os
import time
from pathlib import Path

import pytest

from core import errors
from runtimes.systemd import systemctl, systemctl_parse
from tests.helpers.deadlines import sent_in_vain
from tests.helpers.requirements import need
from tests.unit.runtimes.systemd.programs import paragraph, somebody

UID = somebody()


async def test_the_machines_systemd_is_asked_as_who_we_are(programs):
    programs.say("loaded", paragraph("web.service"))
    assert await systemctl.Systemd(0).show_loaded(5.0) == paragraph("web.service")
    await systemctl.Systemd(0).list_unit_files(5.0)
    await systemctl.Systemd(0).show(["a.service", "b.service"], 5.0)
    assert programs.calls == [
        "systemctl show -- *.service",
        "systemctl list-unit-files --type=service --no-legend --full",
        "systemctl show -- a.service b.service",
    ]
    assert set(programs.callers) == {f"{os.geteuid()} "}


async def test_a_users_is_asked_as_that_user(programs):
    need("systemd", "sh", root=True)
    await systemctl.Systemd(UID).list_unit_files(5.0)
    assert programs.calls == ["systemctl --user list-unit-files --type=service --no-legend --full"]
    assert programs.callers == [f"{UID} /run/user/{UID}"]


async def test_nothing_of_our_environment_goes_along(programs, monkeypatch):
    monkeypatch.setenv("QUARTERDECK_SLACK_TOKEN", "xoxb-secret")
    programs.say("env", "")
    (programs.root / "env").chmod(0o666)
    await systemctl.Systemd(UID if os.geteuid() == 0 else 0).list_unit_files(5.0)
    told = (programs.root / "env").read_text()
    assert "LC_ALL=C.UTF-8" in told
    assert "xoxb" not in told


async def test_what_is_changed_and_how(programs):
    need("systemd", "sh", root=True)
    machine, user = systemctl.Systemd(0), systemctl.Systemd(UID)
    await machine.daemon_reload(5.0)
    await machine.enable("web.service", 5.0)
    for verb in ("start", "stop", "restart"):
        await machine.change_state(verb, "web.service", 5.0)
    await user.enable_linger(5.0)
    await user.change_state("start", "web.service", 5.0)
    assert programs.calls == [
        "systemctl daemon-reload",
        "systemctl enable --quiet -- web.service",
        "systemctl start -- web.service",
        "systemctl stop -- web.service",
        "systemctl restart -- web.service",
        f"loginctl enable-linger -- {UID}",
        f"systemctl start -- user@{UID}.service",
        "systemctl --user start -- web.service",
    ]
    assert [caller.split()[0] for caller in programs.callers] == ["0"] * 7 + [str(UID)]


@pytest.mark.parametrize(
    ("complaint", "kind", "said"),
    [
        ("Failed to connect to bus: No such file or directory", errors.Unreachable, "systemd does not answer"),
        (
            "Failed to connect to user scope bus via local transport: No such file or directory",
            errors.Unreachable,
            "systemd does not answer",
        ),
        (
            "System has not been booted with systemd as init system (PID 1). Can't operate.\nFailed to connect to bus",
            errors.Unreachable,
            "System has not been booted",
        ),
        ("Failed to enable unit: Access denied", errors.NotPermitted, "Access denied"),
        ("Failed to start a.service: Interactive authentication required.", errors.NotPermitted, "as root"),
        (
            "Job for a.service failed because the control process exited with error code.\nSee journalctl",
            errors.Rejected,
            "control process exited",
        ),
    ],
)
async def test_complaints(programs, complaint, kind, said):
    programs.say("fail.systemctl", complaint)
    with pytest.raises(kind, match=said) as caught:
        await systemctl.Systemd(0).list_unit_files(5.0)
    assert "\n" not in caught.value.full_message()


async def test_a_change_that_outlives_its_deadline_is_unknown_and_its_program_ended(programs):
    need("systemd", "sh", root=True)
    programs.say("hang", "")
    began = time.monotonic()
    await sent_in_vain(lambda seconds: systemctl.Systemd(0).change_state("start", "a.service", seconds), 0.3)
    with pytest.raises(errors.TimedOut) as caught:
        await systemctl.Systemd(0).list_unit_files(0.3)
    assert not caught.value.sent
    assert time.monotonic() - began < 30  # the program would go on for 60


async def test_answers_are_bounded(programs, monkeypatch):
    monkeypatch.setattr(systemctl, "MAX_OUTPUT", 10_000)
    programs.say("loaded", "x" * 1_000_000)
    with pytest.raises(errors.InvalidResponse):
        await systemctl.Systemd(0).show_loaded(20.0)


async def test_a_program_that_is_not_there(programs, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(errors.Unreachable, match="systemctl cannot be started: the program systemctl was not found"):
        await systemctl.Systemd(0).list_unit_files(5.0)


def test_a_machine_without_systemd_and_a_container(monkeypatch, tmp_path):
    monkeypatch.setattr(systemctl, "BOOTED", tmp_path / "none")
    monkeypatch.setattr(systemctl, "IN_CONTAINER", (tmp_path / "sign",))
    with pytest.raises(errors.Unreachable, match="does not run systemd"):
        systemctl.Systemd(0).check_access(change=False)
    (tmp_path / "sign").touch()
    with pytest.raises(errors.Unreachable, match="runs in a container") as caught:
        systemctl.Systemd(0).check_access(change=False)
    assert caught.value.hint


def test_whom_the_systemd_of_others_obeys(monkeypatch, tmp_path):
    monkeypatch.setattr(systemctl, "BOOTED", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: UID)
    systemctl.Systemd(UID).check_access(change=True)
    systemctl.Systemd(0).check_access(change=False)
    with pytest.raises(errors.NotPermitted, match="Only root") as caught:
        systemctl.Systemd(0).check_access(change=True)
    assert caught.value.hint
    monkeypatch.setattr(os, "geteuid", lambda: UID - 1)
    with pytest.raises(errors.NotPermitted, match="Only nobody and root may use the systemd of nobody"):
        systemctl.Systemd(UID).check_access(change=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    systemctl.Systemd(UID).check_access(change=True)


def test_a_user_that_is_not_there():
    with pytest.raises(errors.UserError, match="no user with the id 987654321"):
        systemctl.unix_user(987_654_321)


@pytest.mark.parametrize("name", ["web.service", "container-web_1.2.service", "a@b.service", "x\\x2d.service"])
def test_names(name):
    assert systemctl.is_service_name(name)


@pytest.mark.parametrize(
    "name", ["web", "-M.service", "--root=x.service", "a b.service", "../a.service", "a\n.service", ".service",
             "*.service", "@x.service", "x" * 300 + ".service", "web.service\n"]
)  # fmt: skip
def test_what_is_no_name(name):
    assert not systemctl.is_service_name(name)


async def test_the_true_systemd_analyze(tmp_path):
    need("systemd", "systemd-analyze")
    unit = tmp_path / "qd-test.service"
    unit.write_text("[Service]\nExecStart=/bin/true\nNonsense=1\n")
    for uid in (0, UID):
        said = await systemctl.Systemd(uid).verify(unit, 20.0)
        assert said.code == 0
        assert "Nonsense" in said.stderr
    unit.write_text("[Service]\nExecStart=/nonexistent/podman\n")
    said = await systemctl.Systemd(0).verify(unit, 20.0)
    assert said.code != 0
    assert "is not executable" in said.stderr


async def test_a_call_that_is_taken_back_leaves_no_program_behind(programs):
    programs.say("hang", "")
    task = asyncio.get_running_loop().create_task(systemctl.Systemd(0).list_unit_files(30.0))
    while not programs.calls:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [path for path in Path("/proc").glob("[0-9]*/cwd") if _leads_to(path, programs.root)]


def _leads_to(path, folder):
    try:
        return path.readlink() == folder
    except OSError:
        return False


# ── its words ────────────────────────────────────────────────────────────────────────────────────────────────────────

SHOWN = "\n".join(
    [
        paragraph("web.service"),
        paragraph(
            "container-db.service",
            "/usr/bin/podman start db",
            SourcePath="",
            FragmentPath="/etc/systemd/system/container-db.service",
            UnitFileState="enabled",
            ActiveState="failed",
            SubState="failed",
            Result="exit-code",
            ExecMainStatus="125",
            MainPID="0",
        ),
        paragraph("pod-shop.service", "/usr/bin/podman pod start shop"),
        paragraph("kube.service", "/usr/bin/podman kube play --replace x.yml"),
        paragraph("ssh.service", "/usr/sbin/sshd -D"),
        paragraph("podman.service", "/usr/bin/podman --log-level=info system service"),
        paragraph("podman-restart.service", "/usr/bin/podman start --all --filter restart-policy=always"),
        paragraph("podman-auto-update.service", "/usr/bin/podman auto-update"),
        "Id=gone.service\nLoadState=not-found\nActiveState=inactive\n",
    ]
)


def test_only_what_runs_a_container_is_told_of():
    found = {service.name: service for service in systemctl_parse.parse_services(SHOWN)}
    assert [name for name, service in found.items() if service.runs_container] == [
        "web.service", "container-db.service", "pod-shop.service", "kube.service",
    ]  # fmt: skip
    web, db = found["web.service"], found["container-db.service"]
    assert (web.container, web.file, web.pid, web.changed, web.failure) == (
        "web", "/etc/containers/systemd/web.container", 4711, 5_000_000, "",
    )  # fmt: skip
    assert (db.container, db.file, db.failure) == (
        "db", "/etc/systemd/system/container-db.service", "its program ended with code 125",
    )  # fmt: skip
    assert found["pod-shop.service"].pod == "shop"
    assert not found["gone.service"].exists


@pytest.mark.parametrize(
    ("command", "runs", "container"),
    [
        ("/usr/bin/podman run --name=a img", True, "a"),
        ("/usr/bin/podman --root /x run --name a img", True, "a"),
        ("/usr/bin/podman container start a", True, "a"),
        ("/usr/local/bin/podman run img", True, ""),
        ("/usr/bin/podman start", False, ""),
        ("/usr/bin/podman start -a web", False, ""),
        ("/usr/bin/podman pod stop x", False, ""),
        ("/usr/bin/podman", False, ""),
        ("/bin/sh -c podman run x", False, ""),
        ("/srv/notpodman run x", False, ""),
        ("/usr/bin/podman exec web start x", False, ""),
    ],
)
def test_command_lines(command, runs, container):
    (service,) = systemctl_parse.parse_services(paragraph("x.service", command))
    assert (service.runs_container, service.container) == (runs, container)


def test_a_command_line_with_line_breaks_is_taken_for_no_other_service_when_asked_for_alone():
    forged = f"/usr/sbin/nginx -g daemon\n\n{paragraph('ssh.service')}"
    first, *_ = systemctl_parse.parse_services(paragraph("nginx.service", forged))
    assert first.name == "nginx.service"
    assert not first.runs_container


@pytest.mark.parametrize(
    "text", ["", "\n\n", "nonsense", "=\n=", "Id=\n", "ExecStart={ path= ; }\n", "Id=a\nMainPID=x\n"]
)
def test_nonsense_is_no_exception(text):
    assert all(not service.runs_container for service in systemctl_parse.parse_services(text))


def test_which_files_may_be_of_units_that_are_not_loaded():
    files = """web.service                generated -
container-db.service  enabled   enabled
pod-shop.service disabled enabled
container-x@.service disabled enabled
ssh.service enabled enabled
container.socket enabled

odd
"""
    assert systemctl_parse.unloaded_candidates(files, ["web.service"]) == ["container-db.service", "pod-shop.service"]
    assert systemctl_parse.unloaded_candidates(files, []) == ["web.service", "container-db.service", "pod-shop.service"]


@pytest.mark.parametrize("result", ["{0}", "{status}{x}", "{", "}{", "signal{status.__class__}"])
def test_a_failure_with_an_unknown_name_is_shown_as_it_is(result):
    (service,) = systemctl_parse.parse_services(
        f"Id=a.service\nActiveState=failed\nResult={result}\nExecMainStatus=1\n"
    )
    assert service.failure == result


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1min 30s", 90.0),
        ("15min", 900.0),
        ("500ms", 0.5),
        ("1h 2min 3.500s", 3723.5),
        ("infinity", float("inf")),
        ("", 90.0),
        ("soon", 90.0),
    ],
)
def test_times_as_systemctl_shows_them(text, seconds):
    (service,) = systemctl_parse.parse_services(f"Id=a.service\nLoadState=loaded\nTimeoutStopUSec={text}\n")
    assert service.stop_seconds == seconds
