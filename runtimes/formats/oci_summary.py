"""Summarises an OCI runtime specification and an OCI image configuration for people. Several engines report these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtimes.formats import oci_host_access
from runtimes.formats import summary_text as text

# Mounts that every container has.
USUAL_MOUNTS = ("/proc", "/dev", "/sys")


def summarise_specification(spec: Any) -> dict[str, Any]:
    """Returns the texts of a container's runtime specification, for `summary_text.keep_nonempty_texts`."""
    spec = text.mapping(spec)
    process = text.mapping(spec.get("process"))
    user = text.mapping(process.get("user"))
    linux = text.mapping(spec.get("linux"))
    resources = text.mapping(linux.get("resources"))
    cpu, memory = text.mapping(resources.get("cpu")), text.mapping(resources.get("memory"))
    return {
        "Command": text.command(process.get("args")),
        "User": f"{text.number(user.get('uid')):g}:{text.number(user.get('gid')):g}" if user else "",
        "Working directory": process.get("cwd"),
        "Hostname": spec.get("hostname"),
        "Mounts": [mount(one) for one in text.mappings(spec.get("mounts")) if not _is_usual(one)],
        "Limits": text.limits(
            memory=memory.get("limit"),
            swap=memory.get("swap"),
            cpus=text.quota(cpu.get("quota"), cpu.get("period")),
            cpu_set=cpu.get("cpus"),
            processes=text.mapping(resources.get("pids")).get("limit"),
        ),
        "Host access": ", ".join(oci_host_access.find_host_access_of_specification(spec) or ()),
        "Environment": text.names_of(process.get("env")),
    }


def mount(one: Mapping[str, Any]) -> str:
    """Formats one mount of a specification."""
    read_only = " (read only)" if "ro" in text.items(one.get("options")) else ""
    return f"{one.get('type') or 'mount'} {one.get('source') or ''} at {one.get('destination') or ''}{read_only}"


def summarise_image_configuration(config: Any) -> dict[str, Any]:
    """Returns the texts of an OCI image configuration, for `summary_text.keep_nonempty_texts`."""
    image = text.mapping(config)
    defaults = text.mapping(image.get("config"))
    layers = text.items(text.mapping(image.get("rootfs")).get("diff_ids"))
    platform = (str(image.get(key) or "") for key in ("os", "architecture", "variant"))
    return {
        "Created": text.time(image.get("created")),
        "Platform": "/".join(filter(None, platform)),
        "Layers": len(layers) or "",
        "Entrypoint": text.command(defaults.get("Entrypoint")),
        "Command": text.command(defaults.get("Cmd")),
        "User": defaults.get("User"),
        "Working directory": defaults.get("WorkingDir"),
        "Ports": ", ".join(text.mapping(defaults.get("ExposedPorts"))),
        "Volumes": ", ".join(text.mapping(defaults.get("Volumes"))),
        "Author": image.get("author"),
        "Environment": text.names_of(defaults.get("Env")),
        "Labels": text.labels(defaults.get("Labels")),
    }


def _is_usual(one: Mapping[str, Any]) -> bool:
    path = str(one.get("destination") or "")
    return path in USUAL_MOUNTS or path.startswith(tuple(f"{usual}/" for usual in USUAL_MOUNTS))
