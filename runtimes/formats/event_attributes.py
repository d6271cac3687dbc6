"""Checks the attributes of events that engines send as text: exit codes, signals, former names and labels.

A value without the expected form is dropped: it may come from a label with the same name. Each function returns the
attribute under Quarterdeck's own name for it, or nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

_EXIT_CODE = re.compile(r"-?[0-9]{1,10}")
_SIGNAL = re.compile(r"[0-9]{1,3}")
_NAME = re.compile(r"/?([A-Za-z0-9][A-Za-z0-9_.-]{0,254})")


def make_exit_code_attribute(text: str) -> dict[str, str]:
    """Returns the exit code, such as `137` or `-1`, as an attribute; nothing if the text is none."""
    return {"exit_code": text} if _EXIT_CODE.fullmatch(text) else {}


def make_signal_attribute(text: str) -> dict[str, str]:
    """The number of a signal."""
    return {"signal": text} if _SIGNAL.fullmatch(text) else {}


def old_name_attribute(text: str) -> dict[str, str]:
    """The name of a container before it was renamed, without Docker's slash."""
    found = _NAME.fullmatch(text)
    return {"old_name": found[1]} if found else {}


MAX_IMAGES, MAX_IMAGE_LENGTH = 2_000, 256


class AttributesByImage(dict[str, dict[str, str]]):
    """Maps the name of an image to the attributes of an event that has no others. All events of an image share one
    dict, which takes less time and memory, so nobody may change it."""

    def __missing__(self, image: str) -> dict[str, str]:
        found = {"image": image} if image else {}
        if len(image) <= MAX_IMAGE_LENGTH:
            if len(self) >= MAX_IMAGES:
                self.clear()
            self[image] = found
        return found


MAX_LABELS, MAX_LABELS_LENGTH = 128, 4_096  # of one event; the length is that of all names and values, in characters


def labels(attributes: Mapping[str, str], own: Collection[str] = ()) -> dict[str, str]:
    """The labels of a container among the attributes of its event: all but `own`, those of the engine itself. What
    exceeds the limits is left out; a label is never cut."""
    found: dict[str, str] = {}
    room = MAX_LABELS_LENGTH
    for name, value in attributes.items():
        size = len(name) + len(value)
        if name not in own and size <= room and len(found) < MAX_LABELS:
            found[name] = value
            room -= size
    return found
