"""Defines patterns of log lines. A pattern is plain text in which `*` stands for anything, so the time of a search
grows only with the length of the line, whatever a program writes."""

from __future__ import annotations

from core.lazy_dataclass import dataclass
from core.model.policy_selectors import Selector

MAX_LINE = 2_000  # characters of a line that are searched
ACTION_PREFIX = "log:"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPattern:
    """Counts lines that contain one of the texts. `name`: of its alert rule. `on`: of which containers."""

    name: str
    on: Selector
    texts: tuple[str, ...]
    ignore_case: bool = False

    @property
    def action(self) -> str:
        """The action of the events that report such lines."""
        return f"{ACTION_PREFIX}{self.name}"

    def matches(self, line: str) -> bool:
        line = line[:MAX_LINE]
        if self.ignore_case:
            line = line.lower()
        return any(_contains(line, text.lower() if self.ignore_case else text) for text in self.texts)


def _contains(line: str, text: str) -> bool:
    """Whether the parts between the stars are in the line, in their order."""
    at = 0
    for part in text.split("*"):
        at = line.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True
