"""Holds the settings before their validation: each value, the file and line or the variable that set it, and the
problems found so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from core.errors import Problem

MAX_BYTES = 1 << 20  # a larger file is not a configuration


@dataclass(slots=True, kw_only=True)
class RawSettings:
    """The merged sources. `origins` maps a dotted path to (file or variable, line); line 0 means that there is none."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, tuple[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def origin(self, path: str) -> tuple[str, int]:
        """Returns where the setting, or the nearest section around it, was set."""
        while path and path not in self.origins:
            path = path.rpartition(".")[0]
        return self.origins.get(path, ("", 0))

    def add_problem(self, path: str, what: str, hint: str = "") -> None:
        source, line = self.origin(path)
        self.problems.append(Problem(path=path, what=what, hint=hint, source=source, line=line))

    def merge(self, override: RawSettings) -> None:
        """Merges a source that overrides this one: mappings merge, all other values are replaced."""
        self._merge_data(self.data, override.data, "")
        self.origins |= override.origins
        self.problems += override.problems
        self.warnings += override.warnings

    def _merge_data(self, below: dict[str, Any], above: Mapping[str, Any], path: str) -> None:
        for key, value in above.items():
            here = f"{path}.{key}" if path else key
            if isinstance(value, dict) and isinstance(below.get(key), dict):
                self._merge_data(below[key], value, here)
                continue
            # `url` in the environment also replaces `url_file` of the file, and vice versa.
            for other in (key, f"{key}_file", key.removesuffix("_file")):
                below.pop(other, None)
                self._drop_origins(f"{path}.{other}" if path else other)
            below[key] = value

    def _drop_origins(self, path: str) -> None:
        for known in [known for known in self.origins if known == path or known.startswith(f"{path}.")]:
            del self.origins[known]


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Returns the model inside an annotation such as `tuple[Engine, ...] | None`."""
    return next((kind for kind in types_in(annotation) if issubclass(kind, BaseModel)), None)


def sections_in(annotation: Any, value: Any) -> list[tuple[str, dict[str, Any]]]:
    """Returns the sections in the value of a setting, with the path of each inside it: one, or those of a list or of a
    mapping of names to sections."""
    if isinstance(value, list):
        return [(f".{index}", each) for index, each in enumerate(value) if isinstance(each, dict)]
    if not isinstance(value, dict):
        return []
    if _is_mapping(annotation):
        return [(f".{name}", each) for name, each in value.items() if isinstance(each, dict)]
    return [("", value)]


def _is_mapping(annotation: Any) -> bool:
    return get_origin(annotation) is dict or any(_is_mapping(inner) for inner in get_args(annotation))


def types_in(annotation: Any) -> Iterator[type]:
    """Yields all plain types inside an annotation."""
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for inner in get_args(annotation):
        yield from types_in(inner)
