"""Summarises the documents of a CRI engine's containers, images and pods for people.

The verbose `info` of the engine has the runtime specification and the image configuration, in one of several forms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtimes.cri import decode
from runtimes.formats import oci_summary
from runtimes.formats import summary_text as text


def summarise_container(data: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one container's status."""
    image = text.mapping(data.get("image"))
    details = _details(data)
    return text.keep_nonempty_texts(
        {
            "ID": data.get("id"),
            "State": _state(data),
            "Reason": text.command(data.get("reason"), data.get("message")),
            "Started": text.time(data.get("started_at")),
            "Ended": text.time(data.get("finished_at")),
            "Attempt": text.mapping(data.get("metadata")).get("attempt"),
            "Image": image.get("user_specified_image") or image.get("image"),
            "Image ID": data.get("image_ref"),
            "Created": text.time(data.get("created_at")),
            "Process ID": details.get("pid") or "",
            "Log file": data.get("log_path"),
            **oci_summary.summarise_specification(details.get("runtimeSpec")),
            "Mounts": [_mount(one) for one in text.mappings(data.get("mounts"))],
            "Labels": text.labels(data.get("labels")),
            "Annotations": text.labels(data.get("annotations")),
        }
    )


def specification(data: Mapping[str, Any]) -> Any:
    """Returns the runtime specification in a container's status; None if the engine does not report it."""
    return _details(data).get("runtimeSpec")


def process_id(data: Mapping[str, Any]) -> int:
    """Returns the number of a container's first process; 0 if the engine does not report it."""
    return int(text.number(_details(data).get("pid")))


def image_configuration(data: Mapping[str, Any]) -> Any:
    """Returns the OCI image configuration in an image's status; None if the engine does not report it."""
    return _details(data).get("imageSpec")


def summarise_image(data: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one image's status."""
    user = data.get("username") or text.mapping(data.get("uid")).get("value")
    configuration = oci_summary.summarise_image_configuration(image_configuration(data))
    return text.keep_nonempty_texts(
        {
            "ID": data.get("id"),
            "Tags": text.items(data.get("repo_tags")),
            "Digests": text.items(data.get("repo_digests")),
            "Size": text.size(data.get("size") or data.get("size_")),
            **configuration,
            "User": configuration.get("User") or user,
        }
    )


def summarise_pod(data: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one pod's status."""
    metadata = text.mapping(data.get("metadata"))
    return text.keep_nonempty_texts(
        {
            "ID": data.get("id"),
            "Namespace": metadata.get("namespace"),
            "State": "not ready" if text.number(data.get("state")) else "ready",
            "Created": text.time(data.get("created_at")),
            "Attempt": metadata.get("attempt"),
            "UID": metadata.get("uid"),
            "Address": text.mapping(data.get("network")).get("ip"),
            "Runtime": data.get("runtime_handler"),
            "Labels": text.labels(data.get("labels")),
            "Annotations": text.labels(data.get("annotations")),
        }
    )


def _state(data: Mapping[str, Any]) -> str:
    word = decode.STATES.get(int(text.number(data.get("state"))), "unknown")
    return f"{word} with code {text.number(data.get('exit_code')):g}" if word == "exited" else word


def _details(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the verbose details: the value of `info.info` (containerd), or `info` itself (CRI-O)."""
    info = text.mapping(data.get("info"))
    inner = text.mapping(info.get("info"))
    return {**info, **inner}


def _mount(one: Mapping[str, Any]) -> str:
    read_only = " (read only)" if one.get("readonly") else ""
    return f"{one.get('host_path') or one.get('image') or ''} at {one.get('container_path') or ''}{read_only}"
