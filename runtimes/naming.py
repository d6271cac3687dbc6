"""What a word means among things: containers and services in, those that are meant out; pure.

What somebody typed in full never means another thing. For containers, the first of these that fits: a container's exact
name; its whole id; a service in full (`shop/web`, `shop_web`); a project or a service's own name; the beginning of one
container's name; the beginning of an id. A project or service means all its containers, `shop/` is surely the project,
and a word that is both a project and another one's service is refused with both spellings. Globs select many; with a
slash they are held against `project/service`. For services: the name in full, its id, its own name within a project,
the beginning of one; a project is none. `@engine` and `#id` narrow any of it.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from core import errors
from core.model import things
from core.model.refs import EngineRef, Ref
from core.model.things import Container, Service

Thing = TypeVar("Thing", Container, Service)
Missing = Mapping[EngineRef, errors.QuarterdeckError]
SHORTEST_ID = 4
GLOB_CHARACTERS = frozenset("*?[")
NO_CONTAINERS = "Of a compose service without a container left only its compose file knows: docker compose up."


def containers(words: Sequence[str], rows: Sequence[Container], missing: Missing) -> Sequence[Container]:
    """Raises NotFound with what was close, Ambiguous, or Unreachable where an engine did not say."""
    chosen: dict[Ref, Container] = {}
    for word in words:
        name, pinned, pool = _narrowed(word, rows)
        if not name:
            found: Sequence[Container] = _one(word, pool) if pinned else ()
        elif GLOB_CHARACTERS & set(name):
            found = [row for row in pool if _container_glob(name, row)]
        else:
            found = _containers_named(word, name, pool)
        if not found:
            close = _close(word, {row.ref.name for row in rows} | {name for row in rows for name in groups(row)})
            raise _silent(word, missing) or errors.NotFound(
                f"There is no container “{word}”.", hint=close or "See what there is with: ps -a"
            )
        chosen |= {row.ref: row for row in found if row.ref not in chosen}
    return tuple(chosen.values())


def services(words: Sequence[str], rows: Sequence[Service], missing: Missing) -> Sequence[Service]:
    """As `containers`."""
    chosen: dict[Ref, Service] = {}
    for word in words:
        name, pinned, pool = _narrowed(word, rows)
        if not name:
            found: Sequence[Service] = _one(word, pool) if pinned else ()
        elif GLOB_CHARACTERS & set(name):
            found = [row for row in pool if _service_glob(name, row)]
        else:
            found = _services_named(word, name, pool)
        if not found:
            raise _silent(word, missing) or errors.NotFound(
                f"There is no service “{word}”.", hint=_other_services(word, name, rows)
            )
        chosen |= {row.ref: row for row in found if row.ref not in chosen}
    return tuple(chosen.values())


def _other_services(word: str, name: str, rows: Sequence[Service]) -> str:
    project = name.rstrip("/")
    if inside := [row.ref.name for row in rows if row.project == project]:
        return f"{project} is a project; its services: {', '.join(inside[:8])}."
    close = _close(word, {name for row in rows for name in (row.ref.name, row.short)})
    return close or f"See what there is with: services. {NO_CONTAINERS}"


def groups(row: Container) -> tuple[str, ...]:
    """The project and the service a container can be meant by, in full."""
    return tuple(filter(None, (row.project, row.group)))


def placed(engine: EngineRef, pattern: str) -> bool:
    """`docker`, `docker/host7`, `host7`, `docker/host7/rootless`; globs allowed."""
    words = (engine.kind, engine.host, f"{engine.kind}/{engine.host}", str(engine))
    return any(fnmatch.fnmatchcase(text, pattern) for text in words)


def _narrowed(word: str, rows: Sequence[Thing]) -> tuple[str, str, Sequence[Thing]]:
    """The name in a word, the id it is pinned to, and the rows that `@engine` and `#id` leave."""
    name, at, place = word.partition("@")
    place, sharp, pinned = place.partition("#") if at else (place, "", "")
    if not at:
        name, sharp, pinned = name.partition("#")
    pool = [row for row in rows if placed(row.ref.engine, place)] if place else rows
    if sharp:
        pool = [row for row in pool if row.ref.id.startswith(pinned)]
    return name, pinned, pool


def _containers_named(word: str, name: str, pool: Sequence[Container]) -> Sequence[Container]:
    return (
        _one(word, [row for row in pool if row.ref.name == name])
        or _one(word, [row for row in pool if row.ref.id == name])
        or _grouped(word, name, [row for row in pool if not row.one_off])
        or _one(word, [row for row in pool if row.ref.name.startswith(name)])
        or _one(word, [row for row in pool if len(name) >= SHORTEST_ID and row.ref.id.startswith(name)])
    )


def _grouped(word: str, name: str, pool: Sequence[Container]) -> Sequence[Container]:
    """All containers of the one project or service of this name."""
    if name.endswith("/"):
        return _home(word, [row for row in pool if row.project == name[:-1]], lambda row: f"{row.project}/")
    in_full = [row for row in pool if name in things.group_words(row.project, row.service)]
    if in_full:
        return _home(word, in_full, lambda row: row.group)
    of_project = [row for row in pool if row.project == name]
    of_service = [row for row in pool if name in (row.service, _short(row))]
    if of_project and of_service and {row.ref for row in of_project} != {row.ref for row in of_service}:
        raise errors.Ambiguous(word, [f"{name}/", *sorted({row.group for row in of_service})])
    if of_project:
        return _home(word, of_project, lambda row: f"{row.project}/")
    return _home(word, of_service, lambda row: row.group)


def _home(word: str, found: Sequence[Container], called: Callable[[Container], str]) -> Sequence[Container]:
    """Of several projects or services of one name none is meant. A Swarm's span its nodes, a compose project's do
    not."""
    homes = {(called(row), "" if things.SWARM_SERVICE_LABEL in row.labels else str(row.ref.engine)) for row in found}
    if len(homes) > 1:
        twice = len({name for name, _ in homes}) < len(homes)
        raise errors.Ambiguous(word, [f"{name}@{engine}" if twice else name for name, engine in sorted(homes)])
    return found


def _services_named(word: str, name: str, pool: Sequence[Service]) -> Sequence[Service]:
    in_full = (
        _one(word, [row for row in pool if row.ref.name == name])
        or _one(word, [row for row in pool if name in row.words])
        or _one(word, [row for row in pool if row.ref.id == name])
        or _one(word, [row for row in pool if row.short == name])
    )
    # A project is typed in full too, and is no service, not even the only one it has.
    if in_full or any(row.project == name.rstrip("/") for row in pool):
        return in_full
    return _one(word, [row for row in pool if any(one.startswith(name) for one in (row.ref.name, row.short))]) or _one(
        word, [row for row in pool if len(name) >= SHORTEST_ID and row.ref.id.startswith(name)]
    )


def _one(word: str, found: Sequence[Thing]) -> Sequence[Thing]:
    if len(found) > 1:
        same_name = len({row.ref.name for row in found}) < len(found)
        raise errors.Ambiguous(
            word, [f"{row.ref.name}@{row.ref.engine}" if same_name else row.ref.name for row in found]
        )
    return found


def _container_glob(pattern: str, row: Container) -> bool:
    # A name with slashes in it is that of a container in a pod: `shop/web-0/app`.
    if "/" not in pattern or "/" in row.ref.name:
        if fnmatch.fnmatchcase(row.ref.name, pattern):
            return True
        if "/" not in pattern:
            return False
    return not row.one_off and any(
        fnmatch.fnmatchcase(text, pattern) for text in things.group_words(row.project, row.service)
    )


def _service_glob(pattern: str, row: Service) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for text in (*row.words, row.short))


def _short(row: Container) -> str:
    service = row.service or ""
    return service.removeprefix(f"{row.project}_") if row.project else service


def _silent(word: str, missing: Missing) -> errors.QuarterdeckError | None:
    if not missing:
        return None
    engine, error = next(iter(missing.items()))
    return errors.Unreachable(
        f"“{word}” is not on the engines that answered, and {engine} did not answer: {error.message}", hint=error.hint
    )


def _close(word: str, known: Iterable[str]) -> str:
    name = word.partition("@")[0].partition("#")[0]
    close = difflib.get_close_matches(name, sorted(known), n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(close)}?" if close else ""
