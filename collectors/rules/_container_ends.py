"""Distinguishes ends of containers for the rules about ends: those that nobody asked for, those that somebody asked
for, and those of jobs (containers that run once).
"""

from __future__ import annotations

from collections.abc import Sequence

from collectors.rule import RuleInput, SeenEvent
from core.model.alerts import Cleared
from core.model.containers import ONE_OFF_LABEL
from core.model.end_causes import CauseKind

FAILURES = frozenset({CauseKind.CRASHED, CauseKind.KILLED})
# Ends that nobody asked for. UNKNOWN is not among them: on engines that do not report a stop, it may be one.
UNWANTED = FAILURES | {CauseKind.OUT_OF_MEMORY}
JOB_LABEL = "quarterdeck.job"


def is_job(seen: RuleInput) -> bool:
    """Whether the container runs once: it has the label quarterdeck.job, was started by `docker compose run`, or is
    removed by its engine when it ends."""
    if seen.labels.get(JOB_LABEL, "").lower() in ("1", "true", "yes"):
        return True
    if seen.labels.get(ONE_OFF_LABEL, "").lower() == "true":
        return True
    return seen.container is not None and seen.container.auto_remove is True


def ended_by_request(seen: RuleInput) -> Cleared | None:
    """Clears the alert if somebody asked for the end, or if a new container takes the place of the old one."""
    if seen.cause is not None and seen.cause.kind in (CauseKind.REQUESTED, CauseKind.REPLACED):
        return Cleared(seen.cause.text)
    return None


def ends(events: Sequence[SeenEvent], kinds: frozenset[CauseKind]) -> Sequence[SeenEvent]:
    """Returns the ends with one of these causes."""
    return [seen for seen in events if seen.cause is not None and seen.cause.kind in kinds]
