"""Where an engine does not know the code of an end, each reply says so once, instead of nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from bot import plain_text
from commands._shared import event_text
from core.model.events import EventKind
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

TOLD = "no exit code: runc and crun do not store it"


def ended(kind: str, *names: str, code: int | None = None) -> Any:
    engine = FakeRuntime("prod-1", kind=kind)
    for name in names:
        ref = engine.add(name)
        row = engine.containers[ref.id]
        engine.containers[ref.id] = msgspec.structs.replace(
            row, state="exited", exit_code=code, status="Exited 5 minutes ago"
        )
    engine.add("up")
    return engine


@pytest.mark.parametrize(
    ("kind", "code", "names", "lines"),
    [
        ("oci", None, ("web",), [f"web: {TOLD}."]),
        ("oci", None, ("web", "db"), [f"2 containers: {TOLD}."]),
        ("oci", 3, ("web",), []),
        ("docker", None, ("web",), []),  # its list tells the code elsewhere
    ],
)
async def test_a_list_says_it_once(
    valkey: Any, kind: str, code: int | None, names: tuple[str, ...], lines: list[str]
) -> None:
    async with Deck(valkey.url, [ended(kind, *names, code=code)]) as deck:
        shown = plain_text.render(await deck.say("ps -a"))
    assert [line for line in shown.splitlines() if "no exit code" in line] == lines


async def test_a_card_says_it(valkey: Any) -> None:
    async with Deck(valkey.url, [ended("oci", "web")]) as deck:
        assert f"({TOLD})" in plain_text.render(await deck.say("card web"))


@pytest.mark.parametrize(
    ("kind", "attrs", "text"),
    [("oci", {}, "no exit code"), ("oci", {"exit_code": "3"}, "exit code 3"), ("docker", {}, "")],
)
def test_an_event_says_it(kind: str, attrs: dict[str, str], text: str) -> None:
    engine = FakeRuntime("prod-1", kind=kind)
    event = engine.happen(EventKind.DIED, engine.add("web"), **attrs)
    assert event_text.format_detail(msgspec.structs.replace(event, attrs=attrs)) == text
