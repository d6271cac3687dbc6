"""Facts: what policy looks at when it decides about one resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What policy and rules may look at for one Ref. `at` is when the engine last said so. `labels_known`: False where
    it may carry labels that nobody has seen yet, such as an image still to be pulled."""

    labels: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    state: str = ""
    project: str | None = None
    service: str | None = None
    protected: bool = False
    at: datetime | None = None
    labels_known: bool = True
