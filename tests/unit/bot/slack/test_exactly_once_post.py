"""One message, whatever becomes of Slack's answers: against the stand-in, over HTTP."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from bot.slack import api as api_module
from bot.slack import exactly_once_post
from bot.slack.api import SlackApi
from bot.slack.exactly_once_post import REPEATED, post_once
from bot.slack.render import Message
from core import errors
from core.metrics import Metrics
from tests.standins.slack import state
from tests.standins.slack.standin import Standin

HELLO = Message(text="web crashed", blocks=({"type": "section", "text": {"type": "mrkdwn", "text": "web crashed"}},))


class Scene:
    def __init__(self, slack: Standin, calls: SlackApi) -> None:
        self.slack, self.calls, self.counted = slack, calls, Counter[str]()

    async def post(self, *, token: str = "t1", message: Message = HELLO, **more) -> str:
        return await post_once(
            self.calls, "C0OPS", message, token=token, count=lambda outcome: self.counted.update([outcome]), **more
        )

    async def may_search(self, *scopes: str) -> None:
        self.slack.workspace.scopes |= {*scopes}
        await self.calls.auth()

    def shown(self, thread_ts: str = "") -> list[str]:
        return [one["text"] for one in self.slack.screen("ada", "ops", thread_ts)]


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(exactly_once_post, "MIN_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(exactly_once_post, "MAX_PAUSE_SECONDS", 0.002)
    async with Standin(seed=1) as slack:
        calls = SlackApi(state.BOT_TOKEN, slack.api, Metrics())
        await calls.open()
        made = Scene(slack, calls)
        await made.may_search()
        yield made
        await calls.aclose()
        assert slack.violations() == []


LOST = ["500", "reset", "internal_error"]


@pytest.mark.parametrize("kind", LOST)
async def test_a_message_whose_answer_was_lost_is_found_where_the_scope_is_granted(scene: Scene, kind: str) -> None:
    await scene.may_search("channels:history")
    scene.slack.fault("chat.postMessage", kind, applied=True)
    ts = await scene.post()
    assert scene.shown() == ["web crashed"]
    assert scene.slack.screen("ada", "ops")[0]["ts"] == ts
    assert scene.counted == {"found": 1}


@pytest.mark.parametrize("kind", LOST)
async def test_a_message_that_is_not_there_is_posted_again_without_a_note(scene: Scene, kind: str) -> None:
    await scene.may_search("channels:history")
    scene.slack.fault("chat.postMessage", kind, count=2)
    await scene.post()
    assert scene.shown() == ["web crashed"]
    assert scene.counted == {}


async def test_without_the_scope_it_is_repeated_once_marked_and_counted(scene: Scene) -> None:
    scene.slack.fault("chat.postMessage", "reset", applied=True)
    await scene.post()
    first, second = scene.shown()
    assert first == "web crashed" and REPEATED in second
    assert scene.counted == {"repeated": 1}
    assert scene.slack.calls("conversations.history") == []  # it is known that it would be refused


async def test_an_answer_that_says_wait_is_an_answer(scene: Scene) -> None:
    scene.slack.fault("chat.postMessage", "429", retry_after=1)
    await scene.post()
    assert scene.shown() == ["web crashed"] and scene.counted == {}


async def test_a_process_that_was_killed_is_followed_by_one_that_finds_its_message(scene: Scene) -> None:
    await scene.may_search("channels:history")
    began = time.time()
    ts = await scene.calls.post("C0OPS", HELLO, token="t1")
    for number in range(api_module.PAGE_SIZE + 20):
        await scene.slack.say("bob", "ops", f"chatter {number}")
    assert await scene.post(tried_at=began) == ts
    assert scene.shown().count("web crashed") == 1
    assert await scene.post(token="t2", tried_at=began) != ts  # another message
    assert scene.counted == {"found": 1}


async def test_a_message_that_may_be_older_than_all_that_is_searched_is_marked_as_perhaps_repeated(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_module, "PAGE_SIZE", 2)
    monkeypatch.setattr(api_module, "SEARCH_PAGES", 2)
    await scene.may_search("channels:history")
    began = time.time()
    await scene.calls.post("C0OPS", HELLO, token="t1")
    for number in range(5):
        await scene.slack.say("bob", "ops", f"chatter {number}")
    await scene.post(tried_at=began)
    assert REPEATED in scene.shown()[-1] and scene.counted == {"repeated": 1}


async def test_a_reply_in_a_thread_is_found_in_its_thread(scene: Scene) -> None:
    await scene.may_search("channels:history")
    parent = await scene.post()
    scene.slack.fault("chat.postMessage", "reset", applied=True)
    details = Message(text="details", blocks=())
    ts = await scene.post(token="t2", message=details, thread=parent)
    assert scene.shown(parent)[1:] == ["details"]
    assert scene.slack.screen("ada", "ops", parent)[1]["ts"] == ts
    assert scene.counted == {"found": 1}


async def test_a_search_that_fails_for_a_while_posts_nothing_twice(scene: Scene) -> None:
    await scene.may_search("channels:history")
    scene.slack.fault("chat.postMessage", "reset", applied=True)
    scene.slack.fault("conversations.history", "internal_error", count=2)
    await scene.post()
    assert scene.shown() == ["web crashed"] and scene.counted == {"found": 1}


async def test_a_scope_that_was_taken_away_means_no_search(scene: Scene) -> None:
    await scene.may_search("channels:history")
    scene.slack.withhold("channels:history")
    scene.slack.fault("chat.postMessage", "reset", applied=True)
    await scene.post()
    assert len(scene.shown()) == 2 and scene.counted == {"repeated": 1}


async def test_an_outage_ends_with_an_error_that_says_that_the_message_may_be_there(scene: Scene) -> None:
    scene.slack.fault("chat.postMessage", "500", count=100)
    with pytest.raises(errors.Undeliverable) as lost:
        await scene.post()
    assert lost.value.maybe_sent
    assert len(scene.slack.calls("chat.postMessage")) == exactly_once_post.MAX_TRIES
    scene.slack.clear_faults()
    await asyncio.sleep(0)
    await scene.post(tried_at=time.time())
    assert len(scene.shown()) == 1 and REPEATED in scene.shown()[0]


async def test_a_refusal_is_raised_at_once(scene: Scene) -> None:
    scene.slack.archive("C0OPS")
    with pytest.raises(errors.Undeliverable) as refused:
        await scene.post()
    assert not refused.value.maybe_sent and len(scene.slack.calls("chat.postMessage")) == 1
