"""Large protobuf messages: decoded in slices beside the event loop, rejected with too many rows or values."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from runtimes.proto import containerd_containers_pb2, cri_pb2
from runtimes.transport import bounded_protobuf_decoder

LIST = containerd_containers_pb2.ListContainersResponse
STATUS = cri_pb2.ContainerStatusResponse


async def decoded(kind: Any, data: bytes, skipped: list[tuple[str, str]] | None = None) -> Any:
    return await bounded_protobuf_decoder.decode(
        kind, data, engine="containerd@here", on_skipped=lambda *what: None if skipped is None else skipped.append(what)
    )


def row(content: bytes) -> bytes:
    """The first field of a list, which is a row of it."""
    return b"\x0a" + protobuf_length(len(content)) + content


def protobuf_length(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def containers(count: int, width: int = 100) -> Any:
    return LIST(
        containers=[
            containerd_containers_pb2.Container(
                id=f"c{number}", image="x" * width, labels={"team": "a", "n": str(number)}
            )
            for number in range(count)
        ]
    )


async def test_millions_of_empty_rows_are_rejected_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    merged: list[int] = []
    monkeypatch.setattr(
        bounded_protobuf_decoder, "_decode_slices", lambda message, data, ends: merged.append(len(ends)), raising=True
    )
    skipped: list[tuple[str, str]] = []
    with pytest.raises(
        errors.InvalidResponse, match="containerd@here sent a message with more than 10,000 rows"
    ) as caught:
        await decoded(LIST, b"\x0a\x00" * 4_000_000, skipped)
    assert skipped == [("row", "a message has more than 10,000 rows")]
    assert caught.value.hint == bounded_protobuf_decoder.HINT
    assert merged == []


@pytest.mark.parametrize(
    ("kind", "data", "limit"),
    [
        (LIST, row(b"\x12\x00" * 2_000_000), "100,000 values in one row"),  # one container, millions of labels
        (LIST, row(b"\x12\x02\x0a\x00" * 60_000), "100,000 values in one row"),
        (STATUS, row(b"\x7a\x00" * 2_000_000), "100,000 values in one row"),  # a status with empty mounts
        (LIST, b"".join([row(b"\x12\x00" * 200)] * 6_000), "1,000,000 values"),  # few labels in each of many
    ],
)
async def test_a_message_with_too_many_values_at_any_depth_is_rejected(kind: Any, data: bytes, limit: str) -> None:
    with pytest.raises(errors.InvalidResponse, match=f"more than {limit}"):
        await decoded(kind, data)


async def test_a_large_list_is_decoded_in_slices_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = containers(5_000)
    data = expected.SerializeToString()
    assert len(data) > 5 * bounded_protobuf_decoder.SMALL
    ends: list[int] = []
    threads: list[threading.Thread] = []
    slices = bounded_protobuf_decoder._slices

    def noted(message_type: Any, data: bytes) -> list[int]:
        threads.append(threading.current_thread())
        ends.extend(slices(message_type, data))
        return ends

    monkeypatch.setattr(bounded_protobuf_decoder, "_slices", noted)
    assert await decoded(LIST, data) == expected
    assert [thread for thread in threads if thread is not threading.current_thread()] == threads != []
    sizes = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    assert sum(sizes) == len(data)
    assert max(sizes) < bounded_protobuf_decoder.SMALL + 1_000  # a slice and at most one row more


async def test_a_large_damaged_list_is_repaired_and_limited_too() -> None:
    good = containers(2_000).SerializeToString()
    skipped: list[tuple[str, str]] = []
    found = await decoded(LIST, good + row(b"\x0a\x01\xff") + good, skipped)
    assert len(found.containers) == 4_001
    assert skipped == [("field", "a part of a gRPC message is malformed or not UTF-8")]
    with pytest.raises(errors.InvalidResponse, match="more than 10,000 rows"):
        await decoded(LIST, row(b"\x0a\x01\xff") + b"\x0a\x00" * 100_000)


async def test_a_large_message_that_is_cut_off_is_an_invalid_response() -> None:
    with pytest.raises(errors.InvalidResponse, match="cannot be decoded"):
        await decoded(LIST, containers(8_000).SerializeToString()[:-1] + b"\x0a\xff")


def _tree(depth: int) -> st.SearchStrategy[bytes]:
    field = st.tuples(st.sampled_from([0x0A, 0x12, 0x18, 0x2A, 0x82, 0x3D, 0x09]), st.binary(max_size=8))
    return st.lists(field.map(lambda pair: bytes([pair[0], len(pair[1])]) + pair[1]), max_size=8).map(b"".join)


@given(data=st.one_of(st.binary(max_size=200), _tree(2), st.lists(_tree(1).map(row), max_size=5).map(b"".join)))
def test_slices_agree_with_the_library(data: bytes) -> None:
    """What the library decodes is decoded to the same; what this module rejects as malformed, the library rejects or
    accepts only with groups, which no engine sends."""
    try:
        expected = LIST.FromString(data)
    except DecodeError:
        with pytest.raises(DecodeError):
            bounded_protobuf_decoder._decode_large(LIST, data)
        return
    try:
        found = bounded_protobuf_decoder._decode_large(LIST, data)
    except DecodeError:
        assert any(byte & 7 in (3, 4) for byte in data)
        return
    assert found == expected
