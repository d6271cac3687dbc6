"""Matches a name that a user entered with services: `shop/web`, `shop_web`, or `web` alone."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from core import errors
from core.model.services import Service
from core.name_matching.match import ResourceMatch, TypedName, every, one, with_id_prefix


def find_services_by_name(typed: TypedName, rows: Sequence[Service]) -> ResourceMatch:
    """Returns the services that a typed name means."""
    name = typed.name
    if typed.is_glob:
        return every(
            [row for row in rows if any(fnmatch.fnmatchcase(text, name) for text in (*row.full_names, row.short_name))]
        )
    return (
        one(typed, [row for row in rows if row.ref.name == name])
        # `app_db` is the service db of the project app. It may also be the whole name of another service.
        or one(typed, [row for row in rows if name == row.service or name in row.full_names])
        or one(typed, [row for row in rows if row.ref.id == name])
        or one(typed, [row for row in rows if row.short_name == name])
        or _match_project(typed, rows)
        or one(typed, [row for row in rows if row.ref.name.startswith(name) or row.short_name.startswith(name)])
        or one(typed, with_id_prefix(typed, rows))
    )


def _match_project(typed: TypedName, rows: Sequence[Service]) -> ResourceMatch:
    """Matches all services of a project, for a list. A change refuses a project, even one with a single service."""
    project = typed.name.rstrip("/")
    inside = [row for row in rows if row.project == project]
    names = ", ".join(row.ref.name for row in inside[:8])
    more = f" and {len(inside) - 8} more" if len(inside) > 8 else ""
    hint = f"{project} is a project. Name one of its services: {names}{more}."
    return ResourceMatch(rows=inside, error=errors.NotFound(f"There is no service “{typed.text}”.", hint=hint))
