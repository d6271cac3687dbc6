"""Decodes what a CRI engine reports about itself, and builds the JSON documents that `inspect` and `info` return.

Secrets in the documents are masked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core import errors
from core.text import redact, redact_json
from runtimes.formats import json_decoder, protobuf_conversion
from runtimes.proto import cri_pb2 as cri

CGROUP_DRIVERS = {0: "systemd", 1: "cgroupfs"}
_CREDENTIAL_KEYS = frozenset({"password", "auth", "identitytoken", "identity_token", "registrytoken", "registry_token"})
"""Keys of an engine's own configuration that hold credentials of registries."""

_STORAGE = re.compile(r"/io\.containerd\.snapshotter\.v1\.([\w.-]+)/?$|/([\w.]+)-images/?$")


def make_masked_document(message: Any, info: Mapping[str, str]) -> dict[str, Any]:
    """Converts a message to JSON data, and adds the engine's verbose `info`. Credentials, and secrets in environment
    variables, are masked."""
    data = protobuf_conversion.to_dict(message, keep_names=True)
    data["info"] = {key: _json_or_text(text) for key, text in info.items()}
    _mask_credentials(data)
    return redact_json.mask_env_values(data)


def condition_notes(status: cri.RuntimeStatus) -> tuple[str, ...]:
    """Returns one sentence for each condition of the engine that is false."""
    return tuple(
        f"{condition.type} is false{f' ({condition.reason})' if condition.reason else ''}: "
        f"{condition.message[:300] or 'the engine gives no reason'}."
        for condition in status.conditions
        if not condition.status
    )


def storage_and_runtime(status: cri.StatusResponse) -> dict[str, str]:
    """Returns the storage driver (`storage`) and the OCI runtime (`runtime`), if the engine's verbose `info` contains
    them."""
    config = _section(_json_or_text(status.info.get("config", "")))
    containerd, crio = _section(config.get("containerd")), _section(config.get("crio"))
    default = containerd.get("defaultRuntimeName") or crio.get("DefaultRuntime") or crio.get("default_runtime")
    found = {"storage": containerd.get("snapshotter"), "runtime": default}
    return {key: str(value) for key, value in found.items() if value}


def storage_of_mountpoints(found: cri.ImageFsInfoResponse) -> str:
    """Returns the storage driver from where the engine stores its images; empty if the path does not tell it. It is
    `…/io.containerd.snapshotter.v1.overlayfs` on containerd and `…/overlay-images` on CRI-O."""
    paths = [usage.fs_id.mountpoint for usage in found.image_filesystems]
    return next((match[1] or match[2] for path in paths if (match := _STORAGE.search(path))), "")


def _section(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _json_or_text(text: str) -> Any:
    # Most values are JSON, some are plain text; which ones differs between engines.
    try:
        return json_decoder.decode_json(object, text.encode())
    except errors.InvalidResponse:
        return text


def _mask_credentials(value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if str(key).lower() in _CREDENTIAL_KEYS and isinstance(inner, str):
                value[key] = redact.MASK if inner else inner
            else:
                _mask_credentials(inner)
    elif isinstance(value, list):
        for inner in value:
            _mask_credentials(inner)
