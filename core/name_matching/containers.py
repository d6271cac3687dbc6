"""Finds the containers that a typed name means: by name, id, project or service."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Sequence

from core import errors
from core.model import containers
from core.model.containers import Container
from core.name_matching.match import ResourceMatch, TypedName, every, one, with_id_prefix


def find_containers_by_name(typed: TypedName, rows: Sequence[Container]) -> ResourceMatch:
    """Returns the containers that a typed name means."""
    name = typed.name
    if typed.is_glob:
        return every([row for row in rows if _matches_glob(name, row)])
    return (
        one(typed, [row for row in rows if row.ref.name == name])
        or one(typed, [row for row in rows if row.ref.id == name])
        or _match_group(typed, [row for row in rows if not row.one_off])
        or one(typed, [row for row in rows if row.ref.name.startswith(name)])
        or one(typed, with_id_prefix(typed, rows))
    )


def group_names(row: Container) -> tuple[str, ...]:
    """Returns the full names of the project and of the service that a container belongs to."""
    return tuple(filter(None, (row.project, row.group_name)))


def _match_group(typed: TypedName, rows: Sequence[Container]) -> ResourceMatch:
    """Matches all containers of the one project or service with this name."""
    name = typed.name
    if name.endswith("/"):
        return _same_group(typed, [row for row in rows if row.project == name[:-1]], lambda row: f"{row.project}/")
    in_full = [row for row in rows if name in _service_names(row)]
    if in_full:
        # `app_db` is the service db of the project app. It may also be the whole name of another service.
        either = [row for row in rows if name == row.service or name in _service_names(row)]
        return _same_group(typed, either, lambda row: row.group_name)
    of_project = [row for row in rows if row.project == name]
    of_service = [row for row in rows if name in (row.service, _short_service(row))]
    if of_project and of_service and {row.ref for row in of_project} != {row.ref for row in of_service}:
        either = [row for row in rows if row.project == name or name in (row.service, _short_service(row))]
        of_services = sorted({row.group_name for row in of_service})
        hint = f"Write {name}/ for the project, or {of_services[0]} for the service."
        return ResourceMatch(rows=either, error=errors.Ambiguous(typed.text, [f"{name}/", *of_services], hint=hint))
    if of_project:
        return _same_group(typed, of_project, lambda row: f"{row.project}/")
    return _same_group(typed, of_service, lambda row: row.group_name)


def _same_group(typed: TypedName, rows: Sequence[Container], group: Callable[[Container], str]) -> ResourceMatch:
    """Returns a match of all rows. It is ambiguous if they belong to several projects or services with one name. A
    compose project is on one engine, a Swarm service may be on several."""
    groups = {(group(row), "" if containers.SWARM_SERVICE_LABEL in row.labels else str(row.ref.engine)) for row in rows}
    if len(groups) > 1:
        repeated = len({name for name, _ in groups}) < len(groups)
        candidates = [f"{name}@{engine}" if repeated else name for name, engine in sorted(groups)]
        return ResourceMatch(rows=rows, error=errors.Ambiguous(typed.text, candidates))
    return every(rows)


def _matches_glob(pattern: str, row: Container) -> bool:
    # A name with slashes in it is that of a container in a pod: `shop/web-0/app`.
    if "/" not in pattern or "/" in row.ref.name:
        if fnmatch.fnmatchcase(row.ref.name, pattern):
            return True
        if "/" not in pattern:
            return False
    return not row.one_off and any(fnmatch.fnmatchcase(text, pattern) for text in _service_names(row))


def _short_service(row: Container) -> str:
    service = row.service or ""
    return service.removeprefix(f"{row.project}_") if row.in_stack else service


def _service_names(row: Container) -> tuple[str, ...]:
    return containers.group_names(row.project, row.service, in_stack=row.in_stack)
