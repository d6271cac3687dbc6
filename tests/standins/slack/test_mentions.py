"""Who would be woken: text of strangers must wake nobody, whichever way it is shown."""

from __future__ import annotations

import pytest

from tests.standins.slack import mentions
from tests.standins.slack.records import Message


def message(text="", blocks=(), **more):
    return Message(ts="1.1", channel="C0OPS", author="U0DECK", text=text, blocks=list(blocks), **more)


def section(text, **more):
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, **more}}


def rich(*items):
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": list(items)}]}


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("<!channel>", "@channel"),
        ("<!here>", "@here"),
        ("<!everyone|all of you>", "@everyone"),
        ("<@U0ADA>", "U0ADA"),
        ("<@U0ADA|ada>", "U0ADA"),
        ("<!subteam^S0ONCALL>", "S0ONCALL"),
        ("<!subteam^S0ONCALL|@oncall>", "S0ONCALL"),
        ("```<!channel>```", "@channel"),
    ],
)
def test_control_sequences_fire_wherever_markup_is_read(text, who):
    escaped = text.replace("<", "&lt;").replace(">", "&gt;")
    context = {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}
    fields = {"type": "section", "fields": [{"type": "mrkdwn", "text": text}]}
    for made in (
        message(text),
        message(blocks=[section(text)]),
        message(blocks=[section(text, verbatim=True)]),
        message(blocks=[context]),
        message(blocks=[fields]),
        message(blocks=[{"type": "markdown", "text": text}]),
        message(attachments=[{"text": text}]),
        message(attachments=[{"blocks": [section(text)]}]),
        message(attachments=[{"fields": [{"title": "x", "value": text}]}]),
    ):
        assert mentions.fires(made) == [who]
    for made in (
        message(escaped),
        message(blocks=[section(escaped)]),
        message(blocks=[{"type": "header", "text": {"type": "plain_text", "text": text}}]),
        message(blocks=[rich({"type": "text", "text": text})]),
        message(blocks=[{"type": "table", "rows": [[{"type": "raw_text", "text": text}]]}]),
    ):
        assert mentions.fires(made) == []


def test_rich_text_elements_fire():
    made = message(
        blocks=[
            rich(
                {"type": "user", "user_id": "U0ADA"},
                {"type": "broadcast", "range": "here"},
                {"type": "usergroup", "usergroup_id": "S0ONCALL"},
            )
        ]
    )
    assert mentions.fires(made) == ["U0ADA", "@here", "S0ONCALL"]


def test_plain_words_are_a_danger_unless_verbatim():
    assert mentions.dangers(message(blocks=[section("ask @here")])) == ["@here"]
    assert mentions.dangers(message(blocks=[section("ask @here", verbatim=True)])) == []
    assert mentions.dangers(message(blocks=[section("mail ops@channel.example, then @Everyone")])) == []
    assert mentions.dangers(message("ask @here")) == []


def test_link_names_and_parse_full_make_plain_words_fire():
    assert mentions.fires(message("@channel and @ada", loud=True)) == ["@channel", "@ada"]
    assert mentions.dangers(message("x", loud=True)) == ["parse=full or link_names"]
    assert mentions.fires(message("@channel and @ada")) == []


def test_links_made_by_hand_are_told():
    assert mentions.links(message("<https://evil.example|restart>")) == ["https://evil.example"]
    assert mentions.links(message("&lt;https://evil.example|restart&gt;")) == []


async def test_alarms_name_every_message_of_the_bot_that_is_loud(slack, web):
    await slack.say("ada", "ops", "@oncall look")
    await web.chat_postMessage(channel="C0OPS", text="web &lt;!channel&gt; died")
    assert slack.alarms() == []
    await web.chat_postMessage(channel="C0OPS", text="web <!channel> died")
    await web.chat_postMessage(channel="C0OPS", text="hello @bob", link_names=True)
    assert [one["fires"] for one in slack.alarms()] == [["@channel"], ["@bob"]]


async def test_an_edit_does_not_hide_what_was_loud(slack, web):
    ts = (await web.chat_postMessage(channel="C0OPS", text="web <!here> died"))["ts"]
    await web.chat_update(channel="C0OPS", ts=ts, text="web died")
    assert slack.screen("ada", "ops")[0]["fires"] == []
    assert slack.alarms()[0]["fires"] == ["@here"]
