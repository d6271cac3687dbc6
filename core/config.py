"""Configuration: YAML, `.env` and environment in, one frozen Config out, or a ConfigError that tells every mistake.

The schema is closed: an unknown key is refused, since a typo in a guard must not silently guard nothing. What is not
set has a safe default, so no file at all is a complete configuration. Secrets never show in a repr or a message.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from core import config_files
from core.errors import ConfigError
from core.model import actions, desk, refs  # noqa: F401 (the desk's verbs count too: importing it makes them known)
from core.model import policy as permissions

Ask = permissions.Ask
RISKS = tuple(f"risk:{risk}" for risk in actions.Risk)
DOORS = ("console", "slack", "job", "rule")
UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400}
# What everyone may always ask: without it nobody could find out what they lack.
EVERYONE_MAY = ("help.show", "policy.whoami", "policy.can")


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in force. `path`: the file `--config` named. Raises ConfigError with all problems."""
    found = config_files.gather(path, environ, Config)
    found.data.setdefault("state", default_state(environ))
    config = None
    try:
        roles = found.data.get("roles")
        config = Config.model_validate(found.data, context={"roles": tuple(roles) if isinstance(roles, dict) else ()})
    except ValidationError as error:
        for one in error.errors(include_url=False):
            config_files.explain(found, Config, one)
    if config is None or found.problems:
        raise ConfigError(sorted(found.problems, key=lambda problem: (problem.source, problem.line, problem.path)))
    config._warnings = tuple(found.warnings)
    return config


def policy(config: Config) -> permissions.Policy:
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


def example() -> str:
    """The commented example file, made from the settings themselves."""
    return config_files.example(Config)


def default_state(environ: Mapping[str, str]) -> Path:
    if base := environ.get("XDG_STATE_HOME", ""):
        return Path(base) / "quarterdeck"
    if os.geteuid() == 0:
        return Path("/var/lib/quarterdeck")
    return Path(environ.get("HOME") or "~").expanduser() / ".local/state/quarterdeck"


# Single words, read and checked.


def _wrong(what: str, hint: str = "") -> PydanticCustomError:
    return PydanticCustomError("sentence", "{what}", {"what": what, "hint": hint})


def _split(value: Any) -> Any:
    """One word, or several by commas, where a list is wanted."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def _identity(word: str) -> str:
    door, colon, rest = word.partition(":")
    if not colon or not rest or any(letter.isspace() for letter in word):
        raise _wrong(f"“{word}” names nobody", "Write a door and an id, such as console:alice or slack:T1/U1.")
    if door == "group":
        raise _wrong(
            f"“{word}” is a group",
            f"One person is wanted here; for a group write {{who: {word}, can: admin}} in grants.",
        )
    if door not in DOORS:
        near = config_files.did_you_mean(door, (*DOORS, "group"))
        raise _wrong(f"“{word}” comes through no door we have", near or f"Doors: {', '.join(DOORS)}.")
    return word


def _subject(word: str) -> str:
    if word == "everyone" or (word.startswith("group:") and not word.isspace() and len(word) > len("group:")):
        return word
    if ":" not in word:
        near = config_files.did_you_mean(word, ("everyone",))
        raise _wrong(
            f"“{word}” names nobody",
            near or "Write everyone, group:NAME, or an identity such as console:alice or slack:T1/U1.",
        )
    return _identity(word)


def _verbs() -> tuple[str, ...]:
    """Every verb an engine or the desk knows."""
    return tuple(sorted(action.verb for action in actions.every()))


def _verb(pattern: str) -> str:
    verbs = _verbs()
    if not fnmatch.filter(verbs, pattern):
        near = config_files.did_you_mean(pattern, verbs)
        raise _wrong(f"“{pattern}” matches no verb", near or f"Verbs: {', '.join(verbs)}.")
    return pattern


def _power(word: str, info: ValidationInfo) -> str:
    """A verb pattern, a role or a risk class."""
    roles = (*permissions.ROLES, *(info.context or {}).get("roles", ()))
    if word in roles or word in RISKS or fnmatch.filter(_verbs(), word):
        return word
    near = config_files.did_you_mean(word, (*_verbs(), *roles, *RISKS))
    raise _wrong(
        f"“{word}” is no verb, role or risk class",
        near or f"Verbs are such as container.restart or container.*; roles: {', '.join(roles)}; {', '.join(RISKS)}.",
    )


def _role_name(word: str) -> str:
    if word in permissions.ROLES:
        raise _wrong(f"“{word}” is a built-in role and cannot be redefined", "Give yours another name.")
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", word):
        raise _wrong(f"“{word}” cannot name a role", "Use small letters, digits, - and _; begin with a letter.")
    return word


@dataclass(frozen=True, slots=True)
class Limit:
    """`count` in `period` seconds."""

    count: int
    period: int

    def __str__(self) -> str:
        return f"{self.count}/{next(unit for unit, seconds in UNITS.items() if seconds == self.period)}"


def _limit(value: Any) -> Limit:
    if isinstance(value, Limit):
        return value
    match = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(s|min|h)\s*", str(value))
    if match is None or int(match[1]) == 0:
        raise _wrong("must be a number of commands in a time", "Write 30/min, 5/s or 100/h.")
    return Limit(int(match[1]), UNITS[match[2]])


def _duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    match = re.fullmatch(r"\s*(\d{1,9})\s*(s|m|min|h|d)\s*", str(value))
    if match is None:
        raise _wrong("must be a length of time", "Write it with its unit: 90s, 5m, 2h or 1d.")
    return timedelta(seconds=int(match[1]) * UNITS[match[2]])


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen at; an empty host means all of this machine's."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _listen(value: Any) -> Listen | None:
    if value is None or isinstance(value, Listen):
        return value
    if value is False or value in ("off", "none"):
        return None
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[^\s:\[\]/]*):(\d{1,5})", str(value))
    if match is None or int(match[2]) > 65535:
        raise _wrong("must be HOST:PORT or off", "Write 127.0.0.1:9108, [::1]:9108, :9108 for all addresses, or off.")
    return Listen(match[1].strip("[]"), int(match[2]))


def _store_url(value: SecretStr) -> SecretStr:
    scheme, colon, rest = value.get_secret_value().partition("://")
    if scheme not in ("redis", "rediss", "unix") or not colon or not rest:
        raise _wrong(
            "must be the address of a Redis or Valkey", "Write redis://HOST:6379/0, rediss:// for TLS, or unix:///PATH."
        )
    return value


def _engine_url(value: str) -> str:
    if not re.fullmatch(r"unix:///.+|(tcp|http)://[^/@\s]+:\d+/?", value):
        raise _wrong("must be the address of an engine", "Write unix:///var/run/docker.sock or tcp://HOST:2375.")
    return value


Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Subject = Annotated[Word, AfterValidator(_subject)]
Words = Annotated[tuple[Word, ...], BeforeValidator(_split), Field(min_length=1)]
Subjects = Annotated[tuple[Subject, ...], BeforeValidator(_split), Field(min_length=1)]
Powers = Annotated[tuple[Annotated[Word, AfterValidator(_power)], ...], BeforeValidator(_split), Field(min_length=1)]
Verbs = Annotated[tuple[Annotated[Word, AfterValidator(_verb)], ...], BeforeValidator(_split), Field(min_length=1)]
Rate = Annotated[Limit, PlainValidator(_limit)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, coerce_numbers_to_str=True)


class Store(Section):
    """Where everything that must survive is kept: grants, open questions, the audit trail."""

    url: Annotated[SecretStr, AfterValidator(_store_url)] | None = Field(
        default=None,
        description="A Redis or Valkey of your own. Without one a small Valkey is run in the state directory, on a"
        " private socket. The address holds a password: better `url_file`.",
        examples=['url: "redis://:PASSWORD@redis:6379/0"'],
    )
    url_file: Path | None = Field(
        default=None, description="A file that holds the address.", examples=["url_file: /run/secrets/store_url"]
    )
    timeout: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="Seconds the store may take to answer; people wait for it, so it is short.",
    )


class Engine(Section):
    kind: Literal["docker"] = Field(description="What speaks at that address.")
    url: Annotated[str, AfterValidator(_engine_url)] = Field(
        description="unix:///PATH, or tcp://HOST:PORT without TLS."
    )
    name: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9][\w.-]*$",
        description="Tells two engines of one kind on one host apart.",
    )
    allow: Verbs = Field(
        default=(), description="Verb patterns this host permits, whatever the grants say. Absent: all verbs."
    )


class On(Section):
    """Every part given must match; all are globs."""

    engine: Word = Field(default="", description="The engine's kind, or kind/host.")
    host: Word = Field(default="", description="The engine's own name for its machine.")
    name: Word = Field(default="", description="The container's name.")
    project: Word = Field(default="", description="The compose project or stack.")
    service: Word = Field(default="", description="The compose or swarm service.")
    label: dict[str, str] = Field(default={}, description="Container labels, written label.NAME.")

    @model_validator(mode="before")
    @classmethod
    def _gather_labels(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        flat = {key: value for key, value in data.items() if not str(key).startswith("label.")}
        labels = {key[len("label.") :]: value for key, value in data.items() if key not in flat}
        if labels and isinstance(flat.get("label", {}), dict):
            flat["label"] = flat.get("label", {}) | labels
        return flat

    def selector(self) -> refs.Selector:
        return refs.Selector(
            engine=self.engine,
            host=self.host,
            name=self.name,
            project=self.project,
            service=self.service,
            labels=tuple(sorted(self.label.items())),
        )


class Grant(Section):
    who: Subject = Field(description="everyone, group:NAME, or an identity such as console:alice or slack:T1/U1.")
    can: Powers = Field(
        description="Verb patterns (container.*), roles (viewer, operator, admin, your own), risk classes."
    )
    on: On = Field(
        default=On(),
        description="engine, host, name, project, service, label.NAME: globs that must all match. Absent: everything.",
    )
    places: Words = Field(default=(), alias="in", description="Channels it holds in. Absent: everywhere.")


class Guard(Section):
    can: Powers = Field(description="What it brakes, as in grants.")
    on: On = Field(default=On(), description="As in grants. Absent: everything.")
    ask: Ask = Field(description="confirm (the asker, once more), approve (another person) or deny.")
    who: Subject = Field(default="everyone", description="Whom it brakes.")
    approvers: Subjects = Field(
        default=(), alias="from", description="Who may approve. Absent: whoever may do it themselves."
    )

    @model_validator(mode="after")
    def _approvers_only_for_approve(self) -> Guard:
        if self.approvers and self.ask is not Ask.APPROVE:
            raise _wrong(f"`from` means nothing with `ask: {self.ask}`", "Write `ask: approve`, or leave `from` out.")
        return self


class Limits(Section):
    """How many commands one person may give: N/s, N/min or N/h, each kind counted on its own."""

    read: Rate = Field(
        default=Limit(60, 60), description="Looking: generous, since people hammer `ps` when something burns."
    )
    change: Rate = Field(
        default=Limit(12, 60), description="Start, stop, restart: more in a minute is a script or a panic."
    )
    destroy: Rate = Field(default=Limit(6, 60), description="What cannot be undone.")


class Confirm(Section):
    """When a change is asked back before it is done. What destroys is always asked back."""

    ttl: Annotated[timedelta, BeforeValidator(_duration)] = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=10),
        le=timedelta(days=1),
        description="How long a question stays open; older answers may no longer mean what is there now.",
    )
    more_than: int = Field(
        default=3, ge=0, description="A change of more things than this at once is asked back; 0 asks for every change."
    )


class Metrics(Section):
    """The page Prometheus reads, and /healthz and /readyz beside it."""

    listen: Annotated[Listen | None, PlainValidator(_listen)] = Field(
        default=Listen("127.0.0.1", 9108),
        description="HOST:PORT, :PORT for all addresses, or off. Nobody is asked for a password there, hence loopback.",
    )
    container_labels: Annotated[tuple[Word, ...], BeforeValidator(_split)] = Field(
        default=(),
        description="Container labels that become metric labels. None, since each new value is a new series.",
        examples=["container_labels: [app, team]"],
    )
    max_containers: int = Field(
        default=2000,
        ge=1,
        le=100_000,
        description="Containers with series of their own, per engine; the rest is only counted.",
    )


class Log(Section):
    """What is written to stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error."
    )
    format: Literal["auto", "console", "json"] = Field(
        default="auto", description="console or json (one object a line); auto: console on a terminal, else json."
    )


class Audit(Section):
    """Who did what, kept in the store."""

    keep: int = Field(default=100_000, ge=1, description="Rows kept, about 300 bytes each; the oldest go first.")


class Config(Section):
    state: Path = Field(
        default_factory=lambda: default_state(os.environ),
        description="Directory for what outlives a restart. Absent: $XDG_STATE_HOME/quarterdeck, for root"
        " /var/lib/quarterdeck, else ~/.local/state/quarterdeck.",
        examples=["state: /var/lib/quarterdeck"],
    )
    store: Store = Store()
    engines: tuple[Engine, ...] | None = Field(
        default=None,
        min_length=1,
        description="The engines to watch. Absent: $DOCKER_HOST, else every local socket that is there.",
        examples=[
            'engines:\n  - {kind: docker, url: "unix:///var/run/docker.sock", allow: ["container.*", event.list]}'
        ],
    )
    roles: dict[Annotated[str, AfterValidator(_role_name)], Verbs] = Field(
        default={},
        description="Sets of verb patterns with a name, beside the built-in viewer, operator and admin.",
        examples=["roles:\n  deployer: [container.list, container.logs, container.restart]"],
    )
    grants: tuple[Grant, ...] = Field(
        default=(),
        description="Who may do what. Nobody may anything but ask for help until it says so here or in chat.",
        examples=[
            "grants:\n"
            "  - {who: everyone, can: viewer}\n"
            '  - {who: "group:sre", can: [operator], on: {label.env: staging}, in: ["#ops"]}'
        ],
    )
    guards: tuple[Guard, ...] = Field(
        default=(),
        description="Brakes on what grants allow; order does not matter, the strictest that matches holds.",
        examples=[
            "guards:\n"
            '  - {can: container.stop, on: {label.env: prod}, ask: approve, from: "group:sre"}\n'
            '  - {can: "risk:destroy", on: {project: payments}, ask: deny}'
        ],
    )
    limits: Limits = Limits()
    admins: Annotated[tuple[Annotated[Word, AfterValidator(_identity)], ...], BeforeValidator(_split)] = Field(
        default=(), description="Who may do everything, and grant it to others.", examples=["admins: [console:alice]"]
    )
    confirm: Confirm = Confirm()
    metrics: Metrics = Metrics()
    log: Log = Log()
    audit: Audit = Audit()
    _warnings: tuple[str, ...] = PrivateAttr(())

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is not wrong but should be known: said once at start."""
        return self._warnings

    @field_validator("state")
    @classmethod
    def _whole_path(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("engines")
    @classmethod
    def _no_engine_twice(cls, engines: tuple[Engine, ...] | None) -> tuple[Engine, ...] | None:
        urls = [engine.url for engine in engines or ()]
        if twice := sorted({url for url in urls if urls.count(url) > 1}):
            raise _wrong(f"{twice[0]} is listed twice", "Every event would count twice; keep one.")
        return engines
