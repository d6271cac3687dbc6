"""Creates the alert rules, the alert runner, and the runtime of the built-in commands. A built-in command needs no
container engine, such as `rules` or `grant`.

A process that runs one container command does not need these parts and does not import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from bot import builtin_runtime, rule_tests
from bot.access import policy_in_force
from bot.notify import alert_runner, configured_rules, unstored_alerts
from collectors import rule_catalogue
from collectors.alert_evaluator import Evaluator
from collectors.rule import Rule
from commands.catalogue import Catalogue
from core import metrics
from core.config import load
from core.lazy_dataclass import dataclass
from core.model import alert_routes
from core.store.client import Store
from runtimes.inventory import stored_events
from runtimes.inventory.fleet import Fleet


def load_checked_rules(settings: load.Config) -> Sequence[Rule]:
    """Returns the built-in alert rules. Raises ConfigError if the configuration names one that does not exist."""
    rules = rule_catalogue.load_rules()
    with_threshold = [rule.name for rule in rules if rule.threshold is not None]
    load.check_rules(settings, [rule.name for rule in rules], with_threshold=with_threshold)
    return rules


def create_alert_runner(
    settings: load.Config,
    rules: Sequence[Rule],
    *,
    store: Store,
    counts: metrics.Metrics,
    policies: policy_in_force.PolicyInForce,
    replica: str,
) -> alert_runner.AlertRunner:
    """Creates what evaluates the alert rules and stores incidents."""
    in_force = configured_rules.build_rules_in_force(rules, settings.rules)
    spool = unstored_alerts.UnstoredAlertsFile(settings.state / "spool", replica, counts)
    return alert_runner.AlertRunner(in_force, store, counts, is_own=policies.is_own, spool=spool)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltinDependencies:
    """Holds the parts of the process that the built-in commands use."""

    policies: policy_in_force.PolicyInForce
    store: Store
    catalogue: Catalogue
    clock: Callable[[], datetime]
    fleet: Fleet


def create_builtin_runtime(
    settings: load.Config,
    dependencies: BuiltinDependencies,
    *,
    routing: alert_routes.Routing,
    evaluator: Evaluator | None,
) -> builtin_runtime.BuiltinRuntime:
    """Creates the runtime of the built-in commands. `evaluator`: None in a process that does not watch engines."""
    runtime = builtin_runtime.BuiltinRuntime(
        policies=dependencies.policies,
        store=dependencies.store,
        catalogue=dependencies.catalogue,
        clock=dependencies.clock,
    )
    testable = configured_rules.testable_rules(load_checked_rules(settings), settings.rules)
    runtime.rule_tests = rule_tests.RuleTestRunner(testable, stored_events.StoredEvents(dependencies.store))
    runtime.evaluator, runtime.fleet, runtime.routing = evaluator, dependencies.fleet, routing
    return runtime
