"""The composition root: a Config in, a running App out; every part is made here once and handed its collaborators.

What starts first stops last: the store outlives the dispatcher, the dispatcher outlives its surfaces. An engine or a
store that is absent is no reason not to start; both may come later and are said in the log, in `/readyz` and in the
metrics meanwhile.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from bot import builtin
from bot.access import own_container, policy_store
from bot.dispatch import approvals, audit, dispatcher, rate_limits, recovery
from commands.catalogue import Catalogue, load_catalogue
from core import errors, metrics, supervise
from core.config import load
from core.model.actions import DescribeEngine, Risk
from core.name_matching import containers
from core.ports import Call, Query
from core.store import embedded
from core.store.client import Store
from core.store.records import Rate
from runtimes import discovery
from runtimes import registry as runtimes_registry
from runtimes.inventory import fleet
from runtimes.inventory.mirror import Mirror, Watched
from runtimes.swarm import membership
from runtimes.transport import endpoint

log = structlog.get_logger(__name__)
Teller = Callable[[recovery.Unfinished], Awaitable[None]]
BEAT, LEASE = 5.0, 15.0  # seconds: how often a replica says it lives, and how long that holds
MEET = 3.0  # seconds engines get to tell their names before a single command
SWEEP = 5.0  # seconds between looks for what a dead replica left unfinished


def version() -> str:
    try:
        return importlib.metadata.version("quarterdeck")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


@dataclass(slots=True, kw_only=True)
class App:
    config: load.Config
    catalogue: Catalogue
    supervisor: supervise.Supervisor
    metrics: metrics.Metrics
    store: Store
    embedded: embedded.EmbeddedStore | None
    engines: Sequence[Watched]
    swarms: membership.Clusters
    mirrors: Sequence[Mirror]
    fleet: fleet.Fleet
    policies: policy_store.PolicyStore
    audit: audit.Audit
    dispatcher: dispatcher.Dispatcher
    replica: str
    far: bool = False
    """Whether an engine is on another host, whose name only it knows."""
    warnings: Sequence[str] = ()
    """What is not wrong but should be known: said once at start."""
    tellers: dict[str, Teller] = field(default_factory=dict)
    """By the door people came in through, who can tell them something later."""
    chat: Callable[[], Mapping[str, Any]] | None = None
    """How the chat's connection is, where there should be one."""

    async def meet(self) -> None:
        """Lets engines tell who they are: those on other hosts their names, so that `--host` finds them, Docker's the
        Swarm they manage. Those slow to answer are left."""
        call = Call(id="meet", who="", deadline=datetime.now(UTC) + timedelta(seconds=MEET), invocation="")
        asked = (engine.run(DescribeEngine(engine=engine.ref), call) for engine in self.engines if self.far)
        await asyncio.gather(self.swarms.meet(MEET), *asked, return_exceptions=True)

    async def names(self) -> Sequence[str]:
        """The names of containers, their projects and services, for completion at this terminal; none when the engines
        are slow to say."""
        now = datetime.now(UTC)
        call = Call(id="names", who="", deadline=now + timedelta(seconds=1), invocation="")
        survey = await self.fleet.list_all(Query(), call)
        return sorted({name for row in survey.rows for name in (row.ref.name, *containers.group_names(row))})

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether commands would work now, and each part's own word."""
        parts: dict[str, Any] = {}
        try:
            parts["store"] = {"ready": True, "seconds": round(await self.probe(), 6)}
        except errors.StoreError as error:
            parts["store"] = {"ready": False, "reason": error.full_message()}
        there = [mirror for mirror in self.mirrors if mirror.present]
        parts["engines"] = {str(mirror.ref): {"ready": mirror.live} for mirror in there}
        if self.chat is not None:
            parts["slack"] = self.chat()
        ready = parts["store"]["ready"] and any(mirror.live for mirror in there)
        return ready and (self.chat is None or parts["slack"]["ready"]), parts

    async def probe(self) -> float:
        """Seconds the store took to answer, counted. Raises StoreDown."""
        try:
            seconds = await self.store.ping()
        except errors.StoreError:
            self.metrics.store_up.set(0)
            raise
        self.metrics.store_up.set(1)
        self.metrics.store_round_trip_seconds.observe(seconds)
        return seconds

    async def recover(self) -> None:
        """Says what a process that is gone left unfinished, to whoever can be reached from here."""
        async for lost in recovery.recover(self.store, self.audit, {"console", *self.tellers}):
            log.warning(lost.text, action="recover", who=lost.who, line=lost.line)
            if (tell := self.tellers.get(lost.who.partition(":")[0])) is not None:
                await tell(lost)

    def reload(self, path: Path | None) -> bool:
        """The permissions of the configuration, read anew; a broken file changes nothing and is said loudly."""
        try:
            fresh = load.load(path)
        except errors.ConfigError as error:
            self.metrics.config_last_reload_successful.set(0)
            log.error(
                "the configuration was NOT reloaded, the old one stays in force",
                action="reload",
                reason=error.full_message(),
            )
            return False
        if later := load.needs_restart(self.config, fresh):
            log.warning("these settings changed and hold from the next start on", action="reload", settings=later)
        self.policies.replace_configured(base_policy(fresh))
        self.metrics.config_last_reload_successful.set(1)
        self.metrics.config_last_reload_timestamp_seconds.set(time.time())
        log.info("the permissions were reloaded", action="reload", grants=len(fresh.grants), guards=len(fresh.guards))
        return True


async def build(settings: load.Config, *, watch: bool, supervisor: supervise.Supervisor) -> App:
    """Everything connected and registered for its teardown. `watch`: keep mirrors of the engines; a single command asks
    them directly instead."""
    own: embedded.EmbeddedStore | None = None
    if settings.store.url is None:
        own = embedded.EmbeddedStore(settings.state)
        supervisor.on_close("embedded store", own.aclose)
        try:
            await own.ensure()
        except errors.StoreError as error:
            log.error("the embedded store did not start; commands that change are refused", reason=error.full_message())
        url = own.url
    else:
        url = settings.store.url.get_secret_value()
    store = Store.open(url, timeout=settings.store.timeout, audit_rows=settings.audit.keep)
    supervisor.on_close("store", store.aclose)

    measured = metrics.Metrics(version=version())
    words = load_catalogue()
    in_force = policy_store.PolicyStore(store, base_policy(settings))
    front = builtin.BuiltinRuntime(policies=in_force, store=store, catalogue=words, clock=_now)
    leading = doors(settings)
    daemons = runtimes_registry.open_engines(leading)
    swarms = runtimes_registry.swarms(leading, daemons)
    engines = (*daemons, *swarms.engines)
    for engine in engines:
        supervisor.on_close(f"engine {engine.ref}", engine.aclose)
    mirrors = [Mirror(engine) for engine in engines] if watch else []
    deck = fleet.Fleet(mirrors or engines, builtin=front)
    front.fleet = deck
    trail = audit.Audit(store, clock=_now, count=lambda phase: measured.audit_rows_total.labels(phase).inc())
    replica = f"{_now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    app = App(
        config=settings,
        catalogue=words,
        supervisor=supervisor,
        metrics=measured,
        store=store,
        embedded=own,
        engines=engines,
        swarms=swarms,
        mirrors=mirrors,
        fleet=deck,
        policies=in_force,
        audit=trail,
        dispatcher=dispatcher.Dispatcher(
            catalogue=words,
            fleet=deck,
            store=store,
            policies=in_force,
            limits=rate_limits.RateLimits(
                {
                    Risk(name): Rate(count=limit.count, period=limit.period)
                    for name in Risk
                    if (limit := getattr(settings.limits, name))
                }
            ),
            approvals=approvals.Approvals(store, ttl=settings.confirm.ttl),
            audit=trail,
            metrics=measured,
            clock=_now,
            replica=replica,
            max_unconfirmed=settings.confirm.more_than,
            stopping=supervisor.stopping,
        ),
        replica=replica,
        far=any(not door.url.startswith("unix://") for door in leading),
        warnings=(*settings.warnings, *runtimes_registry.warnings(leading)),
    )
    try:
        await store.heartbeat(replica, LEASE)
    except errors.StoreError as error:
        log.error(
            "the store does not answer; reads work, changes are refused until it does", reason=error.full_message()
        )
    supervisor.on_close("replica", lambda: _leave(app))
    return app


def announce(text: str) -> None:
    """A sentence for whoever looks after this process, past the log's hiding of secrets."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def base_policy(settings: load.Config) -> Any:
    url = settings.store.url.get_secret_value() if settings.store.url is not None else ""
    return replace(
        load.policy_from(settings),
        self_ids=own_container.container_ids(),
        self_name=own_container.container_id_prefix(),
        store_host=own_container.store_host(url),
    )


def doors(settings: load.Config) -> Sequence[runtimes_registry.EngineAddress]:
    """Where the engines listen. Raises ConfigError for contexts that lead nowhere, and for one engine listed twice."""
    if settings.engines is None:
        return discovery.discover()
    found, wrong = [], []
    for index, engine in enumerate(settings.engines):
        try:
            found.append(_door(engine))
        except errors.UserError as error:
            wrong.append(errors.Problem(path=f"engines.{index}", what=error.message, hint=error.hint))
    if not wrong and (same := runtimes_registry.twice(found)):
        wrong.append(errors.Problem(path="engines", what=same))
    if wrong:
        raise errors.ConfigError(wrong)
    return found


def _door(engine: Any) -> runtimes_registry.EngineAddress:
    allow = tuple(engine.allow)
    if engine.named:
        door = runtimes_registry.by_context(engine.named, name=engine.name, allow=allow, environ=os.environ)
        return replace(door, swarm=engine.swarm)
    tls = endpoint.Tls(**_files(engine.tls)) if engine.tls is not None else None
    ssh = endpoint.Ssh(**_files(engine.ssh)) if engine.ssh is not None else None
    endpoint.Endpoint.parse(engine.url)
    kind = engine.kind or runtimes_registry.kind_of(engine.url)
    runtimes_registry.engine_class(kind)
    return runtimes_registry.EngineAddress(
        kind=kind, url=engine.url, name=engine.name, allow=allow, tls=tls, ssh=ssh, swarm=engine.swarm
    )


def _files(section: load.Section) -> dict[str, str]:
    return {name: str(path) for name, path in section if path is not None}


async def beat(app: App) -> None:
    """Endless: says that this replica lives, and measures the store while at it."""
    while True:
        try:
            await app.probe()
            await app.store.heartbeat(app.replica, LEASE)
            await app.dispatcher.flush_spool()
        except errors.StoreError as error:
            log.warning("the store does not answer", action="beat", reason=error.message)
        await asyncio.sleep(BEAT)


async def sweep(app: App) -> None:
    """Endless: at start and from time to time, what replicas that are gone left unfinished."""
    while True:
        try:
            await app.recover()
        except errors.StoreError as error:
            log.debug("unfinished commands could not be looked for", reason=error.message)
        await asyncio.sleep(SWEEP)


async def _leave(app: App) -> None:
    try:
        await app.dispatcher.flush_spool()
        await app.store.remove_replica(app.replica)
    except errors.StoreError as error:
        log.debug("the store was away when this process ended", reason=error.message)


def _now() -> datetime:
    return datetime.now(UTC)
