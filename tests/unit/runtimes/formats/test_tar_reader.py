"""The one file of an archive is read, and nothing else is made of what an engine may send as an archive."""

from __future__ import annotations

import io
import tarfile

import pytest

from core import errors
from runtimes.formats import tar_reader

LIMIT = 1_000


def archive(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:  # noqa: A002
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=format) as made:
        for member, data in members:
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return file.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mtime = kind, link, 1_700_000_000
    return info


def chunks(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("size", [1, 511, 512, 10_240, 1 << 20])
@pytest.mark.parametrize("format", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_file_is_read_whatever_the_size_of_the_chunks(size: int, format: int) -> None:  # noqa: A002
    for data in (b"", b"a", b"x" * LIMIT):
        found = tar_reader.read_file(chunks(archive((member("hosts"), data), format=format), size), "/etc/hosts", LIMIT)
        assert (found.data, found.modified_at) == (data, 1_700_000_000.0)


@pytest.mark.parametrize("time", [float("nan"), float("inf"), -1.0, 253_402_300_800.0, 1e18])
def test_a_time_that_is_none_is_unknown(time: float) -> None:
    """A program in the container chooses the time of its file."""
    info = member("x")
    info.pax_headers = {"mtime": str(time)}
    found = tar_reader.read_file([archive((info, b"y"))], "/x", LIMIT)
    assert (found.data, found.modified_at) == (b"y", 0.0)


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "a/../../b", "n" * 300, "ä\udcff"])
def test_the_name_in_the_archive_leads_nowhere(name: str) -> None:
    made = archive((member(name), b"content"), (member("second"), b"ignored"))
    assert tar_reader.read_file([made], "/x", LIMIT).data == b"content"


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (tarfile.DIRTYPE, "a directory"),
        (tarfile.SYMTYPE, "a link"),
        (tarfile.LNKTYPE, "a link"),
        (tarfile.CHRTYPE, "a device"),
        (tarfile.BLKTYPE, "a device"),
        (tarfile.FIFOTYPE, "a named pipe"),
        (tarfile.CONTTYPE, "not an ordinary file"),
    ],
)
def test_what_is_no_ordinary_file_is_refused(kind: bytes, what: str) -> None:
    with pytest.raises(errors.BadUsage, match=f"/x is {what}"):
        tar_reader.read_file([archive((member("x", kind, "/etc/shadow"), b""))], "/x", LIMIT)


def test_a_file_that_is_too_large_is_refused_before_it_is_read() -> None:
    def sent():
        yield archive((member("x"), b"y" * 100_000))[:10_240]
        raise AssertionError("nothing more is read")

    with pytest.raises(errors.BadUsage, match=r"100,000 bytes; at most 1,000"):
        tar_reader.read_file(sent(), "/x", LIMIT)


def test_a_header_that_claims_more_than_there_is_is_no_file() -> None:
    whole = archive((member("x"), b"y" * 900))
    with pytest.raises(errors.InvalidResponse, match="damaged archive for /x"):
        tar_reader.read_file([whole[: 512 + 100]], "/x", LIMIT)


def test_a_sparse_file_does_not_grow() -> None:
    sparse = member("x", tarfile.GNUTYPE_SPARSE)
    with pytest.raises((errors.BadUsage, errors.InvalidResponse)):
        tar_reader.read_file([archive((sparse, b"\0" * 600), format=tarfile.GNU_FORMAT)], "/x", LIMIT)


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 512, b"\0" * 10_240, b"no archive", b"\xff" * 5_000, b'{"message": "no"}', b"a" * 511]
)
def test_what_is_no_archive_is_an_invalid_response(data: bytes) -> None:
    with pytest.raises(errors.InvalidResponse, match="damaged archive"):
        tar_reader.read_file([data] if data else [], "/x", LIMIT)


@pytest.mark.parametrize("at", range(0, 1_600, 37))
def test_a_damaged_archive_is_read_or_refused(at: int) -> None:
    whole = bytearray(archive((member("x" * 120), b"y" * 900)))
    whole[at : at + 5] = b"\xff\0-9\n"
    try:
        found = tar_reader.read_file([bytes(whole)], "/x", LIMIT)
    except (errors.BadUsage, errors.InvalidResponse):
        return
    assert len(found.data) <= LIMIT


def test_an_error_of_the_chunks_is_passed_on() -> None:
    def sent():
        yield archive((member("x"), b"y" * 900))[:600]
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        tar_reader.read_file(sent(), "/x", LIMIT)


def test_where_a_link_leads_is_the_cure() -> None:
    with pytest.raises(errors.BadUsage, match="Write the path that it leads to: /usr/share/zoneinfo/UTC"):
        tar_reader.check_kind("/etc/localtime", "a link", "/usr/share/zoneinfo/UTC")
