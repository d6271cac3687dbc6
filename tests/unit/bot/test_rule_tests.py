"""`rules test` on a real store: what it replays, for whom, and from where."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from bot import rule_tests
from bot.notify import configured_rules
from collectors.rule_catalogue import load_rules
from core import errors
from core.config.alerts import Rules
from core.model.containers import Container
from core.model.events import Event, EventKind, Origin
from core.model.invocation import Identity, Place
from core.model.refs import EngineRef, Kind, Ref
from core.model.rule_tests import ReplayRule
from core.store.client import Store
from core.store.records import WatchUpdate
from runtimes.inventory import event_rows
from runtimes.inventory.stored_events import StoredEvents
from tests.helpers.paths import ROOT

ENGINE = EngineRef(host="h1", kind="docker")
ANN = Identity(id="slack:T1/ANN", name="ann")
OPS, CONSOLE = Place(channel="C1"), Place(channel="console", kind="console")
NS = 1_000_000_000


class Engine:
    """What the tests of rules read of an engine."""

    ref, engine_id = ENGINE, "E1"


def container(name: str) -> Ref:
    return Ref(engine=ENGINE, kind=Kind.CONTAINER, id=name.encode().hex().ljust(64, "0"), name=name)


def row(name: str, **labels: str) -> Container:
    return Container(
        ref=container(name),
        image="i",
        image_id="",
        command="",
        state="running",
        status="",
        created_at=0,
        labels={key.replace("_", "."): value for key, value in labels.items()},
    )


class Desk:
    """Tests rules over the history in a store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now = datetime.now(UTC)
        self.rows: list[Container] = []
        self.hidden: set[str] = set()
        self.may_list = None
        rules = configured_rules.testable_rules(load_rules(), Rules(off=("crash",)))
        self.tests = rule_tests.RuleTestRunner(rules, StoredEvents(store))

    async def crash(self, name: str, *, ago: float, code: str = "2") -> None:
        at = time.time_ns() - int(ago * NS)
        attrs = {"exit_code": code, "cause": "crashed", "cause_text": f"crashed (exit code {code})"}
        event = Event(at, EventKind.DIED, container(name), Origin.LIVE, "container", "die", attrs)
        await self.store.record_events([event_rows.to_stored(event, "E1", time.time_ns())])

    async def test(self, name: str = "crash", *, place: Place = OPS, hours: float = 24, **more):
        since = int((self.now - timedelta(hours=hours)).timestamp()) * NS
        action = ReplayRule(who=ANN, place=place, name=name, since_ns=since, **more)
        return await self.tests.run(
            action, [Engine()], self.rows, self.may_list or (lambda ref, facts: ref.name not in self.hidden), self.now
        )


@pytest.fixture
async def desk(valkey):
    store = Store.open(valkey.url)
    yield Desk(store)
    await store.aclose()


async def test_the_history_of_a_day_is_replayed_in_its_order_over_the_hours(desk) -> None:
    desk.rows = [row("web")]
    for ago in (23 * 3600, 30, 90 * 60, 60):
        await desk.crash("web", ago=ago)
    await desk.crash("web", ago=30 * 3600)
    found = await desk.test()
    assert (found.events, found.asked, found.found) == (4, 4, 4)
    assert len(found.messages) + found.more >= 1
    assert found.took >= 0
    assert (await desk.test(hours=1)).found == 2
    assert found.notes == ("Events of docker/h1 are missing in this time (Quarterdeck did not watch it).",)
    began = time.time_ns() - 3 * 3600 * NS
    await desk.store.update_watch("E1", WatchUpdate(watcher="w", watched=time.time_ns(), began=began))
    assert "are missing before" in (await desk.test()).notes[0]
    assert (await desk.test(hours=1)).notes == ()


async def test_a_rule_that_is_off_and_a_change_of_one_and_a_new_one_can_be_tested(desk) -> None:
    desk.rows = [row("web")]
    for ago in (300, 200, 100):
        await desk.crash("web", ago=ago, code="137")
    assert (await desk.test("crash", severity="low")).messages[0].severity == "low"
    new = {"on": "died", "where": ("exit_code=137", "name=w*", "name!=db*"), "within": 600.0}
    assert (await desk.test("", count=3, **new)).found == 1
    assert (await desk.test("", count=4, **new)).found == 0
    assert (await desk.test("mine", count=1, **new)).rule == "mine"
    assert (await desk.test("restart-gave-up", threshold=2, hold=10.0)).settings == "for 10 s, threshold 2"


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("nosuch", {}, "There is no alert rule “nosuch”"),
        ("crash", {"threshold": 3.0}, "has no threshold"),
        ("crash", {"count": 3}, "describe a new rule"),
        ("crash", {"severity": "loud"}, "is not a severity"),
        ("", {"where": ("exit_code",)}, "has no comparison"),
        ("", {"where": ("exitcode=1",)}, "not a field that an alert rule can match"),
        ("", {"where": ("name=~(",), "place": CONSOLE}, "not a regular expression"),
        ("", {"where": ("image=~(.+)+!",)}, "only accepted at a console"),
        ("", {"where": (" name !~ (a|a)*b",)}, "only accepted at a console"),
        ("", {"on": "exploded"}, "must be"),
        ("engine-down", {}, "cannot be tested"),
        ("crash", {"file": "/etc/passwd"}, "only be read at a console"),
    ],
)
async def test_what_makes_no_rule_is_refused_with_its_cure(desk, name, more, said) -> None:
    with pytest.raises(errors.UserError) as caught:
        await desk.test(name, **more)
    assert said in caught.value.message


async def test_a_regular_expression_is_tested_at_a_console(desk) -> None:
    desk.rows = [row("web"), row("db")]
    for name in ("web", "db"):
        await desk.crash(name, ago=60)
    found = await desk.test("", place=CONSOLE, on="died", where=("name=~we.",))
    assert [message.owner for message in found.messages] == ["web"]


async def test_what_the_requester_may_not_list_is_not_counted(desk) -> None:
    desk.rows = [row("web"), row("secret")]
    await desk.crash("web", ago=60)
    await desk.crash("secret", ago=50)
    desk.hidden = {"secret"}
    found = await desk.test()
    assert (found.events, [message.owner for message in found.messages]) == (1, ["web"])


async def test_nothing_is_known_of_a_removed_container_and_all_of_one_that_exists(desk) -> None:
    desk.rows = [row("web", **{"com_docker_compose_project": "shop", "com_docker_compose_service": "front"})]
    for name in ("web", "removed"):
        await desk.crash(name, ago=60)
    asked = {}
    desk.may_list = lambda ref, facts: asked.update({ref.name: facts}) or facts is not None
    found = await desk.test()
    assert (asked["removed"], asked["web"].project, asked["web"].service) == (None, "shop", "front")
    assert [message.owner for message in found.messages] == ["shop/front"]
    assert not [note for note in found.notes if "removed" in note]


async def test_containers_that_were_removed_are_named_as_a_limit(desk) -> None:
    await desk.crash("web", ago=60)
    assert (await desk.test()).notes[-1] == (
        "1 of the containers were removed since then, so their labels are not known."
    )


async def test_a_file_is_replayed_at_the_console(desk) -> None:
    path = ROOT / "tests" / "captures" / "docker-20.10.events.jsonl"
    found = await desk.test(place=CONSOLE, file=str(path))
    assert found.events > 10
    assert found.since_ns < found.until_ns


async def test_a_second_test_at_the_same_time_is_refused(desk) -> None:
    async with desk.tests._running:
        with pytest.raises(errors.UserError, match="another test is running"):
            await desk.test()


async def test_a_test_that_takes_too_long_ends_and_says_so(desk, monkeypatch) -> None:
    monkeypatch.setattr(rule_tests, "MAX_SECONDS", 0.0)
    desk.rows = [row("web")]
    await desk.crash("web", ago=60)
    found = await desk.test()
    assert found.events == 0
    assert "The test ended after 0 s" in found.notes[0]
