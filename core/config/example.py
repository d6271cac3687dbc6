"""The commented example file, made from the settings themselves, so that it cannot say anything else than they do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from core.config.raw_settings import section_of


def example(model: type[BaseModel]) -> str:
    """Every setting with its description; defaults stand as they are, the rest is commented out as `#name: …`."""
    lines = [
        "# Quarterdeck's settings. What stands here are the defaults; a line that begins with # and no space is an",
        "# example. The environment can set each too, lists as JSON: metrics.listen is QUARTERDECK_METRICS__LISTEN.",
        "# An unknown name is an error. `quarterdeck check` says everything that is wrong at once.",
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
        lines += _shown(name, described, "")
    return "\n".join(lines) + "\n"


def _settings(model: type[BaseModel], indent: str) -> Iterator[str]:
    for name, described in model.model_fields.items():
        yield from _comment(described.description or "", indent)
        yield from _shown(name, described, indent)


def _commented(line: str) -> str:
    return re.sub(r"^( *)(?=[^ #])", r"\1#", line)


def _shown(name: str, described: Any, indent: str) -> Iterator[str]:
    default = described.default
    if default not in (None, ()) and described.default_factory is None and not isinstance(default, dict):
        yield f"{indent}{name}: {_written(default)}"
    for text in described.examples or ():
        for line in str(text).splitlines():
            yield re.sub(r"^( *)", rf"{indent}\1#", line)


def _written(value: Any) -> str:
    if isinstance(value, timedelta):
        return f"{int(value.total_seconds()) // 60}m"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f'"{text}"' if ":" in text else text


def _comment(text: str, indent: str, hanging: str = "") -> list[str]:
    import textwrap  # noqa: PLC0415 (only the example needs it)

    first = f"{indent}#   " if hanging else f"{indent}# "
    return textwrap.wrap(" ".join(text.split()), 110, initial_indent=first, subsequent_indent=first + hanging)
