"""The runner of programs: deadlines, bounded output, and that no program outlives its caller or Quarterdeck."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import errors, processes
from tests.helpers.paths import ROOT
from tests.helpers.requirements import need

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc and relies on PR_SET_PDEATHSIG")


async def run(*command: str, **options: Any) -> processes.Result:
    given = {"timeout": 20.0, "name": "the program", "env": {"PATH": os.environ["PATH"]}} | options
    return await processes.run(command, **given)


async def test_a_program_that_ends_returns_its_code_and_output() -> None:
    result = await run("sh", "-c", "echo out; echo err >&2; pwd; exit 3")
    assert (result.code, result.stdout, result.stderr, result.dropped) == (3, "out\n/\n", "err\n", 0)
    assert 0 < result.seconds < 20


async def test_it_gets_no_standard_input_and_only_the_environment_that_is_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QUARTERDECK_SLACK_TOKEN", "xoxb-secret")
    result = await run("sh", "-c", "cat; env", env={"PATH": os.environ["PATH"], "LC_ALL": "C"})
    assert "LC_ALL=C" in result.stdout
    assert "xoxb" not in result.stdout


def test_a_program_gets_what_every_program_needs_and_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLACK_BOT_TOKEN", "QUARTERDECK_STORE__URL", "AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "zebra")
    monkeypatch.setenv("HOME", "/home/bob")
    monkeypatch.delenv("TZ", raising=False)
    env = processes.minimal_environment("SSH_AUTH_SOCK", "KRB5CCNAME", LC_ALL="C", HOME="/")
    assert env["PATH"] == os.environ["PATH"]
    assert (env["SSH_AUTH_SOCK"], env["LC_ALL"], env["HOME"]) == ("zebra", "C", "/")
    assert list(env.values()).count("zebra") == 1 and "TZ" not in env
    assert "zebra" not in processes.minimal_environment().values()
    monkeypatch.delenv("PATH")
    assert processes.minimal_environment()["PATH"] == os.defpath


def test_no_module_passes_its_whole_environment_on() -> None:
    root = Path(processes.__file__).parents[1]
    sources = [file for folder in ("bot", "collectors", "core", "runtimes") for file in (root / folder).rglob("*.py")]
    assert len(sources) > 200
    spread = re.compile(r"\*\*os\.environ|env=os\.environ|os\.environ\.copy|env=None|dict\(os\.environ")
    # The command line adds placeholders for a manifest, and starts no program.
    assert [file.name for file in sources if spread.search(file.read_text())] == ["command_line.py"]


async def test_a_program_gets_its_input_and_then_the_end_of_it() -> None:
    assert (await run("cat", stdin=b"one\ntwo")).stdout == "one\ntwo"
    # A program need not read it.
    done = await run("true", stdin=b"x" * 1_000_000)
    assert done.code == 0


async def test_a_program_that_is_missing() -> None:
    with pytest.raises(errors.Unreachable, match=r"the program /nonexistent/it was not found\.") as caught:
        await run("/nonexistent/it", hint="Install it.")
    assert (caught.value.sent, caught.value.hint) == (False, "Install it.")
    with pytest.raises(errors.Unreachable, match="was not found"):
        await processes.start(["/nonexistent/it"], name="it", env={})


async def test_a_program_that_is_not_executable(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no program")
    with pytest.raises(
        errors.Unreachable,
        match=r"the program cannot be started with \S+: Permission denied\. Allow the user that runs Quarterdeck",
    ):
        await run(str(tmp_path / "data"))
    (tmp_path / "data").chmod(0o755)
    with pytest.raises(errors.Unreachable, match=r"cannot be started with \S+: Exec format error"):
        await run(str(tmp_path / "data"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which gives files to somebody else")
@pytest.mark.parametrize("how", ["by its path", "on PATH", "through a link"])
async def test_a_program_that_somebody_else_can_change_is_not_started(tmp_path: Path, how: str) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    program = theirs / "tool"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    os.chown(theirs, 12_345, 12_345)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/tool").symlink_to(program)
    command = {"by its path": str(program), "on PATH": "tool", "through a link": str(tmp_path / "bin/tool")}[how]
    env = {"PATH": f"{theirs}:/bin:/usr/bin"}
    with pytest.raises(errors.Unreachable, match="which belongs to uid 12345"):
        await processes.run([command], timeout=5, name="it", env=env)
    with pytest.raises(errors.Unreachable, match="which belongs to uid 12345"):
        await processes.start([command], name="it", env=env)
    assert not (tmp_path / "ran").exists()
    os.chown(theirs, 0, 0)
    assert (await processes.run([command], timeout=5, name="it", env=env)).code == 0


async def test_an_argument_that_no_program_can_get() -> None:
    with pytest.raises(errors.Unreachable, match=r"cannot be started with .*: embedded null byte"):
        await run("sh", "-c", "\0")


@pytest.mark.parametrize("change", [False, True])
async def test_a_program_that_hangs_is_killed_at_its_deadline(tmp_path: Path, change: bool) -> None:
    began = time.monotonic()
    with pytest.raises(errors.TimedOut, match="the program did not end within 1 s and was killed") as caught:
        await run("sh", "-c", f"echo $$ >{tmp_path}/pid; exec sleep 60", timeout=0.6, change=change)
    assert caught.value.sent is change
    assert time.monotonic() - began < 30
    assert not alive(int((tmp_path / "pid").read_text()))


async def test_a_flood_of_output_is_read_to_its_end_and_bounded() -> None:
    result = await run("sh", "-c", "head -c 5000000 /dev/zero; head -c 1000 /dev/zero >&2", max_output=10_000)
    assert (len(result.stdout), len(result.stderr), result.dropped) == (10_000, 1_000, 4_990_000)


async def test_a_program_that_leaves_a_child_with_its_output_does_not_hold_its_caller() -> None:
    began = time.monotonic()
    result = await run("sh", "-c", "sleep 40 & echo done")
    assert (result.code, result.stdout) == (0, "done\n")
    assert time.monotonic() - began < 30


async def test_a_program_killed_by_a_signal() -> None:
    result = await run("sh", "-c", "kill -9 $$")
    assert result.code == -signal.SIGKILL


@LINUX
async def test_a_cancelled_call_leaves_no_process(tmp_path: Path) -> None:
    script = f"trap '' TERM; echo $$ >{tmp_path}/pid; exec sleep 60"
    task = asyncio.get_running_loop().create_task(run("sh", "-c", script, timeout=60.0))
    pid = int(await text_of(tmp_path / "pid"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{pid}").exists()


@LINUX
async def test_it_has_a_session_of_its_own() -> None:
    result = await run("sh", "-c", "echo $$ $(ps -o sid= -p $$)")
    pid, session = result.stdout.split()
    assert pid == session


async def test_it_runs_as_the_user_that_is_asked_for() -> None:
    need("root", "sh", root=True)
    nobody = pwd.getpwnam("nobody")
    run_as = processes.RunAs(uid=nobody.pw_uid, gid=nobody.pw_gid, groups=[nobody.pw_gid])
    result = await run("id", run_as=run_as)
    assert f"uid={nobody.pw_uid}(" in result.stdout
    assert "root" not in result.stdout


async def test_a_program_that_stays(tmp_path: Path) -> None:
    process = await processes.start(["sh", "-c", "echo hello >&2; exec sleep 60"], name="it", env=os.environ)
    assert process.stderr is not None
    assert await process.stderr.readline() == b"hello\n"
    process.kill()
    assert await process.wait() == -signal.SIGKILL


def test_a_program_that_stays_and_writes_to_a_log(tmp_path: Path) -> None:
    with (tmp_path / "log").open("ab") as log, pytest.raises(errors.Unreachable, match="/nonexistent/it was not found"):
        processes.start_logged(["/nonexistent/it"], name="it", env={}, log=log)
    with (tmp_path / "log").open("ab") as log:
        process = processes.start_logged(
            ["sh", "-c", "echo out; echo err >&2; umask"], name="it", env=processes.minimal_environment(), log=log
        )
    assert process.wait(10) == 0
    assert (tmp_path / "log").read_text() == "out\nerr\n0077\n"


PARENT = """
import asyncio, os, sys
from core import processes

async def main():
    how, file = sys.argv[1:]
    command = ["sh", "-c", f"echo $$ >{file}; exec sleep 60"]
    if how == "run":
        await processes.run(command, timeout=60, name="it", env=os.environ)
    elif how == "start":
        await processes.start(command, name="it", env=os.environ)
    else:
        processes.start_logged(command, name="it", env=dict(os.environ), log=open(os.devnull, "wb"))
    await asyncio.Event().wait()

asyncio.run(main())
"""


@LINUX
@pytest.mark.parametrize("how", ["run", "start", "start_logged"])
async def test_a_program_dies_with_a_killed_parent(tmp_path: Path, how: str) -> None:
    file = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, "-c", PARENT, how, str(file)], cwd=ROOT)
    try:
        pid = int(await text_of(file))
        assert alive(pid)
    finally:
        parent.kill()
        parent.wait()
    await until(lambda: not alive(pid))


def test_a_directory_for_sockets_is_private_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    for value in ("", "relative", str(long), "/nonexistent"):
        monkeypatch.setenv("XDG_RUNTIME_DIR", value)
        made = processes.make_socket_dir("qd-test-")
        made.rmdir()
        assert made.parent == Path("/tmp")
    # A path that is always short enough.
    base = processes.make_socket_dir("qd-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    made = processes.make_socket_dir("qd-test-")
    assert made.parent == base
    assert made.stat().st_mode & 0o777 == 0o700
    made.rmdir()
    base.rmdir()


def alive(pid: int) -> bool:
    """Whether the process still runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


async def text_of(path: Path) -> str:
    await until(lambda: path.exists() and path.read_text().endswith("\n"))
    return path.read_text()


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        await asyncio.sleep(0.02)
