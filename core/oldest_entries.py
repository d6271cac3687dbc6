"""Limits the number of entries of a dict by removing the oldest."""

from __future__ import annotations

import itertools
from typing import Any


def limit_entries(entries: dict[Any, Any], most: int) -> None:
    """Removes the oldest tenth of the entries if there are more than `most`.

    A dict keeps the places of removed entries until it grows, and searches through them for its first entry. So
    removing one entry at a time takes longer with each removal.
    """
    if len(entries) > most:
        for key in list(itertools.islice(entries, len(entries) - most + most // 10)):
            del entries[key]
