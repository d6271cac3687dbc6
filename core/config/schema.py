"""Defines Config, the complete configuration: one field per section, each with its default and its description.

An unknown name is an error, because a typing mistake in a guard must not disable the guard. Every setting has a safe
default, so an empty configuration is valid. Secrets never appear in a repr or a message.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
)

from core.config import field_types, locations
from core.config.alert_outlets import Alertmanager, Heartbeat, Webhook, WebhookName
from core.config.alert_routes import Route
from core.config.alerts import Alerts, Rules
from core.config.base_section import Section
from core.config.engines import Engine
from core.config.healing import HealingRule
from core.config.permissions import Grant, Guard
from core.config.slack import Slack
from core.config.small_sections import Audit, Confirm, History, Limits, Log, Metrics, Store, Upkeep
from core.model.registry_reads import PUBLIC_REGISTRIES


class Config(Section):
    """The complete configuration."""

    state: Path = Field(
        default_factory=lambda: Path(locations.default_state(os.environ)),
        description="Directory for data that survives a restart. Default: $XDG_STATE_HOME/quarterdeck;"
        " without that variable /var/lib/quarterdeck for root, ~/.local/state/quarterdeck for"
        " others.",
        examples=["state: /var/lib/quarterdeck"],
    )
    store: Store = Store()
    engines: tuple[Engine, ...] | None = Field(
        default=None,
        min_length=1,
        description="The engines to watch. Default: every engine with a socket at its usual path; for Docker what its"
        " CLI uses ($DOCKER_HOST, $DOCKER_CONTEXT, the current context); for Podman $CONTAINER_HOST.",
        examples=[
            "engines:\n"
            '  - {url: "unix:///var/run/docker.sock", allow: ["container.*", "*.list"]}\n'
            "  - url: tcp://host7:2376\n"
            "    tls: {ca: /etc/quarterdeck/ca.pem, cert: /etc/quarterdeck/cert.pem, key: /etc/quarterdeck/key.pem}\n"
            '  - {url: "ssh://ops@host8", ssh: {identity: /etc/quarterdeck/id_ed25519}}\n'
            "  - {context: staging}"
        ],
    )
    registries: Annotated[
        tuple[Annotated[field_types.NonEmptyStr, AfterValidator(field_types.registry_pattern)], ...],
        BeforeValidator(field_types.split_list),
    ] = Field(
        default=PUBLIC_REGISTRIES,
        description="The registries that Quarterdeck itself asks about images, for `outdated` and `skopeo inspect`:"
        " HOST[:PORT], globs allowed; http:// before it means without TLS. It also asks those for which its host has"
        " a login.",
    )
    slack: Annotated[Slack | None, BeforeValidator(field_types.none_if_off)] = None
    roles: dict[Annotated[str, AfterValidator(field_types.role_name)], field_types.VerbPatterns] = Field(
        default={},
        description="Named sets of verb patterns, in addition to the built-in roles viewer, operator and admin.",
        examples=["roles:\n  deployer: [container.list, container.logs, container.restart]"],
    )
    grants: tuple[Grant, ...] = Field(
        default=(),
        description="Who may do what. Without a grant, here or in chat, people can only ask for help.",
        examples=[
            "grants:\n"
            "  - {who: everyone, can: viewer}\n"
            '  - {who: "group:sre", can: [operator], on: {label.env: staging}, in: [C0123ABCD]}'
        ],
    )
    guards: tuple[Guard, ...] = Field(
        default=(),
        description="Restrictions on what grants allow. Order does not matter; the strictest matching guard applies.",
        examples=[
            "guards:\n"
            '  - {can: ends, on: {label.env: prod}, ask: approve, from: "group:sre"}\n'
            '  - {can: "risk:destroy", on: {project: payments}, ask: deny}'
        ],
    )
    limits: Limits = Limits()
    admins: Annotated[
        tuple[Annotated[field_types.NonEmptyStr, AfterValidator(field_types.identity)], ...],
        BeforeValidator(field_types.split_list),
    ] = Field(
        default=(),
        description="Who may do everything, and may give grants to others.",
        examples=["admins: [console:alice]"],
    )
    confirm: Confirm = Confirm()
    alerts: Alerts = Alerts()
    routes: tuple[Route, ...] = Field(
        default=(),
        max_length=100,
        description="Where incidents are posted, and how. The first route that matches an incident decides; without"
        " one, `alerts.to` gets it.",
        examples=[
            "routes:\n"
            "  - {match: {severity: high}, to: C0123ABCD, mention: S0123ABCD, repeat: 4h}\n"
            "  - {match: {team: payments}, to: [C0234BCDE, U0123ABCD], group_by: [project]}\n"
            '  - {to: C0345CDEF, quiet: {from: "22:00", to: "07:00", zone: Europe/Berlin}}'
        ],
    )
    rules: Rules = Rules()
    webhooks: dict[WebhookName, Webhook] = Field(
        default={},
        max_length=20,
        description="Addresses that get each incident as signed JSON (see docs/alerts.md), each under a name.",
        examples=[
            "webhooks:\n"
            "  tickets:\n"
            "    url: https://tickets.example.com/incidents\n"
            "    secret_file: /run/secrets/tickets_webhook\n"
            "    severity: high"
        ],
    )
    alertmanager: Alertmanager = Alertmanager()
    heartbeat: Heartbeat = Heartbeat()
    healing: tuple[HealingRule, ...] = Field(
        default=(),
        description="Self-healing: what Quarterdeck does by itself when an alert rule fires. Default: nothing.",
        examples=[
            "healing:\n"
            "  - {name: restart-web, rules: [crash, crash-loop, unhealthy], on: {label.heal: restart}, do: restart}"
        ],
    )
    metrics: Metrics = Metrics()
    upkeep: Upkeep = Upkeep()
    log: Log = Log()
    history: History = History()
    audit: Audit = Audit()
    _warnings: tuple[str, ...] = PrivateAttr(())

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings that are logged once at start."""
        return self._warnings

    @field_validator("state")
    @classmethod
    def _whole_path(cls, path: Path) -> Path:
        return path.expanduser().absolute()

    @field_validator("metrics")
    @classmethod
    def _server_for_alerts(cls, metrics: Metrics, info: ValidationInfo) -> Metrics:
        alertmanager = info.data.get("alertmanager")
        if metrics.listen is None and alertmanager is not None and alertmanager.receives:
            raise field_types.make_invalid_value_error(
                "`listen` is off, so no Alertmanager can send its alerts here",
                "Give metrics.listen an address, or remove the settings alertmanager.receive_….",
            )
        return metrics

    @field_validator("healing")
    @classmethod
    def _no_healing_twice(cls, rules: tuple[HealingRule, ...]) -> tuple[HealingRule, ...]:
        names = [rule.name for rule in rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise field_types.make_invalid_value_error(
                f"there are two healing rules named “{twice[0]}”", "Rename one of them."
            )
        return rules

    @field_validator("engines")
    @classmethod
    def _no_engine_twice(cls, engines: tuple[Engine, ...] | None) -> tuple[Engine, ...] | None:
        # One socket may serve two kinds of engine, as containerd's does.
        addresses = [
            (engine.kind, f"context {engine.context_name}" if engine.context_name else engine.url)
            for engine in engines or ()
        ]
        if twice := sorted({address for address in addresses if addresses.count(address) > 1}):
            raise field_types.make_invalid_value_error(
                f"{twice[0][1]} is listed twice", "Remove one of them; otherwise each event would count twice."
            )
        return engines
