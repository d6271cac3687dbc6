"""The settings: one class a section, each field with its default and the sentence that describes it.

The schema is closed: an unknown key is refused, since a typo in a guard must not silently guard nothing. What is not
set has a safe default, so no file at all is a complete configuration. Secrets never show in a repr or a message.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    PrivateAttr,
    SecretStr,
    field_validator,
    model_validator,
)

from core.config import field_types
from core.config import slack as config_slack
from core.config.section import Section
from core.model import policy as permissions
from core.model import selectors

Ask = permissions.Ask


class Store(Section):
    """Where everything that must survive is kept: grants, open questions, the audit trail."""

    url: Annotated[SecretStr, AfterValidator(field_types.store_url)] | None = Field(
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


WholePath = Annotated[Path, AfterValidator(field_types.absolute_path)]


class Tls(Section):
    """Certificates of an engine at tcp://, in PEM form; the engine's own is always verified."""

    ca: WholePath | None = Field(default=None, description="Whom to trust. Absent: the system's authorities.")
    cert: WholePath | None = Field(default=None, description="Our certificate, where the engine asks for one.")
    key: WholePath | None = Field(default=None, description="Its key.")

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Tls:
        if (self.cert is None) != (self.key is None):
            given, lacking = ("cert", "key") if self.key is None else ("key", "cert")
            raise field_types.invalid_value(
                f"has a `{given}` but no `{lacking}`", "A certificate and its key go together."
            )
        return self


class Ssh(Section):
    """Files for the ssh client, where its own configuration does not say it."""

    identity: WholePath | None = Field(default=None, description="The private key to use, and no other.")
    known_hosts: WholePath | None = Field(default=None, description="Keys of known hosts.")
    config: WholePath | None = Field(default=None, description="Instead of ~/.ssh/config.")


class Engine(Section):
    kind: str = Field(
        default="",
        pattern=r"^[a-z]*$",
        description="What speaks at that address: docker, podman, containerd, cri or oci. Absent: the one that usually"
        " listens at such a path.",
    )
    url: Annotated[str, AfterValidator(field_types.engine_url)] = Field(
        default="",
        description="unix:///PATH, tcp://HOST:PORT (give `tls` too: without it that port is root for whoever reaches"
        " it), ssh://USER@HOST[:PORT][/PATH], context://NAME, or for oci file:///STATE-DIRECTORY.",
    )
    context: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$",
        description="Instead of a url: the name of a docker context.",
    )
    tls: Tls | None = Field(
        default=None, description="{ca: FILE, cert: FILE, key: FILE} for tcp://; {} trusts the system's authorities."
    )
    ssh: Ssh | None = Field(
        default=None, description="{identity: FILE, known_hosts: FILE, config: FILE} for ssh://, each optional."
    )
    name: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9][\w.-]*$",
        description="Tells two engines of one kind on one host apart.",
    )
    swarm: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][\w.-]*)?$",
        description="What the Swarm it is a manager of is called. Absent: by the beginning of its id.",
    )
    allow: field_types.VerbPatterns = Field(
        default=(), description="Verb patterns this host permits, whatever the grants say. Absent: all verbs."
    )

    @property
    def named(self) -> str:
        """The docker context meant, empty where a url stands."""
        return self.context or (self.url.removeprefix("context://") if self.url.startswith("context://") else "")

    @model_validator(mode="after")
    def _one_way_in(self) -> Engine:
        if bool(self.url) == bool(self.context):
            what = "has both a `url` and a `context`" if self.url else "has neither a `url` nor a `context`"
            raise field_types.invalid_value(what, "Write one of them.")
        if self.tls is not None and not self.url.startswith(("tcp://", "http://")):
            raise field_types.invalid_value(
                "has `tls`, which goes with tcp:// alone",
                "A docker context brings its own certificates; a socket and ssh need none.",
            )
        if self.ssh is not None and not self.url.startswith("ssh://"):
            raise field_types.invalid_value("has `ssh`, which goes with ssh:// alone", "Write url: ssh://USER@HOST.")
        return self


class On(Section):
    """Every part given must match; all are globs."""

    engine: field_types.NonEmptyStr = Field(default="", description="The engine's kind, or kind/host.")
    host: field_types.NonEmptyStr = Field(default="", description="The engine's own name for its machine.")
    name: field_types.NonEmptyStr = Field(default="", description="The container's name.")
    project: field_types.NonEmptyStr = Field(default="", description="The compose project or stack.")
    service: field_types.NonEmptyStr = Field(default="", description="The compose or swarm service.")
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

    def selector(self) -> selectors.Selector:
        return selectors.Selector(
            engine=self.engine,
            host=self.host,
            name=self.name,
            project=self.project,
            service=self.service,
            labels=tuple(sorted(self.label.items())),
        )


class Grant(Section):
    who: field_types.Subject = Field(
        description="everyone, group:NAME, or an identity such as console:alice or slack:T1/U1."
    )
    can: field_types.Permissions = Field(
        description="Verb patterns (container.*), roles (viewer, operator, admin, your own), risk classes."
    )
    on: On = Field(
        default=On(),
        description="engine, host, name, project, service, label.NAME: globs that must all match. Absent: everything.",
    )
    places: field_types.Channels = Field(
        default=(), alias="in", description="Channels it holds in, by Slack's id, or console. Absent: everywhere."
    )


class Guard(Section):
    can: field_types.Permissions = Field(description="What it brakes, as in grants.")
    on: On = Field(default=On(), description="As in grants. Absent: everything.")
    ask: Ask = Field(description="confirm (the asker, once more), approve (another person) or deny.")
    who: field_types.Subject = Field(default="everyone", description="Whom it brakes.")
    approvers: field_types.Subjects = Field(
        default=(), alias="from", description="Who may approve. Absent: whoever may do it themselves."
    )

    @model_validator(mode="after")
    def _approvers_only_for_approve(self) -> Guard:
        if self.approvers and self.ask is not Ask.APPROVE:
            raise field_types.invalid_value(
                f"`from` means nothing with `ask: {self.ask}`", "Write `ask: approve`, or leave `from` out."
            )
        return self


class Limits(Section):
    """How many commands one person may give: N/s, N/min or N/h, each kind counted on its own."""

    read: field_types.Rate = Field(
        default=field_types.RateLimit(60, 60),
        description="Looking: generous, since people hammer `ps` when something burns.",
    )
    change: field_types.Rate = Field(
        default=field_types.RateLimit(12, 60),
        description="Start, stop, restart: more in a minute is a script or a panic.",
    )
    destroy: field_types.Rate = Field(default=field_types.RateLimit(6, 60), description="What cannot be undone.")


class Confirm(Section):
    """When a change is asked back before it is done. What destroys is always asked back."""

    ttl: Annotated[timedelta, BeforeValidator(field_types.duration)] = Field(
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

    listen: Annotated[field_types.ListenAddress | None, PlainValidator(field_types.listen_address)] = Field(
        default=field_types.ListenAddress("127.0.0.1", 9108),
        description="HOST:PORT, :PORT for all addresses, or off. Nobody is asked for a password there, hence loopback.",
    )
    container_labels: Annotated[tuple[field_types.NonEmptyStr, ...], BeforeValidator(field_types.split_list)] = Field(
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
        description="The engines to watch. Absent: every engine whose socket is where it usually is; for Docker what"
        " its CLI would use ($DOCKER_HOST, $DOCKER_CONTEXT, the context in use), for Podman $CONTAINER_HOST.",
        examples=[
            "engines:\n"
            '  - {url: "unix:///var/run/docker.sock", allow: ["container.*", "*.list"]}\n'
            "  - url: tcp://host7:2376\n"
            "    tls: {ca: /etc/quarterdeck/ca.pem, cert: /etc/quarterdeck/cert.pem, key: /etc/quarterdeck/key.pem}\n"
            '  - {url: "ssh://ops@host8", ssh: {identity: /etc/quarterdeck/id_ed25519}}\n'
            "  - {context: staging}"
        ],
    )
    slack: Annotated[config_slack.Slack | None, BeforeValidator(field_types.none_if_off)] = None
    roles: dict[Annotated[str, AfterValidator(field_types.role_name)], field_types.VerbPatterns] = Field(
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
            '  - {who: "group:sre", can: [operator], on: {label.env: staging}, in: [C0123ABCD]}'
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
    admins: Annotated[
        tuple[Annotated[field_types.NonEmptyStr, AfterValidator(field_types.identity)], ...],
        BeforeValidator(field_types.split_list),
    ] = Field(
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
        # One socket may speak two languages, as containerd's does.
        places = [(engine.kind, f"context {engine.named}" if engine.named else engine.url) for engine in engines or ()]
        if twice := sorted({place for place in places if places.count(place) > 1}):
            raise field_types.invalid_value(
                f"{twice[0][1]} is listed twice", "Every event would count twice; keep one."
            )
        return engines


def default_state(environ: Mapping[str, str]) -> Path:
    if base := environ.get("XDG_STATE_HOME", ""):
        return Path(base) / "quarterdeck"
    if os.geteuid() == 0:
        return Path("/var/lib/quarterdeck")
    return Path(environ.get("HOME") or "~").expanduser() / ".local/state/quarterdeck"
