"""Defines the sections `alerts` (where alerts are posted) and `rules` (what they report) of the configuration."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from core.config import alert_routes, field_types, permissions
from core.config.base_section import Section
from core.model.alerts import Severity, severity_named
from core.model.events import EventKind
from core.model.log_patterns import LogPattern

FIELDS = ("name", "project", "service", "host", "engine", "image", "cause", "exit_code", "health", "state", "signal")
_MATCHER = re.compile(r"(=~|!~|!=|=)?(.*)", re.DOTALL)


def _severity(value: object) -> object:
    if isinstance(value, Severity):
        return value
    if (severity := severity_named(str(value))) is None:
        raise field_types.make_invalid_value_error(f"“{value}” is not a severity", "Write high, medium or low.")
    return severity


def _field(name: str) -> str:
    if name not in FIELDS and not (name.startswith("label.") and len(name) > len("label.")):
        raise field_types.make_invalid_value_error(
            f"“{name}” is not a field that an alert rule can match", f"Use one of {', '.join(FIELDS)}, or label.NAME."
        )
    return name


def _matcher(value: str) -> str:
    found = _MATCHER.fullmatch(value)
    if found is not None and found[1] in ("=~", "!~"):
        try:
            re.compile(found[2])
        except re.error as error:
            raise field_types.make_invalid_value_error(
                f"“{found[2]}” is not a regular expression: {error}", "Write for example '=~web-.*'."
            ) from None
    return value


SeverityName = Annotated[Severity, BeforeValidator(_severity)]
Duration = Annotated[timedelta, BeforeValidator(field_types.duration), Field(ge=timedelta(0), le=timedelta(days=7))]


class Storm(Section):
    """When incidents that begin at almost the same time share one message."""

    more_than: int = Field(
        default=3, ge=1, le=20, description="If more incidents of a channel begin within this time, they share one."
    )
    within: Annotated[
        timedelta, BeforeValidator(field_types.duration), Field(ge=timedelta(seconds=5), le=timedelta(minutes=10))
    ] = Field(default=timedelta(seconds=30), description="The time.")


class Alerts(Section):
    """Where Quarterdeck posts alerts that no route matches. Without a channel, the command `alerts here` names one in
    chat; until then the log, the console and the command `incidents` show alerts."""

    to: Annotated[field_types.NonEmptyStr, AfterValidator(alert_routes.validate_slack_channel)] | None = Field(
        default=None,
        description="The Slack channel for alerts: its id, or its name in quotes. Invite the bot to it.",
        examples=["to: C0123ABCD"],
    )
    channels: Annotated[
        tuple[Annotated[field_types.NonEmptyStr, AfterValidator(alert_routes.channel_id)], ...],
        BeforeValidator(field_types.split_list),
    ] = Field(
        default=(),
        description="Channels that the container label quarterdeck.channel may name, besides `to` and those of the"
        " routes.",
        examples=["channels: [C0123ABCD]"],
    )
    storm: Storm | None = Field(
        default=None,
        description="If more than more_than incidents begin within this time, they share one message.",
        examples=["storm: {more_than: 3, within: 30s}"],
    )


class RuleChange(Section):
    """Changes a built-in alert rule. What is absent stays as it is."""

    severity: SeverityName | None = Field(default=None, description="high, medium or low.")
    hold: Duration | None = Field(
        default=None, alias="for", description="How long the trouble must last before an alert fires."
    )
    settle: Duration | None = Field(
        default=None, description="After how long without trouble the alert resolves by itself."
    )
    cooldown: Duration | None = Field(
        default=None, description="How long after its end the same alert does not fire again."
    )
    threshold: Annotated[float, Field(gt=0, le=1_000_000)] | None = Field(
        default=None, description="The number that the rule compares with; `rules` shows it."
    )


class NewRule(Section):
    """An alert rule of your own."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")] = Field(
        description="Lower-case letters, digits and -."
    )
    on: EventKind = Field(default=EventKind.DIED, description="The kind of event, such as died, oom or health.")
    where: dict[Annotated[str, AfterValidator(_field)], Annotated[str, AfterValidator(_matcher)]] = Field(
        default={},
        description="What the event must have: name, project, service, host, engine, image, cause, exit_code, health,"
        " state, signal or label.NAME, each with = (or nothing) or != before a glob, or =~ or !~ before"
        " a regular expression.",
    )
    count: int = Field(default=1, ge=1, le=100, description="How many such events make an alert.")
    within: Duration = Field(default=timedelta(minutes=10), description="The time in which they must happen.")
    hold: Duration = Field(default=timedelta(0), alias="for", description="How long to wait before the alert fires.")
    settle: Annotated[Duration, Field(ge=timedelta(seconds=1))] = Field(
        default=timedelta(minutes=5), description="After how long without such an event the alert resolves."
    )
    cooldown: Duration = Field(
        default=timedelta(0), description="How long after its end the same alert does not fire again."
    )
    severity: SeverityName = Field(default=Severity.MEDIUM, description="high, medium or low.")


class LogRule(Section):
    """An alert rule about log lines. Quarterdeck follows the logs of these containers: at most five of an engine. The
    alert contains no line; `logs` of a route shows the last ones."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")] = Field(
        description="Lower-case letters, digits and -."
    )
    on: permissions.Match = Field(description="The containers: engine, host, name, project, service or label.NAME.")
    contains: Annotated[
        tuple[Annotated[field_types.NonEmptyStr, Field(max_length=200)], ...],
        BeforeValidator(lambda value: value if isinstance(value, (list, tuple)) else (value,)),
        Field(min_length=1, max_length=20),
    ] = Field(description="One or several texts, of which a line must contain one; * stands for anything.")
    ignore_case: bool = Field(default=False, description="Whether FATAL also means fatal.")
    count: int = Field(default=1, ge=1, le=10_000, description="How many such lines make an alert.")
    within: Duration = Field(default=timedelta(minutes=10), description="The time in which they must be written.")
    severity: SeverityName = Field(default=Severity.MEDIUM, description="high, medium or low.")
    settle: Annotated[Duration, Field(ge=timedelta(seconds=1))] = Field(
        default=timedelta(minutes=10), description="After how long without such a line the alert resolves."
    )
    cooldown: Duration = Field(
        default=timedelta(0), description="How long after its end the same alert does not fire again."
    )

    @model_validator(mode="after")
    def _narrow(self) -> LogRule:
        if self.on.selector() == permissions.Match().selector():
            raise field_types.make_invalid_value_error(
                "`on` matches everything", "Name at least one part, such as label.app: web."
            )
        return self

    def pattern(self) -> LogPattern:
        """Returns what to search for."""
        return LogPattern(name=self.name, on=self.on.selector(), texts=self.contains, ignore_case=self.ignore_case)


class Rules(Section):
    """Which trouble Quarterdeck reports. The command `rules` lists all alert rules."""

    off: Annotated[tuple[field_types.NonEmptyStr, ...], BeforeValidator(field_types.split_list)] = Field(
        default=(), description="Names of built-in rules that do not run.", examples=["off: [image-pull-failed]"]
    )
    change: dict[field_types.NonEmptyStr, RuleChange] = Field(
        default={},
        description="Changes of built-in rules, by name: severity, for, settle, cooldown, threshold.",
        examples=["change:\n  unhealthy: {for: 5m, severity: low}"],
    )
    add: tuple[NewRule, ...] = Field(
        default=(),
        description="Rules of your own.",
        examples=[
            "add:\n"
            "  - name: payments-exit\n"
            '    where: {label.app: payments, exit_code: "!=0"}\n'
            "    count: 2\n"
            "    severity: high"
        ],
    )

    logs: tuple[LogRule, ...] = Field(
        default=(),
        description="Rules about log lines. Without such a rule, Quarterdeck follows no log.",
        examples=['logs:\n  - {name: web-panic, on: {label.app: web}, contains: ["panic:", "FATAL"]}'],
    )

    @property
    def own_names(self) -> list[str]:
        """The names of all rules that are added."""
        return [rule.name for rule in self.add] + [rule.name for rule in self.logs]

    @model_validator(mode="after")
    def _no_name_twice(self) -> Rules:
        names = self.own_names
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise field_types.make_invalid_value_error(
                f"there are two rules named “{twice[0]}”", "Give one of them another name."
            )
        return self
