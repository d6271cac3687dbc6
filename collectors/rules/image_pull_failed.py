"""Fires when an image cannot be pulled.

Newer versions of Podman report it as an event, a Swarm as the reason of a rejected task. Docker, containerd and CRI
report nothing, so Quarterdeck reports the pulls of its own commands that failed.
"""

from __future__ import annotations

import re

from collectors.rule import Rule, RuleInput
from core.model.alerts import Cleared, Finding, Firing, Severity
from core.model.events import EventKind

_PULL_FAILED = re.compile(
    r"no such image|pull access denied|manifest unknown|failed to pull|image.*could not be accessed"
    r"|errimagepull|imagepullbackoff|toomanyrequests",
    re.IGNORECASE,
)


def check(seen: RuleInput) -> Finding | None:
    event = seen.last
    if event.kind is EventKind.PULLED:
        return Cleared("the image was pulled")
    if event.action == "pull-error":
        why = event.attrs.get("why", "")
        return Firing("the image cannot be pulled" + (f": {why}" if why else ""))
    why = event.attrs.get("why", "")
    if event.kind is EventKind.TASK_FAILED and _PULL_FAILED.search(why):
        return Firing(f"its image cannot be pulled: {why}")
    return None


rule = Rule(
    name="image-pull-failed",
    summary="An image cannot be pulled.",
    severity=Severity.MEDIUM,
    on=frozenset({EventKind.OTHER, EventKind.TASK_FAILED, EventKind.PULLED}),
    check=check,
    topic="pull",
    actions=frozenset({"pull-error"}),
)
