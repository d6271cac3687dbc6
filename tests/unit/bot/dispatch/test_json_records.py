"""Tests the records that a program reads: their values, their limits, and that no secret is in them."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from bot import plain_text
from bot.dispatch import json_records, redact_records
from commands.catalogue import load_catalogue
from commands.spec import Result
from core import errors
from core.model.actions import ListContainers
from core.model.containers import Port
from core.model.refs import EngineRef
from core.model.replies import Ending, Records
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck

ENGINE = EngineRef(host="h1", kind="docker")
PS = load_catalogue().commands["ps"]
KEY = ["-----BEGIN RSA PRIVATE KEY-----", *(f"{number:02}" + "MIIEowIBAAKCAQEAx" * 3 for number in range(150))]


async def test_a_container_has_numbers_full_ids_times_and_its_engine(valkey: Any) -> None:
    engine = FakeRuntime("h1", kind="docker")
    engine.add("web", labels={"com.docker.compose.project": "shop", "com.docker.compose.service": "front"})
    (row,) = engine.containers.values()
    changed = msgspec.structs.replace(
        row, ports=(Port(80, public=8080, ip="127.0.0.1"),), created_at=1.5e9, exit_code=137, state="exited"
    )
    engine.containers[row.ref.id] = changed
    async with Deck(valkey.url, [engine]) as deck:
        document = json.loads(plain_text.to_json(await deck.say("ps -a", as_records=True)))
        silent = json.loads(plain_text.to_json(await deck.say("ps -a")))
    (record,) = document["records"]
    assert (document["v"], document["schema"], document["errors"], document["left_out"]) == (2, "ps/1", [], 0)
    assert len(record["id"]) == 64 and record["name"] == "web" and record["engine"] == "docker/h1"
    assert (record["state"], record["exit_code"], record["created_at"]) == ("exited", 137, "2017-07-14T02:40:00.000Z")
    assert record["ports"] == [{"private": 80, "proto": "tcp", "public": 8080, "ip": "127.0.0.1"}]
    assert (record["project"], record["service"], record["finished_at"]) == ("shop", "front", None)
    assert "command" not in record and "own_id" not in record
    assert silent["records"] == [], "a person's reply does not pay for them"


async def test_only_what_is_shown_has_a_record(valkey: Any) -> None:
    engine = FakeRuntime("h1", kind="docker")
    for name in ("web", "api"):
        engine.add(name)
    async with Deck(valkey.url, [engine]) as deck:
        records = (await deck.say("ps web", as_records=True)).records
        question = await deck.say("rm -f web", as_records=True)
    assert records is not None and [record["name"] for record in records.records] == ["web"]
    assert question.ending is Ending.ASKED and question.records is None


async def test_secrets_are_hidden_as_in_a_reply(valkey: Any) -> None:
    engine = FakeRuntime("h1", kind="docker")
    engine.add("web", labels={"db": "postgres://u:hunter2hunter2@db/x", "api_token": "hunter3hunter3"}, log=KEY)
    async with Deck(valkey.url, [engine]) as deck:
        listed = plain_text.to_json(await deck.say("ps", as_records=True))
        logs = await deck.say("logs web --tail 1000", as_records=True)
    assert "hunter" not in listed and "postgres://u:" in listed
    assert logs.records is not None
    assert "MIIEow" not in plain_text.to_json(logs), "a key spans many lines"


def test_a_log_keeps_its_times_where_nothing_is_hidden() -> None:
    lines = tuple({"at": f"{number}", "stream": "stdout", "text": f"line {number}"} for number in range(250))
    assert redact_records.redact(Records(schema="logs/1", records=lines)).records == lines


def test_what_finds_no_time_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact_records, "SECONDS", -1.0)
    records = tuple({"name": f"n{number}"} for number in range(5))
    shown = redact_records.redact(Records(schema="ps/1", records=records, left_out=2))
    assert (shown.records, shown.left_out) == ((), 7)


def test_the_number_and_the_size_of_records_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_records, "MAX_RECORDS", 3)
    values = [{"text": "x" * 100}] * 5
    assert json_records.records_of(PS, values, ()).left_out == 2
    monkeypatch.setattr(json_records, "MAX_CHARACTERS", 250)
    assert json_records.records_of(PS, values, ()).left_out == 3


def test_an_engine_that_failed_is_an_error_and_one_without_the_verb_is_not() -> None:
    action = ListContainers(engine=ENGINE)
    down = Result(action=action, error=errors.Unreachable("It is down.", hint="Start it."))
    without = Result(action=action, error=errors.Unsupported("container.list", "docker/h1"))
    said = {"engine": "docker/h1", "message": "It is down.", "hint": "Start it."}
    assert json_records.records_of(PS, None, (down, without)).errors == (said,)
    assert len(json_records.records_of(PS, None, (without,)).errors) == 1


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (float("nan"), None),
        (float("inf"), None),
        (timedelta(minutes=1), 60.0),
        (frozenset({"b", "a"}), ["a", "b"]),
        (ENGINE, "docker/h1"),
        ({1: (True, None)}, {"1": [True, None]}),
    ],
)
def test_values_become_json(value: object, plain: object) -> None:
    assert json_records.plain(value) == plain


@pytest.mark.parametrize("seconds", [None, 0.0, 1e300, float("nan")])
def test_a_time_that_is_not_known_is_null(seconds: float | None) -> None:
    assert json_records.time_text(seconds) is None
