"""What a process that died left behind is taken by one, one at a time, and told whatever version wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from bot.dispatch import audit, unfinished_commands
from core import errors
from core.model.invocation import Identity, Invocation, Place
from core.model.replies import Ending, text_reply
from core.store.records import Phase, Unfinished

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WHO = Identity(id="slack:T1/U1", name="ann")


class Store:
    """Holds these, oldest first; `taken` are those given away."""

    def __init__(self, *left: Unfinished) -> None:
        self.left = left
        self.taken: list[str] = []
        self.elsewhere: set[str] = set()
        self.rows: list[Mapping[str, str]] = []

    async def unfinished(self) -> Sequence[Unfinished]:
        return self.left

    async def take_unfinished(self, lost: Unfinished, *, audit: Sequence[Mapping[str, str]] = ()) -> bool:
        if lost.id in self.elsewhere:
            return False
        self.taken.append(lost.id)
        self.rows += audit
        return True


def left(name: str, phase: Phase = Phase.BEGUN, detail: bytes = b"", *, line: str = "ps", **more: Any) -> Unfinished:
    place = Place(channel="C1", team="T1", user="U1", response_url="https://hooks.example/1")
    inv = Invocation(id=name, who=WHO, line=line, place=place, at=NOW, deadline=NOW)
    given: dict[str, Any] = {"record": unfinished_commands.record(inv), "replica": "dead"}
    return Unfinished(id=name, phase=phase, detail=detail, **(given | more))


def detail(*targets: str) -> bytes:
    return msgspec.json.encode([{"verb": "container.restart", "target": target} for target in targets])


async def found(store: Any, *sources: str) -> list[unfinished_commands.Unfinished]:
    rows = audit.Audit(store, clock=lambda: NOW, count=lambda phase: None)
    return [one async for one in unfinished_commands.take_over(store, rows, sources or ("slack",))]


async def test_each_is_taken_when_the_one_before_was_told() -> None:
    store: Any = Store(left("one"), left("two"), left("three"))
    rows = audit.Audit(store, clock=lambda: NOW, count=lambda phase: None)
    told = []
    with pytest.raises(ZeroDivisionError):
        async for lost in unfinished_commands.take_over(store, rows, {"slack"}):
            assert store.taken == [*told, lost.id]
            told.append(lost.id)
            if lost.id == "two":
                raise ZeroDivisionError
    assert store.taken == ["one", "two"]


async def test_only_those_of_open_doors_are_taken_and_only_by_one() -> None:
    store = Store(left("one"), left("two"))
    assert await found(store, "console") == []
    assert store.taken == []
    store.elsewhere = {"one"}
    assert [one.id for one in await found(store)] == ["two"]


async def test_nothing_done_may_be_said_again_unless_it_held_a_secret_or_answers_a_question() -> None:
    lines = ("restart web", "logs web password=hunter2hunter2", "confirm abc", "CANCEL abc")
    told = await found(Store(*(left(str(n), line=line) for n, line in enumerate(lines))))
    assert [[button.line for button in one.reply.buttons] for one in told] == [["restart web"], [], [], []]
    assert "hunter2" not in "".join(one.line for one in told)


async def test_what_may_have_happened_is_audited_and_reported_as_unknown() -> None:
    store = Store(left("one", Phase.INTENT, detail("web@h1")))
    (lost,) = await found(store)
    assert lost.text == (
        "Quarterdeck ended while this command ran. It is not known whether the change was made. Quarterdeck does not"
        " repeat it. Check with: ps -a"
    )
    assert [button.line for button in lost.reply.buttons] == ["ps -a"]
    (row,) = store.rows
    assert (row["who"], row["verb"], row["target"]) == (WHO.id, "container.restart", "web@h1")
    assert (row["phase"], row["status"], row["invocation"]) == ("outcome", "unknown", "one")


async def test_of_several_targets_only_those_without_an_outcome_are_unknown() -> None:
    store = Store(left("one", Phase.INTENT, detail("web@h1", "db@h1", "api@h1"), outcomes={0: "done", 2: "failed"}))
    (lost,) = await found(store)
    assert lost.text == (
        "Quarterdeck ended while this command ran. web@h1: done, api@h1: failed. It is not known whether the change"
        " was made for db@h1. Quarterdeck does not repeat it. Check with: ps -a"
    )
    assert [row["target"] for row in store.rows] == ["db@h1"]


async def test_a_change_whose_outcomes_are_all_recorded_is_not_unknown() -> None:
    store = Store(left("one", Phase.INTENT, detail("web@h1", "db@h1"), outcomes={0: "done", 1: "failed"}))
    (lost,) = await found(store)
    assert lost.text == "Quarterdeck was restarted before it could reply. web@h1: done, db@h1: failed."
    assert not store.rows
    assert not lost.reply.buttons


async def test_what_was_done_is_told_as_it_ended() -> None:
    ended = unfinished_commands.ended(text_reply("web restarted " + "x" * 5000, ending=Ending.OK))
    (told,) = await found(Store(left("one", Phase.ENDED, ended)))
    assert "web restarted" in told.text
    assert len(told.text) < unfinished_commands.MAX_TEXT + 100


async def test_what_another_version_wrote_is_told_as_well_as_it_can_be() -> None:
    store = Store(
        left("a", Phase.INTENT, b"?"), left("b", Phase.ENDED, b"{}"), left("c"), left("d", record=b'{"v": 2}')
    )
    told = await found(store, "slack", "console")
    assert [one.id for one in told] == ["a", "b", "c", "d"]
    assert "not known" in told[0].text
    assert "The audit has the result." in told[1].text
    assert told[3].who == "console:"
    assert len(store.rows) == 1


async def test_a_store_that_is_away_is_said() -> None:
    class Away(Store):
        async def unfinished(self) -> Sequence[Unfinished]:
            raise errors.StoreDown

    with pytest.raises(errors.StoreDown):
        await found(Away())
