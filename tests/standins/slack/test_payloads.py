"""What the product hears of what people do: commands, events, and what it does not hear."""

from __future__ import annotations

import pytest

from tests.standins.slack.records import Impossible


def last(slack, kind=""):
    return slack.deliveries(kind)[-1]["payload"]


def event(slack):
    return last(slack, "events_api")["event"]


async def test_should_escape_makes_typed_names_real(slack):
    await slack.slash("ada", "ops", "/deck", "grant @bob in #ops @oncall & <@U0ADA> a@bob.example")
    said = "grant <@U0BOB|bob> in <#C0OPS|ops> <!subteam^S0ONCALL|@oncall> &amp; &lt;@U0ADA&gt; a@bob.example"
    assert last(slack)["text"] == said
    slack.install(["commands"], {"/deck": False})
    await slack.slash("ada", "ops", "/deck", "grant @bob")
    assert last(slack)["text"] == "grant @bob"


async def test_where_a_command_was_typed(slack):
    for channel, name in (("ops", "ops"), ("secret", "privategroup"), ("dm:ada", "directmessage")):
        await slack.slash("ada", channel, "/deck")
        assert last(slack)["channel_name"] == name
    assert last(slack)["response_url"].startswith(slack.url + "/commands/T0001/")


async def test_commands_that_cannot_be(slack):
    parent = (await slack.say("ada", "ops", "x"))["ts"]
    with pytest.raises(Impossible, match="threads"):
        await slack.slash("ada", "ops", "/deck", "ps", thread_ts=parent)
    for who, where, command in (("ada", "ops", "/other"), ("stan", "partners", "/deck"), ("bob", "partners", "/deck")):
        with pytest.raises(Impossible):
            await slack.slash(who, where, command)


async def test_a_mention_is_heard_where_the_bot_is(slack):
    ts = (await slack.say("ada", "ops", "@quarterdeck ps & go"))["ts"]
    inner, outer = event(slack), last(slack)
    assert {key: inner[key] for key in ("type", "user", "channel", "text", "ts", "team")} == {
        "type": "app_mention", "user": "U0ADA", "channel": "C0OPS", "text": "<@U0DECK> ps &amp; go",
        "ts": ts, "team": "T0001",
    }  # fmt: skip
    assert outer["type"] == "event_callback"
    assert outer["authorizations"][0]["user_id"] == "U0DECK"
    assert outer["event_id"].startswith("Ev")
    assert not outer["is_ext_shared_channel"]
    heard = len(slack.deliveries())
    await slack.say("ada", "ops", "nothing for the bot")
    await slack.say("ada", "dev", "@quarterdeck ps")
    await slack.say("ada", "ops", "<@U0DECK> typed by hand")
    assert len(slack.deliveries()) == heard


async def test_a_mention_in_a_thread_names_it(slack):
    parent = (await slack.say("ada", "ops", "x"))["ts"]
    await slack.say("ada", "ops", "@quarterdeck ps", thread_ts=parent)
    assert event(slack)["thread_ts"] == parent


async def test_a_stranger_in_a_shared_channel(slack):
    await slack.say("stan", "partners", "@quarterdeck rm web")
    inner = event(slack)
    assert (inner["user"], inner["user_team"], inner["source_team"]) == ("U0STAN", "T0999", "T0999")
    assert last(slack)["is_ext_shared_channel"]


async def test_a_dm_is_a_message_and_needs_its_scope(slack):
    await slack.say("bob", "dm:bob", "ps")
    inner = event(slack)
    assert (inner["type"], inner["channel_type"], inner["channel"], inner["text"]) == ("message", "im", "D0BOB", "ps")
    assert "subtype" not in inner
    slack.withhold("im:history")
    assert (await slack.say("bob", "dm:bob", "ps"))["envelope_id"] == ""


async def test_edited_messages_bots_and_shared_files_are_marked(slack):
    ts = (await slack.say("bob", "dm:bob", "ps"))["ts"]
    await slack.edit("bob", ts, "rm web")
    inner = event(slack)
    assert inner["subtype"] == "message_changed"
    assert (inner["message"]["text"], inner["previous_message"]["text"]) == ("rm web", "ps")
    assert "edited" in inner["message"]
    ts = (await slack.say("bob", "ops", "@quarterdeck ps"))["ts"]
    await slack.edit("bob", ts, "@quarterdeck rm web")
    assert event(slack)["edited"]
    await slack.say("robot", "ops", "@quarterdeck ps")
    assert (event(slack)["subtype"], event(slack)["bot_id"]) == ("bot_message", "B0ROB")
    await slack.say("bob", "dm:bob", "look", subtype="file_share")
    assert event(slack)["subtype"] == "file_share"


async def test_the_bots_own_words_in_a_dm_come_back(slack, web):
    ts = (await web.chat_postMessage(channel="U0BOB", text="hi"))["ts"]
    await slack.until("bob", "dm:bob", "hi")
    assert (event(slack)["bot_id"], event(slack)["text"]) == ("B0001", "hi")
    await web.chat_update(channel="D0BOB", ts=ts, text="hi there")
    assert event(slack)["subtype"] == "message_changed"
    heard = len(slack.deliveries())
    slack.configure(echo=False)
    await web.chat_postMessage(channel="U0BOB", text="quiet")
    assert len(slack.deliveries()) == heard


async def test_an_invitation_is_heard_with_the_scope_to_read_channels(slack, web):
    await slack.invite("ada", "dev")
    inner = event(slack)
    assert (inner["type"], inner["user"], inner["channel"], inner["inviter"]) == (
        "member_joined_channel", "U0DECK", "C0DEV", "U0ADA",
    )  # fmt: skip
    assert (await web.chat_postMessage(channel="C0DEV", text="x"))["ok"]
    slack.withhold("groups:read")
    assert (await slack.invite("ada", "hidden"))["envelope_id"] == ""


async def test_home_is_opened(slack, web):
    await slack.open_home("ada")
    assert {key: event(slack)[key] for key in ("type", "user", "channel", "tab")} == {
        "type": "app_home_opened", "user": "U0ADA", "channel": "D0ADA", "tab": "home",
    }  # fmt: skip
    await web.views_publish(user_id="U0ADA", view={"type": "home", "blocks": [{"type": "divider"}]})
    await slack.open_home("ada")
    assert event(slack)["view"]["type"] == "home"


async def test_a_payload_of_the_tests_own(slack):
    await slack.send("events_api", {"type": "app_mention", "user": "U0ADA", "text": "x"})
    assert last(slack)["event"]["text"] == "x"
    assert last(slack)["type"] == "event_callback"
