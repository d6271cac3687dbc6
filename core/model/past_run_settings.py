"""Defines the settings of a past run of a container, and how two runs differ. The settings are its image, command,
limits and the names of its environment variables. Values of environment variables are not included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

# The texts of an inspection's summary that are compared, in the order in which people look for a cause.
COMPARED = ("Image", "Image ID", "Command", "Limits", "User", "Working directory", "Environment")
NAMES = frozenset({"Environment"})  # a list of names, separated by commas
MAX_TEXT, MAX_NAMES_TEXT = 500, 8_000  # characters
MAX_SHOWN_NAMES = 10


class PastRunSettings(msgspec.Struct, frozen=True):
    """The settings of one run. `at`: when it was seen to be good, in seconds since the epoch. `texts`: the compared
    texts of its inspection; empty ones are left out."""

    container: str
    at: float
    texts: dict[str, str]


def settings_of(container: str, at: float, summary: Mapping[str, str]) -> PastRunSettings:
    """Returns the settings in the summary of an inspection."""
    texts = {
        name: summary[name][: MAX_NAMES_TEXT if name in NAMES else MAX_TEXT] for name in COMPARED if summary.get(name)
    }
    return PastRunSettings(container=container, at=at, texts=texts)


def differences(before: PastRunSettings, now: PastRunSettings) -> Iterator[str]:
    """Yields what differs, a line for each setting."""
    for name in COMPARED:
        old, new = before.texts.get(name, ""), now.texts.get(name, "")
        if old == new:
            continue
        if name in NAMES:
            yield from _names(name, old, new)
        else:
            yield f"{name}: {_short(old)} → {_short(new)}"


def _names(what: str, before: str, now: str) -> Iterator[str]:
    old, new = (dict.fromkeys(word for part in text.split(",") if (word := part.strip())) for text in (before, now))
    for sign, found in (
        ("added", [each for each in new if each not in old]),
        ("removed", [each for each in old if each not in new]),
    ):
        if found:
            more = f" and {len(found) - MAX_SHOWN_NAMES} more" if len(found) > MAX_SHOWN_NAMES else ""
            yield f"{what}: {', '.join(found[:MAX_SHOWN_NAMES])}{more} {sign}"


def _short(text: str) -> str:
    text = text or "none"
    return text if len(text) <= 100 else f"{text[:97]}…"
