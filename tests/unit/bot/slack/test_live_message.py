"""What goes on, in Slack: one message, edited calmly, with a button while it can be stopped; on fake loop time."""

import asyncio
import itertools

import pytest

from bot.slack import live_message, render
from bot.slack.decode_requests import Source
from bot.slack.render import TableFormat
from bot.slack.responder import SlackResponder
from core.model.replies import Lines, Text, text_reply
from core.ports import Progress
from tests.unit.bot.slack import scripted

pytestmark = pytest.mark.looptime
STOP = "job stop 4f0c5d2e9b7a@docker/h"


def word(*lines, name="web", **more):
    return Progress(**{"name": name, "read_only": True, "lines": lines, "stop": STOP} | more)


def tail(*words):
    made = live_message.ProgressMessage()
    for each in words:
        made.add(each)
    return made


def test_the_newest_lines_are_shown_and_the_rest_is_counted():
    reply = tail(word(*(f"line {number}" for number in range(50)), skipped=1000)).reply()
    assert [block.lines[-1] for block in reply.blocks] == ["line 49"]
    assert len(reply.blocks[0].lines) == live_message.MAX_LINES
    assert reply.blocks[0].title == "1,020 earlier lines are not shown"
    assert [button.line for button in reply.buttons] == [STOP]


def test_several_logs_are_told_apart_and_one_button_stops_them_all():
    reply = tail(word("a"), word("b", name="api", stop="job stop 0123456789ab@docker/h")).reply()
    assert reply.blocks[0].lines == ["web | a", "api | b"]
    assert [button.line for button in reply.buttons] == [f"{STOP} 0123456789ab@docker/h"]


def test_a_silent_log_can_be_stopped_too():
    reply = tail(word()).reply()
    assert reply.blocks == (Text(text="Following web. No lines yet."),)
    assert reply.buttons


def test_a_change_has_its_progress_and_no_button():
    reply = tail(word(read_only=False, progress="1 of 3 run"), word(read_only=False, progress="2 of 3 run")).reply()
    assert reply.blocks == [Text(text="2 of 3 run")]
    assert not reply.buttons


@pytest.mark.parametrize("line", ["x" * 50_000, '"\\' * 20_000, "\x00\x1b[31m" * 10_000, "é" * 20_000])
def test_however_long_the_lines_the_message_never_has_a_file(line):
    message = render.render_message(tail(word(*[line] * 60)).reply(), table_format=TableFormat.DATA_TABLE, head="ann")
    assert message.file is None
    assert message.blocks


def test_a_key_in_bits_stays_hidden_in_the_whole():
    body = ["-----BEGIN PRIVATE KEY-----", *["abcdefgh" * 8] * 5]
    shown = tail(*(word(line) for line in body)).reply().blocks[0]
    assert isinstance(shown, Lines)
    assert "abcdefgh" not in "\n".join(shown.lines)


async def follow(calls, words, *, source=Source.MENTION, every=0.05, end=True, **heard):
    """Whether each word was heard."""
    said = []
    more = {"message": "1.0001"} if source is Source.MENTION else {}
    async with SlackResponder(
        scripted.slack_request(source, **more | heard), "logs web -f", scripted.outbox(calls), scripted.FakeStore()
    ) as talk:
        for each in words:
            said.append(talk.progress(each))
            await asyncio.sleep(every)
        if end:
            await talk.finish(text_reply("Followed web."))
    return said


async def test_a_mention_gets_one_message_in_its_thread_edited_about_once_a_second():
    calls = scripted.FakeSlackApi()
    assert all(await follow(calls, [word(f"line {number}") for number in range(200)]))
    posts = [one for one in calls.said if one.how == "post"]
    edits = [one for one in calls.said if one.how == "edit"]
    assert [(one.where, one.thread) for one in posts] == [("C1", "1.0001")]
    assert {one.ts for one in edits} == {posts[0].ts}
    assert 8 <= len(edits) <= 12  # in ten seconds
    assert all(after.at - before.at >= 1.0 for before, after in itertools.pairwise(edits))
    assert {one.how for one in calls.said} == {"post", "edit"}  # nor a word of “working on it”
    assert edits[-1].text.endswith("Followed web.")


async def test_a_slash_command_is_followed_in_direct_messages_and_told_so():
    calls = scripted.FakeSlackApi()
    await follow(calls, [word("a")] * 30, source=Source.SLASH)
    assert [(one.how, one.where) for one in calls.said if one.how != "edit"] == [
        ("open", "U1"),
        ("post", "DU1"),
        ("respond", scripted.URL),
    ]
    assert "direct messages" in calls.texts("respond")[0][1]


async def test_what_is_shared_is_followed_in_the_channel():
    calls = scripted.FakeSlackApi()
    await follow(calls, [word("a", everyone=True)] * 5, source=Source.SLASH)
    assert [(one.how, one.where) for one in calls.said][:2] == [("post", "C1"), ("edit", "C1")]
    assert {one.where for one in calls.said} == {"C1"}


async def test_where_the_channel_is_closed_it_is_followed_in_direct_messages():
    calls = scripted.FakeSlackApi()
    calls.refuse["post"] = ["not_in_channel"]
    assert all(await follow(calls, [word("a", everyone=True)] * 5, source=Source.SLASH))
    assert [one.where for one in calls.said if one.how == "post"] == ["DU1"]


async def test_when_its_message_is_deleted_nobody_listens_any_more_and_the_end_is_said_elsewhere():
    calls = scripted.FakeSlackApi()
    calls.refuse["edit"] = ["message_not_found"] * 9
    heard = await follow(calls, [word("a")] * 100)
    assert heard[0] is True
    assert heard[-1] is False
    assert calls.texts("edit") == []
    assert len(calls.refuse["edit"]) == 8  # one try
    assert calls.texts("whisper")[0][1].endswith("Followed web.")


async def test_a_moment_without_slack_is_no_end():
    calls = scripted.FakeSlackApi()
    calls.refuse["edit"] = ["internal_error"]
    assert all(await follow(calls, [word("a")] * 100))
    assert len(calls.texts("edit")) >= 3


async def test_the_final_word_waits_for_one_turn_and_not_for_two():
    calls = scripted.FakeSlackApi()
    began = asyncio.get_running_loop().time()
    await follow(calls, [word("a")] * 5)  # a quarter of a second
    assert calls.said[-1].text.endswith("Followed web.")
    assert calls.said[-1].at - began < 1.3


async def test_a_log_that_ended_at_once_is_one_answer():
    calls = scripted.FakeSlackApi()
    await follow(calls, [word("a")], every=0.0, source=Source.SLASH)
    assert [one.how for one in calls.said if one.how in ("whisper", "respond", "edit")]
    assert any("Followed web." in one.text for one in calls.said)
