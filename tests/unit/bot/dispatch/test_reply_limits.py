"""A reply has a limit, whatever the engines have answered."""

import pytest

from bot.dispatch import reply_limits
from core.model.replies import Fields, Lines, Reply, Table, Text

HUGE = "x" * (64 << 20)


def test_a_usual_reply_is_the_same():
    reply = Reply(blocks=(Text(text="a"), Lines(lines=["b"]), Table(columns=("C",), rows=[("c", 1)])))
    assert reply_limits.limit_reply(reply) is reply


@pytest.mark.parametrize(
    "block",
    [
        Text(text=HUGE),
        Lines(lines=[HUGE, "after"]),
        Lines(lines=["line"] * 3_000_000),
        Lines(lines=[""] * 3_000_000),
        Table(columns=("A", "B"), rows=[("name", HUGE), ("other", 1)]),
        Table(columns=("A", "B"), rows=[("", 1)] * 1_000_000),
        Fields(fields={"Id": HUGE, "Name": "after"}),
        Fields(fields={str(number): "v" * 100 for number in range(100_000)}),
    ],
)
def test_a_large_reply_is_cut_and_says_so(block):
    reply = reply_limits.limit_reply(Reply(blocks=(block, Text(text="note"))))
    assert reply_limits.reply_size(reply) <= reply_limits.MAX_REPLY + 10_000
    assert "This reply was too large" in reply.blocks[-1].text


def test_one_large_value_does_not_take_the_place_of_the_others():
    reply = reply_limits.limit_reply(
        Reply(blocks=(Table(columns=("A",), rows=[(HUGE,), ("after",)]), Text(text="note")))
    )
    table, note, said = reply.blocks
    assert table.rows[0][0].endswith("more characters)")
    assert (table.rows[1], note.text) == (["after"], "note")
    assert "0 lines or rows" in said.text


def test_it_counts_what_it_leaves_out():
    reply = reply_limits.limit_reply(Reply(blocks=(Lines(lines=["x" * 96] * 100_000),)))
    shown = len(reply.blocks[0].lines)
    assert 0 < shown < 100_000
    assert f"{100_000 - shown:,} lines or rows at its end are left out" in reply.blocks[-1].text
