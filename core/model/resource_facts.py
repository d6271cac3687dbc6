"""Defines ResourceFacts: the properties of one resource that the access policy checks, such as labels and image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from core.lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceFacts:
    """Holds the properties of one resource that policy may look at. `at`: when the engine last reported them.
    `labels_known`: False if there may be more labels that nobody has seen yet, such as those of an image that is not
    pulled. `protected`: no command may stop it. `own`: it is a part of Quarterdeck, or contains one, so only admins may
    read its log and its details."""

    labels: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    state: str = ""
    project: str | None = None
    service: str | None = None
    protected: bool = False
    own: bool = False
    at: datetime | None = None
    labels_known: bool = True
