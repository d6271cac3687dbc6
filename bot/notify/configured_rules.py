"""Builds the alert rules that run: the built-in rules as configured, and the rules that the configuration adds."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from collectors.rule import Rule, RuleInput, SeenEvent
from core.config.alerts import LogRule, NewRule, RuleChange, Rules
from core.model.alerts import Finding, Firing
from core.model.events import EventKind
from core.model.owners import SWARM_SERVICE_NAME_LABEL, project_of

MAX_LENGTH = 1000  # characters of a value that a pattern sees


def _fits_glob(pattern: str, value: str) -> bool:
    return value == pattern or fnmatch.fnmatchcase(value[:MAX_LENGTH], pattern)


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "=~": lambda text, value: re.fullmatch(text, value[:MAX_LENGTH]) is not None,
    "!~": lambda text, value: re.fullmatch(text, value[:MAX_LENGTH]) is None,
    "!=": lambda text, value: not _fits_glob(text, value),
    "=": _fits_glob,
}


def build_rules_in_force(builtin: Sequence[Rule], settings: Rules) -> Sequence[Rule]:
    """Returns the rules that run."""
    rules = [_as_configured(rule, settings) for rule in builtin if rule.on_by_default and rule.name not in settings.off]
    return (*rules, *map(build_custom_rule, settings.add), *map(_about_logs, settings.logs))


def testable_rules(builtin: Sequence[Rule], settings: Rules) -> Sequence[Rule]:
    """Returns all rules as configured, also those that are switched off."""
    return (*(_as_configured(rule, settings) for rule in builtin), *map(build_custom_rule, settings.add))


def _as_configured(rule: Rule, settings: Rules) -> Rule:
    change = settings.change.get(rule.name)
    return rule if change is None else apply_override(rule, change)


def apply_override(rule: Rule, change: RuleChange) -> Rule:
    """Returns the rule with this change."""
    return replace(
        rule,
        severity=change.severity or rule.severity,
        hold=rule.hold if change.hold is None else change.hold,
        settle=rule.settle if change.settle is None else change.settle,
        cooldown=rule.cooldown if change.cooldown is None else change.cooldown,
        threshold=rule.threshold if change.threshold is None else change.threshold,
    )


def build_custom_rule(settings: NewRule) -> Rule:
    """Returns a rule that the configuration adds."""
    matches = [_matcher(field, text) for field, text in settings.where.items()]

    def check(seen: RuleInput) -> Finding | None:
        def fits(one: SeenEvent) -> bool:
            return all(each(one, seen) for each in matches)

        if not fits(seen.events[-1]):
            return None
        found = sum(fits(one) for one in seen.events)
        if found < settings.count:
            return None
        what = seen.cause.text if seen.cause is not None else str(settings.on).replace("_", " ")
        return Firing(what if found == 1 else f"{what}, {found} times in {_span(settings)}")

    return Rule(
        name=settings.name,
        summary=f"Your own rule about events of the kind {settings.on}.",
        severity=settings.severity,
        on=frozenset({settings.on}),
        check=check,
        topic=settings.name,
        window=settings.within,
        hold=settings.hold,
        settle=settings.settle,
        cooldown=settings.cooldown,
    )


def _about_logs(settings: LogRule) -> Rule:
    """Returns the rule about log lines. Each event has the number of lines found; see collectors.log_line_events."""
    action = settings.pattern().action

    def check(seen: RuleInput) -> Finding | None:
        found = sum(int(one.event.attrs.get("lines", "0")) for one in seen.events)
        if found < settings.count:
            return None
        lines = "a log line matches" if found == 1 else f"{found} log lines match"
        return Firing(f"{lines} the rule {settings.name}" + ("" if found == 1 else f" in {_span(settings)}"))

    return Rule(
        name=settings.name,
        summary="Your own rule about log lines.",
        severity=settings.severity,
        on=frozenset({EventKind.OTHER}),
        check=check,
        topic=settings.name,
        window=settings.within,
        settle=settings.settle,
        cooldown=settings.cooldown,
        actions=frozenset({action}),
    )


def _matcher(field: str, text: str) -> Callable[[SeenEvent, RuleInput], bool]:
    operator = next((each for each in _OPERATORS if text.startswith(each)), "")
    compare, wanted = _OPERATORS[operator or "="], text[len(operator) :]
    return lambda one, seen: compare(wanted, _value(field, one, seen))


def _value(field: str, one: SeenEvent, seen: RuleInput) -> str:
    """Returns a field of an event or of its container. Returns an empty text if the field is not known."""
    event, labels = one.event, seen.labels
    if field.startswith("label."):
        return labels.get(field.removeprefix("label."), "")
    match field:
        case "name":
            return event.subject.name
        case "project":
            return project_of(labels)
        case "service":
            found = seen.container.service if seen.container is not None else None
            return found or labels.get(SWARM_SERVICE_NAME_LABEL, "")
        case "host":
            return event.subject.engine.host
        case "engine":
            return event.subject.engine.kind
        case "image":
            return seen.container.image if seen.container is not None else event.attrs.get("image", "")
        case "cause":
            return str(one.cause.kind) if one.cause is not None else ""
        case _:
            return event.attrs.get(field, "")


def _span(settings: NewRule | LogRule) -> str:
    minutes = int(settings.within.total_seconds() // 60)
    return f"{minutes} minutes" if minutes else f"{int(settings.within.total_seconds())} seconds"
