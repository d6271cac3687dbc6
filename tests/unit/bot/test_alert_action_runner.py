"""The commands about alerts, on a real store: who sees which incident, and who takes care of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from bot import builtin_runtime
from bot.access import policy_in_force
from bot.notify.incident_writer import stored_incidents
from collectors.rule_catalogue import load_rules
from commands.catalogue import load_catalogue
from core import errors
from core.model.alert_actions import AcknowledgeIncident, FireTestAlert, ListIncidents, ListRules
from core.model.alert_routes import Routing
from core.model.alerts import AlertState
from core.model.bot_actions import BOT
from core.model.invocation import Identity, Place
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import Selector
from core.model.refs import EngineRef, Kind, Ref
from core.ports import Call
from core.store.client import Store
from tests.helpers.alert_scene import AlertScene
from tests.helpers.alerts import WEB, alert
from tests.unit.bot.notify.test_incident_writer import Desk

WORDS = load_catalogue()
BOB = Identity(id="slack:T1/BOB", name="bob")
OPS = Place(channel="#ops")


class Bot:
    def __init__(self, url: str, *grants: Grant, guards: Sequence[Selector] = ()) -> None:
        self.store = Store.open(url)
        hiding = tuple(Guard(id=f"hide {on}", can=("*",), on=on, ask=Ask.DENY) for on in guards)
        self.runtime = builtin_runtime.BuiltinRuntime(
            policies=policy_in_force.PolicyInForce(self.store, Policy(grants=grants, guards=hiding)),
            store=self.store,
            catalogue=WORDS,
            clock=lambda: datetime.now(UTC),
        )
        self.desk = Desk(url)

    async def ask(self, action):
        call = Call(id="c", who="w", deadline=datetime.now(UTC) + timedelta(seconds=20), invocation="i")
        return await self.runtime.run(action, call)

    async def incidents(self, **more):
        return (await self.ask(ListIncidents(who=BOB, place=OPS, **more))).incidents


@pytest.fixture
async def bot(valkey):
    made = []

    def make(*grants: Grant, **more) -> Bot:
        made.append(Bot(valkey.url, *grants, **more))
        return made[-1]

    yield make
    for one in made:
        await one.store.aclose()
        await one.desk.store.aclose()


def may(*can: str, **on: str) -> Grant:
    return Grant(id="g", who=BOB.id, can=can, on=Selector(**on))


async def test_open_incidents_are_listed_and_those_that_are_over_only_if_asked(bot):
    ops = bot(may("*"))
    await ops.desk.take(alert(), alert("unhealthy", topic="health", fingerprint="u"))
    await ops.desk.take(alert(at=2, state=AlertState.RESOLVED))
    assert [incident.main.rule for incident in await ops.incidents()] == ["unhealthy"]
    assert {incident.main.rule for incident in await ops.incidents(resolved=True)} == {"unhealthy", "crash"}
    assert [incident.main.rule for incident in await ops.incidents(resolved=True, limit=1)] == ["crash"]


@pytest.mark.parametrize(("pattern", "found"), [("shop/*", 1), ("web", 1), ("we", 0), ("*", 1), ("db", 0)])
async def test_incidents_are_found_by_name(bot, pattern, found):
    ops = bot(may("*"))
    await ops.desk.take(alert())
    assert len(await ops.incidents(name=pattern)) == found


async def test_nobody_sees_an_incident_about_what_they_may_not_list(bot):
    shop = bot(may("container.list", "incident.*", name="db"))
    secret = Ref(engine=EngineRef(host="h1", kind="docker"), kind=Kind.CONTAINER, id="2" * 64, name="db")
    await shop.desk.take(alert(), alert(fingerprint="d", subject=secret, owner="db"))
    assert [incident.main.owner for incident in await shop.incidents()] == ["db"]
    hidden = next(each for each in await stored_incidents(shop.store) if each.main.subject == WEB)
    with pytest.raises(errors.NotFound):
        await shop.ask(AcknowledgeIncident(by=BOB, place=OPS, id=hidden.id))


async def test_a_grant_by_label_sees_the_incidents_of_containers_with_the_label(bot):
    payments = bot(Grant(id="g", who=BOB.id, can=("container.list",), on=Selector(labels=(("team", "payments"),))))
    await payments.desk.take(
        alert(labels={"team": "payments"}), alert(fingerprint="x", owner="x", labels={"team": "x"})
    )
    assert [incident.main.owner for incident in await payments.incidents()] == ["shop/web"]


SWARM = EngineRef(host="c1", kind="swarm")


@pytest.mark.parametrize(
    ("about", "seen"),
    [
        ({"labels": {}}, True),
        ({"labels_known": False}, False),
        ({"labels": {"com.docker.compose.project": "shop"}}, True),
        ({"labels": {"com.docker.compose.project": "secrets"}}, False),
        ({"labels": {"io.podman.compose.project": "secrets"}}, False),
        ({"labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "vault"}}, False),
        ({"subject": Ref(engine=SWARM, kind=Kind.SERVICE, id="s", name="web"), "labels_known": False}, False),
        ({"subject": Ref(engine=SWARM, kind=Kind.NODE, id="n", name="n1"), "labels_known": False}, True),
        ({"subject": Ref(engine=SWARM, kind=Kind.ENGINE, id="e", name="e"), "labels_known": False}, True),
        ({"subject": Ref(engine=BOT, kind=Kind.BOT, id="b", name="b"), "labels_known": False}, True),
    ],
)
async def test_a_guard_hides_the_incident_whose_project_or_service_it_means_or_nobody_knows(bot, about, seen):
    ops = bot(may("*"), guards=[Selector(project="secret*"), Selector(service="vault")])
    await ops.desk.take(alert(**about))
    assert bool(await ops.incidents()) is seen


async def test_an_incident_is_acknowledged_by_the_start_of_its_id_and_once_over_it_is_not(bot):
    ops = bot(may("*"))
    (incident,) = await ops.desk.take(alert())
    acknowledged = await ops.ask(AcknowledgeIncident(by=BOB, place=OPS, id=incident.id[:4]))
    assert acknowledged.acknowledged_by == BOB.id
    assert (await ops.incidents())[0].acknowledged_by == BOB.id
    await ops.desk.take(alert(at=2, state=AlertState.RESOLVED))
    with pytest.raises(errors.UserError, match="is over"):
        await ops.ask(AcknowledgeIncident(by=BOB, place=OPS, id=incident.id))


async def test_rules_are_listed_with_what_they_saw(bot):
    ops = bot(may("*"))
    with pytest.raises(errors.UserError, match="evaluates no alert rules"):
        await ops.ask(ListRules())
    scene = AlertScene(load_rules())
    ops.runtime.evaluator = scene.evaluator
    web = scene.add("web")
    scene.end(web)
    rules = {rule.name: rule for rule in await ops.ask(ListRules())}
    assert (rules["crash"].firing, rules["crash"].fired) == (1, 1)
    assert (rules["out-of-memory"].firing, rules["out-of-memory"].fired) == (0, 0)


async def test_a_test_alert_fires_and_resolves_after_a_minute(bot):
    ops = bot(may("*"))
    scene = AlertScene(load_rules())
    ops.runtime.evaluator, ops.runtime.routing = scene.evaluator, Routing(default="C1")
    assert await ops.ask(FireTestAlert(by=BOB)) == "C1"
    assert scene.said == ["firing test: a test by bob; nothing is wrong"]
    scene.wait(61)
    assert scene.said[1:] == ["resolved test: no trouble since"]
    await ops.desk.take(*scene.alerts[:1])
    assert [incident.main.rule for incident in await ops.incidents()] == ["test"]
