"""Log files as CRI engines write and kubelets rotate them: every line is read once and in order."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import errors
from runtimes.cri import log_files, log_lines, log_reader

US = (os.geteuid(),)
AT = 1_795_000_000_000_000_000


def stamp(number, zone="Z"):
    return f"2026-11-18T16:26:{number // 1000 % 60:02d}.{number % 1000:03d}000000{zone}"


def entry(number, text, stream="stdout", tag="F", zone="Z"):
    return f"{stamp(number, zone)} {stream} {tag} {text}\n".encode()


@pytest.fixture
def log(tmp_path):
    return tmp_path / "0.log"


def texts(page):
    return [line.text for line in page.lines]


@pytest.mark.parametrize("zone", ["Z", "+00:00"])
def test_lines_have_their_time_and_stream_and_parts_are_joined(log, zone):
    log.write_bytes(
        entry(1, "one", zone=zone)
        + entry(2, "err ", "stderr", "P", zone)
        + entry(3, "two", zone=zone)
        + entry(4, "or", "stderr", "F", zone)
        + entry(5, "tagged", tag="F:x", zone=zone)
        + entry(6, "", zone=zone)
    )
    page = log_reader.read_page(str(log), "it", owners=US, tail=10)
    assert [(line.at, line.stream, line.text) for line in page.lines] == [
        (stamp(1, zone), "stdout", "one"),
        (stamp(3, zone), "stdout", "two"),
        (stamp(2, zone), "stderr", "err or"),
        (stamp(5, zone), "stdout", "tagged"),
        (stamp(6, zone), "stdout", ""),
    ]


def test_a_prompt_that_has_no_end_is_shown(log):
    log.write_bytes(entry(1, "name: ", tag="P"))
    assert texts(log_reader.read_page(str(log), "it", owners=US, tail=10)) == ["name: "]


def test_what_is_no_line_of_a_log_is_text(log):
    log.write_bytes(b"garbage\n" + entry(1, "fine") + b"2026-99-99T99:99:99Z stdout F odd\n\xff\xfe\n")
    assert texts(log_reader.read_page(str(log), "it", owners=US, tail=10)) == ["garbage", "fine", "odd", "\ufffd\ufffd"]


def test_a_megabyte_line_is_cut_and_says_by_how_much(log):
    part = "x" * 16_384
    log.write_bytes(b"".join(entry(1, part, tag="P") for _ in range(63)) + entry(1, part) + entry(2, "end"))
    page = log_reader.read_page(str(log), "it", owners=US, tail=2)
    assert page.lines[0].text == part + f"… ({63 * 16_384:,} more bytes)"
    assert page.lines[1].text == "end"


def test_a_tail_reads_no_more_than_it_shows(log, monkeypatch):
    log.write_bytes(b"".join(entry(number, f"line {number} " + "x" * 90) for number in range(50_000)))
    read = []
    real = log_lines.LineParser.feed
    monkeypatch.setattr(log_lines.LineParser, "feed", lambda self, data: (read.append(len(data)), real(self, data))[1])
    page = log_reader.read_page(str(log), "it", owners=US, tail=5)
    assert [text.split()[1] for text in texts(page)] == [str(number) for number in range(49_995, 50_000)]
    assert sum(read) <= log_reader.BLOCK
    assert page.dropped == 0


def test_reading_back_ends_at_the_farthest_byte_and_says_so(log, monkeypatch):
    monkeypatch.setattr(log_reader, "MAX_BYTES_BACK", 100_000)
    log.write_bytes(b"".join(entry(number, "x" * 90) for number in range(5_000)))
    page = log_reader.read_page(str(log), "it", owners=US, tail=4_000)
    assert 500 < len(page.lines) < 4_000
    assert page.dropped


def test_since_is_inclusive(log):
    log.write_bytes(b"".join(entry(number, str(number)) for number in range(10)))
    at = log_lines.nanoseconds(stamp(7).encode())
    assert texts(log_reader.read_page(str(log), "it", owners=US, tail=100, since_ns=at)) == ["7", "8", "9"]
    assert texts(log_reader.read_page(str(log), "it", owners=US, tail=2, since_ns=at)) == ["8", "9"]
    assert texts(log_reader.read_page(str(log), "it", owners=US, tail=100, since_ns=at + 1)) == ["8", "9"]


def test_a_tail_goes_on_in_the_files_moved_aside_but_not_in_packed_ones(log):
    (log.parent / "0.log.20260101-000000.gz").write_bytes(b"packed")
    (log.parent / "0.log.20260102-000000").write_bytes(entry(1, "1") + entry(2, "2"))
    (log.parent / "0.log.20260103-000000").write_bytes(entry(3, "3"))
    (log.parent / "1.log").write_bytes(entry(1, "another attempt"))
    log.write_bytes(entry(4, "4"))
    assert texts(log_reader.read_page(str(log), "it", owners=US, tail=10)) == ["1", "2", "3", "4"]
    assert texts(log_reader.read_page(str(log), "it", owners=US, tail=3)) == ["2", "3", "4"]
    log.unlink()  # just moved aside, and the next one not begun
    assert texts(log_reader.read_page(str(log), "it", owners=US, tail=1)) == ["3"]


def test_a_cursor_whose_file_is_gone_goes_on_by_time(log):
    log.write_bytes(entry(1, "1") + entry(2, "2"))
    cursor = log_reader.read_page(str(log), "it", owners=US, tail=10).cursor
    other = log.parent / "new"
    other.write_bytes(entry(2, "2") + entry(3, "3"))
    log.unlink()
    other.rename(log)
    assert texts(log_reader.read_page(str(log), "it", owners=US, tail=10, cursor=cursor)) == ["3"]


def test_a_file_that_was_given_the_inode_of_another_is_read_from_its_beginning(log):
    log.write_bytes(entry(1, "1"))
    cursor = log_reader.read_page(str(log), "it", owners=US, tail=10).cursor
    log.write_bytes(entry(5, "5") + entry(6, "6"))  # the same inode, and longer than before
    assert texts(log_reader.read_page(str(log), "it", owners=US, tail=10, cursor=cursor)) == ["5", "6"]


def test_what_cannot_be_read_is_a_sentence_with_its_cure(tmp_path):
    with pytest.raises(errors.Unreachable, match="mount /var/log/pods"):
        log_reader.read_page(str(tmp_path / "no/folder/0.log"), "it", owners=US, tail=1)
    with pytest.raises(errors.Unreachable, match="does not exist"):
        log_reader.read_page(str(tmp_path / "0.log"), "it", owners=US, tail=1)
    with pytest.raises(errors.NotFound, match="has no log directory"):
        log_reader.read_page("", "it", owners=US, tail=1)
    os.mkfifo(tmp_path / "1.log")  # nobody will ever write to it
    with pytest.raises(errors.Unreachable, match="is not a regular file"):
        log_reader.read_page(str(tmp_path / "1.log"), "it", owners=US, tail=1)
    with pytest.raises(errors.InvalidResponse):
        log_reader.read_page(str(tmp_path / "1.log"), "it", owners=US, tail=1, cursor="nonsense")
    denied = log_files.unreadable("/p/0.log", "it", PermissionError(13, "Permission denied"))
    assert "not allowed to read" in denied.full_message() and "as root" in denied.full_message()


def test_time_that_is_over_is_said(log):
    log.write_bytes(entry(1, "1"))
    with pytest.raises(errors.TimedOut, match="--tail"):
        log_reader.read_page(str(log), "it", owners=US, tail=1, deadline=0.001)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 5)),
        st.tuples(st.just("part"), st.just(0)),  # the engine is amid a line
        st.tuples(st.just("aside"), st.just(0)),
        st.tuples(st.just("opened"), st.just(0)),  # the new file is there, and the engine still writes to the old one
        st.tuples(st.just("read"), st.just(0)),
    ),
    max_size=log_files.MAX_ROTATED_FILES,
)


class Writer:
    """An engine and a kubelet, on one log."""

    def __init__(self, path):
        self.path, self.said, self.moved, self.half = path, 0, 0, b""
        self.file = path.open("wb", buffering=0)
        self.next = None

    def step(self, word, count):
        if self.next is not None and word != "opened":
            if word == "write":  # one line more, as the engine has not heard of the new file yet
                self.line()
            self.finish()
            self.file.close()
            self.file, self.next = self.next, None
        if word == "write":
            for _ in range(count):
                self.line()
        elif word == "part" and not self.half:
            whole = entry(self.said, f"line {self.said}")
            self.said += 1
            self.file.write(whole[:20])
            self.half = whole[20:]
        elif word == "aside":
            self.finish()  # what is being written ends up in the old file
            self.rename()
            self.file.close()
            self.file = self.path.open("wb", buffering=0)
        elif word == "opened" and self.next is None:
            self.rename()
            self.next = self.path.open("wb", buffering=0)

    def line(self):
        self.finish()
        self.half = entry(self.said, f"line {self.said}", "stdout" if self.said % 3 else "stderr")
        self.said += 1
        self.finish()

    def rename(self):
        self.path.rename(self.path.with_name(f"0.log.2026010{self.moved // 9}-{self.moved:06d}"))
        self.moved += 1

    def close(self):
        self.file.close()
        if self.next is not None:
            self.next.close()

    def finish(self):
        self.file.write(self.half)
        self.half = b""

    def all(self):
        self.finish()
        return [f"line {number}" for number in range(self.said)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps)
def test_pages_one_after_the_other_have_each_line_once(tmp_path_factory, history):
    writer = Writer(tmp_path_factory.mktemp("log") / "0.log")
    cursor, got = "", []
    for word, count in [*history, ("read", 0)]:
        if word == "read":
            page = log_reader.read_page(str(writer.path), "it", owners=US, tail=1000, cursor=cursor)
            cursor = page.cursor
            got += texts(page)
        else:
            writer.step(word, count)
    whole = writer.all()
    got += texts(log_reader.read_page(str(writer.path), "it", owners=US, tail=1000, cursor=cursor))
    writer.close()
    assert got == whole


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(steps, st.integers(0, 4))
def test_a_follower_has_each_line_once(tmp_path_factory, history, tail):
    writer = Writer(tmp_path_factory.mktemp("log") / "0.log")
    writer.step("write", 4)
    log = log_reader.LogFollower(str(writer.path), "it", owners=US, tail=tail, max_lines=1000)
    got = []
    for word, count in history:
        if word == "read":
            while (more := log.read()) != ([], 0):
                got += [line.text for line in more[0]]
        writer.step(word, count)
    whole = writer.all()
    while (more := log.read()) != ([], 0):
        got += [line.text for line in more[0]]
    got += [line.text for line in log.read_unfinished()]
    log.close()
    writer.close()
    assert got == (whole[4 - tail :] if tail else whole[4:])


def test_a_line_written_while_the_last_ones_are_searched_is_read_next(log, monkeypatch):
    class Meanwhile:
        def findall(self, piece):
            with log.open("ab") as file:
                file.write(entry(2, "2"))
            return []

    log.write_bytes(entry(1, "1"))
    monkeypatch.setattr(log_reader, "_COMPLETE_LINE", Meanwhile())
    page = log_reader.read_page(str(log), "it", owners=US, tail=10)
    monkeypatch.undo()
    later = log_reader.read_page(str(log), "it", owners=US, tail=10, cursor=page.cursor)
    assert (texts(page), texts(later)) == (["1"], ["2"])
    monkeypatch.setattr(log_reader, "_COMPLETE_LINE", Meanwhile())
    follower = log_reader.LogFollower(str(log), "it", owners=US, tail=10, max_lines=10)
    assert [line.text for _ in range(2) for line in follower.read()[0]] == ["1", "2", "2"]
    follower.close()


def test_a_follower_goes_on_where_the_file_is_emptied_or_away_for_a_while(log):
    log.write_bytes(entry(1, "1"))
    follower = log_reader.LogFollower(str(log), "it", owners=US, tail=10, max_lines=10)
    assert [line.text for line in follower.read()[0]] == ["1"]
    with log.open("wb") as file:  # somebody cut it short
        file.write(b"")
    assert follower.read() == ([], 0)
    log.write_bytes(entry(2, "2"))
    assert [line.text for line in follower.read()[0]] == ["2"]
    log.rename(log.with_name("0.log.20260101-000000"))
    assert follower.read() == ([], 0)
    log.write_bytes(entry(3, "3"))
    assert [line.text for line in follower.read()[0]] == ["3"]
    follower.close()


def test_a_follower_lets_go_of_what_is_too_much(log):
    log.write_bytes(b"")
    follower = log_reader.LogFollower(str(log), "it", owners=US, tail=10, max_lines=5)
    log.write_bytes(b"".join(entry(number, str(number)) for number in range(20)))
    lines, dropped = follower.read()
    assert ([line.text for line in lines], dropped) == (["15", "16", "17", "18", "19"], 15)
    follower.close()


def test_a_line_longer_than_one_read_is_not_the_end_of_the_log(log):
    log.write_bytes(b"")
    follower = log_reader.LogFollower(str(log), "it", owners=US, tail=10, max_lines=10)
    part = entry(1, "x" * 4000, tag="P")
    parts = 2 * log_reader.MAX_BYTES_PER_READ // len(part) + 1
    log.write_bytes(part * parts + entry(2, "end") + entry(3, "last"))
    lines, dropped = follower.read()
    assert ([line.text[:2] for line in lines], dropped) == (["xx", "la"], 0)
    assert follower.read() == ([], 0)
    follower.close()


def test_no_file_stays_open(log):
    for number in range(3):
        (log.parent / f"0.log.2026010{number}-000000").write_bytes(entry(number, "x"))
    log.write_bytes(entry(9, "y"))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        log_reader.read_page(str(log), "it", owners=US, tail=10)
    follower = log_reader.LogFollower(str(log), "it", owners=US, tail=1, max_lines=1)
    follower.read()
    follower.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_link_in_place_of_a_log_is_not_followed(log, tmp_path):
    secret = tmp_path / "shadow"
    secret.write_bytes(entry(1, "root:x"))
    log.symlink_to(secret)
    with pytest.raises(errors.Unreachable, match="symbolic link"):
        log_reader.read_page(str(log), "it", owners=US, tail=10)


@pytest.mark.parametrize("kind", ["fifo", "zero", "folder"])
@pytest.mark.parametrize("place", ["0.log", "0.log.20260101-000000"])
def test_what_is_no_regular_file_is_refused_at_once(log, kind, place):
    log.write_bytes(entry(1, "x"))
    path = log.with_name(place)
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(errors.Unreachable, match=r"not a regular file|symbolic link"):
        log_reader.read_page(str(log), "it", owners=US, tail=10)


@pytest.mark.parametrize("level", ["pod", "container"])
def test_a_link_in_place_of_a_pods_folder_is_not_followed_whoever_made_it(tmp_path, level):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "c").mkdir(parents=True)
    (elsewhere / "c/0.log").write_bytes(entry(1, "secret"))
    pods = tmp_path / "pods"
    pods.mkdir()
    if level == "pod":
        (pods / "pod").symlink_to(elsewhere)
    else:
        (pods / "pod").mkdir()
        (pods / "pod/c").symlink_to(elsewhere / "c")
    with pytest.raises(errors.Unreachable, match="symbolic link"):
        log_reader.read_page(str(pods / "pod/c/0.log"), "it", owners=US, tail=10)
    # The folder of all logs may be a link of the administrator.
    (tmp_path / "logs").symlink_to(tmp_path)
    linked = tmp_path / "logs/elsewhere/c/0.log"
    assert texts(log_reader.read_page(str(linked), "it", owners=US, tail=10)) == ["secret"]


def test_a_log_of_somebody_else_is_refused(log):
    log.write_bytes(entry(1, "x"))
    with pytest.raises(errors.Unreachable, match="it belongs to"):
        log_reader.read_page(str(log), "it", owners=(os.geteuid() + 1,), tail=10)


def test_of_a_line_without_an_end_only_the_beginning_is_stored(log):
    parser = log_lines.LineParser(10)
    block = b"y" * (1 << 20)
    parser.feed(entry(1, "first") + entry(2, "").rstrip(b"\n"))
    for _ in range(64):
        parser.feed(block)
        assert len(parser._rest) <= log_lines.MAX_REST_BYTES
    assert parser.rest_size == 64 * len(block) + len(entry(2, "").rstrip(b"\n"))
    parser.feed(b"\n" + entry(3, "third"))
    first, endless, third = parser.take()[0]
    assert (first.text, third.text) == ("first", "third")
    assert (
        endless.text
        == "y" * log_lines.MAX_LINE_BYTES + f"… ({64 * len(block) - log_lines.MAX_LINE_BYTES:,} more bytes)"
    )


def test_the_last_lines_until_a_time_are_found_behind_many_newer_ones(log):
    log.write_bytes(b"".join(entry(number, f"line {number}") for number in range(20_000)))
    until = log_lines.nanoseconds(stamp(100).encode())
    page = log_reader.read_page(str(log), "it", owners=US, tail=2, until_ns=until)
    assert texts(page) == ["line 99", "line 100"]
    log.write_bytes(b"".join(entry(number, f"line {number}") for number in range(20)))
    page = log_reader.read_page(str(log), "it", owners=US, tail=2, until_ns=log_lines.nanoseconds(stamp(9).encode()))
    assert texts(page) == ["line 8", "line 9"]
