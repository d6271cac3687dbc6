"""Names by id, for processes that have no Slack."""

import pytest

from core.store import names
from core.store.client import Store

BOB, OPS, SRE = "slack:T1/U2", "C0OPS1234", "group:S0SRE1"


@pytest.fixture
async def store(valkey):
    made = Store.open(valkey.url)
    yield made
    await made.aclose()


async def test_names_of_people_are_those_that_the_audit_is_searched_by(store):
    assert await store.names([]) == {} == await store.names([BOB, OPS])
    await store.remember_names({BOB: "Bob", OPS: "ops", SRE: "sre"})
    assert await store.names([OPS, "slack:T1/U9", BOB, SRE]) == {BOB: "Bob", OPS: "ops", SRE: "sre"}
    assert await store.people() == {BOB: "Bob"}
    await store.remember_names({BOB: "R" * 300})
    assert await store.names([BOB]) == {BOB: "R" * names.MAX_NAME}


async def test_their_number_is_limited_and_known_ones_are_still_renamed(store, monkeypatch):
    monkeypatch.setattr(names, "MAX_NAMES", 2)
    await store.remember_names({"C0AAAAAA1": "a", "C0AAAAAA2": "b", "C0AAAAAA3": "c"})
    await store.remember_names({"C0AAAAAA1": "renamed", "C0AAAAAA4": "d"})
    wanted = [f"C0AAAAAA{number}" for number in range(1, 5)]
    assert await store.names(wanted) == {"C0AAAAAA1": "renamed", "C0AAAAAA2": "b"}
