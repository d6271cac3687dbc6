"""JSON that breaks its model is used as far as it can be read, and long lists do not hold the event loop."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from core import errors
from runtimes.formats import json_decoder, json_field_types, skipped_data
from runtimes.formats.skipped_data import SkippedDataCounter

RUNTIMES = Path(json_decoder.__file__).parent.parent


class Port(msgspec.Struct):
    number: json_field_types.Int64 = 0
    name: str = ""


class Row(msgspec.Struct):
    id: str
    names: json_field_types.EssentialNames = None
    labels: json_field_types.Labels = None
    size: json_field_types.Int64 = 0
    at: json_field_types.UnixSeconds = 0
    note: str = ""
    ports: list[Port] | None = None
    port: Port = msgspec.field(default_factory=Port)


def skipped() -> SkippedDataCounter:
    return SkippedDataCounter(lambda: "docker/h")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (b'"size": null', {}),
        (b'"size": "7"', {}),
        (b'"size": 1' + b"0" * 30, {}),
        (b'"size": 1' + b"0" * 5000, {}),
        (b'"size": 1.5', {}),
        (b'"at": 1e300', {}),
        (b'"at": 99999999999999', {}),
        (b'"note": ["a"]', {}),
        (b'"note": "a\xffb"', {"note": "a\ufffdb"}),
        (b'"note": "\\ud800"', {"note": "\ufffd"}),
        (b'"ports": {}', {}),
        (b'"ports": [{"number": 80}, 5, {"number": "x", "name": "y"}]', {"ports": [Port(80), Port(0, "y")]}),
        (b'"port": null', {}),
        (b'"port": {"number": [], "name": "p"}', {"port": Port(0, "p")}),
        (
            b'"labels": {"a": "b", "c": true, "d": 5, "e": null, "f": {}}',
            {"labels": {"a": "b", "c": "true", "d": "5", "e": "", "f": ""}},
        ),
        (b'"names": ["/web", null]', {"names": ["/web"]}),
    ],
)
def test_one_bad_field_is_left_out_and_counted_and_the_row_stays(damage: bytes, expected: dict[str, Any]) -> None:
    found = skipped()
    rows = json_decoder.decode_rows(Row, b'[{"id": "a"}, {"id": "b", ' + damage + b'}, {"id": "c"}]', found)
    assert rows == [Row("a"), Row("b", **expected), Row("c")]
    assert found.counts == {skipped_data.FIELD: 1}


@pytest.mark.parametrize(
    "bad",
    [
        b"5", b"null", b'"x"', b"[]", b"{}", b'{"id": null}', b'{"id": 5}', b'{"id": "b", "labels": ["a=b"]}',
        b'{"id": "b", "names": "web"}', b'{"id": "b", "more": ' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)  # fmt: skip
def test_a_row_without_what_identifies_it_or_decides_about_it_is_left_out(bad: bytes) -> None:
    """Permissions depend on names and labels: a row whose labels cannot be read must not count as one without any."""
    found = skipped()
    rows = json_decoder.decode_rows(Row, b'[{"id": "a"}, ' + bad + b', {"id": "c"}]', found)
    assert rows == [Row("a"), Row("c")]
    assert found.counts == {skipped_data.ROW: 1}


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'[{"id": "a"}', b"<html>", b"\xff", b"[" * 100_000, b'"x"'])
def test_an_answer_of_which_nothing_can_be_used_is_an_invalid_response(body: bytes) -> None:
    with pytest.raises(errors.InvalidResponse, match="docker/h sent an answer that cannot be decoded"):
        json_decoder.decode_rows(Row, body, skipped())
    with pytest.raises(errors.InvalidResponse):
        json_decoder.decode_json(Row, body)


def test_null_is_an_empty_list() -> None:
    assert json_decoder.decode_rows(Row, b" null\n") == []


def test_of_duplicated_keys_the_last_one_counts() -> None:
    assert json_decoder.decode_json(Row, b'{"id": "a", "size": 1, "id": "b", "size": 2}') == Row("b", size=2)


def test_bad_lines_hide_no_others() -> None:
    found = skipped()
    lines = b'{"id": "a"}\n{"id": "b"\n\n\xff\xfe\n{"id": "c", "note": 7}\n[]\n'
    assert [row.id for row in json_decoder.decode_lines(Row, lines, found)] == ["a", "c"]
    assert found.counts == {skipped_data.EVENT: 3, skipped_data.FIELD: 1}


async def test_a_long_list_is_decoded_in_slices_between_which_the_loop_runs() -> None:
    row = {"id": "a" * 64, "labels": {f"l{number}": "v" * 30 for number in range(20)}, "note": '"}]{[\\"'}
    body = b"[" + b", ".join([json.dumps(row).encode()] * 20_000) + b"]"
    assert len(body) > 15_000_000
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    rows = await json_decoder.decode_all_rows(Row, body)
    counting.cancel()
    assert len(rows) == 20_000 and rows[-1].note == row["note"]
    assert turns > len(body) / json_decoder.SLICE / 2


async def test_a_row_of_megabytes_is_left_out_of_a_long_list() -> None:
    found = skipped()
    huge = b'{"id": "big", "labels": {"a": "%b"}}' % (b"x" * (2 * json_decoder.MAX_ROW))
    rows = await json_decoder.decode_all_rows(Row, b'[{"id": "a"},' + huge + b',{"id": "c"}]', found)
    assert [row.id for row in rows] == ["a", "c"]
    assert found.counts == {skipped_data.ROW: 1}


@pytest.mark.parametrize("body", [b"[" + b"0," * 4_000_000 + b"0]", b"[" + b"{}," * 4_000_000 + b"{}]"])
async def test_a_list_of_millions_of_values_is_refused(body: bytes) -> None:
    with pytest.raises(errors.InvalidResponse, match="a list with more than 3,000,000 values"):
        await json_decoder.decode_all_rows(Row, body, skipped())


def test_a_document_of_megabytes_is_refused() -> None:
    with pytest.raises(errors.InvalidResponse, match="too long"):
        json_decoder.decode_json_object(b'{"a": "%b"}' % (b"x" * json_decoder.MAX_DOCUMENT))


def test_code_that_reads_by_keys_raises_one_error() -> None:
    for bad in (None, [], {}, {"a": None}, {"a": "x"}, {"a": []}, {"a": {"b": "no number"}}):
        with pytest.raises(errors.InvalidResponse, match="The service web does not have the form"):
            with json_decoder.reading("The service web"):
                int(bad["a"]["b"])  # type: ignore[index, call-overload]


def test_what_is_left_out_is_logged_when_the_reason_changes_and_then_seldom() -> None:
    now = 0.0
    found = SkippedDataCounter(lambda: "docker/h", now=lambda: now)
    heard: list[tuple[str, int]] = []
    found.listener = lambda what, number: heard.append((what, number))
    with capture_logs() as logs:
        for second in range(7200):
            now = float(second)
            found.add(skipped_data.EVENT, "torn")
        now += skipped_data.MIN_SECONDS
        found.add(skipped_data.EVENT, "no time")
    assert [(line["number"], line["reason"]) for line in logs] == [(1, "torn"), (3600, "torn"), (3600, "no time")]
    assert len(heard) == 7201 and found.counts == {skipped_data.EVENT: 7201}


async def test_of_a_long_list_with_a_row_that_no_decoder_reads_the_others_are_read() -> None:
    good = json.dumps({"id": "a", "note": '[{"\\"'}).encode()
    # Deeper than any Python lets C code go: since 3.12 that is not the limit of Python code.
    deep = b'{"id": "b", "more": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"
    body = b"[" + b", ".join([good] * 20_000 + [deep, b'{"id": "c", "note": "\\ud800"}'] + [good] * 20_000) + b"]"
    assert len(body) > 2 * json_decoder.SLICE
    found = skipped()
    rows = await json_decoder.decode_all_rows(Row, body, found)
    assert len(rows) == 40_001 and rows[20_000].id == "c"
    assert found.counts == {skipped_data.ROW: 1, skipped_data.FIELD: 1}
    with pytest.raises(errors.InvalidResponse):
        await json_decoder.decode_all_rows(Row, body[:-10])


async def test_many_lines_are_cut_into_parts_of_whole_lines() -> None:
    lines = b"\n".join(b'{"id": "%d"}' % number for number in range(100_000))
    parts = [part async for part in json_decoder.line_slices(lines)]
    assert len(parts) > 2 and b"\n".join(parts) == lines
    assert [part async for part in json_decoder.line_slices(b"x" * 2_000_000)] == [b"x" * 2_000_000]


def test_no_other_module_decodes_the_json_of_engines() -> None:
    """The files of docker's client are no engine's, the stored events are our own, and runc's errors stand in the
    middle of other text."""
    allowed = {
        "base/run_verification.py",
        "inventory/event_followers.py",
        "inventory/event_rows.py",
        "formats/json_decoder.py",
        "formats/json_salvage.py",
        "docker/contexts.py",
        "oci/decode_errors.py",
    }
    calls = re.compile(r"json\.(?:decode|loads|Decoder|JSONDecoder)\(")
    found = {
        str(file.relative_to(RUNTIMES))
        for file in RUNTIMES.rglob("*.py")
        if calls.search(file.read_text().replace("msgspec.json.encode", ""))
    }
    assert found - allowed == set()


def test_of_many_unreadable_lines_only_the_first_are_read_in_parts():
    found, salvaged = skipped(), json_decoder.MAX_SALVAGED_LINES
    lines = b"\n".join([b'{"id": "b", "size": null}'] * (salvaged + 5) + [b"1", b'{"id": "good"}'])
    rows = json_decoder.decode_lines(Row, lines, found)
    assert [row.id for row in rows] == ["b"] * salvaged + ["good"]
    assert found.counts == {skipped_data.FIELD: salvaged, skipped_data.EVENT: 6}


def test_nothing_is_read_after_very_many_unreadable_lines_and_all_of_them_count():
    found, number = skipped(), json_decoder.MAX_UNREADABLE_LINES
    lines = b"\n".join([b'{"id": "good"}'] + [b"1"] * number + [b'{"id": "last"}', b"2", b"", b'{"id": "never"}'])
    assert [row.id for row in json_decoder.decode_lines(Row, lines, found)] == ["good", "last"]
    assert found.counts == {skipped_data.EVENT: number + 2}
