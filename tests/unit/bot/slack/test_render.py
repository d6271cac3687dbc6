"""Replies as Slack messages: golden files of what commands really say, and every limit for any reply at all."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.slack import markup, render
from bot.slack.render import TableFormat
from core.model.replies import Button, Fields, Lines, Reply, Table, Text, Tone, text_reply
from tests.helpers.paths import GOLDEN as GOLDEN_DIR
from tests.unit.bot.slack import limits, samples, samples_engines, samples_incidents

GOLDEN = GOLDEN_DIR / "slack"
SAMPLES = {**samples.SAMPLES, **samples_engines.SAMPLES, **samples_incidents.SAMPLES}
# Every sample in the best shape; the lower ones where they differ.
SHAPES = [(name, TableFormat.DATA_TABLE) for name in SAMPLES]
SHAPES += [("incident-thread", TableFormat.CHART), ("ps-250", TableFormat.LONG_TABLE)]
SHAPES += [(name, shape) for name in ("ps-5", "ps-250", "hostile") for shape in (TableFormat.TABLE, TableFormat.PLAIN)]


def _head(line: str) -> str:
    """Who gave which command; a message about an incident answers none."""
    return line and f"{markup.bold('alice')} · {markup.code(line)}"


@pytest.mark.parametrize(("name", "shape"), SHAPES, ids=[f"{name}.{shape.name.lower()}" for name, shape in SHAPES])
def test_what_commands_say(name: str, shape: TableFormat) -> None:
    line, reply = SAMPLES[name]
    told = render.render_message(reply, table_format=shape, head=_head(line))
    long_tables = shape >= TableFormat.LONG_TABLE
    assert limits.problems(told.blocks, _head(line), reply.mention, long_tables=long_tables) == []
    document: dict[str, Any] = {"text": told.text, "blocks": [_short(block) for block in told.blocks]}
    if told.file:
        lines = told.file.text.splitlines()
        ends = [*lines[:2], f"({len(lines)} lines)", *lines[-2:]]
        document["file"] = {"name": told.file.name, "title": told.file.title, "lines": ends}
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    golden = GOLDEN / f"{name}.{shape.name.lower()}.json"
    if os.environ.get("GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text(), "run with GOLDEN=1 to rewrite it, then review the difference"


def _short(block: Any) -> Any:
    """Of a long table the first rows and the last, so that a person can read the file."""
    rows = block.get("rows", ())
    return {**block, "rows": [*rows[:4], f"({len(rows)} rows)", rows[-1]]} if len(rows) > 30 else block


def test_every_golden_message_is_still_made() -> None:
    assert {file.name for file in GOLDEN.iterdir()} == {f"{name}.{shape.name.lower()}.json" for name, shape in SHAPES}


NASTY = ["<!channel>", "<@U1>", "<!subteam^S1|@sre>", "<#C1|ops>", "<http://e.example|x>", "```", "`", "*", "_", "~"]
NASTY += [">", "&lt;", "&", ":x:", ":100:", "@here", "\u202e", "\u200b", "\x1b[31m", "\x00", "\n", " ", "\t", '"', "\\"]
NASTY += [
    "2026-11-30T14:05:07Z",
    "\ud800",
    "https://e.example/",
    "web",
    "容器",
    "a_b",
    "\r",
    "x" * 3_000,
    "<" * 700,
    "`" * 900,
    "w " * 1_500,
]
TEXT = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=8)), max_size=8).map("".join)
CELL = st.one_of(TEXT, st.integers(), st.floats(), st.just(10**400), st.booleans())
LINES = st.builds(lambda some, times: [*some] * times, st.lists(TEXT, max_size=5), st.sampled_from([1, 1, 40, 200]))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    width = draw(st.sampled_from([0, 1, 2, 3, 5, 20, 25]))
    one = st.lists(CELL, min_size=width, max_size=width)
    rows = draw(st.lists(one, max_size=4)) * draw(st.sampled_from([1, 1, 12, 30]))
    columns = draw(st.lists(TEXT, min_size=width, max_size=width))
    return Table(columns=columns, rows=rows, title=draw(TEXT), empty=draw(TEXT))


BLOCK = st.one_of(
    st.builds(Text, text=TEXT, tone=st.sampled_from(Tone)),
    tables(),
    st.builds(Lines, lines=LINES, title=TEXT),
    st.builds(Fields, fields=st.dictionaries(TEXT, TEXT, max_size=14), title=TEXT),
)
BUTTON = st.builds(
    Button, label=TEXT, line=st.one_of(TEXT, TEXT.map("confirm {}".format), st.just("ps")), danger=st.booleans()
)
REPLY = st.builds(
    Reply,
    blocks=st.builds(
        lambda some, times: tuple(some) * times, st.lists(BLOCK, max_size=5), st.sampled_from([1, 1, 1, 1, 9])
    ),
    buttons=st.builds(
        lambda some, times: tuple(some) * times, st.lists(BUTTON, max_size=4), st.sampled_from([1, 1, 20])
    ),
)


@settings(max_examples=80, deadline=timedelta(seconds=20))
@given(
    REPLY, st.sampled_from(TableFormat), st.sampled_from(["", "<@U1> · ps", "<@U1> " * 400, "<!" + "x" * 2_000 + ">"])
)
def test_every_limit_holds_for_any_reply(reply: Reply, shape: TableFormat, head: str) -> None:
    told = render.render_message(reply, table_format=shape, head=head)
    shown = told.blocks[0]["elements"][0]["text"] if head and told.blocks[0]["type"] == "context" else ""
    assert limits.problems(told.blocks, shown, long_tables=shape >= TableFormat.LONG_TABLE) == []
    assert 1 <= len(told.text.encode()) <= 4_000, "Slack counts the bytes of an edit"
    assert told.text.strip()
    assert not limits.unsafe(told.text.removeprefix(shown).strip())
    assert told == render.render_message(reply, table_format=shape, head=head)
    json.dumps(told.blocks, ensure_ascii=False).encode()
    kinds = {block["type"] for block in told.blocks}
    assert shape >= TableFormat.DATA_TABLE or "data_table" not in kinds
    assert shape is TableFormat.TABLE or "table" not in kinds
    if told.file:
        assert told.file.text.strip()
        assert told.file.name in json.dumps(told.blocks)


@settings(max_examples=40, deadline=timedelta(seconds=20))
@given(REPLY)
def test_what_is_whole_needs_no_paper_and_what_is_cut_has_one(reply: Reply) -> None:
    told = render.render_message(reply, table_format=TableFormat.PLAIN)
    shown = json.dumps(told.blocks)
    says_so = any(words in shown for words in (" in the file ", "see the file "))
    assert says_so == (told.file is not None)


def _only(reply: Reply, shape: TableFormat = TableFormat.DATA_TABLE, head: str = "") -> dict[str, Any]:
    told = render.render_message(reply, table_format=shape, head=head)
    assert told.file is None
    assert len(told.blocks) == 1
    return dict(told.blocks[0])


def test_a_sentence_is_a_section_and_its_own_notification() -> None:
    told = render.render_message(text_reply("web restarted & well."), table_format=TableFormat.PLAIN)
    assert told.text == "web restarted &amp; well."
    assert [block["text"]["text"] for block in told.blocks] == ["web restarted &amp; well."]


def test_one_sign_before_the_worst() -> None:
    reply = Reply(
        blocks=(
            Text(text="a", tone=Tone.GOOD),
            Text(text="b", tone=Tone.BAD),
            Text(text="c", tone=Tone.BAD),
            Text(text="d"),
        )
    )
    told = render.render_message(reply, table_format=TableFormat.PLAIN)
    assert [block["text"]["text"] for block in told.blocks] == ["a", ":x: b", "c", "d"]
    assert told.text == "a\nb\nc\nd"


def test_a_long_text_is_cut_between_words_and_lies_in_the_file() -> None:
    words = " ".join(f"word{number}" for number in range(3_000))
    told = render.render_message(text_reply(words), table_format=TableFormat.PLAIN, head="<@U1> · policy show")
    sections = [block["text"]["text"] for block in told.blocks if block["type"] == "section"]
    assert len(sections) > 3
    assert words.startswith(" ".join(sections))
    assert all(2_900 < len(section) <= 3_000 for section in sections[:-1])
    assert "policy-show.txt" in told.blocks[-1]["elements"][0]["text"]
    assert told.file is not None
    assert told.file.name == "policy-show.txt"
    assert "word2999" not in " ".join(sections)


def test_numbers_sort_where_a_whole_column_is_numbers() -> None:
    table = Table(columns=("N", "M", "BIG"), rows=((1.5, 1, 2**60), (20, "?", 1)), title="Use")
    found = _only(Reply(blocks=(table,)))
    assert found["caption"] == "Use (2 rows)"
    assert found["rows"][1] == [
        {"type": "raw_number", "value": 1.5, "text": "1.5"},
        {"type": "raw_text", "text": "1"},
        {"type": "raw_text", "text": str(2**60)},
    ]


def test_one_table_block_the_second_in_monospace() -> None:
    table = Table(columns=("A",), rows=(("x",),))
    told = render.render_message(Reply(blocks=(table, table)), table_format=TableFormat.TABLE)
    assert [block["type"] for block in told.blocks] == ["table", "rich_text"]
    told = render.render_message(Reply(blocks=(table, table)), table_format=TableFormat.DATA_TABLE)
    assert [block["type"] for block in told.blocks] == ["data_table", "rich_text"]


@pytest.mark.parametrize("shape", [TableFormat.TABLE, TableFormat.DATA_TABLE, TableFormat.LONG_TABLE])
def test_a_message_has_one_table_that_slack_draws_and_long_ones_after_it_are_in_the_file(shape: TableFormat) -> None:
    first = Table(columns=("A",), rows=(("x",),))
    more = Table(columns=("B",), rows=tuple((f"row-{at}",) for at in range(40)), title="More")
    many = Fields(fields={f"key {at}": f"value-{at}" for at in range(20)})
    told = render.render_message(Reply(blocks=(first, more, many)), table_format=shape)
    kinds = [block["type"] for block in told.blocks]
    assert kinds.count("table") + kinds.count("data_table") == 1
    notes = [block["elements"][0]["text"] for block in told.blocks if block["type"] == "context"]
    assert notes == ["More: 40 rows in the file more.txt.", "A table of 20 rows in the file more.txt."]
    assert told.file is not None
    assert all(word in told.file.text for word in ("row-0", "row-39", "value-19"))
    assert "x" not in told.file.text.split()


def test_a_long_data_table_has_two_hundred_rows_and_twenty_thousand_bytes() -> None:
    rows = tuple((f"web-{at:03}", "日本語のログ" * 3) for at in range(250))
    told = render.render_message(
        Reply(blocks=(Table(columns=("A", "B"), rows=rows),)), table_format=TableFormat.LONG_TABLE
    )
    assert len(told.blocks[0]["rows"]) == 201
    assert told.blocks[1]["elements"][0]["text"].startswith("And 50 more rows.")
    assert limits.problems(told.blocks, long_tables=True) == []
    small = render.render_message(Reply(blocks=(Table(columns=("A", "B"), rows=rows),)), table_format=TableFormat.CHART)
    assert len(small.blocks[0]["rows"]) == 100
    assert limits.problems(small.blocks) == []


def test_japanese_lines_are_measured_in_bytes() -> None:
    lines = ["接続が切断されました、再接続します" * 4 for _ in range(100)]
    sentence = "コンテナが停止しました。" * 200
    reply = Reply(blocks=(Text(text=sentence), Lines(lines=lines)))
    told = render.render_message(reply, table_format=TableFormat.DATA_TABLE, head="操作" * 400)
    assert limits.problems(told.blocks, told.blocks[0]["elements"][0]["text"]) == []
    assert len(told.text.encode()) < 4_000
    assert told.file is not None
    assert "\n".join(lines) in told.file.text and sentence in told.file.text


@pytest.mark.parametrize(("rows", "page"), [(1, 10), (10, 10), (17, 17), (25, 25), (26, 20), (99, 20)])
def test_a_page_shows_ten_to_twenty_five_rows(rows: int, page: int) -> None:
    table = Table(columns=("A",), rows=tuple((str(at),) for at in range(rows)))
    assert _only(Reply(blocks=(table,)))["page_size"] == page


@pytest.mark.parametrize("shape", set(TableFormat) - {TableFormat.LONG_TABLE, TableFormat.ROW_BUTTONS})
def test_rows_left_out_are_counted(shape: TableFormat) -> None:
    table = Table(columns=("A",), rows=tuple((f"row-{at}",) for at in range(140)))
    told = render.render_message(Reply(blocks=(table,)), table_format=shape, head="ps")
    note = told.blocks[-1]["elements"][0]["text"]
    assert note.startswith("And 41 more rows. The whole table is in the file ps.txt.")
    assert told.file is not None
    assert told.file.text.split() == ["A", *(f"row-{at}" for at in range(140))]


def test_long_cells_are_cut_before_rows_are_left_out() -> None:
    table = Table(columns=("A", "B"), rows=tuple((str(at), "y" * 500) for at in range(60)))
    told = render.render_message(Reply(blocks=(table,)), table_format=TableFormat.DATA_TABLE)
    assert len(told.blocks[0]["rows"]) == 61
    assert told.blocks[0]["rows"][1][1]["text"] == "y" * 159 + "…"
    assert told.blocks[1]["elements"][0]["text"].startswith("Some long cells are cut.")


@pytest.mark.parametrize("shape", [TableFormat.TABLE, TableFormat.DATA_TABLE])
def test_the_cells_of_one_table_have_a_limit_of_their_own(shape: TableFormat) -> None:
    table = Table(columns=("A", "B"), rows=tuple(("x" * 85, "y" * 95) for _ in range(60)))
    told = render.render_message(Reply(blocks=(table,)), table_format=shape)
    (found,) = (block for block in told.blocks if block["type"] in ("table", "data_table"))
    assert sum(len(cell["text"]) for row in found["rows"] for cell in row) <= 10_000


def test_a_notification_calls_nobody() -> None:
    told = render.render_message(
        text_reply("no container @channel, @here or @everyone"), table_format=TableFormat.PLAIN
    )
    assert "@" not in told.text
    assert "＠channel" in told.text


def test_a_short_note_is_whole_beside_a_table_that_is_too_long() -> None:
    table = Table(columns=("A",), rows=tuple(("z" * 390,) for _ in range(99)))
    note = Text(text="No result from host8: it does not answer.", tone=Tone.WARN)
    told = render.render_message(Reply(blocks=(table, note)), table_format=TableFormat.DATA_TABLE)
    assert told.blocks[-1]["text"]["text"] == f":warning: {note.text}"


def test_the_end_of_many_lines_and_the_file_of_all() -> None:
    lines = [f"line {at} " + "-" * 300 * (at % 2) for at in range(500)]
    told = render.render_message(
        Reply(blocks=(Lines(lines=lines),)), table_format=TableFormat.PLAIN, head="<@U1> · logs web"
    )
    shown = told.blocks[1]["elements"][0]["elements"][0]["text"].split("\n")
    assert [line.split()[1] for line in shown] == [str(at) for at in range(470, 500)]
    assert shown[-1].endswith("… (309 characters)")
    assert told.blocks[2]["elements"][0]["text"] == "The last 30 of 500 lines; all are in the file logs-web.txt."
    assert told.file is not None
    assert told.file.text == "\n".join(lines) + "\n"


def test_fields_stand_side_by_side_until_they_are_many() -> None:
    found = _only(Reply(blocks=(Fields(fields={"id": "1", "na*me": ""}, title="About"),)))
    assert found["text"]["text"] == "*About*"
    assert [field["text"] for field in found["fields"]] == ["*id*\n1", "`na*me`\n–"]
    many = Fields(fields={f"key {at}": "x" for at in range(11)})
    assert _only(Reply(blocks=(many,)))["type"] == "data_table"
    assert _only(Reply(blocks=(many,)), TableFormat.PLAIN)["type"] == "rich_text"


def test_a_danger_asks_first_unless_it_answers() -> None:
    buttons = (
        Button(label="Remove web", line="rm web", danger=True),
        Button(label="Yes", line="confirm 7f", danger=True),
        Button(label="Look", line="ps"),
    )
    told = render.render_message(Reply(blocks=(), buttons=buttons), table_format=TableFormat.PLAIN)
    remove, yes, look = told.blocks[-1]["elements"]
    assert remove["confirm"]["text"]["text"] == "This runs: rm web"
    assert "confirm" not in yes
    assert yes["style"] == "danger"
    assert "style" not in look
    assert [button["value"] for button in (remove, yes, look)] == ["rm web", "confirm 7f", "ps"]


def test_a_button_that_cannot_be_pressed_is_told() -> None:
    buttons = (Button(label="All", line="ps " + "x" * 2_000), Button(label="Look", line="ps"))
    told = render.render_message(Reply(blocks=(), buttons=buttons), table_format=TableFormat.PLAIN)
    assert [block["type"] for block in told.blocks[-2:]] == ["actions", "context"]
    assert told.blocks[-1]["elements"][0]["text"].startswith("1 button left out")


def test_a_long_line_in_the_head_is_cut_and_stays_code() -> None:
    head = f"<@U1> · {markup.code('restart ' + 'web-* ' * 400)}"
    told = render.render_message(text_reply("Done."), table_format=TableFormat.PLAIN, head=head)
    shown = told.blocks[0]["elements"][0]["text"]
    assert shown.startswith("<@U1> · `restart web-*")
    assert shown.endswith(" web-*…`")
    assert len(shown) <= 1_002


def test_nothing_is_said_as_such() -> None:
    told = render.render_message(Reply(blocks=()), table_format=TableFormat.PLAIN)
    assert told.text == "There is nothing to show."
    assert len(told.blocks) == 1


STATES = Table(
    columns=("NAME", "STATUS", "SINCE", "IMAGE", "ID"),
    rows=(("web", "unhealthy · 2m", "2026-11-30T14:05:07Z", "i" * 300, "4f" * 32), ("api", "up · 3d", "", "", "")),
    priority=("NAME", "STATUS"),
    tones=(Tone.BAD, Tone.GOOD),
    toned="STATUS",
)


def test_a_time_in_a_cell_is_a_date_element_and_text_where_a_cell_can_be_only_text() -> None:
    reply = Reply(blocks=(STATES,))
    row = _only(reply)["rows"][1]
    date = {
        "type": "date",
        "timestamp": 1796047507,
        "format": "{date_short_pretty} {time_secs}",
        "fallback": "2026-11-30 14:05:07 UTC",
    }
    assert row[2] == {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [date]}]}
    assert _only(reply, TableFormat.TABLE)["rows"][1][2] == {"type": "raw_text", "text": "2026-11-30 14:05:07 UTC"}


def test_a_circle_shows_how_good_the_state_of_a_row_is() -> None:
    rows = _only(Reply(blocks=(STATES,)))["rows"]
    assert [row[1]["text"].replace("\u00a0", " ") for row in rows] == ["STATUS", "🔴 unhealthy · 2m", "🟢 up · 3d"]


def test_columns_are_left_out_before_a_cell_is_cut_and_the_note_names_them() -> None:
    many = Table(columns=STATES.columns, rows=STATES.rows * 40, priority=STATES.priority)
    told = render.render_message(Reply(blocks=(many,)), table_format=TableFormat.DATA_TABLE)
    assert [cell["text"] for cell in told.blocks[0]["rows"][0]] == ["NAME", "STATUS", "SINCE"]
    assert len(told.blocks[0]["rows"]) == 81 and "…" not in json.dumps(told.blocks[0])
    assert told.blocks[1]["elements"][0]["text"].startswith("And 2 more columns: IMAGE, ID. The whole table is in")
    assert told.file is not None and "4f4f4f4f" in told.file.text


def test_a_sentence_before_a_table_is_the_notification() -> None:
    told = render.render_message(
        Reply(blocks=(Text(text="9 up: 1 restarting"), STATES)), table_format=TableFormat.DATA_TABLE
    )
    assert told.text == "9 up: 1 restarting"
