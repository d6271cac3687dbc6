"""The tree of settings as it was written, where each part of it came from, and what is known to be wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel

from core.errors import Problem

FILE_NAME = "quarterdeck.yaml"
MAX_BYTES = 1 << 20  # bytes; a file beyond this is not a configuration


@dataclass(slots=True, kw_only=True)
class RawSettings:
    """`origins`: dotted path → (file or variable, line; 0 where there is none)."""

    data: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, tuple[str, int]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def origin(self, path: str) -> tuple[str, int]:
        """Where the setting, or the nearest thing around it, was written."""
        while path and path not in self.origins:
            path = path.rpartition(".")[0]
        return self.origins.get(path, ("", 0))

    def problem(self, path: str, what: str, hint: str = "") -> None:
        source, line = self.origin(path)
        self.problems.append(Problem(path=path, what=what, hint=hint, source=source, line=line))

    def overlay(self, upper: RawSettings) -> None:
        """Puts another layer on top: mappings merge, anything else replaces what lay below."""
        self._merge(self.data, upper.data, "")
        self.origins |= upper.origins
        self.problems += upper.problems
        self.warnings += upper.warnings

    def _merge(self, below: dict[str, Any], above: Mapping[str, Any], path: str) -> None:
        for key, value in above.items():
            here = f"{path}.{key}" if path else key
            if isinstance(value, dict) and isinstance(below.get(key), dict):
                self._merge(below[key], value, here)
                continue
            # `url` in the environment also replaces `url_file` of the file, and the other way round.
            for other in (key, f"{key}_file", key.removesuffix("_file")):
                below.pop(other, None)
                self._forget(f"{path}.{other}" if path else other)
            below[key] = value

    def _forget(self, path: str) -> None:
        for known in [known for known in self.origins if known == path or known.startswith(f"{path}.")]:
            del self.origins[known]


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The model within an annotation such as `tuple[Engine, ...] | None`."""
    return next((kind for kind in types_in(annotation) if issubclass(kind, BaseModel)), None)


def types_in(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for inner in get_args(annotation):
        yield from types_in(inner)
