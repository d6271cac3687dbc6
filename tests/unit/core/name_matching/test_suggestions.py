"""Similar names are found in a limited time, however many names there are and however long they are."""

from __future__ import annotations

import difflib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from core.model.refs import EngineRef, Kind, Ref
from core.name_matching import selection, suggestions


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("wbe", ["web"]),
        ("wep", ["web"]),
        ("web-3", ["web-2", "web"]),
        ("shop/wed", ["shop/web", "shop"]),
        ("dbb", ["db"]),
        ("Web", ["web"]),
        ("x", []),
        ("", []),
    ],
)
def test_a_slip_finds_the_name_that_was_meant(name: str, wanted: list[str]) -> None:
    found = suggestions.find_similar_names(name, ["web", "web-2", "db", "shop/web", "shop", "billing"])
    assert list(found) == wanted


NAMES = st.text("abcdefgh-/_019", min_size=1, max_size=20)


@given(names=st.lists(NAMES, max_size=20, unique=True), name=NAMES)
def test_few_names_are_all_compared_exactly(names: list[str], name: str) -> None:
    found = suggestions.find_similar_names(name, names)
    assert list(found) == difflib.get_close_matches(name, sorted(names), n=3, cutoff=suggestions.CUTOFF)


@pytest.mark.parametrize("letters", ["a", "ab", "shop-web-"])
def test_of_many_long_names_only_a_few_are_compared(letters: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, list[str]]] = []
    real = difflib.get_close_matches

    def close(word: str, possibilities: Any, **options: Any) -> list[str]:
        compared.append((word, list(possibilities)))
        return real(word, possibilities, **options)

    monkeypatch.setattr(difflib, "get_close_matches", close)
    taken = 0

    def many() -> Any:
        nonlocal taken
        for taken in range(1, 100_001):
            yield f"{letters * 100}{taken}"

    suggestions.find_similar_names(letters * 2000, many())
    ((word, names),) = compared
    assert taken <= suggestions.MAX_NAMES + 1
    assert len(names) <= suggestions.MAX_COMPARED
    assert max(map(len, [word, *names])) <= suggestions.MAX_LENGTH


def test_the_name_that_was_meant_is_found_among_thousands() -> None:
    engine = EngineRef(host="h", kind="docker")
    names = [f"service-{number:04}-worker" for number in range(2000)] + ["payments-gateway"]
    rows: list[Any] = [
        selection._Named(ref=Ref(engine=engine, kind=Kind.VOLUME, id=f"{number:064x}", name=name))
        for number, name in enumerate(names)
    ]
    found = selection.match(Kind.VOLUME, "payment-gateway", rows)
    assert isinstance(found.error, errors.NotFound)
    assert found.error.hint == "Did you mean payments-gateway?"
