"""Configuration: YAML, `.env` and environment in, one frozen Config out, or a ConfigError that tells every mistake.

The rest of the program needs this module alone; its parts are the schema, the words in it, the places settings are
written in, what is said about mistakes, and the example file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from core.config import example as config_example
from core.config import problems, sources
from core.config.field_types import ListenAddress, RateLimit
from core.config.schema import Config, default_state
from core.config.section import Section
from core.config.slack import Slack
from core.errors import ConfigError, Problem
from core.model import policy as permissions

__all__ = [
    "Config",
    "ListenAddress",
    "RateLimit",
    "Section",
    "Slack",
    "check_slack_commands",
    "default_state",
    "example",
    "load",
    "needs_restart",
    "policy_from",
]

# What everyone may always ask: without it nobody could find out what they lack.
EVERYONE_MAY = ("help.show", "policy.whoami", "policy.can", "policy.claim", "job.stop")
# What `policy` reads: a reload makes it anew. Any other section is wired into its parts once, at start.
RELOADED = frozenset({"roles", "grants", "guards", "admins"})


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in force. `path`: the file `--config` named. Raises ConfigError with all problems."""
    found = sources.read_all(path, environ, Config)
    found.data.setdefault("state", default_state(environ))
    config = None
    try:
        roles = found.data.get("roles")
        config = Config.model_validate(found.data, context={"roles": tuple(roles) if isinstance(roles, dict) else ()})
    except ValidationError as error:
        for one in error.errors(include_url=False):
            problems.add_problem(found, Config, one)
    if config is None or found.problems:
        raise ConfigError(sorted(found.problems, key=lambda problem: (problem.source, problem.line, problem.path)))
    config._warnings = tuple(found.warnings)
    return config


def policy_from(config: Config) -> permissions.Policy:
    """The permissions that hold by configuration alone; the ones granted in chat are added by the bot."""
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
    return permissions.Policy(grants=(everyone, *admins, *grants), guards=guards, roles=roles)


def check_slack_commands(config: Config, commands: Iterable[str]) -> None:
    """Raises ConfigError for each word of `slack.direct` that is none of `commands`, which are not known here."""
    known = tuple(commands)
    wrong = [
        Problem(
            path=f"slack.direct.{index}",
            what=f"there is no command “{word}”",
            hint=problems.did_you_mean(word, known) or f"Commands: {', '.join(known)}.",
        )
        for index, word in enumerate(config.slack.direct if config.slack else ())
        if word not in known
    ]
    if wrong:
        raise ConfigError(wrong)


def needs_restart(old: Config, new: Config) -> tuple[str, ...]:
    """The sections that differ and that a reload does not apply, in the order of the example file."""
    return tuple(
        name for name in Config.model_fields if name not in RELOADED and getattr(old, name) != getattr(new, name)
    )


def example() -> str:
    """The commented example file, made from the settings themselves."""
    return config_example.example(Config)
