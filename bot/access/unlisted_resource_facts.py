"""Builds the facts for the access policy about a resource of an alert or a past event, if no engine lists that resource
now.

An unknown fact must not count as absent. Example: a guard about a project also hides a container whose project is
unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from core.model.containers import Container
from core.model.refs import Kind, Ref
from core.model.resource_facts import ResourceFacts

_WITHOUT_LABELS = (Kind.ENGINE, Kind.BOT)
_WITHOUT_PROJECT = (Kind.NODE, Kind.IMAGE)


def build_unlisted_resource_facts(
    subject: Ref, labels: Mapping[str, str] | None, now: datetime
) -> ResourceFacts | None:
    """Returns the facts as of now; None if they are not known. `labels`: the last known ones; None if nobody has seen
    them."""
    if subject.kind in _WITHOUT_LABELS:
        return ResourceFacts(at=now)
    if labels is None:
        return ResourceFacts(labels_known=False, at=now) if subject.kind in _WITHOUT_PROJECT else None
    if subject.kind is Kind.UNIT:
        return ResourceFacts(labels=labels, service=subject.name, at=now)
    row = Container(
        ref=subject, image="", image_id="", command="", state="", status="", created_at=0.0, labels=dict(labels)
    )
    return row.facts(now)
