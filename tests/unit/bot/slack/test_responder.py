"""One line's way back: who sees what, in which order, and what is tried when a way is closed; on fake loop time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from bot.slack import reply_delivery, responder
from bot.slack.decode_requests import SlackRequest, Source
from bot.slack.reply_delivery import PostedMessage
from bot.slack.responder import SlackResponder
from core import errors
from core.model.replies import Button, Ending, Lines, Reply, Text, Tone, text_reply
from core.ports import ActionStarted, Progress, Watched
from tests.unit.bot.slack.scripted import URL, FakeSlackApi, FakeStore, outbox, slack_request

pytestmark = pytest.mark.looptime
BEGUN = ActionStarted(line="restart web", doing="restarting", names=["web"])
READ = text_reply("two containers")
REFUSED = text_reply("You may not do that.", Tone.BAD, ending=Ending.REFUSED)
DONE = text_reply("web restarted", Tone.GOOD)
EXPIRED = text_reply("That question has expired or was already answered.", ending=Ending.USAGE)
SHARED = Reply(blocks=(Text(text="two containers"),), everyone=True)
QUESTION = Reply(
    blocks=(Text(text="remove web?"),), buttons=(Button(label="Yes", line="confirm abc"),), ending=Ending.ASKED
)
APPROVAL = Reply(blocks=QUESTION.blocks, buttons=QUESTION.buttons, ending=Ending.ASKED, everyone=True)
SLASH, MENTION, DM = slack_request(), slack_request(Source.MENTION, thread="4.1"), slack_request(Source.DM)
PUBLIC, PRIVATE = slack_request(Source.CLICK), slack_request(Source.CLICK, private=True)


class Scene:
    """One talk over a scripted Slack: `said` tells what came of it, without the heads of messages."""

    def __init__(self) -> None:
        self.calls, self.memory = FakeSlackApi(), FakeStore()
        self.box = outbox(self.calls, self.memory)

    def talk(self, request: SlackRequest, line: str = "") -> SlackResponder:
        made = SlackResponder(request, line or request.text, self.box, self.memory)
        made.set_requester_name("ann")
        return made

    async def walk(
        self, request: SlackRequest, *replies: Reply, begun: ActionStarted | None = None, takes: float = 0
    ) -> None:
        async with self.talk(request) as talk:
            if begun is not None:
                talk.started(begun)
            if takes:
                await asyncio.sleep(takes)
            for reply in replies:
                await talk.finish(reply)

    @property
    def said(self) -> list[tuple[str, str, str]]:
        return [(one.how, one.where, one.text.rpartition("\n")[2]) for one in self.calls.said]


# Each way in, each kind of reply.


@pytest.mark.parametrize("reply", [READ, REFUSED, QUESTION], ids=["read", "refusal", "question"])
@pytest.mark.parametrize(
    ("way", "how", "where"), [(SLASH, "respond", URL), (MENTION, "whisper", "C1"), (DM, "post", "D1")]
)
async def test_reads_refusals_and_questions_are_for_the_asker_alone(
    reply: Reply, way: SlackRequest, how: str, where: str
) -> None:
    scene = Scene()
    await scene.walk(way, reply)
    ((said, place, text),) = scene.said
    assert (said, place) == (how, where)
    assert scene.calls.said[0].thread == way.thread
    assert text.endswith(reply.blocks[0].text)  # type: ignore[union-attr]


async def test_a_clicks_read_stands_beside_the_message_clicked() -> None:
    scene = Scene()
    await scene.walk(slack_request(Source.CLICK, text="ps -a"), READ)
    assert scene.said == [("respond", URL, "two containers")]


@pytest.mark.parametrize("reply", [SHARED, APPROVAL], ids=["shared", "approval"])
@pytest.mark.parametrize(("way", "where"), [(SLASH, "C1"), (MENTION, "C1"), (DM, "D1")])
async def test_what_everybody_should_see_is_posted_under_the_askers_name(
    reply: Reply, way: SlackRequest, where: str
) -> None:
    scene = Scene()
    await scene.walk(way, reply)
    (one,) = scene.calls.said
    assert (one.how, one.where, one.thread) == ("post", where, way.thread)
    assert "ann" in one.text.splitlines()[0]
    assert "`ps`" in one.text.splitlines()[0]


@pytest.mark.parametrize(("way", "where"), [(SLASH, "C1"), (MENTION, "C1"), (DM, "D1")])
async def test_a_change_is_posted_when_it_begins_and_edited_when_it_ends(way: SlackRequest, where: str) -> None:
    scene = Scene()
    await scene.walk(way, DONE, begun=BEGUN)
    assert [one[:2] for one in scene.said] == [("post", where), ("edit", where)]
    assert [one[2].endswith(text) for one, text in zip(scene.said, ("restarting web…", "web restarted"), strict=True)]
    posted, edited = scene.calls.said
    assert edited.ts == posted.ts
    assert "`restart web`" in edited.text
    assert msgspec.json.decode(scene.memory.where["slack-1"], type=PostedMessage) == PostedMessage(
        where, posted.ts, way.thread
    )


SECRET = Reply(blocks=(Text(text="Here is the-token"), Lines(lines=("SWMTKN",), secret=True)))


@pytest.mark.parametrize("begun", [None, BEGUN])
@pytest.mark.parametrize(("way", "how"), [(SLASH, "respond"), (MENTION, "whisper"), (DM, "post")])
async def test_a_secret_goes_to_the_asker_alone_whatever_was_posted_before(
    way: SlackRequest, how: str, begun: ActionStarted | None
) -> None:
    scene = Scene()
    await scene.walk(way, SECRET, begun=begun)
    told = [one for one in scene.calls.said if "the-token" in one.text]
    assert [one.how for one in told] == [how]
    assert begun is None or "nobody else" in scene.calls.said[-1].text


async def test_a_question_in_the_channel_that_is_answered_with_a_secret_only_says_that_it_was() -> None:
    scene = Scene()
    await scene.walk(PUBLIC, SECRET)
    private, public = scene.calls.said
    assert (private.how, public.how) == ("respond", "edit")
    assert "the-token" in private.text and "the-token" not in public.text


OUTPUT = Reply(blocks=(Text(text="ls in web ended with code 0"), Text(text="the-output")), private=True)


@pytest.mark.parametrize(("way", "how"), [(SLASH, "respond"), (MENTION, "whisper")])
async def test_the_output_of_a_program_goes_to_the_asker_and_its_end_to_the_channel(
    way: SlackRequest, how: str
) -> None:
    scene = Scene()
    await scene.walk(way, OUTPUT, begun=BEGUN)
    assert [one.how for one in scene.calls.said if "the-output" in one.text] == [how]
    assert "ls in web ended with code 0" in scene.calls.said[-1].text
    assert "the-output" not in scene.calls.said[-1].text


async def test_in_direct_messages_the_output_of_a_program_is_part_of_the_reply() -> None:
    scene = Scene()
    await scene.walk(DM, OUTPUT, begun=BEGUN)
    assert [one.how for one in scene.calls.said] == ["post", "edit"]
    assert "the-output" in scene.calls.said[-1].text


async def test_the_output_of_a_program_that_was_announced_nowhere_goes_to_the_asker_alone() -> None:
    scene = Scene()
    await scene.walk(SLASH, OUTPUT)
    assert [one.how for one in scene.calls.said] == ["respond"]


async def test_many_names_are_not_all_told() -> None:
    scene = Scene()
    await scene.walk(SLASH, DONE, begun=ActionStarted(line="x", doing="stopping", names=[f"c{n}" for n in range(30)]))
    assert scene.said[0][2].endswith("c9 and 20 more…")


async def test_the_end_waits_for_a_beginning_that_is_still_being_posted() -> None:
    scene = Scene()
    scene.calls.slow = {"post": 20.0}
    await scene.walk(SLASH, DONE, begun=BEGUN)
    assert [one[0] for one in scene.said] == ["post", "edit"]


# “Working on it…”


@pytest.mark.parametrize(
    ("way", "how"), [(SLASH, ["respond", "respond"]), (MENTION, ["whisper", "whisper"]), (DM, ["post", "edit"])]
)
async def test_what_takes_longer_than_a_moment_says_so_once(way: SlackRequest, how: list[str]) -> None:
    scene = Scene()
    await scene.walk(way, READ, takes=responder.WORKING_AFTER_SECONDS + 60)
    assert [one[0] for one in scene.said] == how
    assert [one[2] for one in scene.said] == [responder.WORKING, "two containers"]
    assert scene.calls.said[0].at == responder.WORKING_AFTER_SECONDS


@pytest.mark.parametrize("way", [SLASH, MENTION, DM, PUBLIC, PRIVATE])
async def test_what_is_quick_says_nothing_of_it(way: SlackRequest) -> None:
    scene = Scene()
    await scene.walk(way, REFUSED, takes=responder.WORKING_AFTER_SECONDS - 0.1)
    await asyncio.sleep(60)
    assert responder.WORKING not in [one[2] for one in scene.said]


@pytest.mark.parametrize("way", [SLASH, MENTION, DM])
async def test_while_slack_asks_for_patience_only_answers_are_said(way: SlackRequest) -> None:
    scene = Scene()
    scene.calls.calm = False
    await scene.walk(way, READ, takes=60)
    assert [one[2] for one in scene.said] == ["two containers"]


@pytest.mark.parametrize("way", [SLASH, MENTION, DM])
async def test_the_final_word_comes_after_a_working_note_that_is_on_its_way(way: SlackRequest) -> None:
    scene = Scene()
    scene.calls.slow = {"respond": 1.0, "whisper": 1.0, "post": 1.0}
    await scene.walk(way, READ, takes=responder.WORKING_AFTER_SECONDS + 0.1)
    assert [one[2] for one in scene.said] == [responder.WORKING, "two containers"]


@pytest.mark.parametrize("way", [SLASH, MENTION, DM])
async def test_a_working_note_that_fails_costs_nothing(way: SlackRequest) -> None:
    scene = Scene()
    for how in ("respond", "whisper", "post"):
        scene.calls.refuse[how] = ["internal_error"]
    await scene.walk(way, READ, takes=5)
    assert [one[2] for one in scene.said] == ["two containers"]


async def test_a_change_that_began_is_its_own_working_note_and_takes_its_place_in_a_direct_message() -> None:
    scene = Scene()
    await scene.walk(SLASH, DONE, begun=BEGUN, takes=30)
    assert [one[0] for one in scene.said] == ["post", "edit"]
    scene = Scene()
    async with scene.talk(DM) as talk:
        await asyncio.sleep(2)
        talk.started(BEGUN)
        await asyncio.sleep(10)
        await talk.finish(DONE)
    assert [one[0] for one in scene.said] == ["post", "edit", "edit"]
    assert len({one.ts for one in scene.calls.said}) == 1


async def test_what_was_delivered_before_says_nothing() -> None:
    scene = Scene()
    await scene.walk(SLASH)
    await asyncio.sleep(60)
    assert scene.said == []


# Answers to questions.


async def test_a_public_question_becomes_the_change_and_its_outcome() -> None:
    scene = Scene()
    await scene.walk(PUBLIC, DONE, begun=BEGUN, takes=5)
    assert [(one.how, one.ts) for one in scene.calls.said] == [("edit", "5.0001"), ("edit", "5.0001")]
    assert "`restart web`" in scene.calls.said[1].text  # what was asked, not the words of the button


async def test_a_private_question_goes_once_the_channel_shows_the_change() -> None:
    scene = Scene()
    await scene.walk(PRIVATE, DONE, begun=BEGUN, takes=5)
    assert [one[:2] for one in scene.said] == [("post", "C1"), ("take away", URL), ("edit", "C1")]


@pytest.mark.parametrize(("way", "how"), [(PUBLIC, "edit"), (PRIVATE, "replace")])
async def test_a_cancelled_question_says_so_in_its_place(way: SlackRequest, how: str) -> None:
    scene = Scene()
    await scene.walk(way, text_reply("Cancelled, nothing was done"))
    assert [one[0] for one in scene.said] == [how]


@pytest.mark.parametrize("way", [PUBLIC, PRIVATE])
async def test_who_may_not_answer_is_told_alone_and_the_question_stays(way: SlackRequest) -> None:
    scene = Scene()
    await scene.walk(way, REFUSED)
    assert scene.said == [("respond", URL, scene.said[0][2])]


@pytest.mark.parametrize(("way", "how"), [(PUBLIC, "edit"), (PRIVATE, "replace")])
async def test_a_question_that_waited_too_long_says_so_in_its_place(way: SlackRequest, how: str) -> None:
    scene = Scene()
    await scene.walk(way, EXPIRED)
    assert [one[0] for one in scene.said] == [how]


@pytest.mark.parametrize("way", [PUBLIC, PRIVATE])
async def test_a_second_click_does_not_write_over_what_became_of_the_question(way: SlackRequest) -> None:
    for first in (text_reply("Cancelled, nothing was done"), DONE):
        scene = Scene()
        await scene.walk(way, first, begun=BEGUN if first is DONE else None)
        before = len(scene.said)
        await scene.walk(way, EXPIRED)
        assert [one[0] for one in scene.said[before:]] == ["respond"]


async def test_a_private_question_that_came_to_need_approval_is_asked_where_approvers_see_it() -> None:
    scene = Scene()
    await scene.walk(PRIVATE, APPROVAL)
    assert [one[:2] for one in scene.said] == [("post", "C1"), ("take away", URL)]


async def test_a_question_whose_message_is_gone_is_answered_to_the_clicker() -> None:
    scene = Scene()
    scene.calls.refuse["edit"] = ["message_not_found"] * 2
    await scene.walk(PUBLIC, DONE, begun=BEGUN)
    assert [one[:2] for one in scene.said] == [("respond", URL)]


# What goes on.


@pytest.mark.parametrize(
    ("way", "where", "thread"),
    [
        (SLASH, "DU1", None),
        (slack_request(Source.MENTION, message="3.1"), "C1", "3.1"),
        (MENTION, "C1", "4.1"),
        (DM, "D1", None),
    ],
)
async def test_followed_lines_are_one_message_edited_as_fast_as_slack_takes_it(
    way: SlackRequest, where: str, thread: str | None
) -> None:
    scene = Scene()
    async with scene.talk(way) as talk:
        for number in range(500):
            talk.progress(Progress(name="web", lines=(f"line {number}",), stop="job stop 1", read_only=True))
            await asyncio.sleep(0.01)
        await talk.finish(text_reply("ended"))
    said = [one for one in scene.calls.said if one.how in ("post", "edit")]
    assert {one.where for one in said} == {where}
    assert said[0].thread == thread
    assert [one.how for one in said].count("post") == 1
    assert len(said) <= 8  # five seconds
    assert said[-1].text.endswith("ended")


async def test_a_long_end_of_what_was_followed_lies_in_the_same_thread() -> None:
    scene = Scene()
    async with scene.talk(slack_request(Source.MENTION, message="3.1")) as talk:
        talk.progress(Progress(name="web", lines=("x",), read_only=True))
        await asyncio.sleep(1)
        await talk.finish(Reply(blocks=(Lines(lines=["y" * 100] * 1000),)))
    assert [(one.where, one.thread) for one in scene.calls.said if one.how == "upload"] == [("C1", "3.1")]


async def test_progress_is_told_in_the_changes_own_message() -> None:
    scene = Scene()
    async with scene.talk(SLASH) as talk:
        talk.started(BEGUN)
        for percent in range(100):
            talk.progress(Progress(name="web", progress=f"{percent} %"))
            await asyncio.sleep(0.1)
        await talk.finish(DONE)
    assert len({one.ts for one in scene.calls.said}) == 1
    assert scene.said[-1][2].endswith("web restarted")
    assert 8 < len(scene.said) < 16


async def test_that_time_goes_by_is_shown_calmly_and_the_outcome_is_not_held_up() -> None:
    scene = Scene()
    async with scene.talk(SLASH) as talk:
        talk.started(BEGUN)
        for second in range(1, 11):
            await asyncio.sleep(1)
            text = f"waiting for it to stop, {second} of 10 s"
            assert talk.progress(Progress(name="web", progress=text, ticking=True))
        await talk.finish(DONE)
        ended = asyncio.get_running_loop().time()
    texts = [one.text.rpartition("\n")[2] for one in scene.calls.said]
    assert texts[1] == "restarting web… waiting for it to stop, 1 of 10 s"
    assert 4 <= len(texts) <= 6
    assert texts[-1].endswith("web restarted") and scene.calls.said[-1].at - ended < 1


WATCHED = Watched(reply=text_reply("web restarted in 0.3 s. Watching web…"), stop="job stop 1@docker/h", end=print)
HEALTHY = text_reply("web restarted in 0.3 s, healthy after 6 s.", Tone.GOOD)


@pytest.mark.parametrize(("way", "where"), [(SLASH, "C1"), (MENTION, "C1"), (DM, "D1"), (PUBLIC, "C1")])
async def test_an_outcome_is_shown_at_once_and_edited_in_place_into_what_became_of_it(
    way: SlackRequest, where: str
) -> None:
    scene = Scene()
    async with scene.talk(way) as talk:
        talk.started(BEGUN)
        await asyncio.sleep(1)
        talk.watching(WATCHED)
        await asyncio.sleep(6)
        assert scene.said[-1][2].endswith("Watching web…")
        assert scene.calls.said[-1].buttons == ("job stop 1@docker/h",)
        await talk.finish(HEALTHY)
    assert scene.said[-1][:2] == ("edit", where) and scene.said[-1][2].endswith("healthy after 6 s.")
    assert not scene.calls.said[-1].buttons
    assert len({one.ts for one in scene.calls.said}) == 1, "one message, no extra noise"
    assert len(scene.calls.said) <= 3


async def test_what_cannot_be_edited_waits_for_what_became_of_it() -> None:
    scene = Scene()
    scene.calls.refuse["post"] = ["not_in_channel"]
    async with scene.talk(SLASH) as talk:
        talk.started(BEGUN)
        await asyncio.sleep(1)
        assert talk.is_private()
        talk.watching(WATCHED)
        await asyncio.sleep(6)
        assert not scene.said
        await talk.finish(HEALTHY)
    ((how, _, _),) = scene.said
    assert how == "respond"
    assert "healthy after 6 s." in scene.calls.said[0].text


async def test_only_a_reply_that_nobody_else_sees_is_private() -> None:
    for way, private in ((SLASH, False), (MENTION, False), (DM, True)):
        async with Scene().talk(way) as talk:
            talk.started(BEGUN)
            await asyncio.sleep(1)
            assert talk.is_private() is private
            await talk.finish(DONE)


async def test_a_line_that_is_cancelled_while_it_goes_on_leaves_nothing_running() -> None:
    scene = Scene()
    scene.calls.slow = {"post": 60.0}

    async def walk() -> None:
        async with scene.talk(DM) as talk:
            talk.progress(Progress(name="web", lines=("x",), read_only=True))
            await asyncio.sleep(999)

    task = asyncio.create_task(walk())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("slack_")]


# Closed ways.


@pytest.mark.parametrize("code", sorted(reply_delivery.CHANNEL_CLOSED_ERRORS))
@pytest.mark.parametrize("reply", [SHARED, APPROVAL])
async def test_not_in_the_channel_the_asker_is_told_with_the_cure(code: str, reply: Reply) -> None:
    scene = Scene()
    scene.calls.refuse["post"] = [code] * 9
    await scene.walk(SLASH, reply)
    ((how, _, text),) = scene.said
    assert how == "respond"
    assert text == reply_delivery.INVITE_HINT


@pytest.mark.parametrize(("way", "how"), [(SLASH, "respond"), (PRIVATE, "replace")])
async def test_a_change_outside_the_channel_is_told_to_the_asker_with_the_cure(way: SlackRequest, how: str) -> None:
    scene = Scene()
    scene.calls.refuse["post"] = ["not_in_channel"] * 9
    await scene.walk(way, DONE, begun=BEGUN)
    ((said, _, _),) = scene.said
    assert said == how
    assert scene.calls.said[0].text.splitlines()[-2:] == [
        ":white_check_mark: web restarted",
        reply_delivery.INVITE_HINT,
    ] or ("web restarted" in scene.calls.said[0].text and reply_delivery.INVITE_HINT in scene.calls.said[0].text)
    assert len(scene.calls.refuse["post"]) == 8  # not tried again


async def test_a_change_whose_beginning_could_not_be_said_is_still_said_to_all_at_its_end() -> None:
    scene = Scene()
    scene.calls.refuse["post"] = ["internal_error"]
    await scene.walk(SLASH, DONE, begun=BEGUN)
    assert [one[:2] for one in scene.said] == [("post", "C1")]
    assert scene.said[0][2].endswith("web restarted")


@pytest.mark.parametrize(
    ("way", "order"),
    [
        (SLASH, ["respond", "whisper", "post"]),
        (MENTION, ["whisper", "post"]),
        (DM, ["post", "open"]),
        (PUBLIC, ["edit", "respond", "whisper", "post"]),
        (PRIVATE, ["replace", "respond", "whisper", "post"]),
    ],
)
async def test_one_way_after_the_other_is_tried(way: SlackRequest, order: list[str]) -> None:
    for open_way in range(len(order)):
        scene = Scene()
        for closed in order[:open_way]:
            scene.calls.refuse[closed] = ["used_url"]
        await scene.walk(way, READ)
        reached = [one for one in scene.calls.said if one.how != "open"]
        assert len(reached) == 1
        assert reached[0].text.endswith("two containers")
        assert all(not scene.calls.refuse[closed] for closed in order[:open_way])


@pytest.mark.parametrize("way", [SLASH, MENTION, DM, PUBLIC, PRIVATE])
async def test_when_every_way_is_closed_it_is_undeliverable(way: SlackRequest) -> None:
    scene = Scene()
    for how in ("post", "edit", "whisper", "respond", "replace", "open"):
        scene.calls.refuse[how] = ["account_inactive"] * 9
    with pytest.raises(errors.Undeliverable):
        async with scene.talk(way) as talk:
            await asyncio.sleep(5)
            await talk.finish(READ)


async def test_a_message_that_went_away_meanwhile_is_said_to_the_asker() -> None:
    scene = Scene()
    scene.calls.refuse["edit"] = ["message_not_found"]
    await scene.walk(SLASH, DONE, begun=BEGUN)
    assert [one[0] for one in scene.said] == ["post", "respond"]


async def test_a_store_that_is_away_does_not_keep_a_change_from_being_said() -> None:
    scene = Scene()
    scene.memory.down = True
    await scene.walk(PRIVATE, DONE, begun=BEGUN)
    assert [one[0] for one in scene.said] == ["post", "take away", "edit"]


# Nothing is left running, and nothing said disturbs what is done.


@pytest.mark.parametrize("how", ["post", "respond"])
async def test_a_bug_in_saying_something_does_not_cancel_the_change(how: str) -> None:
    scene = Scene()
    scene.calls.broken = {how: ZeroDivisionError()}
    went_on = False
    with capture_logs() as lines:
        async with scene.talk(SLASH) as talk:
            await asyncio.sleep(2)
            talk.started(BEGUN)
            await asyncio.sleep(10)
            went_on = True
            scene.calls.broken = {}
            await talk.finish(DONE)
    assert [line["log_level"] for line in lines] == ["error"]
    assert went_on
    assert scene.said[-1][2].endswith("web restarted")


async def test_a_cancelled_line_leaves_nothing_running() -> None:
    for after, slow in ((0.5, {}), (2.0, {"respond": 60.0}), (3.0, {"post": 60.0})):
        scene = Scene()
        scene.calls.slow = dict[str, Any](slow)

        async def walk(scene: Scene = scene, after: float = after) -> None:
            async with scene.talk(SLASH) as talk:
                if after > 2:
                    talk.started(BEGUN)
                await asyncio.sleep(999)

        task = asyncio.create_task(walk())
        await asyncio.sleep(after)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not [one for one in asyncio.all_tasks() if one.get_name().startswith("slack_")]


async def test_two_edits_of_one_talk_never_overtake_each_other() -> None:
    scene = Scene()
    scene.calls.slow = {"edit": 3.0}
    await scene.walk(PUBLIC, DONE, begun=BEGUN)
    texts = [one[2] for one in scene.said]
    assert texts[0].endswith("restarting web…")
    assert texts[1].endswith("web restarted")
