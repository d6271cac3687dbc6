"""Every example of every help text, said as it stands there: through the whole dispatcher, with a fleet in which it
means something, and the reply as text and as JSON."""

import asyncio
import shlex
import time

import msgspec
import pytest

from bot import plain_text
from bot.access import first_admin
from bot.dispatch import pending_questions
from bot.rule_tests import RuleTestRunner
from collectors.alert_evaluator import Evaluator
from collectors.rule_catalogue import load_rules
from core.model.actions import Risk
from core.model.events import EventKind
from core.model.incidents import merge_alert
from core.model.invocation import Identity, Place
from core.model.maintenance import Maintenance
from core.model.policy import Grant, Policy
from core.model.prune import CacheRecord
from core.model.refs import Kind, Ref
from core.model.replies import Ending, Table
from core.model.services import Service
from core.model.silences import Silence
from runtimes.compose import project_restart, scale
from runtimes.inventory.stored_events import StoredEvents
from tests.fake_engine.engine import FakeRuntime
from tests.helpers import json_replies
from tests.helpers.alerts import alert
from tests.helpers.deck import AT_CONSOLE, CONSOLE, WORDS, Deck

EXAMPLES = [(command, line) for command in WORDS for line in command.examples]
CHANNEL = Place(team="T1", channel="C0SHOPOPS")
NEWCOMER = Identity(id="console:carol", name="carol")
POLICY = Policy(grants=(Grant(id="grants.0", who=NEWCOMER.id, can=("viewer",)),))
SHOP = {"app": "shop", "team": "shop", "com.docker.compose.project": "shop", "com.docker.compose.service": "front"}
# What a command would have nothing to do on as the fleet stands.
SHOP_NAMES = ("web", "api", "shop-front", "shop-cart")
NOUNS = (*("container.", "service.", "image.", "pod.", "node.", "unit.", "network.", "volume.", "project.", "engine."),)
PRUNES = ("container prune", "image prune", "network prune", "volume prune", "system prune", "builder prune")
GRAVE = (
    *("rm", "rmi", "network rm", "volume rm", "pod rm", "drain", *PRUNES),
    *("service update", "service rollback", "service rm", "swarm init", "project restart", "linger disable"),
)
IDLE = {"start": SHOP_NAMES, **dict.fromkeys(("rm", "container prune", "system prune"), ("batch-1", "batch-2"))}


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """What was started counts as running at the first look."""
    monkeypatch.setattr(scale, "MIN_UPTIME", 0.0)
    monkeypatch.setattr(project_restart, "MIN_UPTIME", 0.0)


@pytest.fixture
def engines():
    """Hosts prod-1 and test-1; a shop, batches and something old, with a history; a Swarm and somebody's Podman."""
    prod, test = FakeRuntime("prod-1", kind="docker"), FakeRuntime("test-1", kind="docker")
    for name in SHOP_NAMES:
        prod.add(name, labels=SHOP, log=(f"{name} is up", "GET / 200"))
    prod.say(row(prod, "shop-cart").ref, "cart: out of stock", stream="stderr")
    prod.happen(EventKind.HEALTH, row(prod, "shop-cart").ref, health="unhealthy")
    prod.add("batch-1")
    prod.add("batch-2")
    test.add("old-web")
    test.happen(EventKind.DIED, row(test, "old-web").ref, exit_code="0")
    swarm, podman = (
        FakeRuntime("swarm-1", kind="swarm", lacks=("container.*", "image.*", "pod.*", "unit.*")),
        FakeRuntime("prod-1", kind="podman", name="1001", lacks=("node.*", "task.*", "stack.*")),
    )
    _, *workers = (
        swarm.add_node(name, labels={"zone": "a"}, role=role, availability=availability)
        for name, role, availability in (
            ("manager-1", "manager", "active"),
            ("worker-1", "worker", "active"),
            ("worker-2", "worker", "drain"),
        )
    )
    swarm.add_task("shop_front", workers[0])
    front = Ref(engine=swarm.ref, kind=Kind.SERVICE, id="svc1", name="shop_front")
    stack = {"com.docker.stack.namespace": "shop"}
    swarm.swarm.append(
        Service(
            ref=front,
            mode="replicated",
            image="nginx:1.27",
            running=1,
            desired=1,
            labels=(stack,),
            project="shop",
            service="shop_front",
        )
    )
    prod.add_network("shop_default")
    prod.add_network("bridge")
    prod.cache = (CacheRecord(size=5_000_000, used_at=1.0),)
    prod.add_volume("shop_data", labels={"app": "shop"})
    prod.add_volume("0" * 64)
    pod = [podman.add(f"pod-{name}") for name in ("front", "cart")]
    podman.add_pod("shop", *pod[:1])
    podman.add_pod("shop-cart", *pod[1:])
    podman.add_unit(pod[1])
    prod.add_image("registry.example/shop/web:1", labels={"app": "shop"})
    prod.add_image("nginx:1.27")
    prod.add_image()
    return prod, test, swarm, podman


def row(engine, name):
    return next(one for one in engine.containers.values() if one.ref.name == name)


async def keep_incident(deck):
    """An open incident about shop/web, with the id of the help texts."""
    incident = merge_alert(None, alert())
    stored = msgspec.structs.replace(incident, id="3fa92c-1")
    await deck.store.change_incident(stored.key, None, msgspec.json.encode(stored))


def age(engine):
    """Everything is a year older than it was."""
    year = 365 * 86_400.0
    engine._details = {
        key: {**each, "created_at": each.get("created_at", engine._now()) - year}
        for key, each in engine._details.items()
    }
    for rows in (engine.containers, engine.volumes):
        rows.update({key: msgspec.structs.replace(row, created_at=row.created_at - year) for key, row in rows.items()})


def changes(engines):
    return [what for engine in engines for what in engine.asked if what == "change"]


@pytest.mark.parametrize(("command", "line"), EXAMPLES, ids=[line for _, line in EXAMPLES])
async def test_an_example_does_what_it_promises(valkey, engines, command, line):
    prod, *_ = engines
    said = shlex.split(line)
    answers = command.name in ("confirm", "cancel")
    token = (lambda: said[-1]) if answers else pending_questions.new_token
    async with Deck(valkey.url, engines, policy=POLICY, token=token) as deck:
        for before in ("restart batch-1", "ps"):
            assert (await deck.say(before)).ending is Ending.OK
        assert (await deck.say("stop web", NEWCOMER)).ending is Ending.REFUSED
        for name in IDLE.get(command.name, ()):
            prod.happen(EventKind.DIED, row(prod, name).ref, exit_code="0")
        if "--until" in said:
            age(prod)
        if command.name == "unpause":
            for name in SHOP_NAMES:
                prod.happen(EventKind.PAUSED, row(prod, name).ref)
        if command.name == "unit start":
            podman = engines[-1]
            podman._end(row(podman, "pod-cart"))
        if answers:
            assert (await deck.say("rm -f batch-1")).ending is Ending.ASKED
        if command.name == "revoke":
            kept = Grant(id=said[-1], who="everyone", can=("viewer",), source="store")
            await deck.store.add_grant(kept.id, msgspec.json.encode(kept))
        if command.name == "unfreeze":
            await deck.say("freeze")
        if command.name == "claim":
            await deck.store.offer_claim(first_admin.code_digest(said[-1]), ttl=60, tries=1)
        if command.name in ("alerts", "rules"):
            deck.desk.evaluator = Evaluator(load_rules(), lambda _: None)
            deck.desk.rule_tests = RuleTestRunner(load_rules(), StoredEvents(deck.store))
        if command.name in ("ack", "incidents", "incident", "snooze", "silence"):
            await keep_incident(deck)
        if command.name == "maintenance" and "end" in said:
            window = Maintenance(id=said[-1], target="web", end=time.time() + 60, by="console:alice")
            await deck.store.put_maintenance(window.id, msgspec.json.encode(window))
        if command.name == "unsilence":
            silence = Silence(id=said[-1], owner="*", until=time.time() + 60, by="console:alice")
            await deck.store.put_silence(silence.id, msgspec.json.encode(silence))
        following = None
        if command.name == "job":
            prod.jobs.new_id = lambda: said[2].partition("@")[0]
            following = asyncio.create_task(deck.say("logs web -f"))
            while "logs" not in prod.asked:
                await asyncio.sleep(0.001)
        if command.name == "logs" and "-f" in said:
            asyncio.get_running_loop().call_later(0.1, prod.happen, EventKind.DIED, row(prod, "web").ref)
        for engine in engines:
            engine.asked.clear()
        place = AT_CONSOLE if command.name == "export" else CHANNEL if said[-2:] == ["alerts", "here"] else CONSOLE
        replies = [await deck.say(line, place=place, as_records=True)]
        if following is not None:
            assert "was stopped" in plain_text.render(await following)
        if replies[0].ending is Ending.ASKED:
            assert not changes(engines)
            replies.append(await deck.say(replies[0].buttons[0].line, as_records=True))
        # Only a running bot stores readings.
        expected = Ending.NOTHING if line.startswith("stats") and "--since" in said else Ending.OK
        assert replies[-1].ending is expected, plain_text.render(replies[-1])
    acts = command.risk != Risk.READ and any(verb.startswith(NOUNS) for verb in command.verbs)
    assert bool(changes(engines)) == (acts or command.name == "confirm")
    # Nothing is removed unasked, also by scaling down or with a unit, nor are the four of the shop changed at once.
    grave = command.name in GRAVE or line.endswith(("=0", "=3"))
    unit = command.name.startswith("unit ") and command.risk is not Risk.READ
    when_asked = command.name not in ("unit enable", "unit disable") or "--now" in said
    grave = grave or (unit and when_asked) or "--rotate" in said
    assert (len(replies) == 2) == (grave or (acts and ("app=shop" in line or "--all" in said)))
    for shown in replies:
        text = plain_text.render(shown, width=100)
        assert text.strip() and "\x1b" not in text
        document = json_replies.read(shown)
        assert document["ending"] == shown.ending
        assert document["blocks"]
        rows = shown.ending is Ending.OK and [one for one in shown.blocks if isinstance(one, Table) and one.rows]
        assert not rows or (shown.records is not None and shown.records.records), "a program learns nothing"


SEEN = {
    "images busybox": ("busybox", "4.2 MB", "prod-1", "podman/1001"),
    "images 'registry.example/*' --host 'prod-*'": ("registry.example/shop/web",),
    "stats 'shop-*' --sort memory": ("shop-front", "8.0 MiB / 64.0 MiB", "12.5"),
    "units 'pod-*' --engine podman": ("pod-cart.service", "active (running)", "generated"),
    "units --draft pod-front": ("/etc/containers/systemd/pod-front.container", "ContainerName=pod-front"),
    "unit install pod-front": ("data outside its volumes is lost",),
    "pods 'shop-*' --engine podman": ("shop-cart", "running", "1/1"),
    "nodes 'worker-*' --label zone=a": ("worker-1", "ready", "active", "drain"),
    "info docker/prod-1": ("runfake 1.0", "ring of 256", "memory"),
    "info docker/prod-1 --raw": ('"Driver": "memory"',),
    "pull nginx:1.27 --host prod-1": ("nginx:1.27@docker/prod-1", "nginx:1.27@podman/prod-1/1001", "pulled"),
    "pull nginx@docker/test-1 --timeout 1200": ("nginx:latest pulled; sha256:",),
    "ps --label app=shop --health unhealthy": ("shop-cart",),
    "ps 'shop-*' --host 'prod-*' -q": (),
    "services shop": ("shop/front", "compose", "4/4"),
    "services 'shop/*' --host 'prod-*'": ("1 unhealthy",),
    "scale shop/front 6 --timeout 300": ("scaled from 4 to 6",),
    "logs 'shop-*' --since 1h --stderr": ("cart: out of stock",),
    "logs web api --since 10m": ("web | web is up", "api | api is up"),
    "inspect web -f '{{index .Config.Labels \"com.docker.compose.project\"}}'": ("shop",),
    "events web --since 10m": ("created", "started"),
    "audit --who console:alice --since 1d": ("restart batch-1",),
    "audit --refused": ("stop web", "console:carol"),
    "can 'shop-*' container.logs": ("shop-front", "shop-cart", "yes"),
    "whoami": ("console:alice",),
    "logs --help": ("--tail",),
}


def test_what_is_looked_for_stands_in_a_help_text():
    assert SEEN.keys() <= {line for _, line in EXAMPLES}


@pytest.mark.parametrize("line", SEEN)
async def test_an_example_shows_what_it_is_about(valkey, engines, line):
    prod, *_ = engines
    async with Deck(valkey.url, engines, policy=POLICY) as deck:
        await deck.say("restart batch-1")
        await deck.say("stop web", NEWCOMER)
        text = plain_text.render(await deck.say(line))
    for words in SEEN[line]:
        assert words in text
    if line.endswith("-q"):
        assert text.split() == sorted(
            (row(prod, name).ref.id[:12] for name in ("shop-cart", "shop-front")), key=text.find
        )
        assert len(text.split()) == 2
