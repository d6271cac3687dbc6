"""The queue of a receiver, on a real store: all is delivered, whatever happens to receiver, process and store."""

from __future__ import annotations

import asyncio
import random
import time

import msgspec
import pytest

from bot.notify.incident_writer import change_incident, stored_incidents
from bot.outlets import outlet_runner
from bot.outlets.alertmanager_sender import REPEAT_SECONDS, AlertmanagerSender
from bot.outlets.http_sender import SendOutcome, Sent
from bot.outlets.outlet_runner import OutletRunner
from bot.outlets.webhook import Webhook
from core import errors
from core.model.alerts import AlertState, Severity
from core.model.incidents import acknowledge
from core.store.client import Store
from tests.helpers.alerts import alert
from tests.unit.bot.notify.test_incident_writer import Desk

SECOND = 1_000_000_000
OK, DOWN = (
    Sent(outcome=SendOutcome.DELIVERED),
    Sent(outcome=SendOutcome.FAILED, reason="The receiver answered with status 503."),
)
NO = Sent(outcome=SendOutcome.REFUSED, reason="The receiver refused the content with status 400.")


class Receiver:
    """Answers what it was told to, and remembers what it took."""

    def __init__(self) -> None:
        self.answers: list[Sent] = []
        self.always = OK
        self.asked, self.took = 0, []

    async def send(self, method, url, body, headers):
        self.asked += 1
        answer = self.answers.pop(0) if self.answers else self.always
        if answer.outcome is SendOutcome.DELIVERED:
            self.took.append(msgspec.json.decode(body))
        return answer


class World:
    def __init__(self, url: str) -> None:
        self.desk = Desk(url)
        self.store = Store.open(url)
        self.receiver = Receiver()
        self.seconds = time.time()
        self.held: frozenset[str] = frozenset()
        self.runner = self.webhook()

    def webhook(self, name="t", **more) -> OutletRunner:
        return self._runner(Webhook(name, "https://x.example", "whsec_AAAA", self.receiver, **more))

    def alertmanager(self) -> OutletRunner:
        return self._runner(AlertmanagerSender("http://am:9093/", "http://qd/", self.receiver))

    def _runner(self, outlet) -> OutletRunner:
        async def held(incidents):
            return self.held

        return OutletRunner(
            outlet,
            self.store,
            self.desk.counts,
            leads=lambda: True,
            held=held,
            now=lambda: self.seconds,
            rng=random.Random(1),
        )

    async def happen(self, *alerts):
        await self.desk.take(*alerts)
        await self.runner.deliver()

    async def wait(self, seconds):
        for _ in range(seconds):
            self.seconds += 1
            await self.runner.deliver()

    def types(self):
        return [(each["data"]["owner"], each["type"]) for each in self.receiver.took]

    def count(self, metric, *labels):
        return getattr(self.desk.counts, metric).labels(*labels)._value.get()


@pytest.fixture
async def world(valkey):
    made = World(valkey.url)
    await made.runner.deliver()  # an outlet begins at the present
    yield made
    await made.store.aclose()
    await made.desk.store.aclose()


def other(owner, at=1, **more):
    return alert(fingerprint=owner, owner=owner, at=at, **more)


async def test_each_state_of_an_incident_is_sent(world):
    await world.happen(alert())
    (incident,) = await stored_incidents(world.store)
    await change_incident(world.store, incident.key, lambda each: acknowledge(each, "slack:T1/U1", "Ada"))
    await world.runner.deliver()
    await world.happen(alert(at=2, state=AlertState.RESOLVED))
    await world.wait(3)
    assert [kind for _, kind in world.types()] == ["incident.firing", "incident.acknowledged", "incident.resolved"]
    assert [each["sequence"] for each in world.receiver.took] == [1, 2, 3]
    assert world.count("outlet_requests_total", "webhook", "delivered") == 3


async def test_what_was_there_before_the_webhook_is_not_sent(world):
    await world.desk.take(alert())
    world.runner = world.webhook("later")
    await world.wait(2)
    assert world.receiver.asked == 0
    await world.happen(other("b"))
    assert world.types() == [("b", "incident.firing")]


async def test_a_receiver_that_is_down_gets_the_newest_state_once_and_in_order(world):
    world.receiver.always = DOWN
    await world.happen(alert(), other("b"))
    for count in range(2, 50):
        await world.happen(alert(at=count, count=count))
    await world.wait(60)
    assert world.receiver.asked < 20  # an exponential wait, not one a second
    assert world.count("outlet_waiting", "webhook", "t") == 2
    assert world.count("outlet_oldest_seconds", "webhook", "t") >= 59
    world.receiver.always = OK
    await world.wait(int(outlet_runner.MAX_PAUSE_SECONDS) + 1)
    assert sorted(world.types()) == [("b", "incident.firing"), ("shop/web", "incident.firing")]
    assert {each["data"]["count"] for each in world.receiver.took} == {1, 49}
    await world.wait(2)
    assert (world.count("outlet_waiting", "webhook", "t"), world.receiver.answers) == (0, [])


async def test_another_process_goes_on_where_one_ended(world, valkey):
    world.receiver.always = DOWN
    await world.happen(alert(), other("b"))
    world.store, gone = Store.open(valkey.url), world.store
    await gone.aclose()
    world.receiver.always = OK
    world.runner = world.webhook()
    await world.wait(2)
    assert sorted(world.types()) == [("b", "incident.firing"), ("shop/web", "incident.firing")]


async def test_two_processes_at_once_lose_nothing(world):
    """Only one has the lease, but a lease may end during a request."""
    second = world.webhook()
    await world.desk.take(*(other(f"o{number}") for number in range(50)))
    await asyncio.gather(world.runner.deliver(), second.deliver())
    await world.wait(1)
    assert {owner for owner, _ in world.types()} == {f"o{number}" for number in range(50)}
    assert world.count("outlet_waiting", "webhook", "t") == 0


async def test_a_change_during_its_request_is_sent_too(world):
    send = world.receiver.send

    async def slow(*request):
        world.receiver.send = send
        await world.desk.take(alert(at=2, count=2))
        return await send(*request)

    world.receiver.send = slow
    await world.happen(alert())
    await world.wait(1)
    assert [each["data"]["count"] for each in world.receiver.took] == [1, 2]


async def test_what_the_receiver_refuses_holds_up_nothing(world):
    world.receiver.answers = [NO]
    await world.happen(alert(), other("b", at=2))
    assert world.types() == [("b", "incident.firing")]
    await world.wait(3)
    assert world.receiver.asked == 2
    assert world.count("outlet_requests_total", "webhook", "refused") == 1


async def test_a_receiver_may_ask_for_a_longer_pause(world):
    world.receiver.answers = [
        Sent(outcome=SendOutcome.FAILED, reason="The receiver answered with status 429.", retry_after=120)
    ]
    await world.happen(alert())
    await world.wait(118)
    assert world.receiver.asked == 1
    await world.wait(3)
    assert len(world.receiver.took) == 1


async def test_after_a_day_it_is_given_up_and_counted(world):
    world.receiver.always = DOWN
    await world.happen(alert())
    world.seconds += 86_400 + 60
    await world.wait(1)
    assert world.count("outlet_lost_total", "webhook") == 1
    world.receiver.always = OK
    await world.wait(400)
    assert world.types() == []
    await world.happen(other("b", at=2))
    assert world.types() == [("b", "incident.firing")]


async def test_a_silenced_incident_is_sent_when_the_silence_is_over(world):
    await world.desk.take(alert(), other("b"))
    world.held = frozenset({each.key for each in await stored_incidents(world.store) if each.main.owner == "shop/web"})
    await world.wait(3)
    assert world.types() == [("b", "incident.firing")]
    world.held = frozenset()
    await world.wait(int(outlet_runner.HELD_SECONDS) + 1)
    assert ("shop/web", "incident.firing") in world.types()


async def test_hundreds_of_held_incidents_hold_up_nothing(world, monkeypatch):
    monkeypatch.setattr(outlet_runner, "BATCH", 5)
    await world.desk.take(*(other(f"o{number}") for number in range(23)))
    held = {each.key: each.main.owner for each in await stored_incidents(world.store)}
    world.held = frozenset(held)
    await world.wait(12)
    await world.happen(other("new", at=2))
    await world.wait(2)
    assert world.types() == [("new", "incident.firing")]
    assert world.count("outlet_waiting", "webhook", "t") == 23
    assert world.count("outlet_oldest_seconds", "webhook", "t") >= 12
    world.held = frozenset()
    await world.wait(int(outlet_runner.HELD_SECONDS) + 12)
    assert {owner for owner, _ in world.types()} == {"new", *held.values()}


async def test_an_incident_with_which_the_receiver_always_fails_holds_up_nothing(world):
    send, poisoned = world.receiver.send, {"bad", "worse"}

    async def picky(method, url, body, headers):
        world.receiver.always = DOWN if msgspec.json.decode(body)["data"]["owner"] in poisoned else OK
        return await send(method, url, body, headers)

    world.receiver.send = picky
    await world.happen(other("bad"), other("worse", at=2), alert(at=3))
    await world.wait(120)
    assert world.types() == [("shop/web", "incident.firing")]
    asked = world.receiver.asked
    for at in range(4, 9):
        await world.happen(alert(at=at, count=at))
        await world.wait(1)
    assert len(world.receiver.took) == 6, "its pauses do not count for the others"
    assert world.receiver.asked - asked <= 10
    poisoned.clear()
    await world.wait(int(outlet_runner.MAX_PAUSE_SECONDS) + 1)
    assert {owner for owner, _ in world.types()} == {"shop/web", "bad", "worse"}


async def test_incidents_below_the_wanted_severity_and_removed_ones_leave_the_queue(world):
    world.runner = world.webhook(severity=Severity.HIGH)
    await world.happen(alert(), other("b", severity=Severity.HIGH), other("c", severity=Severity.HIGH))
    assert [owner for owner, _ in world.types()] == ["b", "c"]
    world.receiver.always = DOWN
    await world.happen(other("b", at=9, severity=Severity.HIGH))
    keys = [each.key for each in await stored_incidents(world.store)]
    await world.store.remove_incidents(keys)
    await world.wait(400)
    assert world.count("outlet_waiting", "webhook", "t") == 0


async def test_the_store_may_go_and_come_back(world, monkeypatch):
    monkeypatch.setattr(outlet_runner, "POLL_SECONDS", 0.01)
    pull, fails = world.store.outlet_queue, [True]

    async def failing(*args):
        if fails[0]:
            raise errors.StoreDown
        return await pull(*args)

    world.store.outlet_queue = failing
    task = asyncio.create_task(world.runner.run())
    await world.desk.take(alert())
    world.runner.changed.set()
    await asyncio.sleep(0.05)
    assert world.receiver.asked == 0
    fails[0] = False
    async with asyncio.timeout(60):
        while not world.receiver.took:
            await asyncio.sleep(0.01)
    task.cancel()


async def test_a_thousand_changes_are_read_in_parts(world):
    await world.desk.take(*(other(f"o{number}") for number in range(1200)))
    await world.wait(8)
    assert len({owner for owner, _ in world.types()}) == 1200
    assert world.count("outlet_waiting", "webhook", "t") == 0


# Alertmanagers.


def sent_alerts(world):
    return [each for body in world.receiver.took for each in body]


async def test_an_alertmanager_gets_firing_alerts_again_before_they_end_and_then_their_end(world):
    world.runner = world.alertmanager()
    await world.runner.deliver()
    since = int(world.seconds) * SECOND
    await world.happen(alert(at=since, since_ns=since))
    (first,) = sent_alerts(world)
    assert first["labels"]["alertname"] == "crash" and first["labels"]["reporter"] == "quarterdeck"
    await world.wait(int(REPEAT_SECONDS) * 3)
    ends = [each["endsAt"] for each in sent_alerts(world)]
    assert len(ends) == 4 and ends == sorted(set(ends))
    await world.happen(alert(at=since + 200 * SECOND, since_ns=since, state=AlertState.RESOLVED))
    *_, last = sent_alerts(world)
    assert last["endsAt"] < ends[-1] and last["labels"] == first["labels"] and last["startsAt"] == first["startsAt"]


async def test_an_alertmanager_that_was_away_gets_what_fires_now(world):
    world.runner = world.alertmanager()
    await world.runner.deliver()
    world.receiver.always = DOWN
    now = int(world.seconds) * SECOND
    await world.happen(alert(at=now), other("b", at=now))
    await world.happen(other("b", at=now + SECOND, state=AlertState.RESOLVED))
    await world.wait(30)
    world.receiver.always = OK
    await world.wait(int(outlet_runner.MAX_PAUSE_SECONDS) + 1)
    assert {each["labels"]["owner"] for each in sent_alerts(world)} == {"shop/web", "b"}
    assert world.count("outlet_waiting", "alertmanager", "http://am:9093") == 0


async def test_what_came_from_an_alertmanager_is_not_sent_to_one(world):
    world.runner = world.alertmanager()
    await world.runner.deliver()
    await world.happen(alert(source="alertmanager", fingerprint="f"))
    await world.wait(70)
    assert sent_alerts(world) == []


async def test_many_alerts_are_sent_in_parts(world):
    world.runner = world.alertmanager()
    await world.runner.deliver()
    now = int(world.seconds) * SECOND
    await world.desk.take(*(other(f"o{number}", at=now) for number in range(450)))
    await world.wait(4)
    assert all(len(body) <= 50 for body in world.receiver.took)
    assert len({each["labels"]["owner"] for each in sent_alerts(world)}) == 450
