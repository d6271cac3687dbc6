"""How images are called: one image of Docker Hub has a short and a long spelling, and engines differ in which they
tell. Pure text."""

from __future__ import annotations

import re

HUB = ("docker.io/", "index.docker.io/", "registry-1.docker.io/")
OFFICIAL = "library/"
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}")


def short_name(name: str) -> str:
    """`docker.io/library/busybox:1` → `busybox:1`; what is elsewhere keeps its registry."""
    for hub in HUB:
        if name.startswith(hub):
            return name.removeprefix(hub).removeprefix(OFFICIAL)
    return name


def full_name(name: str) -> str:
    """`busybox:1` → `docker.io/library/busybox:1`, as Docker reads it."""
    short = short_name(name)
    first, slash, _ = short.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return short
    return f"{HUB[0]}{short}" if slash else f"{HUB[0]}{OFFICIAL}{short}"


def equivalent_names(name: str) -> tuple[str, ...]:
    """All that mean the same image, so that no pattern is passed by spelling it otherwise."""
    if _ID.fullmatch(name):
        return (name,)
    return tuple(dict.fromkeys((name, short_name(name), full_name(name))))


def split_tag(name: str) -> tuple[str, str]:
    """Repository and tag; the tag is empty where there is none, or a digest stands in its place."""
    plain = name.partition("@")[0]
    repository, colon, tag = plain.rpartition(":")
    # The colon of a registry's port stands before a slash.
    return (repository, tag) if colon and "/" not in tag else (plain, "")


def with_default_tag(name: str) -> str:
    """What an engine fetches for a name: the tag is `latest` where neither tag nor digest is given."""
    short = short_name(name)
    return short if split_tag(short)[1] or "@" in short else f"{short}:latest"
