"""A growing file, followed through everything that is done to one."""

import asyncio
import os
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import errors
from runtimes.kernel import file_tail


@pytest.fixture
async def opened(tmp_path):
    made = []

    async def open_(path, *, from_start=True):
        made.append(file_tail.FileTail(path, from_start=from_start, owners=(os.geteuid(),)))
        await made[-1].open()
        return made[-1]

    yield open_
    for one in made:
        one.close()


async def arrives(lines, expected):
    """What is read until it is as much as expected."""
    read = b""
    async with asyncio.timeout(60):
        while True:
            while more := await lines.read():
                read += more
            if len(read) >= len(expected):
                return read
            await lines.wait()


def append(path, data):
    with path.open("ab") as file:
        file.write(data)


async def test_lines_come_whole_and_as_they_are_written(tmp_path, opened):
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    lines = await opened(path)
    assert await lines.read() == b"one\n"
    assert await lines.read() == b""
    append(path, b"o\nthree\nfo")
    assert await arrives(lines, b"two\nthree\n") == b"two\nthree\n"
    append(path, b"ur\n")
    assert await arrives(lines, b"four\n") == b"four\n"


async def test_from_its_end_only_what_is_new_comes(tmp_path, opened):
    path = tmp_path / "log"
    path.write_bytes(b"old\nold too\nbeg")
    lines = await opened(path, from_start=False)
    assert await lines.read() == b""
    append(path, b"un\nnew\n")
    assert await arrives(lines, b"begun\nnew\n") == b"begun\nnew\n"


async def test_the_kernel_wakes_whoever_waits(tmp_path, opened, monkeypatch):
    monkeypatch.setattr(file_tail, "POLL_SECONDS", 60.0)
    path = tmp_path / "log"
    path.write_bytes(b"")
    lines = await opened(path)
    waiting = asyncio.create_task(lines.wait())
    await asyncio.sleep(0)
    append(path, b"x\n")
    await asyncio.wait_for(waiting, 60)
    assert await lines.read() == b"x\n"


async def test_a_rotated_file_is_read_to_its_end_and_its_copy_is_not_told_twice(tmp_path, opened):
    path = tmp_path / "log"
    old = b"".join(b"line %d\n" % number for number in range(100))
    path.write_bytes(old)
    lines = await opened(path)
    assert await lines.read() == old
    append(path, b"last of the old\n")
    kept = b"".join(b"line %d\n" % number for number in range(50, 100)) + b"last of the old\n"
    fresh = tmp_path / "fresh"
    fresh.write_bytes(kept + b"first of the new\n")
    fresh.rename(path)
    append(path, b"second\n")
    expected = b"last of the old\nfirst of the new\nsecond\n"
    assert await arrives(lines, expected) == expected
    append(path, b"line 7\n")  # no repeat: it was written after all
    assert await arrives(lines, b"line 7\n") == b"line 7\n"


async def test_what_was_at_the_end_is_no_news_after_a_rotation_either(tmp_path, opened):
    path = tmp_path / "log"
    path.write_bytes(b"a\nb\nc\n")
    lines = await opened(path, from_start=False)
    fresh = tmp_path / "fresh"
    fresh.write_bytes(b"c\nd\n")
    fresh.rename(path)
    assert await arrives(lines, b"d\n") == b"d\n"


@pytest.mark.parametrize("after", [b"n\n", b"a new line that is longer than all there was\n"])
async def test_a_cut_file_is_begun_again(tmp_path, opened, after):
    path = tmp_path / "log"
    path.write_bytes(b"old 1\nold 2\nhalf a li")
    lines = await opened(path)
    assert await lines.read() == b"old 1\nold 2\n"
    os.truncate(path, 0)
    append(path, after)
    assert await arrives(lines, after) == after


async def test_a_removed_file_is_waited_for(tmp_path, opened):
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    lines = await opened(path)
    assert await lines.read() == b"old\n"
    path.unlink()
    assert await lines.read() == b""
    path.write_bytes(b"new\n")
    assert await arrives(lines, b"new\n") == b"new\n"


async def test_one_that_is_not_there_yet_is_waited_for(tmp_path, opened):
    path = tmp_path / "log"
    lines = await opened(path, from_start=False)
    assert await lines.read() == b""
    path.write_bytes(b"first\n")
    assert await arrives(lines, b"first\n") == b"first\n"


async def test_a_folder_that_is_not_there_is_a_sentence(tmp_path, opened):
    with pytest.raises(errors.Unreachable, match="No such file"):
        await opened(tmp_path / "none/log")


async def test_an_endless_line_is_let_go(tmp_path, opened):
    path = tmp_path / "log"
    path.write_bytes(b"x" * (file_tail.MAX_LINE + 2 * file_tail.BLOCK))
    lines = await opened(path)
    assert await lines.read() == b""
    assert len(lines._unfinished) <= file_tail.MAX_LINE
    append(path, b"\nnext\n")
    assert (await arrives(lines, b"next\n")).endswith(b"\nnext\n")


async def test_a_line_without_an_end_neither_blocks_nor_fills_memory(tmp_path, opened):
    """A write after each block, as by somebody who writes faster than we read."""
    path = tmp_path / "log"
    path.write_bytes(b"x" * file_tail.MAX_READ)
    lines = await opened(path)
    reads = 0
    while reads < 3 * file_tail.MAX_READ // file_tail.BLOCK:
        reads += 1
        append(path, b"x" * file_tail.BLOCK)
        assert await lines.read() == b""
        assert len(lines._unfinished) <= file_tail.MAX_LINE
    append(path, b"\nnext\n")
    assert (await arrives(lines, b"next\n")).endswith(b"\nnext\n")


async def test_a_file_that_grows_faster_than_it_is_read_ends_the_tail(tmp_path, opened):
    path = tmp_path / "log"
    path.write_bytes(b"a\n")
    lines = await opened(path)
    assert await lines.read() == b"a\n"
    os.truncate(path, file_tail.MAX_BEHIND + 100)
    with pytest.raises(errors.InvalidResponse, match="grows faster"):
        await lines.read()


async def test_of_a_huge_file_only_the_end_is_read(tmp_path, opened):
    path = tmp_path / "log"
    os.truncate(os.open(path, os.O_CREAT | os.O_RDWR), 10 * file_tail.MAX_BEHIND)
    append(path, b"\nlast\n")
    lines = await opened(path)
    assert lines.skipped > 9 * file_tail.MAX_BEHIND
    read = b""
    while b"last" not in read:
        read = await lines.read()
    assert read.endswith(b"\nlast\n")


@pytest.mark.parametrize("kind", ["fifo", "link to zero", "link to a good file", "folder", "device"])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_what_is_no_regular_file_is_refused_at_once(tmp_path, opened, kind, when):
    path = tmp_path / "log"
    if when == "meanwhile":
        path.write_bytes(b"a\n")
        lines = await opened(path)
        assert await lines.read() == b"a\n"
        path.unlink()
    good = tmp_path / "good"
    good.write_bytes(b"b\n")
    place(path, kind, good)
    with pytest.raises(errors.Unreachable, match=r"not a regular file|is a symbolic link"):
        if when == "before":
            await opened(path)
        else:
            await lines.read()


async def test_a_file_of_somebody_else_is_refused(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"a\n")
    lines = file_tail.FileTail(path, from_start=True, owners=(os.geteuid() + 1,))
    with pytest.raises(errors.Unreachable, match="it belongs to"):
        await lines.open()
    lines.close()


def place(path, kind, good):
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        try:
            os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("only root makes devices")
    else:
        path.symlink_to("/dev/zero" if kind == "link to zero" else good)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["append", "half", "rotate", "cut", "read"]), max_size=25))
def test_nothing_is_lost_or_told_twice_whatever_is_done(tmp_path_factory, steps):
    """Lines are numbered; each step is followed by a look, as the kernel's word would bring it about."""
    path = tmp_path_factory.mktemp("g") / "log"

    async def run():
        path.write_bytes(b"")
        lines = file_tail.FileTail(path, from_start=True, owners=(os.geteuid(),))
        written, told, half = [], [], b""
        try:
            await lines.open()
            for number, step in enumerate(steps):
                if step in ("append", "half"):
                    line = b"line %d\n" % number
                    written.append(line)
                    append(path, half + (line if step == "append" else line[:4]))
                    half = b"" if step == "append" else line[4:]
                elif step == "rotate":
                    append(path, half)
                    half = b""
                    kept = path.read_bytes().splitlines(keepends=True)
                    fresh = path.with_name("fresh")
                    fresh.write_bytes(b"".join(kept[len(kept) // 2 :]))
                    fresh.rename(path)
                elif step == "cut" and not half:
                    told += await _all(lines)
                    os.truncate(path, 0)
                told += await _all(lines)
            append(path, half)
            told += await _all(lines)
        finally:
            lines.close()
        assert told == written

    asyncio.run(run())


async def _all(lines):
    read = []
    while more := await lines.read():
        read += more.splitlines(keepends=True)
    return read
