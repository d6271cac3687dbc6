"""Reads the files in which docker's and Podman's clients store logins of registries.

Returns the contents of each file, or why it is not read. A file is read only if nobody but root and Quarterdeck's own
user can change it (core.trusted_files), if it is a regular file, and up to MAX_FILE bytes. The functions block: call
them in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

import msgspec

from core import errors, trusted_files, untrusted_files
from core.lazy_dataclass import dataclass
from runtimes.formats import json_decoder

MAX_FILE = 1 << 20  # bytes
KUBELET = Path("/var/lib/kubelet/config.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginFile:
    """Holds one file. `logins`: its entries by their keys, not decoded; `helpers`: the credential helper of single
    registries; `store`: that of all others. `problem`: why it is not read, as the end of a sentence about it."""

    path: Path
    logins: Mapping[str, Any] = field(default_factory=dict, repr=False)
    helpers: Mapping[str, str] = field(default_factory=dict)
    store: str = ""
    problem: str = ""


class _Config(msgspec.Struct):
    logins: dict[str, Any] | None = msgspec.field(name="auths", default=None)
    helpers: dict[str, str] | None = msgspec.field(name="credHelpers", default=None)
    store: str | None = msgspec.field(name="credsStore", default=None)


def candidates(kind: str, environ: Mapping[str, str]) -> Sequence[Path]:
    """Returns the paths in the order in which they are asked: those of the engine's own client first."""
    docker, podman = _of_docker(environ), _of_podman(environ)
    if kind == "podman":
        return [*podman, *docker]
    return [*docker, *podman, *([KUBELET] if kind == "cri" else [])]


def read_all(paths: Sequence[Path]) -> Sequence[LoginFile]:
    """Reads these files. A file that does not exist is left out."""
    return [found for path in dict.fromkeys(paths) if (found := _read(path)) is not None]


def _of_docker(environ: Mapping[str, str]) -> Sequence[Path]:
    if configured := environ.get("DOCKER_CONFIG", "").strip():
        return [Path(configured) / "config.json"]
    home = environ.get("HOME", "")
    return [Path(home) / ".docker/config.json"] if home else []


def _of_podman(environ: Mapping[str, str]) -> Sequence[Path]:
    """As containers-auth.json(5) has them."""
    if configured := environ.get("REGISTRY_AUTH_FILE", "").strip():
        return [Path(configured)]
    home = environ.get("HOME", "")
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    config = environ.get("XDG_CONFIG_HOME", "") or (f"{home}/.config" if home else "")
    login = Path(runtime) / "containers" if runtime else Path(f"/run/containers/{os.geteuid()}")
    return [login / "auth.json", *([Path(config) / "containers/auth.json"] if config else [])]


def _read(path: Path) -> LoginFile | None:
    try:
        if not path.is_absolute():
            return LoginFile(path=path, problem="has no absolute path")
        if not path.exists():
            return None
        if reason := trusted_files.find_reason_for_distrust(path):
            return LoginFile(path=path, problem=reason)
        # All links in the path are trusted, so the file may be a link.
        real = os.path.realpath(path)
        data = untrusted_files.read_file(real, {Path(real).stat().st_uid}, max_bytes=MAX_FILE)
        config = json_decoder.decode_json(_Config, data)
    except FileNotFoundError:
        return None
    except OSError as error:
        return LoginFile(path=path, problem=f"cannot be read: {error.strerror}")
    except errors.InvalidResponse:
        return LoginFile(path=path, problem="does not have the format that docker and podman write")
    return LoginFile(
        path=path, logins=config.logins or {}, helpers=config.helpers or {}, store=(config.store or "").strip()
    )
