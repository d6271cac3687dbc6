"""Buttons in the rows of a table: in a workspace that takes them, and how one that does not is remembered."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from bot.slack import format_fallback, render
from bot.slack.render import TableFormat
from core import errors
from core.model.replies import Button, Reply, Table
from tests.standins.slack import blocks as standin
from tests.unit.bot.slack.scripted import FakeSlackApi, FakeStore, outbox

ROWS = [("web", 1), ("db", 2)]
REPLY = Reply(
    blocks=(
        Table(
            columns=("NAME", "CPU"),
            rows=ROWS,
            row_buttons=[Button(label="Open", line=f"card {name}") for name, _ in ROWS],
        ),
    )
)


def table(table_format, reply=REPLY):
    (block,) = render.render_message(reply, table_format=table_format).blocks
    return block


def test_each_row_has_its_button_where_the_workspace_takes_them():
    block = table(TableFormat.ROW_BUTTONS)
    assert standin.check([block]).wrong == []
    assert [[cell["type"] for cell in row] for row in block["rows"]] == [
        ["raw_text", "raw_text", "raw_text"],
        *[["raw_text", "raw_number", "action_cell"]] * 2,
    ]
    assert [part["value"] for part in standin.interactive(block)] == ["card web", "card db"]
    assert block["rows"][1][2]["fallback"]["text"] == "card web"


@pytest.mark.parametrize("table_format", [each for each in TableFormat if each < TableFormat.ROW_BUTTONS])
def test_simpler_formats_have_none(table_format):
    assert "card web" not in str(table(table_format))


def test_a_table_of_which_a_row_has_no_button_shows_none():
    unequal = Reply(
        blocks=(Table(columns=("NAME",), rows=[("a",), ("b",)], row_buttons=[Button(label="x", line="ps")]),)
    )
    assert "action_cell" not in str(table(TableFormat.ROW_BUTTONS, unequal))
    long = [Button(label="x", line="card " + "w" * 3_000)] * 2
    too_long = Reply(blocks=(Table(columns=("NAME",), rows=[("a",), ("b",)], row_buttons=long),))
    assert "action_cell" not in str(table(TableFormat.ROW_BUTTONS, too_long))


@pytest.mark.parametrize("rows", [30, 60, 90, 99, 120, 200])
@pytest.mark.parametrize("name", ["web-{}", "web-{}-" + "x" * 60, "ウェブ-{}-" + "ウ" * 25])
def test_a_table_without_room_for_the_buttons_shows_none(rows, name):
    names = [name.format(number) for number in range(rows)]
    buttons = [Button(label="Open", line=f"card {each}") for each in names]
    wide = Table(columns=("NAME", "IMAGE"), rows=[(each, each) for each in names], row_buttons=buttons)
    found = render.render_message(Reply(blocks=(wide,)), table_format=TableFormat.ROW_BUTTONS)
    assert standin.check(found.blocks).wrong == []
    assert names[0] in str(found.blocks)
    if rows <= 30:
        assert "action_cell" in str(found.blocks)


def test_a_refusal_costs_only_the_buttons_and_is_learned():
    def outgoing(table_format):
        return render.render_message(REPLY, table_format=table_format)

    sending = format_fallback.SendingWithFallback(outgoing, TableFormat.ROW_BUTTONS)
    found = standin.check(sending.message.blocks, rollout=standin.PHASED - {"action_cell"})
    assert found.not_yet
    assert sending.simplify(errors.Undeliverable("no", code="invalid_blocks", reasons=tuple(found.not_yet)))
    assert sending.supported is TableFormat.LONG_TABLE
    assert standin.check(sending.message.blocks, rollout=standin.PHASED - {"action_cell"}).not_yet == []


@pytest.mark.parametrize("with_reasons", [True, False])
@pytest.mark.looptime
async def test_a_workspace_without_such_cells_gets_the_same_message_once_more_without_them_and_then_at_once(
    with_reasons,
):
    calls, memory = FakeSlackApi(), FakeStore()
    refusals = []
    post = calls.post

    async def phased(channel, message, **more):
        found = standin.check(message.blocks, rollout=standin.PHASED - {"action_cell"})
        if found.not_yet:
            refusals.append(message)
            reasons = tuple(found.not_yet) if with_reasons else ()
            raise errors.Undeliverable("Slack refused it.", code="invalid_blocks", reasons=reasons)
        return await post(channel, message, **more)

    calls.post = phased
    box = outbox(calls, memory)
    await box.load_table_format("T1")

    def listed(shape):
        return render.render_message(REPLY, table_format=shape)

    with capture_logs() as lines:
        await box.post("C1", listed)
    assert len(refusals) == len(calls.said) == 1
    assert [line["table_format"] for line in lines if line["log_level"] == "warning"] == ["ROW_BUTTONS"]
    await box.post("C1", listed)
    assert len(refusals) == 1 and len(calls.said) == 2
    assert memory.shapes == {"T1": TableFormat.LONG_TABLE}
    again = outbox(calls, memory)  # after a restart
    await again.load_table_format("T1")
    await again.post("C1", listed)
    assert len(refusals) == 1 and len(calls.said) == 3
    elsewhere = outbox(calls, memory)  # another workspace is asked for itself
    await elsewhere.load_table_format("T2")
    assert elsewhere.table_format is TableFormat.ROW_BUTTONS
