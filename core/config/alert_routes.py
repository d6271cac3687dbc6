"""Defines the section `routes` of the configuration: which incidents are posted where, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from core.config import field_types
from core.config.base_section import Section
from core.model import alert_routes, daily_hours
from core.model.alerts import severity_named

CHANNEL_HINT = "Write the channel id, such as C0123ABCD. Slack shows it at the end of the channel details."
_CHANNEL_NAME = re.compile(r"#[^\s#@<>&,]{1,80}")


def validate_slack_channel(word: str) -> str:
    """A channel by its id, or by its name at the time of the first message."""
    if not alert_routes.is_channel(word) and not _CHANNEL_NAME.fullmatch(word):
        raise field_types.make_invalid_value_error(
            f"“{word}” is not a Slack channel", f'{CHANNEL_HINT} Or write "#name".'
        )
    return word


def channel_id(word: str) -> str:
    if not alert_routes.is_channel(word):
        raise field_types.make_invalid_value_error(f"“{word}” is not the id of a Slack channel", CHANNEL_HINT)
    return word


def _destination(word: str) -> str:
    if word == alert_routes.NOWHERE or alert_routes.is_person(word):
        return word
    if word.startswith("@"):
        raise field_types.make_invalid_value_error(
            f"“{word}” is a display name, and anybody may change theirs",
            "Write the id of the person, such as U0123ABCD. Slack shows it as “Copy member ID” in the profile.",
        )
    if alert_routes.is_mentionable(word):
        raise field_types.make_invalid_value_error(
            f"“{word}” is a user group, and a message goes to a channel or a person",
            "Write `to` with a channel, and the user group under `mention`.",
        )
    return validate_slack_channel(word)


def _mention(word: str) -> str:
    if not alert_routes.is_mentionable(word):
        raise field_types.make_invalid_value_error(
            f"“{word}” is not the id of a user group or of a person",
            "Write an id, such as S0123ABCD for a user group or U0123ABCD for a person.",
        )
    return word


def _field(name: str) -> str:
    known = name in alert_routes.FIELDS
    if not known and not (name.startswith(alert_routes.LABEL) and len(name) > len(alert_routes.LABEL)):
        raise field_types.make_invalid_value_error(
            f"“{name}” is not a field that a route can match",
            f"Use one of {', '.join(alert_routes.FIELDS)}, or label.NAME.",
        )
    return name


def _pattern(value: str) -> str:
    operator, text = split_operator(value)
    if operator.endswith("~"):
        try:
            re.compile(text)
        except re.error as error:
            raise field_types.make_invalid_value_error(
                f"“{text}” is not a regular expression: {error}", "Write for example '=~web-.*'."
            ) from None
    return value


def split_operator(value: str) -> tuple[str, str]:
    """Returns the operator at the beginning of a value, = by default, and the rest."""
    operator = next((each for each in alert_routes.OPERATORS if value.startswith(each)), "")
    return operator or "=", value[len(operator) :]


def _zone(name: str) -> str:
    if not daily_hours.is_zone(name):
        raise field_types.make_invalid_value_error(
            f"“{name}” is not a time zone that this machine knows",
            "Write a name such as Europe/Berlin. If the name is right, install the time zone data (package tzdata).",
        )
    return name


def _clock(text: str) -> str:
    if daily_hours.minutes_of(text) is None:
        raise field_types.make_invalid_value_error(
            f"“{text}” is not a time of day", "Write hours and minutes, such as 22:00."
        )
    return text


def _day(text: str) -> str:
    word = text.strip().lower()[:3]
    if word not in daily_hours.DAYS:
        raise field_types.make_invalid_value_error(
            f"“{text}” is not a day of the week", f"Write one of {', '.join(daily_hours.DAYS)}."
        )
    return word


def _repeat(value: timedelta) -> timedelta:
    if not timedelta(minutes=5) <= value <= timedelta(days=7):
        raise field_types.make_invalid_value_error("must be from 5m to 7d", "Write for example 4h.")
    return value


def _severity(word: Any) -> Any:
    operator, text = split_operator(str(word))
    if operator.endswith("~") or any(sign in text for sign in "*?["):
        return word
    if (severity := severity_named(text)) is None:
        raise field_types.make_invalid_value_error(f"“{text}” is not a severity", "Write high, medium or low.")
    return f"{operator if operator != '=' else ''}{severity}"


def _severities(match: Any) -> Any:
    """Accepts other tools' names of severities, and refuses words that are none."""
    if not isinstance(match, dict) or "severity" not in match:
        return match
    given = match["severity"]
    words = list(given) if isinstance(given, (list, tuple)) else [given]
    return {**match, "severity": [_severity(word) for word in words]}


Clock = Annotated[str, AfterValidator(_clock)]
Names = Annotated[
    tuple[Annotated[field_types.NonEmptyStr, AfterValidator(_field)], ...], BeforeValidator(field_types.split_list)
]
Patterns = Annotated[
    tuple[Annotated[str, AfterValidator(_pattern)], ...],
    BeforeValidator(lambda value: value if isinstance(value, (list, tuple)) else (value,)),
    Field(min_length=1),
]
MATCH = (
    "Values of an incident for this route: engine, host, kind, name, owner, project, service,"
    " rule, severity, team or label.NAME. Each value is a glob or a list of globs. Write !="
    " before a value that must not match, =~ before a regular expression, !~ before one that"
    " must not match. Default: all incidents."
)
Match = Annotated[dict[Annotated[str, AfterValidator(_field)], Patterns], BeforeValidator(_severities)]
Repeat = Annotated[timedelta, BeforeValidator(field_types.duration), AfterValidator(_repeat)]


class QuietHours(Section):
    """Hours in which a route posts nothing. At their end, one message says what happened in them."""

    begin: Clock = Field(alias="from", description="When they begin, such as 22:00.")
    end: Clock = Field(alias="to", description="When they end, such as 07:00; the same time as `from`: a day later.")
    zone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="The time zone, such as Europe/Berlin. Default: UTC."
    )
    days: Annotated[
        tuple[Annotated[str, AfterValidator(_day)], ...], BeforeValidator(field_types.split_list), Field(min_length=1)
    ] = Field(default=daily_hours.DAYS, description="The days on which they begin, such as [sat, sun]. Default: all.")

    def hours(self) -> daily_hours.DailyHours:
        begin, end = daily_hours.minutes_of(self.begin), daily_hours.minutes_of(self.end)
        assert begin is not None
        assert end is not None
        days = tuple(sorted({daily_hours.DAYS.index(day) for day in self.days}))
        return daily_hours.DailyHours(begin=begin % daily_hours.MINUTES_PER_DAY, end=end, zone=self.zone, days=days)


class Route(Section):
    """Where the incidents that match are posted, and how."""

    match: Match = Field(default={}, description=MATCH)
    to: Annotated[
        tuple[Annotated[field_types.NonEmptyStr, AfterValidator(_destination)], ...],
        BeforeValidator(field_types.split_list),
        Field(min_length=1, max_length=5),
    ] = Field(description="Where it posts: channels (C0123ABCD), people (U0123ABCD, as direct messages), or nowhere.")
    mention: Annotated[
        tuple[Annotated[field_types.NonEmptyStr, AfterValidator(_mention)], ...],
        BeforeValidator(field_types.split_list),
        Field(max_length=5),
    ] = Field(default=(), description="User groups (S0123ABCD) and people (U0123ABCD) whom the message mentions.")
    group_by: Names = Field(
        default=(), description="Incidents with the same values of these fields share one message, such as [project]."
    )
    repeat: Repeat | None = Field(
        default=None,
        description="Time after which the thread repeats an open incident that nobody has acknowledged, such as 4h.",
    )
    quiet: QuietHours | None = Field(
        default=None,
        description="Hours in which the route posts nothing, as {from, to, zone, days}, such as"
        ' {from: "22:00", to: "07:00"}.',
    )
    logs: bool = Field(default=False, description="Whether the thread may show the last log lines of a container.")
    further: bool = Field(
        default=False, alias="continue", description="Whether later routes may match the same incident too."
    )

    @model_validator(mode="after")
    def _nowhere_is_alone(self) -> Route:
        if alert_routes.NOWHERE in self.to and (len(self.to) > 1 or self.mention or self.repeat):
            raise field_types.make_invalid_value_error(
                "`to: nowhere` posts nothing, but the route also has another `to`, `mention` or `repeat`",
                "Remove `nowhere`, or all the others.",
            )
        return self

    def route(self) -> alert_routes.Route:
        """Returns the route as the code uses it."""
        return alert_routes.Route(
            matchers=matchers(self.match),
            to=tuple(to for to in self.to if to != alert_routes.NOWHERE),
            mention=self.mention,
            group_by=self.group_by,
            repeat=self.repeat.total_seconds() if self.repeat is not None else 0.0,
            quiet=self.quiet.hours() if self.quiet is not None else None,
            logs=self.logs,
            further=self.further,
        )


def matchers(match: Mapping[str, tuple[str, ...]]) -> tuple[alert_routes.Matcher, ...]:
    """Returns what `match` asks for as the code uses it."""
    found = []
    for name, patterns in match.items():
        by_operator: dict[str, list[str]] = {}
        for operator, text in map(split_operator, patterns):
            by_operator.setdefault(operator, []).append(text)
        found += [
            alert_routes.Matcher(field=name, operator=operator, patterns=tuple(texts))
            for operator, texts in by_operator.items()
        ]
    return tuple(found)
