"""What is said in turn: pacing, the newest edit, shapes, bounds; on fake loop time."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from typing import Any

import pytest

from bot.slack import outbox as module
from bot.slack import rate_limiter
from bot.slack.outbox import EDIT_INTERVAL_SECONDS, POST_INTERVAL_SECONDS, OutgoingMessage
from bot.slack.render import Message, TableFormat, TextFile
from bot.slack.send_queue import Priority
from core import errors
from tests.unit.bot.slack.scripted import FakeSlackApi, FakeStore, outbox, outgoing

pytestmark = pytest.mark.looptime
FILE = TextFile(name="logs.txt", title="logs", text="long")


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 120)
    monkeypatch.setattr(module, "MAX_LANES", 64)


def now() -> float:
    return asyncio.get_running_loop().time()


def table(*, plain: bool = True) -> OutgoingMessage:
    """A outgoing whose blocks tell the shape they are in."""
    kinds = {
        TableFormat.LONG_TABLE: "data_table",
        TableFormat.ROW_BUTTONS: "data_table",
        TableFormat.CHART: "data_table",
        TableFormat.DATA_TABLE: "data_table",
        TableFormat.TABLE: "table",
        TableFormat.PLAIN: "section" if plain else "table",
    }
    return lambda shape: Message(text=f"as {shape.name}", blocks=({"type": kinds[shape]},))


# Turns.


async def test_new_messages_of_a_channel_go_one_a_second_in_order_and_channels_do_not_wait_for_each_other() -> None:
    calls = FakeSlackApi()
    box = outbox(calls)
    await asyncio.gather(*(box.post(f"C{n % 2}", outgoing(str(n))) for n in range(10)))
    for channel in ("C0", "C1"):
        sent = [one for one in calls.said if one.where == channel]
        assert [int(one.text) for one in sent] == sorted(int(one.text) for one in sent)
        assert [round(later.at - one.at, 2) for one, later in itertools.pairwise(sent)] == [POST_INTERVAL_SECONDS] * 4
    assert now() == pytest.approx(4 * POST_INTERVAL_SECONDS)


async def test_a_hundred_edits_are_the_first_and_the_last() -> None:
    calls = FakeSlackApi()
    box = outbox(calls)
    await asyncio.gather(*(box.edit("C1", "1.1", outgoing(str(number))) for number in range(100)))
    assert calls.texts() == [("edit", "0"), ("edit", "99")]
    assert calls.said[1].at - calls.said[0].at == pytest.approx(EDIT_INTERVAL_SECONDS)


async def test_an_edit_that_comes_while_one_is_on_its_way_goes_after_it() -> None:
    calls = FakeSlackApi()
    calls.slow = {"edit": 5.0}
    box = outbox(calls)
    first = asyncio.create_task(box.edit("C1", "1.1", outgoing("begun")))
    await asyncio.sleep(1)
    await box.edit("C1", "1.1", outgoing("done"))
    await first
    assert [one.text for one in calls.said] == ["begun", "done"]


async def test_a_message_that_slack_made_wait_holds_back_its_channel_and_nothing_else() -> None:
    calls = FakeSlackApi()
    calls.slow = {"post": 30.0}  # as a 429 is waited out inside a call
    box = outbox(calls)
    posts = [asyncio.create_task(box.post("C1", outgoing("one"))), asyncio.create_task(box.post("C1", outgoing("two")))]
    await asyncio.sleep(0.1)
    await box.edit("C1", "1.1", outgoing("edit"))
    await box.edit("C2", "1.2", outgoing("edit"))
    assert now() == pytest.approx(0.1)
    calls.slow = {}
    await asyncio.gather(*posts)
    at = [one.at for one in calls.said if one.how == "post"]
    assert at == [30.0, pytest.approx(30.0 + POST_INTERVAL_SECONDS)]


async def test_one_that_is_cancelled_while_it_waits_lets_the_next_go() -> None:
    calls = FakeSlackApi()
    box = outbox(calls)
    tasks = [asyncio.create_task(box.post("C1", outgoing(str(number)))) for number in range(3)]
    await asyncio.sleep(0.5)
    tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [one.text for one in calls.said] == ["0", "2"]
    assert box._waiting == 0


async def test_what_does_not_fit_is_refused_and_told_and_displaces_nothing() -> None:
    calls = FakeSlackApi()
    box = outbox(calls)
    calls.slow = {"post": 0.001}
    await box.edit("C1", "1.1", outgoing("first"))
    waiting = asyncio.create_task(box.edit("C1", "1.1", outgoing("waits")))
    posts = [asyncio.create_task(box.post("C2", outgoing(str(number)))) for number in range(module.MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(errors.Undeliverable, match="wait to be sent to Slack") as refused:
        await box.edit("C1", "1.1", outgoing("too much"))
    assert refused.value.code == "overflow"
    await waiting
    await asyncio.gather(*posts, return_exceptions=True)
    assert calls.texts("edit") == [("edit", "first"), ("edit", "waits")]
    assert len(calls.texts("post")) == module.MAX_WAITING - 1
    assert box._waiting == 0


async def test_lanes_are_bounded_keep_no_replies_and_are_not_forgotten_in_use() -> None:
    calls = FakeSlackApi()
    calls.slow = {"post": 10_000.0}
    box = outbox(calls)
    slow = [asyncio.create_task(box.post("C1", outgoing("one"))), asyncio.create_task(box.post("C1", outgoing("two")))]
    await asyncio.sleep(0)
    for number in range(3 * module.MAX_LANES):
        await box.edit("C2", str(number), outgoing("x"))
        if number % 10 == 0:
            await asyncio.sleep(200)
    assert len(box._lanes) <= module.MAX_LANES
    assert all(lane.newest is None for lane in box._lanes.values())
    assert ("C1", "") in box._lanes
    calls.slow = {}
    await asyncio.gather(*slow)
    assert [one.text for one in calls.said if one.how == "post"] == ["one", "two"]


async def test_a_lane_whose_next_turn_is_not_due_is_not_forgotten() -> None:
    calls = FakeSlackApi()
    box = outbox(calls)
    await box.post("C1", outgoing("one"))
    for number in range(2 * module.MAX_LANES):
        box.mark_changed("C2", str(number))
    await box.post("C1", outgoing("two"))
    assert now() == pytest.approx(POST_INTERVAL_SECONDS)


# Shapes.


async def test_a_workspace_without_new_blocks_is_found_out_once_and_remembered() -> None:
    calls, memory = FakeSlackApi(), FakeStore()
    calls.refuse["post"] = ["invalid_blocks"]
    box = outbox(calls, memory)
    await box.load_table_format("T1")
    await box.post("C1", table())
    await box.post("C1", table())
    assert [one.text for one in calls.said] == ["as TABLE", "as TABLE"]
    assert memory.shapes == {"T1": TableFormat.TABLE}
    other = outbox(FakeSlackApi(), memory)
    await other.load_table_format("T1")
    assert other.table_format is TableFormat.TABLE


async def test_what_is_remembered_of_a_workspace_is_doubted_when_the_store_has_forgotten() -> None:
    memory = FakeStore()
    memory.shapes = {"T1": TableFormat.PLAIN}
    box = outbox(FakeSlackApi(), memory)
    await box.load_table_format("T1")
    assert box.table_format is TableFormat.PLAIN
    memory.down = True
    await box.load_table_format("T1")
    assert box.table_format is TableFormat.PLAIN
    memory.down, memory.shapes = False, {}
    await box.load_table_format("T1")
    assert box.table_format >= TableFormat.LONG_TABLE
    memory.shapes = {"T1": 99}  # by another version
    await box.load_table_format("T1")
    assert box.table_format >= TableFormat.LONG_TABLE


async def test_blocks_that_are_too_long_are_this_messages_fault_alone() -> None:
    calls, memory = FakeSlackApi(), FakeStore()
    calls.refuse["post"] = ["msg_blocks_too_long"]
    box = outbox(calls, memory)
    await box.post("C1", table())
    assert calls.said[0].text == "as TABLE"
    assert box.table_format >= TableFormat.LONG_TABLE
    assert memory.shapes == {}


async def test_bare_text_is_the_last_thing_tried_and_is_not_held_against_the_workspace() -> None:
    calls, memory = FakeSlackApi(), FakeStore()
    calls.refuse["post"] = ["invalid_blocks"] * 3
    box = outbox(calls, memory)
    await box.post("C1", table())
    assert [(one.text, one.blocks) for one in calls.said] == [("as PLAIN", 0)]
    assert memory.shapes == {}
    calls.refuse["post"] = ["invalid_blocks"]
    await box.post("C1", lambda shape: Message(text="words", blocks=({"type": "section"},)))
    assert (calls.said[1].text, calls.said[1].blocks) == ("words", 0)


async def test_when_not_even_bare_text_is_taken_it_is_undeliverable() -> None:
    calls = FakeSlackApi()
    calls.refuse["post"] = ["invalid_blocks"] * 4
    with pytest.raises(errors.Undeliverable):
        await outbox(calls).post("C1", table())
    assert calls.refuse["post"] == []
    calls.refuse["post"] = ["channel_not_found"]
    with pytest.raises(errors.Undeliverable) as refused:
        await outbox(calls).post("C1", table())
    assert refused.value.code == "channel_not_found"


async def test_a_workspace_without_charts_keeps_its_data_tables() -> None:
    calls, memory = FakeSlackApi(), FakeStore()
    calls.refuse["post"] = ["invalid_blocks"]
    box = outbox(calls, memory)
    await box.load_table_format("T1")
    kinds = dict.fromkeys((TableFormat.ROW_BUTTONS, TableFormat.LONG_TABLE, TableFormat.CHART), "data_visualization")
    await box.post(
        "C1", lambda shape: Message(text=f"as {shape.name}", blocks=({"type": kinds.get(shape, "rich_text")},))
    )
    assert [one.text for one in calls.said] == ["as DATA_TABLE"]
    assert memory.shapes == {"T1": TableFormat.DATA_TABLE}


async def test_a_shape_that_cannot_be_kept_is_still_used() -> None:
    calls, memory = FakeSlackApi(), FakeStore()
    memory.down = True
    calls.refuse["post"] = ["invalid_blocks"]
    box = outbox(calls, memory)
    await box.load_table_format("T1")
    await box.post("C1", table())
    assert box.table_format is TableFormat.TABLE


async def test_a_workspace_with_the_older_limits_is_found_out_by_one_long_table() -> None:
    calls, memory = FakeSlackApi(), FakeStore()
    box = outbox(calls, memory)
    await box.load_table_format("T1")
    long, short = ({"type": "data_table", "rows": [[{"text": "x"}]] * rows} for rows in (201, 100))

    def listed(shape: TableFormat) -> Message:
        return Message(text=f"as {shape.name}", blocks=(long if shape >= TableFormat.LONG_TABLE else short,))

    await box.post("C1", listed)
    assert memory.shapes == {}
    calls.refuse["post"] = ["msg_blocks_too_long"]
    await box.post("C1", listed)
    await box.post("C1", listed)
    assert [one.text for one in calls.said] == ["as ROW_BUTTONS", "as CHART", "as CHART"]
    assert memory.shapes == {"T1": TableFormat.CHART}


# The pace of edits.


async def follow_logs(box: Any, number: int, seconds: float) -> list[asyncio.Task[None]]:
    """Edits so many messages as often as they may be edited, for some seconds."""

    async def follow(ts: str) -> None:
        ends = now() + seconds
        while now() < ends:
            await box.edit("C1", ts, outgoing(f"{ts} at {now():.0f}"), priority=Priority.INFO)

    return [asyncio.create_task(follow(f"1.{at}")) for at in range(number)]


async def test_five_followed_logs_stay_below_what_slack_grants_and_share_it() -> None:
    calls = FakeSlackApi()
    tasks = await follow_logs(outbox(calls), 5, 180.0)
    await asyncio.gather(*tasks)
    for begin in range(0, 180, 10):
        assert sum(begin <= one.at < begin + 60 for one in calls.said) <= rate_limiter.EDITS_PER_MINUTE
    shares = Counter(one.ts for one in calls.said)
    assert len(calls.said) >= 2 * (rate_limiter.EDITS_PER_MINUTE - rate_limiter.EDIT_BURST)
    assert max(shares.values()) - min(shares.values()) <= 3


async def test_a_reply_is_edited_before_live_messages_and_replaces_the_one_that_waits() -> None:
    calls = FakeSlackApi()
    box = outbox(calls)
    tasks = await follow_logs(box, 8, 60.0)
    await asyncio.sleep(30)
    waits = asyncio.create_task(box.edit("C1", "9.9", outgoing("line"), priority=Priority.INFO))
    await asyncio.sleep(0.1)
    began = now()
    await asyncio.gather(box.edit("C1", "9.9", outgoing("done")), box.edit("C1", "7.1", outgoing("restarted")))
    at = {one.text: one.at for one in calls.said}
    assert waits.done() and "line" not in at
    assert at["restarted"] - began < 4.6 and at["done"] - began < 4.6, "of eight logs, one is sent every 12 seconds"
    await asyncio.gather(*tasks)
    assert box._waiting == 0


async def test_an_edit_that_is_cancelled_while_it_waits_for_the_pace_takes_no_turn() -> None:
    calls = FakeSlackApi()
    box = outbox(calls)
    tasks = await follow_logs(box, 8, 20.0)
    await asyncio.sleep(18)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert box._waiting == 0
    began = now()
    await box.edit("C2", "1.1", outgoing("x"))
    assert now() - began < 2
    assert len(asyncio.all_tasks()) == 1


# Papers.


async def test_a_paper_lies_beside_its_message() -> None:
    calls = FakeSlackApi()
    box = outbox(calls)
    await box.post("C1", outgoing("a", file=FILE), thread="4.1")
    await box.edit("C1", "5.1", outgoing("b", file=FILE))
    await box.edit("C1", "5.2", outgoing("c", file=FILE), thread="4.1")
    await box.edit("D1", "5.3", outgoing("d", file=FILE))
    assert [(one.where, one.thread) for one in calls.said if one.how == "upload"] == [
        ("C1", "4.1"), ("C1", "5.1"), ("C1", "4.1"), ("D1", None),
    ]  # fmt: skip


async def test_a_paper_for_one_person_goes_into_their_direct_messages() -> None:
    calls = FakeSlackApi()
    box = outbox(calls)
    await box.post_ephemeral("C1", "U1", outgoing("a", file=FILE))
    await box.respond("https://hooks.example/1", "U1", outgoing("b", file=FILE), replace=False)
    assert [one.where for one in calls.said if one.how == "upload"] == ["DU1", "DU1"]
    assert [one.how for one in calls.said].count("open") == 1


@pytest.mark.parametrize("refused", ["upload", "open"])
async def test_a_paper_that_finds_no_place_does_not_undo_its_message(refused: str) -> None:
    calls = FakeSlackApi()
    calls.refuse[refused] = ["missing_scope"]
    box = outbox(calls)
    await box.post_ephemeral("C1", "U1", outgoing("a", file=FILE))
    assert calls.texts("whisper") == [("whisper", "a")]
    metrics: Any = box._metrics
    assert metrics.slack_undelivered_total._value.get() == 1


async def test_the_channels_of_direct_messages_remembered_are_bounded() -> None:
    calls = FakeSlackApi()
    box = outbox(calls)
    for number in range(2 * module.MAX_LANES):
        await box.post_direct(f"U{number}", outgoing("x"))
    assert len(box._direct_channels) <= module.MAX_LANES + 1
    assert await box.post_direct("U1", outgoing("x")) == ("DU1", calls.said[-1].ts)
