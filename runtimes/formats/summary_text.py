"""Formats parts of an engine's JSON as the texts of a summary: times, sizes, lists and labels.

The JSON may have any form: a value of another type than expected gives an empty text, so that one odd field does not
hide the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from core.model.containers import Port
from core.text import text_timestamps
from runtimes.formats import timestamps

MAX_LINES = 200  # of one text
NANOSECONDS = 1_000_000_000
NO_LIMIT = 1 << 60  # a limit above this stands for none


def keep_nonempty_texts(texts: Mapping[str, Any]) -> dict[str, str]:
    """Returns the texts that are not empty. A list becomes one line for each item."""
    found = {name: lines(text) if isinstance(text, list | tuple) else _text(text) for name, text in texts.items()}
    return {name: text for name, text in found.items() if text}


def lines(items: Iterable[Any]) -> str:
    """Joins the items that are not empty, one for each line."""
    shown = [text for item in items if (text := _text(item))]
    more = [f"… and {len(shown) - MAX_LINES:,} more"] if len(shown) > MAX_LINES else []
    return "\n".join([*shown[:MAX_LINES], *more])


def mapping(value: Any) -> Mapping[str, Any]:
    """Returns the value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """Returns the value if it is a JSON list, else an empty one."""
    return value if isinstance(value, list) else []


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Returns the objects of a JSON list."""
    return [one for one in items(value) if isinstance(one, dict)]


def number(value: Any) -> float:
    """Returns a number, also one in a string, as protobuf's JSON has 64-bit numbers; 0 for anything else, and for a
    number of more than 64 bits."""
    if isinstance(value, str) and value.lstrip("-").isascii() and value.lstrip("-").isdecimal() and len(value) < 25:
        return float(value)
    usable = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 64
    return float(value) if usable else 0.0


def time(value: Any) -> str:
    """Formats a time: RFC 3339, or nanoseconds since the epoch. Empty for a time that never was."""
    if isinstance(value, str) and not value.isdecimal():
        seconds = timestamps.parse_seconds(value)
    else:
        seconds = number(value) / NANOSECONDS
    if not seconds or not 0 < seconds < timestamps.MAX_NANOSECONDS / NANOSECONDS:
        return ""
    return text_timestamps.format_timestamp(seconds)


def size(value: Any, *, binary: bool = False) -> str:
    """Formats bytes: `4.2 MB`, with `binary` `4.0 MiB`. Empty for 0 and for no limit."""
    amount = number(value)
    if not 0 < amount < NO_LIMIT:
        return ""
    step, units = (1024, ("B", "KiB", "MiB", "GiB", "TiB")) if binary else (1000, ("B", "kB", "MB", "GB", "TB"))
    at = 0
    while amount >= step and at < len(units) - 1:
        amount, at = amount / step, at + 1
    return f"{amount:g} {units[at]}" if amount == int(amount) else f"{amount:.1f} {units[at]}"


def labels(value: Any) -> list[str]:
    """Returns `key=value` for each label, sorted."""
    return [f"{key}={_text(text)}" for key, text in sorted(mapping(value).items())]


def names_of(environment: Any) -> str:
    """Returns the names of environment variables, without their values."""
    return ", ".join(str(entry).partition("=")[0] for entry in items(environment))


def command(*parts: Any) -> str:
    """Joins the words of a command line. Each part is a list of words, or one word."""
    words = [word for part in parts for word in (items(part) if isinstance(part, list) else [part])]
    return " ".join(_text(word) for word in words if _text(word))


def limits(*, memory: Any = 0, swap: Any = 0, cpus: float = 0.0, cpu_set: Any = "", processes: Any = 0) -> str:
    """Formats the limits of a container. `memory`, `swap`: bytes; `cpus`: a number of CPUs."""
    texts = {
        "memory": size(memory, binary=True),
        "memory and swap": size(swap, binary=True),
        "CPUs": f"{cpus:g}" if cpus > 0 else "",
        "on CPUs": _text(cpu_set),
        "processes": f"{number(processes):g}" if 0 < number(processes) < NO_LIMIT else "",
    }
    return ", ".join(f"{name} {text}" for name, text in texts.items() if text)


def quota(used: Any, period: Any) -> float:
    """Returns the CPUs of a quota in microseconds for each period; 0 for no quota."""
    return number(used) / (number(period) or 100_000) if number(used) > 0 else 0.0


def ports(published: Iterable[Port]) -> list[str]:
    return list(dict.fromkeys(map(str, published)))


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    return str(value).strip() if isinstance(value, str | int | float) else ""
