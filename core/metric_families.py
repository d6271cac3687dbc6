"""Defines the type Family, with which other modules declare their metrics, and writes the headers of the metrics page.

A family is a set of series with the same name, type, meaning and label names. Each family is declared once, as a value:
the page, `quarterdeck metrics` and docs/metrics.md all come from it. `name` is the name of its samples, such as
`events_total`. Only in the header of OpenMetrics, the ending `_total` or `_info` is left out. A family of an engine has
`host` and `engine` as its first labels; a family of containers has `name` third.
"""

from __future__ import annotations

import enum
import re

from core.lazy_dataclass import dataclass

PREFIX = "quarterdeck"
ENGINE_LABELS = ("host", "engine")
CONTAINER_LABELS = (*ENGINE_LABELS, "name")
CONFIGURED_LABELS = "label_*"
"""Declares one label for each container label in the configuration (`metrics.container_labels`)."""
UNITS = ("seconds", "bytes", "ratio")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SUFFIXES = {"counter": "_total", "info": "_info"}


class Format(enum.StrEnum):
    """The formats of the page: Prometheus' text format 0.0.4, and OpenMetrics 1.0."""

    TEXT = "text"
    OPENMETRICS = "openmetrics"


class ListFormat(enum.StrEnum):
    """The formats of the list that `quarterdeck metrics` prints."""

    TEXT = "text"
    MARKDOWN = "markdown"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family. `kind`: counter, gauge, histogram or info. `text`: its meaning, a noun phrase with the unit.
    `labels`: the names of its labels."""

    name: str
    kind: str
    text: str
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None or not self.name.endswith(_SUFFIXES.get(self.kind, "")):
            raise ValueError(f"{self.name} is no name for a {self.kind}")
        if self.kind != "counter" and self.name.endswith("_total"):
            raise ValueError(f"{self.name} ends like a counter, but it is a {self.kind}")
        if not self.text or re.search(r'[\\\n"]', self.text):
            raise ValueError(f"the meaning of {self.name} is empty, or has a character that must be escaped")
        if set(ENGINE_LABELS) & set(self.labels) and self.labels[:2] != ENGINE_LABELS:
            raise ValueError(f"the first labels of {self.name} must be {', '.join(ENGINE_LABELS)}")

    @property
    def base_name(self) -> str:
        """The name of the family in OpenMetrics."""
        return self.name.removesuffix(_SUFFIXES.get(self.kind, ""))

    @property
    def unit(self) -> str:
        """The unit, if the name ends with one; else empty."""
        last = self.base_name.rpartition("_")[2]
        return last if last in UNITS and self.kind != "info" else ""

    def head(self, form: Format) -> bytes:
        """Returns the lines that precede the samples."""
        if form is Format.TEXT:
            kind = "gauge" if self.kind == "info" else self.kind
            return f"# HELP {self.name} {self.text}\n# TYPE {self.name} {kind}\n".encode()
        name, unit = self.base_name, self.unit
        unit_line = f"# UNIT {name} {unit}\n" if unit else ""
        return f"# HELP {name} {self.text}\n# TYPE {name} {self.kind}\n{unit_line}".encode()


def counter(name: str, text: str, *labels: str) -> Family:
    """Declares a counter of Quarterdeck; `name` without the prefix."""
    return Family(name=f"{PREFIX}_{name}", kind="counter", text=text, labels=labels)


def gauge(name: str, text: str, *labels: str) -> Family:
    """Declares a gauge of Quarterdeck; `name` without the prefix."""
    return Family(name=f"{PREFIX}_{name}", kind="gauge", text=text, labels=labels)


def info(name: str, text: str, *labels: str) -> Family:
    """Declares an info of Quarterdeck, whose value is always 1; `name` without the prefix."""
    return Family(name=f"{PREFIX}_{name}", kind="info", text=text, labels=labels)
