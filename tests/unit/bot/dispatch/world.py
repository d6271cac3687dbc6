"""A scripted engine, and dispatchers of any number of replicas over one real store, for the tests of this folder."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta

from bot import builtin_runtime
from bot.access import policy_in_force
from bot.dispatch import audit, pending_questions, rate_limits, unfinished_commands
from bot.dispatch.dispatcher import Dispatcher
from commands.catalogue import load_catalogue
from core import errors
from core.metrics import Metrics
from core.model import actions
from core.model.actions import Risk
from core.model.containers import Container, Containers
from core.model.invocation import Identity, Invocation, Place
from core.model.policy import Grant, Policy
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Lines, Status, Table, Text
from core.model.results import Document, LogLine, LogPage, Outcome
from core.store import keys
from core.store.client import Store
from core.store.records import RateLimitRule
from runtimes.base.base_adapter import BaseAdapter, does
from runtimes.inventory.fleet import Fleet

ENGINE = EngineRef(host="h1", kind="docker")
ANN = Identity(id="slack:T1/ANN", name="ann", groups=frozenset({"sre"}))
BOB = Identity(id="slack:T1/BOB", name="bob")
EVE = Identity(id="slack:T1/EVE", name="eve")
OPS = Place(channel="#ops")
VIEWER = Grant(id="viewers", who="everyone", can=("viewer", "help.show", "policy.whoami", "policy.can"))
OPERATOR = Grant(id="operators", who="group:sre", can=("operator", "container.remove"))
ADMIN = Grant(id="boss", who=ANN.id, can=("admin",))


class Engine(BaseAdapter):
    """A few containers in a dict. A change fails with `fails`, waits for `gate` or its target's one of `gates`, and is
    in `done` afterwards."""

    def __init__(self, ref=ENGINE):
        super().__init__(ref)
        self.rows = {}
        self.done = []
        self.fails = None
        self.gate = None
        self.gates = {}
        self.arrived = asyncio.Event()
        """Set once a change waits for its gate."""
        self.details = {}
        self.log_line = "login password=hunter2 ok"
        for name, labels in (("web", {"env": "prod"}), ("web-2", {}), ("db", {"env": "dev"}), ("api", {}), ("job", {})):
            self.add(name, labels)

    def add(self, name, labels, number=itertools.count(1)):
        ref = Ref(engine=self.ref, kind=Kind.CONTAINER, id=f"{next(number):064x}", name=name)
        self.rows[ref.id] = Container(
            ref=ref,
            image="i",
            image_id="",
            command="c",
            state="running",
            status="Up 1 second",
            created_at=0,
            labels=labels,
        )

    def id(self, name):
        return next(key for key, row in self.rows.items() if row.ref.name == name)

    @does(actions.ListContainers)
    async def list(self, action, seconds):
        if isinstance(self.fails, errors.Unreachable) and not self.fails.sent:
            raise self.fails
        return Containers(rows=tuple(self.rows.values()))

    @does(actions.ReadLogs)
    async def logs(self, action, seconds):
        return LogPage(lines=(LogLine(at="2026-01-02T03:04:05Z", stream="stdout", text=self.log_line),))

    @does(actions.InspectContainer)
    async def inspect(self, action, seconds):
        return Document(ref=action.target, data={"Id": action.target.id, **self.details})

    async def change(self, action):
        gate = self.gates.get(action.target.name, self.gate)
        if gate is not None:
            self.arrived.set()
            await gate.wait()
        if self.fails is not None:
            raise self.fails
        self.done.append((action.verb, action.target.name))
        return Outcome(status=Status.DONE, took=0.1)

    @does(actions.Restart)
    async def restart(self, action, seconds):
        return await self.change(action)

    @does(actions.Stop)
    async def stop(self, action, seconds):
        return await self.change(action)

    @does(actions.Remove)
    async def remove(self, action, seconds):
        out = await self.change(action)
        self.rows.pop(action.target.id, None)
        return out


class World:
    """Dispatchers of any number of replicas over one store and one engine."""

    def __init__(
        self,
        valkey,
        *,
        grants=(VIEWER, OPERATOR, ADMIN),
        guards=(),
        rate=RateLimitRule(count=100, period=60.0),
        ttl=300,
    ):
        self.url = valkey.url
        self.engine = Engine()
        self.policy = Policy(grants=tuple(grants), guards=tuple(guards))
        self.rates = dict.fromkeys(Risk, rate)
        self.ttl = ttl
        self.ids = itertools.count()
        self.stores = []

    async def replica(self, name="r1"):
        store = Store.open(self.url)
        self.stores.append(store)
        words = load_catalogue()
        kept = policy_in_force.PolicyInForce(store, self.policy)
        front = builtin_runtime.BuiltinRuntime(policies=kept, store=store, catalogue=words, clock=now)
        fleet = Fleet([self.engine], builtin=front)
        front.fleet = fleet
        made = Dispatcher(
            catalogue=words,
            fleet=fleet,
            store=store,
            policies=kept,
            limits=rate_limits.RateLimits(self.rates),
            pending_questions=pending_questions.PendingQuestions(store, ttl=timedelta(seconds=self.ttl)),
            audit=audit.Audit(store, clock=now, count=lambda phase: None),
            metrics=Metrics(),
            clock=now,
            replica=name,
        )
        try:
            await store.heartbeat(name, 60)
        except errors.StoreError:
            pass
        return made

    def line(self, line, who=ANN, place=OPS, id_=None):
        at = now()
        return Invocation(
            id=id_ or f"i{next(self.ids)}", who=who, line=line, place=place, at=at, deadline=at + timedelta(seconds=30)
        )

    async def recover(self, *sources):
        rows = audit.Audit(self.stores[0], clock=now, count=lambda phase: None)
        return [lost async for lost in unfinished_commands.take_over(self.stores[0], rows, sources or {"slack"})]

    async def until(self, phase, count=1):
        """Returns once the audit has so many rows of this phase."""
        async with asyncio.timeout(60):
            while sum(row["phase"] == phase for row in await self.rows()) < count:
                await asyncio.sleep(0.01)

    async def rows(self):
        """All audit rows, in the order of their times; rows of commands that only read after others of equal time."""
        store = self.stores[0]
        found = [await store.read_audit(count=500, audit=audit) for audit in (keys.AUDIT, keys.READS)]
        rows = [dict(row.fields) | {"count": row.count} for part in found for row in reversed(part)]
        return sorted(rows, key=lambda row: row["at"])

    async def aclose(self):
        for store in self.stores:
            await store.aclose()


def now():
    return datetime.now(UTC)


def words(reply):
    out = []
    for block in reply.blocks:
        if isinstance(block, Text):
            out.append(block.text)
        elif isinstance(block, Table):
            out += [" ".join(map(str, row)) for row in block.rows] or [block.empty]
        elif isinstance(block, Lines):
            out += block.lines
    return "\n".join(out)
