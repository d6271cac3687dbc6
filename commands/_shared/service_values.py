"""Parses the values of options about Swarm services, as `docker service` writes them: ports, mounts, secrets, times.

Each function raises BadUsage with an example for a text that it does not understand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from core import errors
from core.model.host_access import MountPoint
from core.model.service_settings import PublishedPort
from core.text import command_line

MAX_RANGE = 100  # ports of one range
_SHORT_PORT = re.compile(
    r"(?:(?P<outside>[0-9]{1,5}(?:-[0-9]{1,5})?):)?(?P<inside>[0-9]{1,5}(?:-[0-9]{1,5})?)(?:/(?P<protocol>[a-z]+))?"
)
_SECONDS = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|s|m|h))+|0")
_PART = re.compile(r"([0-9.]+)(ms|s|m|h)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}
_SIZE = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?(?:[bkmgt]b?)?", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,6})?")
_MODE = re.compile(r"0?[0-7]{3,4}")
_MOUNT_KEYS = {
    **dict.fromkeys(("source", "src"), "source"),
    **dict.fromkeys(("target", "dst", "destination"), "target"),
    **dict.fromkeys(("readonly", "ro"), "readonly"),
    "type": "type",
}


def parse_pair(option: str, text: str) -> tuple[str, str]:
    """`NAME=VALUE`, whose value may be empty."""
    name, equals, value = text.partition("=")
    if not name:
        raise errors.BadUsage(
            f"{option} {command_line.abbreviate(text)} has no name.", hint=f"Write {option} NAME=VALUE."
        )
    if not equals:
        name = command_line.abbreviate(name)
        own = " No value is taken from Quarterdeck's own environment." if option == "--env" else ""
        raise errors.BadUsage(f"{option} {name} has no value.", hint=f"Write {option} {name}=VALUE.{own}")
    return name, value


def label(option: str, text: str) -> tuple[str, str]:
    """`NAME=VALUE` or `NAME`."""
    name, _, value = text.partition("=")
    if not name:
        raise errors.BadUsage(
            f"The label “{command_line.abbreviate(text)}” has no name.", hint=f"Write {option} NAME=VALUE."
        )
    return name, value


def ports(option: str, text: str) -> Sequence[PublishedPort]:
    """`80`, `8080:80/udp`, `8000-8003:80-83`, or `published=8080,target=80,protocol=tcp,mode=host`."""
    if "=" in text:
        given = fields(option, text, {key: key for key in ("published", "target", "protocol", "mode")})
        if not given.get("target", "").isdecimal() or not given.get("published", "0").isdecimal():
            raise _invalid(option, text, "whole numbers as ports, and always a target: published=8080,target=80")
        if given.get("mode", "ingress") not in ("ingress", "host"):
            raise _invalid(option, text, "mode=ingress or mode=host")
        return (
            PublishedPort(
                target=int(given["target"]),
                published=int(given.get("published", "0")),
                protocol=given.get("protocol", "tcp"),
                on_host=given.get("mode") == "host",
            ),
        )
    found = _SHORT_PORT.fullmatch(text)
    if found is None:
        raise _invalid(option, text, "[PORT:]PORT[/PROTOCOL], such as 80, 8080:80 or 8080:80/udp")
    inside, outside = _range(found["inside"]), _range(found["outside"] or "0")
    if not inside or not outside or (found["outside"] and len(inside) != len(outside)):
        raise _invalid(
            option, text, f"two ranges of the same length, at most {MAX_RANGE} ports each, such as 8000-8003:80-83"
        )
    published = list(outside) if found["outside"] else [0] * len(inside)
    protocol = found["protocol"] or "tcp"
    return [
        PublishedPort(target=port, published=out, protocol=protocol)
        for port, out in zip(inside, published, strict=True)
    ]


def _range(text: str) -> range:
    first, dash, last = text.partition("-")
    end = int(last) if dash else int(first)
    return range(int(first), end + 1) if end - int(first) < MAX_RANGE else range(0)


def mount(option: str, text: str) -> MountPoint:
    """`type=volume,source=data,target=/data,readonly`; the type is volume, bind or tmpfs."""
    example = "type=volume,source=NAME,target=/PATH"
    given = fields(option, text, _MOUNT_KEYS, flags=("readonly",))
    kind, source, target = given.get("type", "volume"), given.get("source", ""), given.get("target", "")
    if kind not in ("volume", "bind", "tmpfs"):
        raise _invalid(option, text, "type=volume, type=bind or type=tmpfs")
    if not target.startswith("/"):
        raise _invalid(option, text, f"the target as a whole path, such as {example}")
    if kind == "bind" and not source.startswith("/"):
        raise _invalid(option, text, "type=bind,source=/PATH/OF/THE/HOST,target=/PATH, with whole paths")
    if kind == "tmpfs" and source:
        raise _invalid(option, text, "type=tmpfs,target=/PATH without a source: a tmpfs is always empty at first")
    if kind == "volume" and "/" in source:
        raise _invalid(option, text, f"{example}, or type=bind for a path of the host")
    read_only = given.get("readonly", "false").lower() in ("", "true", "1")
    return MountPoint(target=target, source=source, read_only=read_only, tmpfs=kind == "tmpfs")


def fields(option: str, text: str, keys: Mapping[str, str], *, flags: Sequence[str] = ()) -> dict[str, str]:
    """`key=value,key=value`. `keys`: the names that are allowed, and ours for each; `flags`: ours that need no
    value."""
    found: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        key = keys.get(name.strip().lower())
        shown = command_line.abbreviate(part)
        if key is None:
            known = ", ".join(f"{each}" if each in flags else f"{each}=…" for each in dict.fromkeys(keys.values()))
            raise errors.BadUsage(
                f"“{shown}” is not a valid part of {option}.",
                hint=f"Use these parts, with commas between them: {known}.",
            )
        if key in found:
            raise errors.BadUsage(f"“{shown}” sets {key} a second time in {option}.", hint="Leave one of them out.")
        if not (equals or key in flags):
            raise errors.BadUsage(f"“{shown}” has no value in {option}.", hint=f"Write {key}=VALUE.")
        found[key] = value
    return found


def seconds(option: str, text: str | None) -> float | None:
    """`30s`, `1m30s`, `500ms` or `0`, in seconds."""
    if text is None:
        return None
    if not _SECONDS.fullmatch(text):
        raise _invalid(option, text, "a time such as 10s, 500ms or 1m30s")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def size(option: str, text: str | None) -> str:
    """`512m`, `2g` or `0`."""
    if text and not _SIZE.fullmatch(text):
        raise _invalid(option, text, "a size such as 512m or 2g, or 0 for no limit")
    return text or ""


def number(option: str, text: str | None, what: str = "a number such as 0.5 or 2") -> float | None:
    if text is not None and not _NUMBER.fullmatch(text):
        raise _invalid(option, text, what)
    return None if text is None else float(text)


def whole(option: str, text: str | None) -> int | None:
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) < 8):
        raise _invalid(option, text, "a whole number, such as 0 or 3")
    return None if text is None else int(text)


def mode(kind: str, text: str | None) -> int | None:
    """`0400`: permission bits of the file of a secret or config."""
    if text is not None and not _MODE.fullmatch(text):
        raise _invalid(f"The mode of a {kind}", text, "the permission bits of its file, such as mode=0400")
    return None if text is None else int(text, 8)


def _invalid(option: str, text: str, what: str) -> errors.BadUsage:
    return errors.BadUsage(f"{option} cannot be “{command_line.abbreviate(text)}”.", hint=f"Write {what}.")
