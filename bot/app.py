"""Builds the application: makes every part once from the configuration, and hands each its collaborators.

What starts first stops last: the store outlives the dispatcher, the dispatcher outlives Slack and the console. An
engine or a store that does not answer does not prevent the start. It may answer later; meanwhile the log, `/readyz` and
the metrics report it.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from bot import builtin_commands, engine_addresses
from bot import engine_lifecycle
from bot.access import own_container, policy_store
from bot.dispatch import audit, dispatcher, pending_questions, rate_limits, recovery
from commands.catalogue import Catalogue, load_catalogue
from core import errors, metrics, supervise
from core.config import load
from core.model.actions import Risk
from core.name_matching import containers
from core.ports import Call, Query
from core.store import embedded
from core.store.client import Store
from core.store.records import RateLimit
from core.version import quarterdeck_version
from runtimes import engine_discovery, engine_registry
from runtimes.inventory import fleet

log = structlog.get_logger(__name__)
Notifier = Callable[[recovery.Unfinished], Awaitable[None]]
HEARTBEAT_SECONDS, LEASE_SECONDS = 5.0, 15.0  # how often a replica reports that it lives, and how long that is valid
MEET_SECONDS = 3.0  # for engines to report their names before a single command
RECOVERY_SECONDS = 5.0  # between searches for what a dead replica left unfinished
COMPLETION_SECONDS = 1.0


@dataclass(slots=True, kw_only=True)
class App:
    """The parts of a running process."""

    config: load.Config
    catalogue: Catalogue
    supervisor: supervise.Supervisor
    metrics: metrics.Metrics
    store: Store
    embedded: embedded.EmbeddedStore | None
    engines: engine_lifecycle.EngineLifecycle
    fleet: fleet.Fleet
    policies: policy_store.PolicyStore
    audit: audit.Audit
    dispatcher: dispatcher.Dispatcher
    replica: str
    warnings: Sequence[str] = ()
    """Logged once at the start."""
    notifiers: dict[str, Notifier] = field(default_factory=dict)
    """By the way a command came in (`slack`): sends its requester a message later."""
    chat: Callable[[], Mapping[str, Any]] | None = None
    """Reports the state of the chat's connection; None without a chat."""

    async def meet(self) -> None:
        await self.engines.meet(MEET_SECONDS)

    async def names(self) -> Sequence[str]:
        """The names of containers, their projects and services, for completion at a terminal. Engines that are slow to
        answer are left out."""
        deadline = datetime.now(UTC) + timedelta(seconds=COMPLETION_SECONDS)
        call = Call(id="names", who="", deadline=deadline, invocation="")
        listed = await self.fleet.list_rows(Query(), call)
        return sorted({name for row in listed.rows for name in (row.ref.name, *containers.group_names(row))})

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Whether commands would work now, and the state of each part."""
        parts: dict[str, Any] = {}
        try:
            parts["store"] = {"ready": True, "seconds": round(await self.probe(), 6)}
        except errors.StoreError as error:
            parts["store"] = {"ready": False, "reason": error.full_message()}
        mirrors = self.engines.mirrors
        parts["engines"] = {str(mirror.ref): {"ready": mirror.live} for mirror in mirrors}
        if self.chat is not None:
            parts["slack"] = self.chat()
        ready = parts["store"]["ready"] and any(mirror.live for mirror in mirrors)
        return ready and (self.chat is None or parts["slack"]["ready"]), parts

    async def probe(self) -> float:
        """The seconds the store took to answer, which are also counted. Raises StoreDown."""
        try:
            seconds = await self.store.ping()
        except errors.StoreError:
            self.metrics.store_up.set(0)
            raise
        self.metrics.store_up.set(1)
        self.metrics.store_round_trip_seconds.observe(seconds)
        return seconds

    async def recover(self) -> None:
        """Reports the commands that a dead process left unfinished, to every requester who can be reached from here."""
        async for lost in recovery.recover(self.store, self.audit, {"console", *self.notifiers}):
            log.warning(lost.text, action="recover", who=lost.who, line=lost.line)
            if (notify := self.notifiers.get(lost.who.partition(":")[0])) is not None:
                await notify(lost)

    def reload(self, path: Path | None) -> bool:
        """Reads the permissions of the configuration again. A broken file changes nothing and is logged as an error."""
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
            log.warning("these settings changed and take effect at the next start", action="reload", settings=later)
        self.policies.replace_configured(base_policy(fresh))
        self.metrics.config_last_reload_successful.set(1)
        self.metrics.config_last_reload_timestamp_seconds.set(time.time())
        log.info("the permissions were reloaded", action="reload", grants=len(fresh.grants), guards=len(fresh.guards))
        return True


async def build(settings: load.Config, *, watch: bool, supervisor: supervise.Supervisor) -> App:
    """Makes every part and registers it for closing. `watch`: mirror the engines; a single command asks them directly
    instead. Raises ConfigError."""
    store, embedded_store = await _open_store(settings, supervisor)
    counts = metrics.Metrics(version=quarterdeck_version())
    catalogue = load_catalogue()
    policies = policy_store.PolicyStore(store, base_policy(settings))
    builtin_runtime = builtin_commands.BuiltinRuntime(policies=policies, store=store, catalogue=catalogue, clock=_now)
    search = engine_discovery.Discovery() if settings.engines is None else None
    addresses = search.look() if search is not None else engine_addresses.engine_addresses(settings)
    engines = engine_lifecycle.EngineLifecycle(
        builtin=builtin_runtime,
        supervisor=supervisor,
        counts=counts,
        cursors=store,
        watch=watch,
        discovery=search,
    )
    for address in addresses:
        engines.add(address)
    builtin_runtime.fleet = engines.fleet
    trail = audit.Audit(store, clock=_now, count=lambda phase: counts.audit_rows_total.labels(phase).inc())
    replica = f"{_now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    app = App(
        config=settings,
        catalogue=catalogue,
        supervisor=supervisor,
        metrics=counts,
        store=store,
        embedded=embedded_store,
        engines=engines,
        fleet=engines.fleet,
        policies=policies,
        audit=trail,
        dispatcher=dispatcher.Dispatcher(
            catalogue=catalogue,
            fleet=engines.fleet,
            store=store,
            policies=policies,
            limits=rate_limits.RateLimits(
                {
                    Risk(name): RateLimit(count=limit.count, period=limit.period)
                    for name in Risk
                    if (limit := getattr(settings.limits, name))
                }
            ),
            pending_questions=pending_questions.PendingQuestions(store, ttl=settings.confirm.ttl),
            audit=trail,
            metrics=counts,
            clock=_now,
            replica=replica,
            max_unconfirmed=settings.confirm.more_than,
            stopping=supervisor.stopping,
        ),
        replica=replica,
        warnings=(*settings.warnings, *engine_registry.security_warnings(addresses)),
    )
    try:
        await store.heartbeat(replica, LEASE_SECONDS)
    except errors.StoreError as error:
        log.error(
            "the store does not answer; reads work, changes are refused until it does", reason=error.full_message()
        )
    supervisor.on_close("replica", lambda: _remove_replica(app))
    return app


async def _open_store(
    settings: load.Config, supervisor: supervise.Supervisor
) -> tuple[Store, embedded.EmbeddedStore | None]:
    """The configured store, or the embedded one, which is started."""
    embedded_store: embedded.EmbeddedStore | None = None
    if settings.store.url is None:
        embedded_store = embedded.EmbeddedStore(settings.state)
        supervisor.on_close("embedded store", embedded_store.aclose)
        try:
            await embedded_store.ensure()
        except errors.StoreError as error:
            log.error("the embedded store did not start; commands that change are refused", reason=error.full_message())
        url = embedded_store.url
    else:
        url = settings.store.url.get_secret_value()
    store = Store.open(url, timeout=settings.store.timeout, audit_rows=settings.audit.keep)
    supervisor.on_close("store", store.aclose)
    return store, embedded_store


def announce(text: str) -> None:
    """Prints a sentence for the person who runs this process. Unlike the log, it hides no secrets."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def base_policy(settings: load.Config) -> Any:
    url = settings.store.url.get_secret_value() if settings.store.url is not None else ""
    return replace(
        load.policy_from(settings),
        self_ids=own_container.container_ids(),
        self_name=own_container.container_id_prefix(),
        store_host=own_container.store_host(url),
    )


async def keep_alive(app: App) -> None:
    """Endless: reports that this replica lives, and measures the store."""
    while True:
        try:
            await app.probe()
            await app.store.heartbeat(app.replica, LEASE_SECONDS)
            await app.dispatcher.flush_spool()
        except errors.StoreError as error:
            log.warning("the store does not answer", action="heartbeat", reason=error.message)
        await asyncio.sleep(HEARTBEAT_SECONDS)


async def keep_recovering(app: App) -> None:
    """Endless: recovers at once and every few seconds."""
    while True:
        try:
            await app.recover()
        except errors.StoreError as error:
            log.debug("unfinished commands could not be read", reason=error.message)
        await asyncio.sleep(RECOVERY_SECONDS)


async def _remove_replica(app: App) -> None:
    try:
        await app.dispatcher.flush_spool()
        await app.store.remove_replica(app.replica)
    except errors.StoreError as error:
        log.debug("the store was gone before the replica could be removed", reason=error.message)


def _now() -> datetime:
    return datetime.now(UTC)
