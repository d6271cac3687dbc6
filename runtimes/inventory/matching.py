"""What a word means among things of one kind: rows in, those that are meant out; pure.

What somebody typed in full never means another thing. For containers, the first of these that fits: a container's exact
name; its whole id; a service in full (`shop/web`, `shop_web`); a project or a service's own name; the beginning of one
container's name; the beginning of an id. A project or service means all its containers, `shop/` is surely the project,
and a word that is both a project and another one's service is refused with both spellings. Globs select many; with a
slash they are held against `project/service`. For services: the name in full, its id, its own name within a project,
the beginning of one; a project is none. For everything else: a name in full, the whole id, the beginning of a name, the
beginning of an id; an image also goes by `repository:tag` in any spelling, by its digest, and by its repository, which
means `latest` or the only one there is. `@engine` and `#id` narrow any of it.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from core import errors
from core.model import containers as model_containers
from core.model import image_names, listings
from core.model.containers import Container
from core.model.images import Image
from core.model.refs import EngineRef, Kind, Ref
from core.model.services import Service

Thing = TypeVar("Thing")
Missing = Mapping[EngineRef, errors.QuarterdeckError]
SHORTEST_ID = 4
GLOB_CHARACTERS = frozenset("*?[")
NO_CONTAINERS = "Of a compose service without a container left only its compose file knows: docker compose up."

# The command that shows what there is of a kind.
LOOKS = {
    Kind.CONTAINER: "ps -a",
    Kind.SERVICE: "services",
    Kind.IMAGE: "images",
    Kind.POD: "pods",
    Kind.NODE: "nodes",
    Kind.UNIT: "units",
}
_DIGEST = re.compile(r"([^@#]*@)?sha256:[0-9a-f]+")


def meant(kind: Kind, words: Sequence[str], rows: Sequence[Any], missing: Missing) -> Sequence[Any]:
    """Raises NotFound with what was close, Ambiguous, or Unreachable where an engine did not say."""
    match kind:
        case Kind.CONTAINER:
            return containers(words, rows, missing)
        case Kind.SERVICE:
            return services(words, rows, missing)
    chosen: dict[Ref, Any] = {}
    for word in words:
        name, pinned, pool = _narrowed(word, rows)
        if not name:
            found: Sequence[Any] = _one(word, pool) if pinned else ()
        elif GLOB_CHARACTERS & set(name):
            found = _images_like(name, pool) if kind is Kind.IMAGE else _like(name, pool)
        else:
            found = _images_named(word, name, pool) if kind is Kind.IMAGE else _named(word, name, pool)
        if not found:
            close = _close(word, {text for row in rows for text in (row.ref.name, *getattr(row, "tags", ()))})
            raise _silent(word, missing) or errors.NotFound(f"There is no {kind} “{word}”.", hint=close or look(kind))
        chosen |= {row.ref: row for row in found if row.ref not in chosen}
    return tuple(chosen.values())


def look(kind: Kind) -> str:
    return f"See what there is with: {LOOKS[kind]}" if kind in LOOKS else ""


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
    close = _close(word, {name for row in rows for name in (row.ref.name, row.short_name)})
    return close or f"See what there is with: services. {NO_CONTAINERS}"


def groups(row: Container) -> tuple[str, ...]:
    """The project and the service a container can be meant by, in full."""
    return tuple(filter(None, (row.project, row.group_name)))


def _narrowed(word: str, rows: Sequence[Any]) -> tuple[str, str, Sequence[Any]]:
    """The name in a word, the id it is pinned to, and the rows that `@engine` and `#id` leave."""
    # The @ of `busybox@sha256:…` is part of a name.
    digest = found[0] if (found := _DIGEST.match(word)) else ""
    name, at, place = word[len(digest) :].partition("@")
    place, sharp, pinned = place.partition("#") if at else (place, "", "")
    if not at:
        name, sharp, pinned = name.partition("#")
    pool = [row for row in rows if row.ref.engine.matches(place)] if place else rows
    if sharp:
        pool = [row for row in pool if _begins(row, pinned)]
    return digest + name, pinned, pool


def _like(pattern: str, pool: Sequence[Any]) -> Sequence[Any]:
    return [row for row in pool if any(fnmatch.fnmatchcase(text, pattern) for text in listings.full_names(row))]


def _named(word: str, name: str, pool: Sequence[Any]) -> Sequence[Any]:
    return (
        _one(word, [row for row in pool if name in listings.full_names(row)])
        or _one(word, [row for row in pool if row.ref.id == name])
        or _one(word, [row for row in pool if any(text.startswith(name) for text in listings.full_names(row))])
        or _one(word, [row for row in pool if len(name) >= SHORTEST_ID and _begins(row, name)])
    )


def _images_named(word: str, name: str, pool: Sequence[Image]) -> Sequence[Image]:
    """The image under the tag it was called by, or under its id: to take one tag away is not to take the image."""
    for means in (_is_tag, _is_latest, _is_repository, _ends_path, _begins_tag):
        tagged = [(row, next((tag for tag in _tags(row) if means(tag, name)), "")) for row in pool]
        if found := [_called(row, tag) for row, tag in tagged if tag]:
            return _one(word, found)
        if means is _is_tag and (found := [_by_id(row) for row in pool if row.ref.id == name or _is_digest(row, name)]):
            return _one(word, found)
    bare = name.removeprefix("sha256:")
    return _one(word, [_by_id(row) for row in pool if len(bare) >= SHORTEST_ID and _begins(row, bare)])


def _images_like(pattern: str, pool: Sequence[Image]) -> Sequence[Image]:
    tagged = [
        _called(row, tag)
        for row in pool
        for tag in _tags(row)
        if any(fnmatch.fnmatchcase(text, pattern) for text in image_names.equivalent_names(tag))
    ]
    return tagged or [row for row in pool if any(fnmatch.fnmatchcase(text, pattern) for text in row.digests)]


def _is_tag(tag: str, name: str) -> bool:
    return image_names.short_name(tag) == image_names.short_name(name)


def _is_latest(tag: str, name: str) -> bool:
    return _is_tag(tag, f"{name}:latest")


def _is_repository(tag: str, name: str) -> bool:
    return _is_tag(image_names.split_tag(tag)[0], name)


def _ends_path(tag: str, name: str) -> bool:
    return f"/{tag}".endswith(f"/{name}") or f"/{image_names.split_tag(tag)[0]}".endswith(f"/{name}")


def _begins_tag(tag: str, name: str) -> bool:
    return tag.startswith(name) or image_names.short_name(tag).startswith(name)


def _is_digest(row: Image, name: str) -> bool:
    """`repository@sha256:…` in any spelling, or `sha256:…` alone."""
    return any(_is_tag(told, name) or told.partition("@")[2] == name for told in row.digests)


def _tags(row: Image) -> Sequence[str]:
    return row.tags or (row.ref.name,)


def _called(row: Image, tag: str) -> Image:
    return row if row.ref.name == tag else msgspec.structs.replace(row, ref=msgspec.structs.replace(row.ref, name=tag))


def _by_id(row: Image) -> Image:
    """The image as a whole, with all its tags."""
    return _called(row, row.ref.id.removeprefix("sha256:")[:12])


def _begins(row: Any, id_prefix: str) -> bool:
    known: str = row.ref.bare_id
    return known.startswith(id_prefix.removeprefix("sha256:"))


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
    in_full = [row for row in pool if name in model_containers.group_names(row.project, row.service)]
    if in_full:
        return _home(word, in_full, lambda row: row.group_name)
    of_project = [row for row in pool if row.project == name]
    of_service = [row for row in pool if name in (row.service, _short(row))]
    if of_project and of_service and {row.ref for row in of_project} != {row.ref for row in of_service}:
        raise errors.Ambiguous(word, [f"{name}/", *sorted({row.group_name for row in of_service})])
    if of_project:
        return _home(word, of_project, lambda row: f"{row.project}/")
    return _home(word, of_service, lambda row: row.group_name)


def _home(word: str, found: Sequence[Container], called: Callable[[Container], str]) -> Sequence[Container]:
    """Of several projects or services of one name none is meant. A Swarm's span its nodes, a compose project's do
    not."""
    homes = {
        (called(row), "" if model_containers.SWARM_SERVICE_LABEL in row.labels else str(row.ref.engine))
        for row in found
    }
    if len(homes) > 1:
        twice = len({name for name, _ in homes}) < len(homes)
        raise errors.Ambiguous(word, [f"{name}@{engine}" if twice else name for name, engine in sorted(homes)])
    return found


def _services_named(word: str, name: str, pool: Sequence[Service]) -> Sequence[Service]:
    in_full = (
        _one(word, [row for row in pool if row.ref.name == name])
        or _one(word, [row for row in pool if name in row.full_names])
        or _one(word, [row for row in pool if row.ref.id == name])
        or _one(word, [row for row in pool if row.short_name == name])
    )
    # A project is typed in full too, and is no service, not even the only one it has.
    if in_full or any(row.project == name.rstrip("/") for row in pool):
        return in_full
    return _one(
        word, [row for row in pool if any(one.startswith(name) for one in (row.ref.name, row.short_name))]
    ) or _one(word, [row for row in pool if len(name) >= SHORTEST_ID and row.ref.id.startswith(name)])


def _one(word: str, found: Sequence[Thing]) -> Sequence[Thing]:
    if len(found) > 1:
        raise errors.Ambiguous(word, _candidates(found))
    return found


def _candidates(found: Sequence[Any]) -> Sequence[str]:
    """What to type for each of several: its name where that is enough, else with its namespace, engine or id."""
    spelled = (
        [row.ref.name for row in found],
        [listings.full_names(row)[-1] if row.ref.kind is Kind.POD else row.ref.name for row in found],
        [f"{row.ref.name}@{row.ref.engine}" for row in found],
    )
    told = next((names for names in spelled if len(set(names)) == len(found)), None)
    return told or [str(row.ref) for row in found]


def _container_glob(pattern: str, row: Container) -> bool:
    # A name with slashes in it is that of a container in a pod: `shop/web-0/app`.
    if "/" not in pattern or "/" in row.ref.name:
        if fnmatch.fnmatchcase(row.ref.name, pattern):
            return True
        if "/" not in pattern:
            return False
    return not row.one_off and any(
        fnmatch.fnmatchcase(text, pattern) for text in model_containers.group_names(row.project, row.service)
    )


def _service_glob(pattern: str, row: Service) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for text in (*row.full_names, row.short_name))


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
