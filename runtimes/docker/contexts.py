"""Reads docker contexts: the named engine addresses that `docker context create` has written to files.

A context contains the address of its engine and the TLS certificates for it. This module contacts no engine. It opens
the files itself, because somebody else may have written them. The library `docker.context` only interprets their
content: it would follow links, hang on a pipe, and read the working directory if there is no config.json. It is
imported only if a context is used.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import structlog

from core import errors, trusted_files
from core.lazy_dataclass import dataclass
from runtimes.docker import host_address
from runtimes.formats import json_decoder
from runtimes.transport.endpoint import Tls

log = structlog.get_logger(__name__)
NAME = re.compile(r"[A-Za-z0-9][\w.+-]*", re.ASCII)
MAX_FILE = 1 << 20  # bytes
DEFAULT = "default"  # docker's own name for “no context”


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Holds the engine address and the certificates of one docker context."""

    name: str
    url: str
    tls: Tls | None = None


class _Meta(msgspec.Struct):
    name: str = msgspec.field(name="Name", default="")
    endpoints: dict[str, dict[str, Any]] = msgspec.field(name="Endpoints", default_factory=dict)


class _Config(msgspec.Struct):
    current: str = msgspec.field(name="currentContext", default="")


def config_folder(environ: Mapping[str, str]) -> Path | None:
    """The folder with the settings of docker's client; None without a home directory."""
    if configured := environ.get("DOCKER_CONFIG", "").strip():
        return Path(configured)
    home = environ.get("HOME", "")
    return Path(home) / ".docker" if home else None


def chosen(environ: Mapping[str, str]) -> str:
    """The context in use: DOCKER_CONTEXT, else what `docker context use` wrote; empty for docker's default."""
    if named := environ.get("DOCKER_CONTEXT", "").strip():
        return "" if named == DEFAULT else named
    folder = config_folder(environ)
    if folder is None:
        return ""
    try:
        current = msgspec.json.decode(_read(folder / "config.json"), type=_Config).current
    except (OSError, *json_decoder.UNDECODABLE):  # docker's client ignores an unreadable file, too
        return ""
    except errors.BadUsage as error:
        log.warning("The settings of the docker client were ignored.", reason=error.full_message())
        return ""
    return "" if current == DEFAULT else current


def load(name: str, environ: Mapping[str, str]) -> Context:
    """The context of that name. Raises NotFound with the names of all contexts, or BadUsage if it cannot be used."""
    folder = config_folder(environ)
    if folder is None:
        raise errors.BadUsage(
            f"Quarterdeck cannot find the docker context “{name}”, because it has no home directory.",
            hint="Set HOME, or set DOCKER_CONFIG to the folder in which docker stores its settings.",
        )
    from docker import context as docker_context  # noqa: PLC0415 (it loads the whole package)

    try:
        # Docker names a context's folder after the digest of its name, so a name cannot lead to another folder.
        key = docker_context.config.get_context_id(name)
    except UnicodeEncodeError:  # docker writes no such name
        raise _unknown(name, folder) from None
    file = folder / "contexts/meta" / key / "meta.json"
    try:
        meta = msgspec.json.decode(_read(file), type=_Meta)
    except FileNotFoundError:
        raise _unknown(name, folder) from None
    except OSError as error:
        raise errors.BadUsage(
            f"The docker context “{name}” cannot be read: {error.strerror} ({file}).",
            hint="Run Quarterdeck as the user that owns this file."
            if isinstance(error, PermissionError)
            else "Check this file and its disk.",
        ) from error
    except json_decoder.UNDECODABLE as error:
        raise errors.BadUsage(
            f"The docker context “{name}” cannot be decoded: {file} does not have the format that docker writes.",
            hint=f"Create the context again: `docker context rm {name}`, then `docker context create {name} --docker"
            " host=ADDRESS`.",
        ) from error
    # An empty address would become that of the local engine.
    if not meta.endpoints.get("docker", {}).get("Host"):
        raise errors.BadUsage(
            f"The docker context “{name}” has no address of an engine.",
            hint=f"Set the address, such as: docker context update {name} --docker host=unix:///var/run/docker.sock",
        )
    found = docker_context.Context(name, endpoints=meta.endpoints, tls=True)
    host = str(found.Host)
    if found.endpoints["docker"]["SkipTLSVerify"]:
        raise errors.BadUsage(
            f"The docker context “{name}” turns off the TLS verification of the engine, which is not supported.",
            hint=f"Add the engine's CA: docker context update {name} --docker host={host},ca=/PATH/ca.pem",
        )
    tls = _certificates(folder / "contexts/tls" / key / "docker")
    source = f"The address in the docker context “{name}”"
    url = host_address.complete_address(host, source=source, tls=tls is not None)
    return Context(name=name, url=url, tls=tls)


def names(folder: Path) -> Sequence[str]:
    """The names of all readable contexts, in alphabetical order."""
    found = []
    try:
        files = sorted((folder / "contexts/meta").glob("*/meta.json"))
    except OSError:
        return ()
    for file in files:
        try:
            found.append(msgspec.json.decode(_read(file), type=_Meta).name)
        except (OSError, errors.BadUsage, *json_decoder.UNDECODABLE):
            continue
    return sorted(filter(None, found))


def _unknown(name: str, folder: Path) -> errors.NotFound:
    known = names(folder)
    return errors.NotFound(
        f"There is no docker context “{name}” in {folder}.",
        hint=f"Use one of these: {', '.join(known)}."
        if known
        else f"Create the context with: docker context create {name} --docker host=ADDRESS",
    )


def _certificates(folder: Path) -> Tls | None:
    files = {part: folder / f"{part}.pem" for part in ("ca", "cert", "key")}
    try:
        there = {part: str(file) for part, file in files.items() if file.exists()}
    except PermissionError as error:
        raise errors.BadUsage(
            f"The certificates of a docker context, in {folder}, cannot be read: permission denied.",
            hint="Run Quarterdeck as the user that owns these files.",
        ) from error
    return Tls(**there) if there else None


def _read(file: Path) -> bytes:
    if reason := trusted_files.find_reason_for_distrust(file):
        raise errors.BadUsage(
            f"The file {file} of the docker client is not read: it {reason}.", hint=trusted_files.hint()
        )
    with file.open("rb") as opened:
        return opened.read(MAX_FILE)
