"""Brings image names to one normal form, and converts between their short and long forms.

One image has many names: Docker Hub has several addresses, a registry's address may have capitals, a dot at its end or
the port that is the default anyway, and `library/` may be left out. Engines report and accept different ones. Grants,
guards and typed names are compared in the normal form, so that no spelling evades them.
"""

from __future__ import annotations

import fnmatch
import functools
import ipaddress
import re

HUB = "docker.io"
# All of these are Docker Hub.
HUB_HOSTS = (HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com", "hub.docker.com")
OFFICIAL = "library/"
# The ports of HTTPS and HTTP: with and without them an address is the same registry.
DEFAULT_PORTS = frozenset({"443", "80"})
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{12,64}")
_PORT = re.compile(r"(?P<host>.*?):(?P<port>[0-9]{1,7})", re.DOTALL)
_GLOB = frozenset("*?[")


def normalise_image_name(name: str) -> str:
    """Returns the one form that all names of an image share: `DOCKER.IO:443/nginx` → `docker.io/library/nginx`. Keeps
    the tag and the digest as they are. An id does not change."""
    if _ID.fullmatch(name):
        return name
    registry, path = _split_registry(name)
    if registry in HUB_HOSTS and "/" not in path:
        path = f"{OFFICIAL}{path}"
    return f"{registry}/{path}"


def matches(name: str, pattern: str) -> bool | None:
    """Whether a glob fits a name of the image in any spelling of both. If the name has a tag and a digest, engines pull
    by the digest and ignore the tag: a pattern that fits only together with the tag returns None."""
    named, at, digest = name.partition("@")
    repository, tag = split_tag(named)
    if not (at and tag):
        return _fits(name, pattern)
    if _fits(f"{repository}@{digest}", pattern):
        return True
    return None if _fits(name, pattern) or _fits(named, pattern) else False


@functools.lru_cache(maxsize=1024)
def patterns(pattern: str) -> tuple[str, ...]:
    """Returns a glob over image names, also with its registry in the normal form: `REG.example:443/team/*` →
    `reg.example/team/*`."""
    first, slash, path = pattern.partition("/")
    if not slash:
        found = _PORT.match(first)
        whole = found is not None and found["port"] in DEFAULT_PORTS and "." in found["host"]
        named, colon, tag = pattern.partition(":")
        return tuple(
            dict.fromkeys(
                (
                    pattern,
                    f"{named.lower()}{colon}{tag}",
                    *([f"{_normal_registry(named, glob=True)}/*"] if whole else []),
                )
            )
        )
    if not (_GLOB & set(first) or _is_registry(first)):
        return (pattern,)
    registry = _normal_registry(first, glob=True)
    if registry == HUB and "/" not in path and not _GLOB & set(path.partition(":")[0]):
        path = f"{OFFICIAL}{path}"
    # The brackets of an IPv6 address would be a set of characters.
    registry = f"[[]{registry[1:]}" if _is_ip6(registry[: registry.rfind("]") + 1]) else registry
    return tuple(dict.fromkeys((pattern, f"{registry}/{path}")))


def short_name(name: str) -> str:
    """`docker.io/library/busybox:1` → `busybox:1`, in every spelling of Docker Hub. The name of any other registry does
    not change."""
    first, slash, path = name.partition("/")
    if slash and _is_registry(first):
        return path.removeprefix(OFFICIAL) if _normal_registry(first) == HUB else name
    return name.removeprefix(OFFICIAL)


def full_name(name: str) -> str:
    """`busybox:1` → `docker.io/library/busybox:1`, with Docker's rules. The address of another registry does not
    change, because credentials belong to its exact spelling."""
    first, slash, _ = name.partition("/")
    if slash and _is_registry(first) and _normal_registry(first) != HUB:
        return name
    return normalise_image_name(name)


@functools.lru_cache(maxsize=4096)
def equivalent_names(name: str) -> tuple[str, ...]:
    """Returns all names of the same image that a pattern may have been written for, the given name first."""
    if _ID.fullmatch(name):
        return (name,)
    normal = normalise_image_name(name)
    names = [name, short_name(name), full_name(name), normal]
    registry, _, path = normal.partition("/")
    if registry == HUB:
        names += [f"{host}/{path}" for host in HUB_HOSTS]
        names += [f"{host}/{path.removeprefix(OFFICIAL)}" for host in HUB_HOSTS]
    return tuple(dict.fromkeys(names))


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


def _split_registry(name: str) -> tuple[str, str]:
    """Returns the registry in the normal form, and the rest of the name. Without a registry, it is Docker Hub."""
    first, slash, path = name.partition("/")
    return (_normal_registry(first), path) if slash and _is_registry(first) else (HUB, name)


def _is_registry(first: str) -> bool:
    """Whether the first part of a name is the address of a registry, with Docker's rule: repositories have no capitals
    and no colon before a slash."""
    return "." in first or ":" in first or first == "localhost" or first != first.lower()


def _normal_registry(address: str, *, glob: bool = False) -> str:
    host, port = address.lower().rstrip(".") or address, ""
    if (found := _PORT.fullmatch(host)) is not None:
        host, port = found["host"], str(int(found["port"]))
    host = host.rstrip(".") or host
    if not host.isascii():
        host = ".".join(map(_ascii_label, host.split(".")))
    if _is_ip6(host):
        host = f"[{ipaddress.ip_address(host[1:-1])}]"
    if port in DEFAULT_PORTS:
        port = ""
    if not port and host in HUB_HOSTS:
        return HUB
    if not port and not _is_registry(host) and not (glob and _GLOB & set(host)):
        port = "443"  # `registry:80/app` is not the image `registry/app` of Docker Hub
    return f"{host}:{port}" if port else host


def _ascii_label(label: str) -> str:
    """Returns one part of an international host name as it is looked up: `bücher` → `xn--bcher-kva`."""
    try:
        return label.encode("idna").decode()
    except UnicodeError:
        return label


def _is_ip6(host: str) -> bool:
    try:
        return host.startswith("[") and host.endswith("]") and ipaddress.ip_address(host[1:-1]).version == 6
    except ValueError:
        return False


def _fits(name: str, pattern: str) -> bool:
    return any(fnmatch.fnmatchcase(one, glob) for one in equivalent_names(name) for glob in patterns(pattern))
