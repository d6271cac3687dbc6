"""Converts image names between their short and long forms.

An image of Docker Hub has several equivalent names, and engines report different ones.
"""

from __future__ import annotations

import re

HUB = ("docker.io/", "index.docker.io/", "registry-1.docker.io/")
OFFICIAL = "library/"
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}")


def short_name(name: str) -> str:
    """`docker.io/library/busybox:1` → `busybox:1`; the name of any other registry does not change."""
    for hub in HUB:
        if name.startswith(hub):
            return name.removeprefix(hub).removeprefix(OFFICIAL)
    return name


def full_name(name: str) -> str:
    """`busybox:1` → `docker.io/library/busybox:1`, with Docker's rules."""
    short = short_name(name)
    first, slash, _ = short.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return short
    return f"{HUB[0]}{short}" if slash else f"{HUB[0]}{OFFICIAL}{short}"


def equivalent_names(name: str) -> tuple[str, ...]:
    """Returns all names of the same image, so that no other spelling evades a pattern."""
    if _ID.fullmatch(name):
        return (name,)
    return tuple(dict.fromkeys((name, short_name(name), full_name(name))))


def split_tag(name: str) -> tuple[str, str]:
    """Returns repository and tag; the tag is empty if there is none, or a digest instead."""
    plain = name.partition("@")[0]
    repository, colon, tag = plain.rpartition(":")
    # The colon of a registry's port comes before a slash.
    return (repository, tag) if colon and "/" not in tag else (plain, "")


def with_default_tag(name: str) -> str:
    """Returns the name that an engine pulls: with the tag `latest` if the name has neither tag nor digest."""
    short = short_name(name)
    return short if split_tag(short)[1] or "@" in short else f"{short}:latest"
