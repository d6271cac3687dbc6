"""Plain renderings: what stands on a person's screen, and what can be pressed there."""

from __future__ import annotations

import pytest

from tests.standins.slack import plain, state
from tests.standins.slack.records import Impossible

WORKSPACE = state.Workspace()


def text(words):
    return {"type": "plain_text", "text": words}


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("*bold* and _italic_ and ~gone~ and `code`", "bold and italic and gone and code"),
        ("2*3*4 snake_case_name a ~ b", "2*3*4 snake_case_name a ~ b"),
        ("```\nNAME  STATE\nweb_1 *up*\n```", "NAME  STATE\nweb_1 *up*"),
        ("<@U0ADA> in <#C0OPS> for <!subteam^S0ONCALL>", "@ada in #ops for @oncall"),
        ("<https://x.example|the page> <https://y.example>", "the page https://y.example"),
        ("<!date^1700000000^{date}|14 Nov>", "14 Nov"),
        ("<!channel> &lt;!channel&gt; a &amp;&amp; b", "@channel <!channel> a && b"),
    ],
)
def test_markup(raw, seen):
    assert plain.mrkdwn(WORKSPACE, raw) == seen


def test_blocks():
    word = {"type": "text", "text": "x"}
    given = [
        {"type": "header", "text": text("Head")},
        {"type": "section", "fields": [{"type": "mrkdwn", "text": "*a*"}, text("b")]},
        {"type": "divider"},
        {"type": "context", "elements": [text("small"), {"type": "image", "image_url": "u", "alt_text": "dot"}]},
        {
            "type": "rich_text",
            "elements": [
                {"type": "rich_text_section", "elements": [word, {"type": "user", "user_id": "U0ADA"}]},
                {
                    "type": "rich_text_list",
                    "style": "ordered",
                    "elements": [{"type": "rich_text_section", "elements": [word]}],
                },
                {"type": "rich_text_preformatted", "elements": [word]},
                {"type": "rich_text_quote", "elements": [word]},
            ],
        },
        {
            "type": "data_table",
            "caption": "Containers",
            "rows": [
                [{"type": "raw_text", "text": "NAME"}, {"type": "raw_text", "text": "MB"}],
                [{"type": "raw_text", "text": "web"}, {"type": "raw_number", "value": 1.5, "text": "1.5"}],
            ],
        },
    ]
    assert plain.blocks(WORKSPACE, given).split("\n") == [
        "Head", "a", "b", "────", "small (image: dot)", "x@ada", "1. x", "x", "> x",
        "Containers", "NAME | MB", "web | 1.5",
    ]  # fmt: skip


async def test_buttons_and_menus_are_pressed_by_their_words(slack, web):
    options = [{"text": text(word), "value": word} for word in ("web", "db")]
    danger = {"type": "button", "text": text("Stop"), "style": "danger", "value": "s", "action_id": "stop"}
    confirm = {"title": text("t"), "text": text("Sure?"), "confirm": text("y"), "deny": text("n")}
    blocks = [
        {"type": "section", "text": text("pick"), "accessory": {"type": "static_select", "options": options}},
        {"type": "actions", "block_id": "b", "elements": [danger | {"confirm": confirm}]},
    ]
    ts = (await web.chat_postMessage(channel="C0OPS", text="x", blocks=blocks))["ts"]
    assert slack.screen("ada", "ops")[0]["buttons"] == ["web", "db", "Stop"]
    assert slack.buttons(ts)[2]["confirm"] == "Sure?"
    await slack.click("ada", ts, "Stop")
    await slack.click("ada", slack.screen("ada", "ops")[0], "db")
    stop, pick = (one["payload"] for one in slack.deliveries("interactive"))
    assert {key: stop["actions"][0][key] for key in ("type", "action_id", "block_id", "value", "style")} == {
        "type": "button", "action_id": "stop", "block_id": "b", "value": "s", "style": "danger",
    }  # fmt: skip
    assert stop["actions"][0]["action_ts"]
    assert stop["container"] == {"type": "message", "message_ts": ts, "channel_id": "C0OPS", "is_ephemeral": False}
    assert stop["message"]["blocks"][1]["block_id"] == "b"
    assert pick["actions"][0]["selected_option"]["value"] == "db"
    with pytest.raises(Impossible, match="no button 'Go'"):
        await slack.click("ada", ts, "Go")


async def test_a_button_on_an_ephemeral_or_an_attachment(slack, web):
    row = {"type": "actions", "elements": [{"type": "button", "text": text("Go"), "action_id": "go"}]}
    ts = (await web.chat_postEphemeral(channel="C0OPS", user="U0ADA", text="x", blocks=[row]))["message_ts"]
    with pytest.raises(Impossible, match="sees no message"):
        await slack.click("bob", ts, "Go")
    await slack.click("ada", ts, "Go")
    payload = slack.deliveries("interactive")[-1]["payload"]
    assert payload["container"]["is_ephemeral"]
    assert "message" not in payload
    ts = (await web.chat_postMessage(channel="C0OPS", text="x", attachments=[{"color": "#f00", "blocks": [row]}]))["ts"]
    assert slack.screen("ada", "ops")[-1]["text"] == "x\n[Go]"
    await slack.click("bob", ts, "Go")
    payload = slack.deliveries("interactive")[-1]["payload"]
    assert (payload["container"]["type"], payload["container"]["attachment_id"]) == ("message_attachment", 1)


async def test_people_see_what_is_theirs_to_see(slack, web):
    await web.chat_postMessage(channel="C0SEC", text="hush")
    assert "hush" in slack.text("ada", "secret")
    for who in ("gil", "uma", "stan"):
        with pytest.raises(Impossible, match="cannot see"):
            slack.screen(who, "secret")
    with pytest.raises(Impossible):
        slack.screen("stan", "dev")
