"""Limits the size of each event, so that a limit on the number of events also limits their bytes.

An engine that is broken or hostile may send names and attributes of any length. A long attribute is cut. An event whose
resource has a name or an id that no engine allows is dropped, because a shortened one would name another resource.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core.model.events import Event

MAX_NAME = 512  # characters of an id, a name, a type or an action
MAX_ATTRIBUTE = 1_024  # characters
MAX_ATTRIBUTES = 16


def limit_sizes(batch: Sequence[Event]) -> tuple[Sequence[Event], int]:
    """Returns the events of a batch in order, and how many were cut or dropped. Usually that is the batch itself."""
    # In one expression, because it runs for every event. In nearly all events, all texts together are below the limit.
    small = [
        len(event.subject.name) + len(event.subject.id) + len(event.type) + len(event.action) <= MAX_NAME
        and len(event.attrs) <= MAX_ATTRIBUTES
        and len("".join(event.attrs.values())) <= MAX_ATTRIBUTE
        for event in batch
    ]
    if all(small):
        return batch, 0
    limited = [_limited(event) for event in batch if _has_small_names(event)]
    cut = sum(not _is_small(event) for event in batch)
    return (limited, cut) if cut else (batch, 0)


def _is_small(event: Event) -> bool:
    attrs = event.attrs
    return (
        len(event.subject.name) <= MAX_NAME
        and len(event.subject.id) <= MAX_NAME
        and len(event.action) <= MAX_NAME
        and len(event.type) <= MAX_NAME
        and (not attrs or (len(attrs) <= MAX_ATTRIBUTES and max(map(len, attrs.values())) <= MAX_ATTRIBUTE))
    )


def _has_small_names(event: Event) -> bool:
    return max(map(len, (event.subject.name, event.subject.id, event.type, event.action))) <= MAX_NAME


def _limited(event: Event) -> Event:
    if _is_small(event):
        return event
    attrs = {name: value[:MAX_ATTRIBUTE] for name, value in list(event.attrs.items())[:MAX_ATTRIBUTES]}
    return msgspec.structs.replace(event, attrs=attrs)
