"""Finds the existing names that are most similar to a name that does not exist.

The work is limited, however many names there are and however long they are, because it is done on the event loop: a
quick comparison of pairs of letters chooses the few names that are compared exactly.
"""

from __future__ import annotations

import difflib
import functools
import heapq
import itertools
from collections.abc import Iterable, Sequence

MAX_NAMES = 3000  # existing names that are looked at
MAX_COMPARED = 24  # existing names that are compared exactly
MAX_LENGTH = 64  # characters of a name that are compared
CUTOFF = 0.6  # from 0 (different) to 1 (equal)


def find_similar_names(name: str, existing: Iterable[str], count: int = 3) -> Sequence[str]:
    """Returns up to `count` names, the most similar first; none if no name is similar."""
    wanted = name[:MAX_LENGTH]
    pairs = _pairs(wanted)
    candidates = dict.fromkeys(itertools.islice(existing, MAX_NAMES))
    near = heapq.nlargest(MAX_COMPARED, candidates, key=lambda text: (_likeness(pairs, text), text))
    shortened = {text[:MAX_LENGTH]: text for text in reversed(near)}
    found = difflib.get_close_matches(wanted, sorted(shortened), n=count, cutoff=CUTOFF)
    return [shortened[text] for text in found]


def _likeness(pairs: frozenset[tuple[str, str]], text: str) -> float:
    """Returns how many pairs of letters two names share, from 0 to 1."""
    other = _pairs(text[:MAX_LENGTH])
    return 2 * len(pairs & other) / (len(pairs) + len(other) or 1)


@functools.lru_cache(maxsize=4 * MAX_NAMES)
def _pairs(text: str) -> frozenset[tuple[str, str]]:
    """Returns the pairs of letters that follow each other, also without one between: `wbe` and `web` share some."""
    return frozenset((*zip(" " + text, text + " ", strict=True), *zip(text, text[2:], strict=False)))
