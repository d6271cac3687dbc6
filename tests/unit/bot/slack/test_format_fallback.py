"""What is sent after a refusal: simpler tables, no blocks that Slack named, a shorter text, or text and a file."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from bot.slack import format_fallback, render
from bot.slack.format_fallback import SendingWithFallback
from bot.slack.render import Message, TableFormat
from core import errors
from core.model.replies import Button, Lines, Reply, Table, Text, text_reply
from core.text import text_timestamps
from tests.unit.bot.slack import limits
from tests.unit.bot.slack.scripted import FakeSlackApi, outbox

TABLE = Table(columns=("A",), rows=(("web",),))
LINES = Lines(lines=[f"line {at}" for at in range(5)])


def refused(code: str, *reasons: str) -> errors.Undeliverable:
    return errors.Undeliverable(f"refused: {code}", code=code, reasons=reasons)


def sending(*blocks, richest: TableFormat = TableFormat.LONG_TABLE, **more) -> SendingWithFallback:
    reply = Reply(blocks=blocks, **more)
    return SendingWithFallback(lambda shape: render.render_message(reply, table_format=shape, head="ps"), richest)


def kinds(message: Message) -> list[str]:
    return [block["type"] for block in message.blocks]


def test_a_block_that_slack_names_is_left_out_and_the_file_has_everything() -> None:
    first = sending(Text(text="Two logs."), LINES, TABLE, buttons=(Button(label="Go", line="ps"),))
    assert kinds(first.message) == ["context", "section", "rich_text", "data_table", "actions"]
    assert first.simplify(refused("invalid_blocks", "unsupported type: x [json-pointer:/blocks/2/elements/0]"))
    assert kinds(first.message) == ["context", "section", "data_table", "actions", "context"]
    assert first.message.blocks[-1]["elements"][0]["text"] == (
        "Slack refused a part of this answer. The whole answer is in the file ps.txt."
    )
    assert first.message.file is not None
    assert all(word in first.message.file.text for word in ("Two logs.", "line 0", "line 4", "web"))
    assert limits.problems(first.message.blocks[:-1], "ps") == []
    assert first.supported is None, "nothing was learned about the workspace"
    tries = 1
    while first.simplify(refused("invalid_blocks")):
        tries += 1
    assert tries == 4, "a simpler table twice, then the text alone"
    assert kinds(first.message) == [] and first.message.file is not None


@pytest.mark.parametrize("code", ["invalid_blocks", "invalid_attachments"])
def test_a_reason_that_names_a_table_makes_only_tables_simpler(code: str) -> None:
    named = sending(LINES, TABLE)
    assert named.simplify(refused(code, "unsupported type: data_table [json-pointer:/blocks/2/type]"))
    assert kinds(named.message) == ["context", "rich_text", "table"]
    assert named.supported is TableFormat.TABLE
    other = sending(LINES, TABLE)
    assert other.simplify(refused(code, "must be less than 3001 characters [json-pointer:/blocks/1/elements]"))
    assert "data_table" in kinds(other.message) and other.supported is None


def test_too_many_bytes_cost_the_largest_block_and_not_the_answer() -> None:
    one = sending(Text(text="Here it is."), Lines(lines=["x" * 300] * 20), richest=TableFormat.PLAIN)
    assert one.simplify(refused("msg_blocks_too_long"))
    assert kinds(one.message) == ["context", "section", "context"]
    assert one.message.file is not None and one.message.file.text.count("x" * 300) == 20


def test_text_alone_has_the_file_unless_it_says_everything() -> None:
    log = sending(LINES, richest=TableFormat.PLAIN)
    assert log.simplify(refused("invalid_blocks"))
    assert log.message.text.endswith("The whole answer is in the file ps.txt.") and log.message.file is not None
    sentence = sending(*text_reply("web restarted.").blocks, richest=TableFormat.PLAIN)
    assert sentence.simplify(refused("invalid_blocks"))
    assert sentence.message.text == "ps\nweb restarted." and sentence.message.file is None


def test_a_text_that_is_too_long_is_cut_once_between_words() -> None:
    long = sending(Text(text="日本語 &lt; " * 300), richest=TableFormat.PLAIN, mention=("S0ONCALL",))
    assert long.simplify(refused("msg_too_long"))
    assert len(long.message.text.encode()) <= format_fallback.SHORT_TEXT + 4
    assert long.message.text.endswith(" …") and long.message.blocks
    assert not long.simplify(refused("msg_too_long"))


def test_a_date_is_not_cut_and_counts_in_a_long_table() -> None:
    at = text_timestamps.format_timestamp(datetime(2026, 11, 30, 3, 0, tzinfo=UTC))
    long = sending(Text(text=f"Since {at}. " * 60), richest=TableFormat.PLAIN)
    assert long.simplify(refused("msg_too_long"))
    assert long.message.text.count("<") == long.message.text.count(">") > 5
    dated = sending(Table(columns=("NAME", "SINCE"), rows=tuple((f"web-{number}", at) for number in range(150))))
    assert dated.simplify(refused("invalid_blocks")) and dated.table_format is TableFormat.CHART


def test_other_refusals_are_not_answered_with_a_simpler_message() -> None:
    for code in ("channel_not_found", "not_in_channel", "ratelimited", "unreachable"):
        assert not sending(TABLE).simplify(refused(code))


@pytest.mark.parametrize(
    "reason", ["", "x", "[json-pointer:/blocks/999/x]", "[json-pointer:/blocks/-1]", "[json-pointer:"]
)
def test_reasons_that_name_no_block_of_the_message_blame_all(reason: str) -> None:
    odd = sending(TABLE)
    assert odd.simplify(refused("invalid_blocks", reason))
    assert "table" in kinds(odd.message)


async def test_what_slack_says_about_its_refusal_is_logged() -> None:
    calls = FakeSlackApi()
    reason = "no more than 101 items allowed [json-pointer:/blocks/0/rows]"
    left = [refused("invalid_blocks", reason)]
    post = calls.post

    async def refusing(channel: str, message: Message, **more) -> str:
        if left:
            raise left.pop()
        return await post(channel, message, **more)

    calls.post = refusing  # type: ignore[method-assign]
    reply = Reply(blocks=(TABLE,))
    with capture_logs() as lines:
        await outbox(calls).post("C1", lambda shape: render.render_message(reply, table_format=shape))
    (line,) = (each for each in lines if each["log_level"] == "warning")
    assert line["reasons"] == [reason] and line["code"] == "invalid_blocks" and line["table_format"] == "ROW_BUTTONS"
