"""Messages about incidents on their way to Slack: to a channel, to its name, to a person; and whom they may wake."""

from __future__ import annotations

import asyncio
import re

import pytest

from bot.notify import incident_message
from bot.notify.message_sender import SentMessage
from bot.notify.post_record import PostRecord
from bot.slack.incident_poster import IncidentPoster
from bot.slack.render import TableFormat, render_message
from core import errors
from core.model.replies import Reply, Text
from tests.unit.bot.slack.samples_incidents import FIRING
from tests.unit.bot.slack.scripted import FakeSlackApi, outbox

pytestmark = pytest.mark.looptime


class Records:
    """Records of messages in memory."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    async def begin_post(self, name: str, value: bytes, ttl: float) -> bytes | None:
        known = self.stored.get(name)
        self.stored.setdefault(name, value)
        return known

    async def finish_post(self, name: str, value: bytes, ttl: float) -> None:
        self.stored[name] = value

    async def forget_post(self, name: str) -> None:
        del self.stored[name]


HELLO = Reply(blocks=(Text(text="hello"),))


@pytest.fixture
def slack() -> FakeSlackApi:
    return FakeSlackApi()


async def test_a_channel_named_by_its_name_is_edited_by_its_id(slack: FakeSlackApi) -> None:
    poster = IncidentPoster(outbox(slack), PostRecord(Records()))
    sent = await poster.post("#ops", HELLO)
    assert sent == SentMessage(channel="C0OPS", ts="9.0001")
    await poster.edit(sent.channel, sent.ts, HELLO)
    assert [(one.how, one.where) for one in slack.said] == [("post", "#ops"), ("edit", "C0OPS")]


async def test_a_person_gets_a_direct_message(slack: FakeSlackApi) -> None:
    sent = await IncidentPoster(outbox(slack), PostRecord(Records())).post("U0ADA", HELLO)
    assert sent.channel.startswith("D")
    assert [one.how for one in slack.said] == ["open", "post"]


async def test_a_reminder_in_a_thread_is_shown_in_the_channel_too(slack: FakeSlackApi) -> None:
    poster = IncidentPoster(outbox(slack), PostRecord(Records()))
    await poster.post("C1", HELLO, "9.1", broadcast=True)
    await poster.post("C1", HELLO, "9.1")
    assert [(one.how, one.thread) for one in slack.said] == [("broadcast", "9.1"), ("post", "9.1")]


async def test_a_message_with_a_name_is_posted_once_wherever_it_went(slack: FakeSlackApi) -> None:
    poster = IncidentPoster(outbox(slack), PostRecord(Records()))
    for to in ("C1", "#ops", "U0ADA"):
        first = await poster.post(to, HELLO, once=f"hello {to}")
        again = await poster.post(to, HELLO, once=f"hello {to}")
        assert (again.channel, again.ts) == (first.channel, first.ts)
        assert again.tried_before and not first.tried_before
    assert [one.how for one in slack.said] == ["post", "post", "open", "post"]


async def test_a_message_that_was_refused_is_posted_later(slack: FakeSlackApi) -> None:
    poster = IncidentPoster(outbox(slack), PostRecord(Records()))
    slack.refuse["post"] = ["not_in_channel"]
    with pytest.raises(errors.Undeliverable):
        await poster.post("C1", HELLO, once="hello")
    assert (await poster.post("C1", HELLO, once="hello")).ts


async def test_a_deleted_message_is_told_from_other_failures(slack: FakeSlackApi) -> None:
    poster = IncidentPoster(outbox(slack), PostRecord(Records()))
    for code in ("message_not_found", "cant_update_message", "edit_window_closed"):
        slack.refuse["edit"] = [code]
        with pytest.raises(errors.MessageNotFound):
            await poster.edit("C1", "9.1", HELLO)
    slack.refuse["post"] = ["thread_not_found"]
    with pytest.raises(errors.MessageNotFound):
        await poster.post("C1", HELLO, "9.1")
    slack.refuse.update({"edit": ["not_in_channel"], "post": ["message_not_found"]})
    for call in (poster.edit("C1", "9.1", HELLO), poster.post("C1", HELLO)):
        with pytest.raises(errors.Undeliverable) as raised:
            await call
        assert type(raised.value) is errors.Undeliverable


async def test_a_post_that_was_given_up_in_the_queue_does_not_count_as_tried(slack: FakeSlackApi) -> None:
    records = Records()
    poster = IncidentPoster(outbox(slack), PostRecord(records))
    slack.slow["post"] = 60.0
    posts = [asyncio.create_task(poster.post("C1", HELLO, "9.1", once=f"entry {number}")) for number in range(3)]
    await asyncio.sleep(30)
    for post in posts:
        post.cancel()
    await asyncio.gather(*posts, return_exceptions=True)
    assert list(records.stored) == ["entry 0"], "Slack may have this one"


def without_dates(text: str) -> str:
    return re.sub(r"<!date\^\d+\^[^|<>]*\|[^<>]*>", "", text)


def test_only_ids_of_groups_and_people_are_mentioned_and_only_outside_the_text() -> None:
    given = ("S0ONCALL", "U0ADA", "!channel", "<!here>", "here", "C0OPS", "S0|x", "")
    message = render_message(incident_message.make_incident_reply(FIRING, given), table_format=TableFormat.DATA_TABLE)
    (called,) = [block for block in message.blocks if "<" in without_dates(block.get("text", {}).get("text", ""))]
    assert called["text"]["text"] == "<!subteam^S0ONCALL> <@U0ADA>"
    assert message.text.endswith("<!subteam^S0ONCALL> <@U0ADA>")


def test_nobody_is_mentioned_without_being_named() -> None:
    message = render_message(incident_message.make_incident_reply(FIRING), table_format=TableFormat.DATA_TABLE)
    assert "<" not in without_dates(message.text)
