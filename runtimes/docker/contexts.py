"""Docker contexts: the addresses people gave names to with `docker context create`, read from their files.

In goes a name and an environment, out comes where that engine listens and with which certificates. Nothing is written,
and nothing is contacted. The files are few and small and their form is stable, so they are read here: the `docker`
package would bring 29 MB for it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from core import errors
from runtimes.transport.endpoint import Tls

NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
LARGEST = 1 << 20
DEFAULT = "default"  # docker's own word for “no context”


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    name: str
    url: str
    tls: Tls | None = None


class _Endpoint(msgspec.Struct):
    host: str = msgspec.field(name="Host", default="")
    unverified: bool = msgspec.field(name="SkipTLSVerify", default=False)


class _Meta(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")
    endpoints: dict[str, _Endpoint] = msgspec.field(name="Endpoints", default_factory=dict)


class _Config(msgspec.Struct):
    current: str = msgspec.field(name="currentContext", default="")


def folder(environ: Mapping[str, str]) -> Path | None:
    """Where docker's client keeps its settings; None where there is no home."""
    if written := environ.get("DOCKER_CONFIG", "").strip():
        return Path(written)
    home = environ.get("HOME", "")
    return Path(home) / ".docker" if home else None


def chosen(environ: Mapping[str, str]) -> str:
    """The context in use: DOCKER_CONTEXT, else what `docker context use` wrote; empty where it is docker's default."""
    if named := environ.get("DOCKER_CONTEXT", "").strip():
        return "" if named == DEFAULT else named
    place = folder(environ)
    if place is None:
        return ""
    try:
        current = msgspec.json.decode(_read(place / "config.json"), type=_Config).current
    except (OSError, msgspec.MsgspecError):  # docker's client goes on without it too
        return ""
    return "" if current == DEFAULT else current


def load(name: str, environ: Mapping[str, str]) -> Context:
    """The context of that name. Raises NotFound with the names there are, or BadUsage where it is of no use."""
    place = folder(environ)
    if place is None:
        raise errors.BadUsage(
            "There is no home directory to find docker contexts in.", hint="Set HOME or DOCKER_CONFIG."
        )
    # Docker names the folder of a context by the digest of its name, so no name can lead out of it.
    key = hashlib.sha256(name.encode()).hexdigest()
    file = place / "contexts/meta" / key / "meta.json"
    try:
        meta = msgspec.json.decode(_read(file), type=_Meta)
    except FileNotFoundError:
        raise _unknown(name, place) from None
    except OSError as error:
        raise errors.BadUsage(
            f"The docker context “{name}” cannot be read: {error.strerror} ({file}).",
            hint="Run as the user whose context it is.",
        ) from error
    except msgspec.MsgspecError as error:
        raise errors.BadUsage(
            f"The docker context “{name}” is broken: {file} is not what docker writes.",
            hint=f"Make it anew: docker context rm {name}, then docker context create.",
        ) from error
    endpoint = meta.endpoints.get("docker")
    if endpoint is None or not endpoint.host:
        raise errors.BadUsage(
            f"The docker context “{name}” names no engine.", hint="Look at it with: docker context inspect " + name
        )
    if endpoint.unverified:
        raise errors.BadUsage(
            f"The docker context “{name}” asks for TLS without verifying the engine, which is not done here.",
            hint=f"Give it the engine's CA: docker context update {name} --docker host={endpoint.host},ca=/PATH/ca.pem",
        )
    return Context(name=name, url=endpoint.host, tls=_certificates(place / "contexts/tls" / key / "docker"))


def names(place: Path) -> Sequence[str]:
    """All contexts there are, in alphabetical order; broken ones are passed over."""
    found = []
    try:
        files = sorted((place / "contexts/meta").glob("*/meta.json"))
    except OSError:
        return ()
    for file in files:
        try:
            found.append(msgspec.json.decode(_read(file), type=_Meta).name)
        except (OSError, msgspec.MsgspecError):
            continue
    return sorted(filter(None, found))


def _unknown(name: str, place: Path) -> errors.NotFound:
    known = names(place)
    return errors.NotFound(
        f"There is no docker context “{name}” in {place}.",
        hint=f"There are: {', '.join(known)}." if known else "There are none; make one with: docker context create",
    )


def _certificates(place: Path) -> Tls | None:
    files = {part: place / f"{part}.pem" for part in ("ca", "cert", "key")}
    try:
        there = {part: str(file) for part, file in files.items() if file.exists()}
    except PermissionError as error:
        raise errors.BadUsage(
            f"The certificates in {place} may not be looked at.", hint="Run as the user whose context it is."
        ) from error
    return Tls(**there) if there else None


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(LARGEST)
