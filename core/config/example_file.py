"""Generates the commented example file from the settings' own descriptions and defaults, so the two cannot differ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from core.config.raw_settings import section_of


def generate_example(model: type[BaseModel]) -> str:
    """Returns every setting with its description. Defaults are active; all other examples are commented out."""
    lines = [
        "# Quarterdeck's settings, with their defaults. A line that begins with # and no space is an example.",
        "# Each setting also has a variable, such as QUARTERDECK_METRICS__LISTEN for metrics.listen; lists are JSON.",
        "# An unknown name is an error. `quarterdeck check` reports all mistakes at once.",
    ]
    for name, described in model.model_fields.items():
        lines.append("")
        inner = section_of(described.annotation)
        if isinstance(described.default, BaseModel):
            assert inner is not None
            lines += [*_comment(inner.__doc__ or "", ""), f"{name}:", *_settings(inner, "  ")]
            continue
        if inner and not described.description:
            lines += [*_comment(inner.__doc__ or "", ""), f"#{name}:", *map(_commented, _settings(inner, "  "))]
            continue
        lines += _comment(described.description or "", "")
        for part, about in (inner.model_fields if inner else {}).items():
            lines += _comment(f"{about.alias or part}: {about.description}", "", hanging="    ")
        lines += _value_lines(name, described, "")
    return "\n".join(lines) + "\n"


def _settings(model: type[BaseModel], indent: str) -> Iterator[str]:
    for name, described in model.model_fields.items():
        yield from _comment(described.description or "", indent)
        yield from _value_lines(name, described, indent)


def _commented(line: str) -> str:
    return re.sub(r"^( *)(?=[^ #])", r"\1#", line)


def _value_lines(name: str, described: Any, indent: str) -> Iterator[str]:
    default = described.default
    if default not in (None, ()) and described.default_factory is None and not isinstance(default, dict):
        yield f"{indent}{name}: {_yaml_value(default)}"
    for text in described.examples or ():
        for line in str(text).splitlines():
            yield re.sub(r"^( *)", rf"{indent}\1#", line)


def _yaml_value(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{int(value.total_seconds()) // 60}m"
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'"{text}"' if ":" in text else text


def _comment(text: str, indent: str, hanging: str = "") -> list[str]:
    import textwrap  # noqa: PLC0415 (only the example needs it)

    first = f"{indent}#   " if hanging else f"{indent}# "
    return textwrap.wrap(" ".join(text.split()), 110, initial_indent=first, subsequent_indent=first + hanging)
