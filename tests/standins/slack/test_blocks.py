"""Block Kit: each limit at its last good value and one past it."""

from __future__ import annotations

import pytest

from tests.standins.slack import blocks, state


def plain(text):
    return {"type": "plain_text", "text": text}


def mrkdwn(text):
    return {"type": "mrkdwn", "text": text}


def section(text="x", **more):
    return {"type": "section", "text": mrkdwn(text), **more}


def button(text="Go", **more):
    return {"type": "button", "text": plain(text), **more}


def actions(*elements):
    return {"type": "actions", "elements": list(elements)}


def raw(text="x"):
    return {"type": "raw_text", "text": text}


def table(rows=2, columns=2, **more):
    return {"type": "table", "rows": [[raw()] * columns for _ in range(rows)], **more}


def data_table(rows=2, columns=2, **more):
    return {"type": "data_table", "caption": "c", "rows": [[raw()] * columns for _ in range(rows)], **more}


def full_data_table(last):
    return data_table() | {"rows": [[raw("x" * 9_999)], [raw(last)]]}


def rich(*parts):
    return {"type": "rich_text", "elements": list(parts)}


def line(*items):
    return {"type": "rich_text_section", "elements": list(items)}


def menu(options=2, **more):
    choices = [{"text": plain(str(at)), "value": str(at)} for at in range(options)]
    return {"type": "static_select", "placeholder": plain("which"), "options": choices, **more}


WORD = {"type": "text", "text": "x"}
# what obeys, what breaks, and what is said of the latter
PAIRS = {
    "blocks": ([section()] * 50, [section()] * 51, "no more than 50 items"),
    "section text": ([section("x" * 3000)], [section("x" * 3001)], "less than 3001"),
    "section text in bytes": ([section("日" * 1000)], [section("日" * 1001)], "less than 3001"),
    "empty section": ([section(" ")], [section("")], "more than 0 characters"),
    "section of nothing": ([section()], [{"type": "section"}], "text or fields"),
    "fields": (
        [{"type": "section", "fields": [mrkdwn("x")] * 10}],
        [{"type": "section", "fields": [mrkdwn("x")] * 11}],
        "no more than 10 items",
    ),
    "field text": (
        [{"type": "section", "fields": [mrkdwn("x" * 2000)]}],
        [{"type": "section", "fields": [mrkdwn("x" * 2001)]}],
        "less than 2001",
    ),
    "header length": (
        [{"type": "header", "text": plain("x" * 150)}],
        [{"type": "header", "text": plain("x" * 151)}],
        "less than 151",
    ),
    "header kind": ([{"type": "header", "text": plain("x")}], [{"type": "header", "text": mrkdwn("x")}], "plain_text"),
    "button text": ([actions(button("x" * 75))], [actions(button("x" * 76))], "less than 76"),
    "button kind": ([actions(button())], [actions({"type": "button", "text": mrkdwn("x")})], "plain_text"),
    "button value": ([actions(button(value="x" * 2000))], [actions(button(value="x" * 2001))], "less than 2001"),
    "button style": ([actions(button(style="danger"))], [actions(button(style="green"))], "primary, danger"),
    "action_id": ([actions(button(action_id="x" * 255))], [actions(button(action_id="x" * 256))], "less than 256"),
    "action_id twice": (
        [actions(button(action_id="a")), actions(button(action_id="a"))],
        [actions(button(action_id="a"), button(action_id="a"))],
        "already exists",
    ),
    "block_id twice": (
        [section(block_id="a"), section(block_id="b")],
        [section(block_id="a"), section(block_id="a")],
        "already exists",
    ),
    "block_id": ([section(block_id="x" * 255)], [section(block_id="x" * 256)], "less than 256"),
    "context": (
        [{"type": "context", "elements": [mrkdwn("x")] * 10}],
        [{"type": "context", "elements": [mrkdwn("x")] * 11}],
        "no more than 10 items",
    ),
    "context of buttons": (
        [{"type": "context", "elements": [mrkdwn("x")]}],
        [{"type": "context", "elements": [button()]}],
        "must be one of",
    ),
    "actions": ([actions(*[button()] * 25)], [actions(*[button()] * 26)], "no more than 25 items"),
    "no actions": ([actions(button())], [actions()], "no fewer than 1"),
    "input element in actions": ([actions(menu())], [actions({"type": "plain_text_input"})], "unsupported type"),
    "menu": ([actions(menu(100))], [actions(menu(101))], "no more than 100"),
    "overflow": (
        [section(accessory={"type": "overflow", "options": menu(5)["options"]})],
        [section(accessory={"type": "overflow", "options": menu(6)["options"]})],
        "no more than 5",
    ),
    "confirm": (
        [
            actions(
                button(
                    confirm={"title": plain("x" * 100), "text": plain("x"), "confirm": plain("y"), "deny": plain("n")}
                )
            )
        ],
        [
            actions(
                button(
                    confirm={"title": plain("x" * 101), "text": plain("x"), "confirm": plain("y"), "deny": plain("n")}
                )
            )
        ],
        "less than 101",
    ),
    "unknown type": ([{"type": "divider"}], [{"type": "table_of_contents"}], "unsupported type"),
    "unknown key": ([section()], [section(colour="red")], "additional property: colour"),
    "alert only in modals": ([section()], [{"type": "alert", "text": plain("x")}], "unsupported type: alert"),
    "image": (
        [{"type": "image", "image_url": "http://x", "alt_text": "x"}],
        [{"type": "image", "image_url": "http://x"}],
        "missing required field: alt_text",
    ),
    "markdown": (
        [{"type": "markdown", "text": "x" * 12_000}],
        [{"type": "markdown", "text": "x" * 6_001}, {"type": "markdown", "text": "x" * 6_000}],
        "less than 12001",
    ),
    "one table": ([table()], [table(), table()], "only_one_table_allowed"),
    "table rows": ([table(100)], [table(101)], "no more than 100"),
    "table columns": ([table(1, 20)], [table(1, 21)], "no more than 20"),
    "table cells": (
        [{"type": "table", "rows": [[raw(), rich(line(WORD)), {"type": "raw_number", "value": 1, "text": "1"}]]}],
        [{"type": "table", "rows": [[mrkdwn("x")]]}],
        "unsupported type: mrkdwn",
    ),
    "table columns' settings": (
        [table(column_settings=[{"align": "right", "is_wrapped": True}, None])],
        [table(column_settings=[{"align": "top"}])],
        "left, center, right",
    ),
    "empty cell": ([table()], [{"type": "table", "rows": [[raw("")]]}], "more than 0 characters"),
    "data_table rows": ([data_table(201)], [data_table(202)], "no more than 201"),
    "data_table text": (
        [full_data_table("日" * 3_333 + "xx")],
        [full_data_table("日" * 3_334)],
        "less than 20001",
    ),
    "two data_tables": ([data_table()], [data_table(), data_table()], "only_one_table_allowed"),
    "a table and a data_table": ([table()], [table(), data_table()], "only_one_table_allowed"),
    "data_table without rows": ([data_table(2)], [data_table(1)], "no fewer than 2"),
    "data_table columns": ([data_table(2, 20)], [data_table(2, 21)], "no more than 20"),
    "data_table caption": (
        [data_table()],
        [{"type": "data_table", "rows": [[raw()], [raw()]]}],
        "missing required field: caption",
    ),
    "data_table page": ([data_table(page_size=100)], [data_table(page_size=101)], "between 1 and 100"),
    "data_table ragged": (
        [data_table()],
        [{"type": "data_table", "caption": "c", "rows": [[raw()], [raw(), raw()]]}],
        "same number of columns",
    ),
    "data_table header": (
        [data_table()],
        [{"type": "data_table", "caption": "c", "rows": [[rich(line(WORD))], [raw()]]}],
        "may not be rich_text",
    ),
    "data_table number": (
        [
            {
                "type": "data_table",
                "caption": "c",
                "rows": [[raw()], [{"type": "raw_number", "value": 1.5, "text": "1.5"}]],
            }
        ],
        [
            {
                "type": "data_table",
                "caption": "c",
                "rows": [[raw()], [{"type": "raw_number", "value": "1", "text": "1"}]],
            }
        ],
        "must be a number",
    ),
    "rich_text": (
        [rich(line(WORD), {"type": "rich_text_list", "style": "bullet", "elements": [line(WORD)]})],
        [rich(WORD)],
        "unsupported type: text",
    ),
    "rich_text list": (
        [rich({"type": "rich_text_list", "style": "ordered", "elements": [line(WORD)]})],
        [rich({"type": "rich_text_list", "style": "ordered", "elements": [WORD]})],
        "must be a rich_text_section",
    ),
    "rich_text preformatted": (
        [rich({"type": "rich_text_preformatted", "elements": [WORD]})],
        [rich({"type": "rich_text_preformatted", "elements": [{"type": "user", "user_id": "U0ADA"}]})],
        "unsupported type: user",
    ),
    "rich_text style": (
        [rich(line(WORD | {"style": {"bold": True}}))],
        [rich(line(WORD | {"style": {"loud": True}}))],
        "additional property: loud",
    ),
    "rich_text empty": ([rich(line(WORD))], [rich(line({"type": "text", "text": ""}))], "more than 0 characters"),
    "charts": (
        [{"type": "data_visualization", "title": "t", "chart": {"type": "pie", "segments": [{}]}}] * 2,
        [{"type": "data_visualization", "title": "t", "chart": {"type": "pie", "segments": [{}]}}] * 3,
        "no more than 2 data_visualization",
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_the_last_good_value_passes_and_the_next_does_not(name):
    good, bad, said = PAIRS[name]
    assert blocks.check(good).wrong == []
    wrong = blocks.check(bad).wrong
    assert any(said in one for one in wrong), wrong
    assert all("json-pointer:/blocks" in one for one in wrong)


async def test_slack_answers_with_pointers_and_the_rule_is_noted(slack, web, refused):
    await web.chat_postMessage(channel="C0OPS", text="x", blocks=[section("x" * 3000)])
    answer = await refused(
        web.chat_postMessage(channel="C0OPS", text="x", blocks=[section("x" * 3001)]), "invalid_blocks", "block kit"
    )
    said = "must be less than 3001 characters [json-pointer:/blocks/0/text/text]"
    assert answer["errors"] == [said]
    assert answer["response_metadata"]["messages"] == [f"[ERROR] {said}"]


async def test_all_blocks_together(slack, web, refused):
    await web.chat_postMessage(channel="C0OPS", text="x", blocks=[section("x" * 2560)] * 5)
    await refused(
        web.chat_postMessage(channel="C0OPS", text="x", blocks=[section("x" * 2561)] * 5),
        "msg_blocks_too_long",
        "13000",
    )


async def test_a_long_data_table_counts_for_itself_where_the_workspace_takes_it(slack, web, refused):
    long = data_table() | {"rows": [[raw("x" * 95), raw("y" * 4)] for _ in range(201)]}
    await web.chat_postMessage(channel="C0OPS", text="x", blocks=[long, section("z" * 2_900)])
    slack.configure(long_tables=False)
    answer = await refused(web.chat_postMessage(channel="C0OPS", text="x", blocks=[long]), "invalid_blocks")
    assert any("no more than 101 items" in one for one in answer["response_metadata"]["messages"])
    half = data_table() | {"rows": [[raw("x" * 95), raw("y" * 3)] for _ in range(101)]}
    await web.chat_postMessage(channel="C0OPS", text="x", blocks=[half])
    assert slack.violations() == []


async def test_several_tables_are_refused_as_attachments(slack, web, refused):
    answer = await refused(
        web.chat_postMessage(channel="C0OPS", text="x", blocks=[data_table(), data_table()]),
        "invalid_attachments",
        "block kit",
    )
    assert "only_one_table_allowed [json-pointer:/blocks/1]" in answer["response_metadata"]["messages"][0]


@pytest.mark.parametrize("block", [table(), data_table()], ids=["table", "data_table"])
async def test_blocks_that_are_not_rolled_out_are_refused_and_nobodys_fault(slack, web, refused, block):
    await web.chat_postMessage(channel="C0OPS", text="x", blocks=[block])
    slack.configure(rollout=[])
    answer = await refused(web.chat_postMessage(channel="C0OPS", text="x", blocks=[block]), "invalid_blocks")
    assert f"unsupported type: {block['type']}" in answer["errors"][0]


async def test_blocks_as_a_form_are_json(slack, web, refused):
    await web.api_call("chat.postMessage", params={"channel": "C0OPS", "blocks": '[{"type": "divider"}]'})
    await refused(
        web.api_call("chat.postMessage", params={"channel": "C0OPS", "blocks": "[{"}), "invalid_blocks_format", "JSON"
    )


def test_ids_are_made_up_where_there_are_none():
    made = blocks.fill_ids(state.Workspace(), [actions(button(), button(action_id="mine")), section(block_id="own")])
    assert made[0]["block_id"]
    assert made[0]["elements"][0]["action_id"]
    assert made[0]["elements"][1]["action_id"] == "mine"
    assert made[1]["block_id"] == "own"


def test_modals_take_a_hundred_blocks_and_alerts_but_no_tables():
    assert blocks.check([section()] * 100, surface="modal").wrong == []
    assert blocks.check([section()] * 101, surface="modal").wrong
    assert blocks.check([{"type": "alert", "text": plain("x"), "level": "error"}], surface="modal").wrong == []
    assert blocks.check([table()], surface="modal").wrong
