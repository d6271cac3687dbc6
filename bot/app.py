"""Builds the application: creates every part of the process from the configuration and connects the parts.

Parts stop in the reverse order of their start: Slack and the console first, then the dispatcher, then the store. If an
engine or the store does not answer, the process starts anyway. The log, `/readyz` and the metrics report the failure
until the engine or the store answers.
"""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from bot import engine_addresses, engine_manager, lazy_builtin_runtime, store_setup
from bot.access import configured_policy, policy_in_force
from bot.dispatch import audit, dispatcher, pending_questions, rate_limits, unfinished_commands
from commands.catalogue import Catalogue, load_catalogue, open_catalogue
from core import errors, noop_metrics, supervise, tasks
from core.config import load
from core.lazy_dataclass import dataclass
from core.model import alert_routes
from core.model.actions import Risk
from core.name_matching import containers
from core.ports import Call, Query
from core.store import embedded_server, records
from core.store.client import Store
from core.store.records import RateLimitRule
from core.text import redact
from core.version import read_quarterdeck_version
from runtimes import engine_discovery, engine_registry
from runtimes.inventory import fleet
from runtimes.inventory.mirror import Mirror

if TYPE_CHECKING:
    from bot import builtin_runtime
    from bot.notify import alert_runner
    from core.metrics import Metrics

log = structlog.get_logger(__name__)
Notifier = Callable[[unfinished_commands.Unfinished], Awaitable[None]]
LEASE_SECONDS = 15.0  # how long the report is valid that a replica runs
MEET_SECONDS = 3.0  # how long a single command waits for engines to report their names
COMPLETION_SECONDS = 1.0
AUDIT_WARNING_RATIO = 0.8  # of its limits


@dataclass(slots=True, kw_only=True)
class App:
    """Holds the parts of a running process."""

    config: load.Config
    catalogue: Catalogue
    supervisor: supervise.Supervisor
    metrics: Metrics
    store: Store
    embedded: embedded_server.EmbeddedStore | None
    engines: engine_manager.EngineManager
    alerts: alert_runner.AlertRunner | None
    """Evaluates the alert rules and stores incidents; None in a process that does not watch engines."""
    fleet: fleet.Fleet
    policies: policy_in_force.PolicyInForce
    audit: audit.Audit
    dispatcher: dispatcher.Dispatcher
    replica: str
    routing: alert_routes.Routing
    """Where incidents are posted, as configured."""
    builtin: lazy_builtin_runtime.LazyBuiltinRuntime
    warnings: Sequence[str] = ()
    """Logged once at the start."""
    notifiers: dict[str, Notifier] = field(default_factory=dict)
    """Functions that send a requester a message later, by the source of the command (`slack`)."""
    chat: Callable[[], Mapping[str, Any]] | None = None
    """Reports the state of the chat's connection; None without a chat."""
    audit_nearly_full: bool = False
    """Set once the log has said so."""
    restart_needed: Sequence[str] = ()
    """The settings that differ from the configuration as it was last reloaded, because only a restart applies them."""

    async def meet(self) -> None:
        """Waits until engines have reported their names, for at most `MEET_SECONDS`."""
        await self.engines.meet(MEET_SECONDS)

    async def names(self) -> Sequence[str]:
        """Returns the names of containers, projects and services, for completion at a terminal. Engines that do not
        answer within a second are left out."""
        deadline = datetime.now(UTC) + timedelta(seconds=COMPLETION_SECONDS)
        call = Call(id="names", who="", deadline=deadline, invocation="")
        listed = await self.fleet.list_rows(Query(), call)
        return sorted({name for row in listed.rows for name in (row.ref.name, *containers.group_names(row))})

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """Returns whether commands would work now, and the state of each part."""
        parts: dict[str, Any] = {}
        try:
            parts["store"] = {"ready": True, "seconds": round(await self.probe(), 6)}
        except errors.StoreError as error:
            fault = self.embedded.fault if self.embedded is not None else ""
            parts["store"] = {"ready": False, "reason": fault or error.full_message()}
        mirrors = self.engines.mirrors
        parts["engines"] = {str(mirror.ref): _engine_readiness(mirror) for mirror in mirrors}
        if not mirrors:
            parts["reason"] = "No engine is watched. Either Quarterdeck found no engine, or all engines were removed."
        if self.chat is not None:
            parts["slack"] = self.chat()
        ready = parts["store"]["ready"] and any(mirror.live for mirror in mirrors)
        return ready and (self.chat is None or parts["slack"]["ready"]), parts

    async def probe(self) -> float:
        """Measures how long the store takes to answer, in seconds, and records it in the metrics. Raises StoreDown."""
        try:
            await self.store.heartbeat(self.replica, LEASE_SECONDS)  # if its disk is full, it refuses only writes
            began = time.monotonic()
            usage = await self.store.usage()
        except errors.StoreError:
            self.metrics.store_up.set(0)
            raise
        seconds = time.monotonic() - began
        self.metrics.store_up.set(1)
        self.metrics.store_round_trip_seconds.observe(seconds)
        self._report(usage)
        return seconds

    def _report(self, usage: records.StoreUsage) -> None:
        """Reports how full the store and the audit are, and warns before audit rows are removed."""
        self.metrics.store_memory_bytes.set(usage.memory)
        self.metrics.store_memory_limit_bytes.set(usage.max_memory)
        self.metrics.audit_stored_rows.set(usage.audit_rows)
        self.metrics.audit_fill_ratio.set(usage.audit_fill)
        self.metrics.audit_removed_rows.set(usage.audit_trimmed)
        self.metrics.history_stored_events.set(usage.event_rows)
        self.metrics.history_stored_bytes.set(usage.event_bytes)
        nearly_full = usage.audit_fill >= AUDIT_WARNING_RATIO
        if nearly_full and not self.audit_nearly_full:
            log.warning(
                "The audit trail is nearly full. Its oldest rows will be removed.",
                action="audit",
                rows=usage.audit_rows,
                megabytes=usage.audit_bytes >> 20,
                removed=usage.audit_trimmed,
                hint="Raise the limits under `audit` in quarterdeck.yaml to keep more rows.",
            )
        self.audit_nearly_full = nearly_full

    async def recover(self) -> None:
        """Reports the unfinished commands of dead replicas to their requesters, if this process can send them
        messages."""
        async for lost in unfinished_commands.take_over(self.store, self.audit, {"console", "rule", *self.notifiers}):
            log.warning(lost.text, action="recover", who=lost.who, line=lost.line)
            if (notify := self.notifiers.get(lost.who.partition(":")[0])) is not None:
                await notify(lost)

    def reload(self, path: Path | None) -> bool:
        """Reads the permissions and the routes of the configuration again. Returns False for an invalid file: it is
        logged and changes nothing."""
        try:
            fresh = load.load(path)
        except errors.ConfigError as error:
            self.metrics.config_last_reload_successful.set(0)
            log.error(
                "The configuration was not reloaded. The previous one is still in force.",
                action="reload",
                reason=error.full_message(),
            )
            return False
        self.restart_needed = later = load.needs_restart(self.config, fresh)
        if later:
            log.warning("Settings were changed that take effect at the next start.", action="reload", settings=later)
        self.policies.replace_configured(configured_policy.build_configured_policy(fresh))
        self.route(load.routing_from(fresh))
        self.metrics.config_last_reload_successful.set(1)
        self.metrics.config_last_reload_timestamp_seconds.set(time.time())
        log.info(
            "The permissions and the routes were reloaded.",
            action="reload",
            grants=len(fresh.grants),
            guards=len(fresh.guards),
            routes=len(fresh.routes),
        )
        return True

    def route(self, routing: alert_routes.Routing) -> None:
        """Posts incidents where `routing` says from now on."""
        self.routing = self.builtin.runtime.routing = routing


async def build(
    settings: load.Config, *, watch: bool, supervisor: supervise.Supervisor, opened: store_setup.Opened | None = None
) -> App:
    """Creates every part and registers it for closing. `watch`: whether to mirror the engines; False for a single
    command, which requests everything from them. `opened`: the store, if it is already open. Raises ConfigError."""
    store, embedded_store = opened or await store_setup.open_store(settings, supervisor, visits=not watch)
    counts = noop_metrics.noop_metrics()
    if watch:
        from core import metrics  # noqa: PLC0415 (its library is large)

        counts = metrics.Metrics(version=read_quarterdeck_version())
    _count_tasks(supervisor, counts)
    catalogue = load_catalogue() if watch else open_catalogue()
    policies = policy_in_force.PolicyInForce(store, configured_policy.build_configured_policy(settings))
    replica = f"{_now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    routing = load.routing_from(settings)
    alerts = None
    if watch or load.names_alert_rules(settings):
        from bot import builtin_setup  # noqa: PLC0415 (large, and a single command seldom needs it)

        rules = builtin_setup.load_checked_rules(settings)
        if watch:
            alerts = builtin_setup.create_alert_runner(
                settings, rules, store=store, counts=counts, policies=policies, replica=replica
            )

    evaluator = alerts.evaluator if alerts is not None else None

    def create_builtin() -> builtin_runtime.BuiltinRuntime:
        from bot import builtin_setup  # noqa: PLC0415 (as above)

        parts = builtin_setup.BuiltinDependencies(
            policies=policies, store=store, catalogue=catalogue, clock=_now, fleet=engines.fleet
        )
        return builtin_setup.create_builtin_runtime(settings, parts, routing=routing, evaluator=evaluator)

    builtin = lazy_builtin_runtime.LazyBuiltinRuntime(create_builtin)
    search = engine_discovery.Discovery() if settings.engines is None else None
    addresses = search.look() if search is not None else engine_addresses.read_engine_addresses(settings)
    engines = engine_manager.EngineManager(
        builtin=builtin,
        supervisor=supervisor,
        counts=counts,
        cursors=store,
        history=store,
        watch=watch,
        alerts=evaluator,
        discovery=search,
        registries=settings.registries,
    )
    engines.add_all(addresses)
    if watch:
        builtin.create()
    trail = audit.Audit(store, clock=_now, count=lambda phase: counts.audit_rows_total.labels(phase).inc())
    app = App(
        config=settings,
        catalogue=catalogue,
        supervisor=supervisor,
        metrics=counts,
        store=store,
        embedded=embedded_store,
        engines=engines,
        alerts=alerts,
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
                    Risk(name): RateLimitRule(count=limit.count, period=limit.period)
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
        routing=routing,
        builtin=builtin,
        warnings=(*settings.warnings, *engine_registry.security_warnings(addresses)),
    )
    try:
        await store.heartbeat(replica, LEASE_SECONDS)
        await policies.share_containers()
    except errors.StoreError as error:
        log.error("The store failed at the start. Changes are refused until it works.", reason=error.full_message())
    supervisor.on_close("replica", lambda: _remove_replica(app))
    return app


def announce(text: str) -> None:
    """Prints a sentence for the person who runs this process. Unlike the log, it hides no secrets."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _engine_readiness(mirror: Mirror) -> dict[str, Any]:
    reason = redact.redact(mirror.not_live_reason)
    return {"ready": not reason} | ({"reason": reason} if reason else {})


def _count_tasks(supervisor: supervise.Supervisor, counts: Metrics) -> None:
    """Counts the restarts and the failures of tasks. All watches are one task, so that engines that come and go add no
    series."""
    supervisor.on_restart = lambda task: counts.task_restarts_total.labels(tasks.kind(task)).inc()
    supervisor.on_failure = lambda task: counts.task_failures_total.labels(tasks.kind(task)).inc()


async def _remove_replica(app: App) -> None:
    try:
        await app.dispatcher.flush_spool()
        await app.store.remove_replica(app.replica)
    except errors.StoreError as error:
        log.debug("This replica could not be removed from the store before the store stopped.", reason=error.message)


def _now() -> datetime:
    return datetime.now(UTC)
