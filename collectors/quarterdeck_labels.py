"""Reads the container labels that control alerts.

`quarterdeck.alerts=off` switches them off. `quarterdeck.severity=low` changes how urgent they are,
`quarterdeck.team=payments` names who is responsible, and `quarterdeck.channel=C0123ABCD` where they are posted. With
`quarterdeck.logs=off`, alerts never show the container's log. With `quarterdeck.healing=off`, self-healing ignores the
container. An unknown value has no effect. Anybody who creates a container can set labels, so no label makes a message
mention a person.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.model.alerts import Severity, severity_named

ALERTS_LABEL = "quarterdeck.alerts"
SEVERITY_LABEL = "quarterdeck.severity"
TEAM_LABEL = "quarterdeck.team"
CHANNEL_LABEL = "quarterdeck.channel"
LOGS_LABEL = "quarterdeck.logs"
HEALING_LABEL = "quarterdeck.healing"
OFF = ("off", "false", "0", "no", "none")
MAX_LENGTH = 80  # characters of a team or a channel


def are_alerts_off(labels: Mapping[str, str]) -> bool:
    """Whether the alerts of a container with these labels are switched off."""
    return labels.get(ALERTS_LABEL, "").strip().lower() in OFF


def logs_are_off(labels: Mapping[str, str]) -> bool:
    """Whether alerts never show the log of a container with these labels."""
    return labels.get(LOGS_LABEL, "").strip().lower() in OFF


def healing_is_off(labels: Mapping[str, str]) -> bool:
    """Whether self-healing does nothing to a container with these labels."""
    return labels.get(HEALING_LABEL, "").strip().lower() in OFF


def severity(labels: Mapping[str, str], default: Severity) -> Severity:
    return severity_named(labels.get(SEVERITY_LABEL, "")) or default


def team(labels: Mapping[str, str]) -> str:
    return labels.get(TEAM_LABEL, "").strip()[:MAX_LENGTH]


def channel(labels: Mapping[str, str]) -> str:
    return labels.get(CHANNEL_LABEL, "").strip()[:MAX_LENGTH]
