"""What somebody may put in the place of a file that we read."""

import asyncio
import os
import stat
import threading
from pathlib import Path

import pytest

from core import file_thread, untrusted_files

US = (os.geteuid(),)
OTHER = 12_345


def read(path, **options):
    return untrusted_files.read_file(str(path), options.pop("owners", US), **options)


def is_root():
    if os.geteuid() != 0:
        pytest.skip("needs root, which gives files to somebody else")


def test_a_regular_file_of_its_owner_is_read(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    assert read(tmp_path / "a") == b"x" * 100_000
    (tmp_path / "empty").touch()
    assert read(tmp_path / "empty") == b""
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none/file")
    with pytest.raises(NotADirectoryError):
        read(tmp_path / "a/file")
    with pytest.raises(untrusted_files.UntrustedFileError, match="not absolute"):
        read("a")


def test_a_pipe_does_not_block_and_a_device_is_not_touched(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    opened = []
    real = os.open
    monkeypatch.setattr(
        os, "open", lambda path, flags, *a, **k: opened.append((path, flags)) or real(path, flags, *a, **k)
    )
    for path in (tmp_path / "pipe", tmp_path / "folder", "/dev/zero", "/dev/tty"):
        with pytest.raises(untrusted_files.UntrustedFileError, match="not a regular file"):
            read(path)
    assert all(flags & os.O_PATH or path == "/" for path, flags in opened), "nothing was opened for reading"


def test_links_are_not_followed(tmp_path):
    (tmp_path / "good").write_bytes(b"x")
    for target in ("/dev/zero", "/etc/shadow", tmp_path / "good", tmp_path / "link", "nowhere"):
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(target)
        with pytest.raises(untrusted_files.UntrustedFileError, match="symbolic link"):
            read(tmp_path / "link")


def test_a_folder_that_is_a_link_is_followed_only_if_root_or_we_made_it(tmp_path):
    is_root()
    home = tmp_path / "home"
    (home / "real").mkdir(parents=True)
    (home / "real/a").write_bytes(b"x")
    (home / "relative").symlink_to("../home/./real")
    (home / "absolute").symlink_to(home / "relative")
    assert read(home / "absolute/a") == read(home / "relative/a") == b"x"
    assert read(home / "absolute/../real/a") == b"x"
    with pytest.raises(untrusted_files.UntrustedFileError, match="the folder relative in its path is a symbolic link"):
        read(home / "relative/a", real_parents=1)
    os.lchown(home / "relative", OTHER, OTHER)
    for name in ("relative", "absolute"):
        with pytest.raises(
            untrusted_files.UntrustedFileError, match="the folder relative in its path is a symbolic link"
        ):
            read(home / name / "a")
    (home / "loop").symlink_to("loop")
    with pytest.raises(untrusted_files.UntrustedFileError):
        read(home / "loop/a")


def test_the_owner_is_checked(tmp_path):
    is_root()
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(untrusted_files.UntrustedFileError, match=r"it belongs to root, not to uid 12345"):
        read(tmp_path / "a", owners=(OTHER,))
    os.chown(tmp_path / "a", OTHER, OTHER)
    assert read(tmp_path / "a", owners=(OTHER,)) == b"x"
    with pytest.raises(untrusted_files.UntrustedFileError):
        read(tmp_path / "a")
    with pytest.raises(untrusted_files.UntrustedFileError, match="belongs to"):
        read(tmp_path / "a", owners=())


def test_a_large_file_and_one_that_grows_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"x" * 1000)
    assert len(read(tmp_path / "a", max_bytes=1000)) == 1000
    with pytest.raises(untrusted_files.UntrustedFileError, match="larger"):
        read(tmp_path / "a", max_bytes=999)
    os.truncate(tmp_path / "a", 1 << 40)
    with pytest.raises(untrusted_files.UntrustedFileError, match="larger"):
        read(tmp_path / "a")
    os.truncate(tmp_path / "a", 10)
    real, most = os.read, []

    def growing(handle, size):
        with (tmp_path / "a").open("ab") as file:
            file.write(b"y" * 4096)
        most.append(size)
        return real(handle, size)

    monkeypatch.setattr(os, "read", growing)
    with pytest.raises(untrusted_files.UntrustedFileError, match="larger"):
        read(tmp_path / "a", max_bytes=1 << 14)
    assert sum(most) <= (1 << 14) + len(most)


def test_nothing_stays_open(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("a", "link/a", "pipe", "none", "none/a", "a/b"):
        try:
            read(tmp_path / name)
        except OSError:
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_swapped_between_the_check_and_the_reading_is_the_checked_one(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"checked")
    real = os.fstat

    def late(handle):
        found = real(handle)
        if stat.S_ISREG(found.st_mode) and not (tmp_path / "a").is_symlink():
            (tmp_path / "a").rename(tmp_path / "b")
            (tmp_path / "a").symlink_to("/etc/passwd")
        return found

    monkeypatch.setattr(os, "fstat", late)
    assert read(tmp_path / "a") == b"checked"


# ── the thread ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_read_that_hangs_costs_its_own_caller_only():
    files, hangs = file_thread.FileThread("test"), threading.Event()
    assert await files.run(lambda: 1, 5.0) == 1
    with pytest.raises(ZeroDivisionError):
        await files.run(lambda: 1 // 0, 5.0)
    begun, ran = threading.Event(), []

    def hang():
        begun.set()
        hangs.wait()

    hanging = asyncio.create_task(files.run(hang, 60.0))
    await asyncio.to_thread(begun.wait)
    with pytest.raises(TimeoutError):
        await files.run(lambda: ran.append(1), 0.01)
    hanging.cancel()
    await asyncio.wait([hanging])
    hangs.set()
    assert await files.run(lambda: 2, 5.0) == 2
    assert not ran, "a call that was given up while it waited does not run later"
    ended = threading.Event()
    files.close(ended.set)
    assert ended.wait(5)
    files._thread.join(5)
    assert not files._thread.is_alive()
