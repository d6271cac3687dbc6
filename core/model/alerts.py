"""Defines what an alert rule finds about one resource, and the alert that is made from the finding.

A rule returns a Firing or a Cleared. The evaluator makes an Alert of it. Two alerts about the same problem have the
same fingerprint, even if the container was recreated between them, because the fingerprint contains the owner and not
the container's id.
"""

from __future__ import annotations

import enum

import msgspec

from core.model.end_causes import Cause
from core.model.refs import Ref


class Severity(enum.StrEnum):
    """How urgent an alert is. HIGH: somebody must act now. MEDIUM: somebody must act today. LOW: good to know."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


# Other tools' names of severities, as people write them in labels and as Prometheus alerts carry them.
SEVERITY_NAMES = {
    "critical": Severity.HIGH,
    "error": Severity.HIGH,
    "page": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "warn": Severity.MEDIUM,
    "info": Severity.LOW,
    "none": Severity.LOW,
}


def severity_named(text: str) -> Severity | None:
    """Returns the severity with this name, in any spelling that is in use; None for an unknown one."""
    word = text.strip().lower()
    return Severity(word) if word in list(Severity) else SEVERITY_NAMES.get(word)


class AlertState(enum.StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class Firing(msgspec.Struct, frozen=True, gc=False):
    """A rule found trouble. `text`: what is wrong, without a full stop and without the subject's name."""

    text: str


class Cleared(msgspec.Struct, frozen=True, gc=False):
    """A rule found that the trouble is over. `text`: why, without a full stop."""

    text: str


Finding = Firing | Cleared


class Alert(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One alert, at one time. Times are nanoseconds since the epoch, of the engine's clock.

    `topic`: rules with the same topic report different sides of the same trouble, such as a crash and a crash loop.
    `owner`: what the subject belongs to, in words, such as `shop/web`. `count`: how often the rule found the trouble
    since `since_ns`. `cause`: of the newest end of the container. `late`: the newest event was found after the fact,
    because the event stream was interrupted or Quarterdeck did not run. `team` and `channel`: from the container's
    labels. `labels_known`: False if nobody has seen the subject's labels; then `labels` is empty. `resolves`: in the
    report of an end, the text of what has ended. `source`: the other system that reported the alert; empty for a rule
    of Quarterdeck. `link`: the alert's page in that system.
    """

    fingerprint: str
    rule: str
    topic: str
    severity: Severity
    state: AlertState
    subject: Ref
    owner: str
    since_ns: int
    at_ns: int
    text: str
    count: int = 1
    cause: Cause | None = None
    late: bool = False
    labels: dict[str, str] = {}
    team: str = ""
    channel: str = ""
    source: str = ""
    link: str = ""
    labels_known: bool = True
    resolves: str = ""

    @property
    def problem(self) -> str:
        """What is wrong, or was."""
        return self.resolves or self.text
