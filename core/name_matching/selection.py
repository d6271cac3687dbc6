"""Selects the resources of one kind by the names that a user entered. Reports each name that matches no resource or too
many."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from core import errors
from core.lazy_dataclass import dataclass
from core.model import list_action_by_kind
from core.model.refs import EngineRef, Kind, Ref
from core.name_matching import containers, images, services, suggestions
from core.name_matching.match import ResourceMatch, TypedName, every, narrow, one, parse, with_id_prefix

# The command that lists the resources of a kind.
LIST_COMMANDS = {
    Kind.CONTAINER: "ps -a",
    Kind.SERVICE: "services",
    Kind.IMAGE: "images",
    Kind.POD: "pods",
    Kind.NODE: "nodes",
    Kind.UNIT: "units",
    Kind.NETWORK: "network ls",
    Kind.VOLUME: "volume ls",
    Kind.STACK: "stack ls",
    Kind.PROJECT: "project ls",
    Kind.NAMESPACE: "namespaces",
    Kind.SECRET: "secret ls",
    Kind.CONFIG: "config ls",
}
NO_CONTAINERS = "A compose service without containers exists only in its compose file; start it with: docker compose up"


def select_resources_by_name(
    kind: Kind,
    names: Sequence[str],
    rows: Sequence[Any],
    missing: Mapping[EngineRef, errors.QuarterdeckError],
    *,
    every_match: bool = False,
) -> Sequence[Any]:
    """Returns the resources that the names select, each once: the targets of a change, or the rows of a list with
    `every_match`.

    `missing`: the engines that did not answer. Raises NotFound with similar names, Ambiguous, or Unreachable where a
    name may be on an engine that did not answer.
    """
    chosen: dict[Ref, Any] = {}
    for name in names:
        found = match(kind, name, rows)
        if found.error is not None and not (found and every_match):
            raise (
                _maybe_elsewhere(name, missing) if missing and isinstance(found.error, errors.NotFound) else found.error
            )
        for row in found.rows if every_match else found.targets:
            chosen.setdefault(row.ref, row)
    return tuple(chosen.values())


def match(kind: Kind, name: str, rows: Sequence[Any]) -> ResourceMatch:
    """Matches one name with `rows`. If nothing matches, the error suggests similar names."""
    typed = parse(name)
    found = _match_within(kind, typed, narrow(typed, rows))
    return found or ResourceMatch(error=_not_found(kind, name, rows))


def match_refs(name: str, refs: Iterable[Ref]) -> Sequence[Ref]:
    """Returns the refs that a list shows for the name. Only names and ids are compared, as for removed resources."""
    typed = parse(name)
    rows = narrow(typed, [_Named(ref=ref) for ref in refs])
    found = _match_other(typed, rows).rows if typed.name else rows
    return [row.ref for row in found]


def list_hint(kind: str) -> str:
    """Returns a sentence with the command that lists the resources of a kind; "" if no command lists them."""
    return f"List all {kind}s with: {LIST_COMMANDS[Kind(kind)]}" if kind in LIST_COMMANDS else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """A row for `_match_other` where only a Ref is known."""

    ref: Ref


def _match_within(kind: Kind, typed: TypedName, rows: Sequence[Any]) -> ResourceMatch:
    if typed.name:
        match kind:
            case Kind.CONTAINER:
                return containers.find_containers_by_name(typed, rows)
            case Kind.SERVICE:
                return services.find_services_by_name(typed, rows)
            case Kind.IMAGE:
                return images.find_images_by_name(typed, rows)
            case _:
                return _match_other(typed, rows)
    if typed.id_prefix:
        return one(typed, rows)
    if typed.engine:
        # A list may be of all there is on an engine, a change is never of so much.
        return ResourceMatch(
            rows=rows,
            error=errors.NotFound(
                f"“{typed.text}” names only an engine, and this command needs a {kind}.",
                hint=f"Write NAME{typed.text}. {list_hint(kind)}".strip(),
            ),
        )
    return ResourceMatch()


def _match_other(typed: TypedName, rows: Sequence[Any]) -> ResourceMatch:
    name = typed.name
    if typed.is_glob:
        return every(
            [
                row
                for row in rows
                if any(fnmatch.fnmatchcase(text, name) for text in list_action_by_kind.full_names(row))
            ]
        )
    return (
        one(typed, [row for row in rows if name in list_action_by_kind.full_names(row)])
        or one(typed, [row for row in rows if row.ref.id == name])
        or one(
            typed, [row for row in rows if any(text.startswith(name) for text in list_action_by_kind.full_names(row))]
        )
        or one(typed, with_id_prefix(typed, rows))
    )


def _not_found(kind: Kind, name: str, rows: Sequence[Any]) -> errors.NotFound:
    existing = (text for row in rows for text in _names(kind, row))
    similar = suggestions.find_similar_names(name.partition("@")[0].partition("#")[0], existing)
    hint = f"Did you mean {' or '.join(similar)}?" if similar else list_hint(kind)
    if kind is Kind.SERVICE and not similar:
        hint = f"{hint}. {NO_CONTAINERS}"
    return errors.NotFound(f"There is no {kind} “{name}”.", hint=hint)


def _names(kind: Kind, row: Any) -> Sequence[str]:
    """Returns the names by which a resource can be suggested."""
    match kind:
        case Kind.CONTAINER:
            return (row.ref.name, *filter(None, (row.service,)), *containers.group_names(row))
        case Kind.SERVICE:
            return (row.ref.name, row.short_name)
        case Kind.IMAGE:
            return images.tags(row)
        case _:
            return list_action_by_kind.full_names(row)


def _maybe_elsewhere(name: str, missing: Mapping[EngineRef, errors.QuarterdeckError]) -> errors.QuarterdeckError:
    engine, error = next(iter(missing.items()))
    others = len(missing) - 1
    more = f" and {others} other engine{'s' if others > 1 else ''}" if others else ""
    return errors.Unreachable(
        f"“{name}” is not on the engines that answered, and {engine}{more} did not answer: {error.message}",
        hint=error.hint,
    )
