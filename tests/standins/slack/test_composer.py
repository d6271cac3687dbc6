"""Typed words become rich text and text, as Slack's editor makes them."""

from __future__ import annotations

import pytest

from tests.standins.slack import blocks, composer


def section(*elements):
    return {"type": "rich_text_section", "elements": list(elements)}


def word(text, *styles):
    return {"type": "text", "text": text} | ({"style": dict.fromkeys(styles, True)} if styles else {})


@pytest.mark.parametrize(
    ("typed", "elements"),
    [
        ("restart web", [word("restart web")]),
        ("restart *web* now", [word("restart "), word("web", "bold"), word(" now")]),
        ("*_web_* ~api~", [word("web", "bold", "italic"), word(" "), word("api", "strike")]),
        ("`*web*` my_app_1 web-*", [word("*web*", "code"), word(" my_app_1 web-*")]),
        ("web-*-1 shop-*-2", [word("web-"), word("-1 shop-", "bold"), word("-2")]),
        ("a@b @nobody", [word("a@b @nobody")]),
    ],
)
def test_inline(slack, typed, elements):
    (made,) = composer.blocks(slack.workspace, typed)
    assert made["elements"] == [section(*elements)]
    assert composer.text(slack.workspace, typed) == typed


def test_references(slack):
    typed = "@quarterdeck grant @oncall *@bob* #ops https://a.example/x?a&b web.example.com :wave: @here"
    (made,) = composer.blocks(slack.workspace, typed)
    found = [one for one in made["elements"][0]["elements"] if one["type"] != "text"]
    assert found == [
        {"type": "user", "user_id": "U0DECK"},
        {"type": "usergroup", "usergroup_id": "S0ONCALL"},
        {"type": "user", "user_id": "U0BOB", "style": {"bold": True}},
        {"type": "channel", "channel_id": "C0OPS"},
        {"type": "link", "url": "https://a.example/x?a&b"},
        {"type": "link", "url": "http://web.example.com", "text": "web.example.com"},
        {"type": "emoji", "name": "wave"},
        {"type": "broadcast", "range": "here"},
    ]
    assert composer.text(slack.workspace, typed) == (
        "<@U0DECK> grant <!subteam^S0ONCALL|@oncall> *<@U0BOB>* <#C0OPS> <https://a.example/x?a&amp;b>"
        " <http://web.example.com|web.example.com> :wave: <!here>"
    )


def test_lines(slack):
    typed = "look\n- ps\n- logs *web*\n1. one\n> said\n```\nps *\n```"
    (made,) = composer.blocks(slack.workspace, typed)
    assert [(part["type"], part.get("style", "")) for part in made["elements"]] == [
        ("rich_text_section", ""), ("rich_text_list", "bullet"), ("rich_text_list", "ordered"), ("rich_text_quote", ""),
        ("rich_text_preformatted", ""),
    ]  # fmt: skip
    assert made["elements"][1]["elements"] == [section(word("ps")), section(word("logs "), word("web", "bold"))]
    assert made["elements"][-1]["elements"] == [word("ps *")]
    assert composer.text(slack.workspace, "- ps & go") == "• ps &amp; go"


def test_what_it_makes_is_rich_text_that_slack_would_take(slack):
    for typed in ("restart *web* _a_ ~b~ `c`", "- a\n- @ada\n> b\n```c```", ":wave: https://a.example #ops"):
        blocks.refuse(slack.workspace, composer.blocks(slack.workspace, typed))
