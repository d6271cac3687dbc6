"""Finds the registry of an image, and decides which hosts may be contacted for it.

Quarterdeck contacts only registries of the configured list, and those for which this host has a login. Otherwise a
person in chat could make it send requests to any host that it can reach. `check_realm` decides where a login may be
sent, because the registry itself names the server that exchanges a login for a token.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import urllib.parse
from collections.abc import Sequence

from core import errors
from core.lazy_dataclass import dataclass
from core.model import image_names
from runtimes.formats import image_reference

HUB_API = "registry-1.docker.io"
PLAIN = "http://"  # before an entry of the list: this registry has no TLS
_LOCAL = "localhost"  # the registry in the names of images that Podman built itself


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteName:
    """Holds the parts of an image's name for its registry. `registry`: as in names, `docker.io`; `host`: where it
    answers, with the port if one is given; `path`: the repository; `reference`: a tag or a digest. `may_be_plain`:
    whether it may answer without TLS."""

    registry: str
    host: str
    path: str
    reference: str
    may_be_plain: bool = False

    def __str__(self) -> str:
        separator = "@" if ":" in self.reference else ":"
        return f"{self.registry}/{self.path}{separator}{self.reference}"

    @property
    def hostname(self) -> str:
        return urllib.parse.urlsplit(f"//{self.host}").hostname or ""


def parse(name: str, listed: Sequence[str]) -> RemoteName:
    """Parses the name of an image. `listed`: the registries of the configuration. Raises BadUsage for what is no name,
    and for an image that has no registry."""
    wanted = image_reference.parse_image_reference(name)
    registry = wanted.registry or image_names.HUB
    path = wanted.repository.removeprefix(f"{wanted.registry}/")
    if registry == _LOCAL:
        raise errors.BadUsage(
            f"{name} has no registry: it was built on its engine, or loaded from a file.",
            hint=f"Show what the engine knows about the image with: image inspect {name}",
        )
    if image_names.normalise_image_name(f"{registry}/x").partition("/")[0] == image_names.HUB:
        registry, host = image_names.HUB, HUB_API
        path = path if "/" in path else f"{image_names.OFFICIAL}{path}"
    else:
        host = registry
    plain = [one.removeprefix(PLAIN) for one in listed if one.startswith(PLAIN)]
    found = RemoteName(registry=registry, host=host, path=path, reference=wanted.tag_or_digest)
    may_be_plain = is_loopback(found.hostname) or _is_listed(registry, plain)
    return RemoteName(
        registry=registry, host=host, path=path, reference=wanted.tag_or_digest, may_be_plain=may_be_plain
    )


def check_allowed(name: RemoteName, listed: Sequence[str], *, has_login: bool) -> None:
    """Raises Refused for a registry that is not in the list and that this host has no login for."""
    if not has_login and not _is_listed(name.registry, [one.removeprefix(PLAIN) for one in listed]):
        raise errors.Refused(
            f"Quarterdeck does not ask {name.registry}, because it is not one of the `registries` in quarterdeck.yaml.",
            hint="Add the registry to `registries`. Or log in to it on Quarterdeck's host, as Quarterdeck's user:"
            f" docker login {name.registry}",
        )


def check_realm(name: RemoteName, realm: str) -> None:
    """Raises EngineError if a registry sends us for a token to a server that is not its own: another domain, or without
    TLS. Related are the same host, and hosts of the domain of the registry: `gitlab.example.com` for
    `registry.example.com`."""
    parts = urllib.parse.urlsplit(realm)
    host = (parts.hostname or "").lower()
    own = name.hostname.lower()
    labels = own.split(".")
    domain = ".".join(labels[1:]) if len(labels) > 2 and not _is_address(own) else own
    secure = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(own) and is_loopback(host))
    is_own = "@" not in parts.netloc and (host in (own, domain) or host.endswith(f".{domain}"))
    if not secure or not is_own:
        shown = f"{parts.scheme}://{host}"[:100]
        why = "does not use TLS" if is_own else "does not belong to the registry"
        raise errors.EngineError(
            f"{name.registry} asks Quarterdeck to get a token from {shown}, which {why}. No password was sent.",
            hint="Check on the registry's server which host names it sends to clients.",
        )


def check_redirect(name: RemoteName, url: str) -> None:
    """Raises EngineError if a registry sends us to a place where no content of a public registry can be: without TLS,
    or an address of a private network that is not the registry itself."""
    parts = urllib.parse.urlsplit(url)
    host = (parts.hostname or "").lower()
    if host == name.hostname.lower() and (parts.scheme == "https" or name.may_be_plain):
        return
    if parts.scheme != "https" or "@" in parts.netloc or host == "localhost" or not _may_be_public(host):
        why = "does not use TLS" if parts.scheme != "https" else "is not a public address"
        raise errors.EngineError(
            f"{name.registry} redirects Quarterdeck to {parts.scheme}://{host}"[:250]
            + f", which {why}. Quarterdeck does not follow this redirect.",
            hint="Check on the registry's server which host names it sends to clients.",
        )


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_public(address: str) -> bool:
    """Whether an IP address is not one of a private network, of this machine or of a cloud's metadata."""
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_global
    except ValueError:
        return False


def _may_be_public(host: str) -> bool:
    return bool(host) and (not _is_address(host) or is_public(host))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_listed(registry: str, listed: Sequence[str]) -> bool:
    # An address of IPv6 has brackets, which a glob would take for a set of characters.
    return any(registry.lower() == one.lower() or fnmatch.fnmatchcase(registry.lower(), one.lower()) for one in listed)
