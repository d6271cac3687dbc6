"""Defines the result of matching one name that a user entered, and the matching steps that all kinds of resource share.

The steps: parse the name, narrow the rows by `@engine` and `#id`, select one or all rows, match an id prefix.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from core import errors
from core.lazy_dataclass import dataclass
from core.model import list_action_by_kind
from core.model.refs import Kind

MIN_ID_LENGTH = 4
GLOB_CHARACTERS = frozenset("*?[")
_DIGEST = re.compile(r"([^@#]*@)?sha256:[0-9a-f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceMatch:
    """Holds the resources that one typed name selects.

    `rows`: the resources that a list shows. `targets`: the resources that a change acts on, all of `rows` or some of
    them. `error`: the reason why a change refuses the name; there are then no targets. A match without rows is false.
    """

    rows: Sequence[Any] = ()
    targets: Sequence[Any] = ()
    error: errors.QuarterdeckError | None = None

    def __bool__(self) -> bool:
        return bool(self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedName:
    """Holds the parts of a typed name. `text`: the whole text. `name`: the part before `@engine` and `#id`."""

    text: str
    name: str
    engine: str
    id_prefix: str

    @property
    def is_glob(self) -> bool:
        return not GLOB_CHARACTERS.isdisjoint(self.name)


def is_pattern(text: str) -> bool:
    """Returns whether a typed name is a glob."""
    return parse(text).is_glob


def parse(text: str) -> TypedName:
    # The @ of `busybox@sha256:…` belongs to the name.
    digest = found[0] if (found := _DIGEST.match(text)) else ""
    front, _, id_prefix = text[len(digest) :].partition("#")
    name, _, engine = front.partition("@")
    return TypedName(text=text, name=digest + name, engine=engine, id_prefix=id_prefix)


def narrow(typed: TypedName, rows: Sequence[Any]) -> Sequence[Any]:
    """Returns the rows that match the `@engine` and `#id` of the typed name."""
    if typed.engine:
        rows = [row for row in rows if row.ref.engine.matches(typed.engine)]
    if typed.id_prefix:
        rows = [row for row in rows if _id_starts_with(row, typed.id_prefix)]
    return rows


def every(rows: Sequence[Any]) -> ResourceMatch:
    """Returns a match that selects all of these rows."""
    return ResourceMatch(rows=rows, targets=rows)


def one(typed: TypedName, rows: Sequence[Any]) -> ResourceMatch:
    """Returns a match that selects the one row. It is ambiguous if there are several rows."""
    if len(rows) > 1:
        groups = {getattr(row, "group_name", "") for row in rows}
        group = groups.pop() if len(groups) == 1 else ""
        return ResourceMatch(rows=rows, error=errors.Ambiguous(typed.text, _candidates(rows), group))
    return every(rows)


def with_id_prefix(typed: TypedName, rows: Sequence[Any]) -> Sequence[Any]:
    """Returns the rows whose id begins with the name, if the name has at least four characters."""
    if len(typed.name.removeprefix("sha256:")) < MIN_ID_LENGTH:
        return ()
    return [row for row in rows if _id_starts_with(row, typed.name)]


def _id_starts_with(row: Any, prefix: str) -> bool:
    bare: str = row.ref.bare_id
    return bare.startswith(prefix.removeprefix("sha256:"))


def _candidates(rows: Sequence[Any]) -> Sequence[str]:
    """Returns what to type for each of several rows: its name and, if names are equal, also its namespace, engine or
    id."""
    spellings = (
        [row.ref.name for row in rows],
        [list_action_by_kind.full_names(row)[-1] if row.ref.kind is Kind.POD else row.ref.name for row in rows],
        [f"{row.ref.name}@{row.ref.engine}" for row in rows],
    )
    distinct = next((names for names in spellings if len(set(names)) == len(rows)), None)
    return sorted(distinct or [str(row.ref) for row in rows], key=natural_order)


def natural_order(name: str) -> tuple[str | int, ...]:
    """Returns a key that sorts web-2 before web-10."""
    # Text and digits alternate, so that text is always compared with text and numbers with numbers.
    return tuple(int(part) if at % 2 else part for at, part in enumerate(re.split(r"([0-9]{1,9})", name)))
