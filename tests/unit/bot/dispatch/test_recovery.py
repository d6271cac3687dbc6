"""What a process that died left behind is taken by one, one at a time, and told whatever version wrote it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from bot.dispatch import recovery
from core import errors
from core.model.identity import Identity, Invocation, Place
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

    async def unfinished(self) -> Sequence[Unfinished]:
        return self.left

    async def take_unfinished(self, id: str, *, seen: Phase | None = None) -> bool:  # noqa: A002
        if id in self.elsewhere:
            return False
        self.taken.append(id)
        return True


class Trail:
    def __init__(self) -> None:
        self.rows: list[tuple[Mapping[str, str], Sequence[Mapping[str, str]]]] = []

    async def lost(self, row: Mapping[str, str], targets: Sequence[Mapping[str, str]], text: str) -> None:
        self.rows.append((row, targets))


def left(name: str, phase: Phase = Phase.BEGUN, detail: bytes = b"", *, line: str = "ps", **more: Any) -> Unfinished:
    place = Place(channel="C1", team="T1", user="U1", response_url="https://hooks.example/1")
    inv = Invocation(id=name, who=WHO, line=line, place=place, at=NOW, deadline=NOW)
    given: dict[str, Any] = {"record": recovery.record(inv), "replica": "dead"}
    return Unfinished(id=name, phase=phase, detail=detail, **(given | more))


async def found(store: Store, *doors: str, trail: Trail | None = None) -> list[recovery.Unfinished]:
    parts: Any = (store, trail or Trail())
    return [one async for one in recovery.recover(*parts, doors or ("slack",))]


async def test_each_is_taken_when_the_one_before_was_told() -> None:
    store: Any = Store(left("one"), left("two"), left("three"))
    trail: Any = Trail()
    told = []
    with pytest.raises(ZeroDivisionError):
        async for lost in recovery.recover(store, trail, {"slack"}):
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


async def test_what_may_have_happened_is_audited_and_said_as_unknown() -> None:
    trail = Trail()
    detail = msgspec.json.encode([{"verb": "container.restart", "target": "web@h1"}])
    (told,) = await found(Store(left("one", Phase.INTENT, detail)), trail=trail)
    assert "not known" in told.text
    ((row, targets),) = trail.rows
    assert (row["who"], targets) == (WHO.id, [{"verb": "container.restart", "target": "web@h1"}])


async def test_what_was_done_is_told_as_it_ended() -> None:
    detail = recovery.ended(text_reply("web restarted " + "x" * 5000, ending=Ending.OK))
    (told,) = await found(Store(left("one", Phase.ENDED, detail)))
    assert "web restarted" in told.text
    assert len(told.text) < recovery.LONGEST + 100


async def test_what_another_version_wrote_is_told_as_well_as_it_can_be() -> None:
    trail = Trail()
    store = Store(
        left("a", Phase.INTENT, b"?"), left("b", Phase.ENDED, b"{}"), left("c"), left("d", record=b'{"v": 2}')
    )
    told = await found(store, "slack", "console", trail=trail)
    assert [one.id for one in told] == ["a", "b", "c", "d"]
    assert "not known" in told[0].text
    assert "stands in the audit" in told[1].text
    assert told[3].who == "console:"
    assert len(trail.rows) == 1


async def test_a_store_that_is_away_is_said() -> None:
    class Away(Store):
        async def unfinished(self) -> Sequence[Unfinished]:
            raise errors.StoreDown

    with pytest.raises(errors.StoreDown):
        await found(Away())
