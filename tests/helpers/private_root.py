"""A temporary directory for one private engine. At its end everything that runs or is mounted under it goes with it.

A run that is killed (SIGKILL, a lost terminal) leaves nothing behind either: each test process has a guard, a small
process in a session of its own. The guard reads from a pipe which directories are in use; the pipe ends with the test
process, however that ends, and the guard then cleans up what is still in use. It uses the standard library alone.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROUNDS = 100  # times that processes are looked for and killed before cleaning up gives up
PAUSE_SECONDS = 0.05
_guard: subprocess.Popen[bytes] | None = None


@contextlib.contextmanager
def private_root(prefix: str = "qd-") -> Iterator[Path]:
    """A new directory with a short path, for unix sockets. Its name is fit for engines too: containerd's ids, for
    example, may not end with an underscore, as a name of `mkdtemp` may."""
    root = Path(tempfile.gettempdir(), f"{prefix}{secrets.token_hex(4)}")
    root.mkdir(mode=0o700)
    with guarded("root", str(root)):
        try:
            yield root
        finally:
            clean_up(root)


@contextlib.contextmanager
def guarded(kind: str, name: str) -> Iterator[None]:
    """The guard ends this if the test process cannot: a `root` directory, or a `user` made for the test."""
    _report(f"+{kind} {name}")
    try:
        yield
    finally:
        _report(f"-{kind} {name}")


def clean_up(root: Path) -> None:
    """Kills every process that belongs to `root`, unmounts what is mounted under it, and deletes it."""
    for _ in range(ROUNDS):
        pids = processes_of(root)
        mounts = sorted(mount for mount in _mounts() if mount.startswith(f"{root}/"))
        if not pids and not mounts:
            break
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        for mount in reversed(mounts):
            subprocess.run(["umount", "-l", mount], check=False, capture_output=True)
        time.sleep(PAUSE_SECONDS if pids else 0)
    shutil.rmtree(root, ignore_errors=True)


def processes_of(root: Path) -> set[int]:
    """Processes that name `root` among their arguments or environment, that run on a root file system below it (a
    container's), and the descendants of all of these. Zombies and this process do not count."""
    path, own_mounts = f"{root}/".encode(), Path("/proc/self/ns/mnt").readlink()
    children: dict[int, list[int]] = {}
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or (pid := int(entry.name)) == os.getpid():
            continue
        with contextlib.suppress(OSError, IndexError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state in "ZX":
                continue
            children.setdefault(int(parent), []).append(pid)
            if (
                path in (entry / "cmdline").read_bytes().partition(b"\0")[2]
                or path in (entry / "environ").read_bytes()
                or ((entry / "ns/mnt").readlink() != own_mounts and _root_file_system_is_under(path, entry))
            ):
                found.append(pid)
    for pid in found:
        found += [child for child in children.get(pid, ()) if child not in found]
    return set(found) - {os.getpid()}


def _root_file_system_is_under(path: bytes, process: Path) -> bool:
    lines = (line.split() for line in (process / "mountinfo").read_bytes().splitlines())
    return any(words[4] == b"/" and any(path in word for word in words) for words in lines)


def _mounts() -> list[str]:
    return [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]


def _report(line: str) -> None:
    global _guard
    if _guard is None or _guard.poll() is not None:
        _guard = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, start_new_session=True, env={"PATH": os.environ["PATH"]}
        )
        atexit.register(_dismiss, _guard)
    assert _guard.stdin is not None
    _guard.stdin.write(f"{line}\n".encode())
    _guard.stdin.flush()


def _dismiss(guard: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        guard.communicate(timeout=60)


def main() -> None:
    """The guard itself."""
    in_use: dict[str, None] = {}
    for line in sys.stdin:
        sign, thing = line[:1], line[1:].rstrip("\n")
        if sign == "+":
            in_use[thing] = None
        else:
            in_use.pop(thing, None)
    for thing in reversed(in_use):
        kind, _, name = thing.partition(" ")
        if kind == "root":
            clean_up(Path(name))
        else:
            subprocess.run(["userdel", name], check=False, capture_output=True)


if __name__ == "__main__":
    main()
