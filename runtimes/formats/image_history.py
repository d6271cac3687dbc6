"""Decodes the history of an image: the steps of its build, the newest first.

The values of build arguments and of environment variables are masked, because they may contain a secret.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from core.model.images import HistoryStep, ImageHistory
from core.text.redact import MASK
from runtimes.formats import summary_text as text
from runtimes.formats import timestamps

MAX_STEPS = 500
MAX_COMMAND = 2_000  # characters
# `ENV A=b`, `ARG A=b`, and what a build writes before a RUN that had arguments: `|2 A=b C=d /bin/sh -c …`.
_HAS_VALUES = re.compile(r"\A\|\d+ |(?:\A|\s)(?:ENV|ARG)\s")
_VALUE = re.compile(r"\b([A-Za-z_]\w*=)(\"(?:[^\"\\]|\\.)*\"|'[^']*'|\S+)")


def make_history_step(command: Any, created_at: float, size: Any, comment: Any = "") -> HistoryStep:
    """Makes one step. `created_at`: unix seconds, 0 if unknown; `size`: bytes."""
    shown = str(command or "")[:MAX_COMMAND]
    if _HAS_VALUES.search(shown):
        shown = _VALUE.sub(rf"\1{MASK}", shown)
    amount = int(text.number(size))
    return HistoryStep(
        created_at=max(0.0, created_at), command=shown, size=max(0, amount), comment=str(comment or "")[:MAX_COMMAND]
    )


def of_configuration(config: Any, layers: Sequence[Any] = ()) -> ImageHistory:
    """Decodes the history in an OCI image configuration. `layers`: the sizes of its layers, the lowest first."""
    sizes = list(layers)
    steps = []
    for one in text.mappings(text.mapping(config).get("history"))[:MAX_STEPS]:
        size = 0 if one.get("empty_layer") or not sizes else sizes.pop(0)
        created = timestamps.parse_seconds(one["created"]) if isinstance(one.get("created"), str) else None
        steps.append(make_history_step(one.get("created_by"), created or 0.0, size, one.get("comment")))
    return ImageHistory(rows=tuple(reversed(steps)))
