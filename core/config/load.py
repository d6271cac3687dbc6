"""Loads the configuration: from YAML, `.env` and the environment, into one frozen Config.

Raises ConfigError with all mistakes at once. The other packages of the program use only this module of the package. The
secrets of each configuration that was loaded are masked in all later output of this process. This module also builds
the policy from a configuration, and decides which changes of a configuration need a restart.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from core.config import example_file, locations, secret_values, sources, validation_errors
from core.config.alerts import Rules, Storm
from core.config.base_section import Section
from core.config.field_types import ListenAddress, RateLimit
from core.config.schema import Config
from core.config.slack import Slack
from core.errors import ConfigError, Problem
from core.model import alert_routes
from core.model import policy as permissions
from core.text import known_secrets

__all__ = [
    "Config",
    "ListenAddress",
    "RateLimit",
    "Section",
    "Slack",
    "check_rules",
    "check_slack_commands",
    "example",
    "load",
    "names_alert_rules",
    "needs_restart",
    "policy_from",
    "routing_from",
]

# Verbs that everyone may always use: without them nobody could find out which permission is missing. Muting concerns
# only the person who asks for it.
EVERYONE_MAY = ("help.show", "policy.whoami", "policy.can", "policy.claim", "job.stop", "incident.mute-me")
# The sections that `policy_from` and `routing_from` read, so a reload applies them. All others are read once, at start.
RELOADED = frozenset({"roles", "grants", "guards", "admins", "healing", "alerts", "routes"})


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """Loads and validates the configuration. `path`: the file given by `--config`. Raises ConfigError."""
    found = sources.read_all(path, environ, Config)
    found.data.setdefault("state", locations.default_state(environ))
    config = None
    try:
        roles = found.data.get("roles")
        config = Config.model_validate(found.data, context={"roles": tuple(roles) if isinstance(roles, dict) else ()})
    except ValidationError as error:
        for one in error.errors(include_url=False):
            validation_errors.add_problem(found, Config, one)
    if config is None or found.problems:
        raise ConfigError(sorted(found.problems, key=lambda problem: (problem.source, problem.line, problem.path)))
    config._warnings = tuple(found.warnings)
    known_secrets.add_known_secrets(secret_values.find_secret_values(config))
    return config


def policy_from(config: Config) -> permissions.Policy:
    """Returns the policy that the configuration defines; the bot adds the grants given in chat."""
    everyone = permissions.Grant(id="builtin.everyone", who="everyone", can=EVERYONE_MAY, source="builtin")
    admins = tuple(
        permissions.Grant(id=f"admins.{index}", who=who, can=("admin",)) for index, who in enumerate(config.admins)
    )
    grants = tuple(
        permissions.Grant(
            id=f"grants.{index}", who=grant.who, can=grant.can, on=grant.on.selector(), places=grant.places
        )
        for index, grant in enumerate(config.grants)
    )
    grants += tuple(
        permissions.Grant(id=f"healing.{index}", who=f"rule:{rule.name}", can=rule.verbs, on=rule.on.selector())
        for index, rule in enumerate(config.healing)
    )
    guards = tuple(
        permissions.Guard(
            id=f"guards.{index}",
            can=guard.can,
            ask=guard.ask,
            on=guard.on.selector(),
            who=guard.who,
            approvers=guard.approvers,
        )
        for index, guard in enumerate(config.guards)
    )
    roles = {**permissions.ROLES, **config.roles}
    healing = tuple(rule.policy() for rule in config.healing)
    return permissions.Policy(grants=(everyone, *admins, *grants), guards=guards, roles=roles, healing=healing)


def routing_from(config: Config) -> alert_routes.Routing:
    """Returns where the configuration posts incidents."""
    storm = config.alerts.storm or Storm()
    return alert_routes.Routing(
        routes=tuple(route.route() for route in config.routes),
        default=config.alerts.to or "",
        channels=frozenset(config.alerts.channels),
        storm_size=storm.more_than,
        storm_seconds=storm.within.total_seconds(),
    )


def check_slack_commands(config: Config, commands: Iterable[str]) -> None:
    """Checks `slack.direct` against the names of all commands. Raises ConfigError that lists the unknown names. A
    command of two words cannot be a slash command."""
    known = tuple(name for name in commands if " " not in name)
    unknown = [
        Problem(
            path=f"slack.direct.{index}",
            what=f"there is no command “{word}”",
            hint=validation_errors.did_you_mean(word, known) or f"Use one of these commands: {', '.join(known)}.",
        )
        for index, word in enumerate(config.slack.direct if config.slack else ())
        if word not in known
    ]
    if unknown:
        raise ConfigError(unknown)


def names_alert_rules(config: Config) -> bool:
    """Returns whether the configuration names or adds alert rules, so that `check_rules` can find a mistake."""
    return config.rules != Rules() or bool(config.healing)


def check_rules(config: Config, rules: Iterable[str], *, with_threshold: Iterable[str] = ()) -> None:
    """Checks `rules` against the names of the built-in alert rules. `with_threshold`: those that compare with a number.
    Raises ConfigError that lists the mistakes."""
    known, counting = tuple(rules), tuple(with_threshold)
    named = [(f"rules.off.{index}", word) for index, word in enumerate(config.rules.off)]
    named += [(f"rules.change.{word}", word) for word in config.rules.change]
    problems = [
        Problem(
            path=path,
            what=f"there is no alert rule “{word}”",
            hint=validation_errors.did_you_mean(word, known) or f"Use one of these rules: {', '.join(known)}.",
        )
        for path, word in named
        if word not in known
    ]
    added = [(f"rules.add.{index}", rule.name) for index, rule in enumerate(config.rules.add)]
    added += [(f"rules.logs.{index}", rule.name) for index, rule in enumerate(config.rules.logs)]
    problems += [
        Problem(
            path=path,
            what=f"“{name}” is the name of a built-in alert rule",
            hint="Give your rule another name, or change the built-in one under `rules.change`.",
        )
        for path, name in added
        if name in known
    ]
    all_rules = (*known, *config.rules.own_names)
    problems += [
        Problem(
            path=f"healing.{index}.rules",
            what=f"“{pattern}” matches no alert rule",
            hint=validation_errors.did_you_mean(pattern, all_rules)
            or f"Use one of these rules: {', '.join(all_rules)}.",
        )
        for index, healing in enumerate(config.healing)
        for pattern in healing.rules
        if not fnmatch.filter(all_rules, pattern)
    ]
    problems += [
        Problem(
            path=f"rules.change.{name}.threshold",
            what=f"the alert rule “{name}” has no threshold",
            hint=f"Remove the threshold. Only these rules have one: {', '.join(counting)}.",
        )
        for name, change in config.rules.change.items()
        if change.threshold is not None and name in known and name not in counting
    ]
    if problems:
        raise ConfigError(problems)


def needs_restart(old: Config, new: Config) -> tuple[str, ...]:
    """Returns the sections that differ and that a reload does not apply, in the order of the example file."""
    return tuple(
        name for name in Config.model_fields if name not in RELOADED and getattr(old, name) != getattr(new, name)
    )


def example() -> str:
    """Returns the commented example file."""
    return example_file.generate_example(Config)
