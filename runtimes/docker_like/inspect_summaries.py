"""Summarises inspected containers, images and volumes of Docker and Podman for people.

In the documents that this module receives, the values of environment variables are already masked. A summary shows only
the names of the variables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from core import errors
from core.model.containers import Port
from runtimes.docker_like import decode, inspected_host_access, json_models
from runtimes.formats import json_decoder
from runtimes.formats import summary_text as text

PODMAN_HEALTHCHECK = "Healthcheck"  # the key of older versions
MAX_OUTPUT = 400  # characters of a health check's output


def summarise_container(data: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one inspected container."""
    state, config, host = (text.mapping(data.get(key)) for key in ("State", "Config", "HostConfig"))
    settings = text.mapping(data.get("NetworkSettings"))
    return text.keep_nonempty_texts(
        {
            "ID": data.get("Id"),
            "State": _state(state),
            "Started": text.time(state.get("StartedAt")),
            "Ended": text.time(state.get("FinishedAt")) if not state.get("Running") else "",
            "Error": state.get("Error"),
            "Health": _health(state),
            "Restarts": _restarts(data, text.mapping(host.get("RestartPolicy"))),
            "Image": data.get("ImageName") or config.get("Image"),
            "Image ID": data.get("Image"),
            "Command": text.command(data.get("Path"), data.get("Args"))
            or text.command(config.get("Entrypoint"), config.get("Cmd")),
            "User": config.get("User"),
            "Working directory": config.get("WorkingDir"),
            "Created": text.time(data.get("Created")),
            "Process ID": state.get("Pid") or "",
            "Pod": data.get("Pod"),
            "Ports": text.ports(_ports(settings)),
            "Mounts": [_mount(one) for one in text.mappings(data.get("Mounts"))],
            "Networks": list(_networks(settings, host)),
            "Links": text.items(host.get("Links")),
            "Limits": _limits(host),
            "Removed when it ends": host.get("AutoRemove"),
            "Log driver": text.mapping(host.get("LogConfig")).get("Type"),
            "Host access": ", ".join(inspected_host_access.find_host_access_of_container(data)),
            "Environment": text.names_of(config.get("Env")),
            "Labels": text.labels(config.get("Labels")),
        }
    )


def summarise_image(data: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one inspected image."""
    config = text.mapping(data.get("Config") or data.get("ContainerConfig"))
    layers = text.items(text.mapping(data.get("RootFS")).get("Layers"))
    health = text.mapping(config.get("Healthcheck") or data.get(PODMAN_HEALTHCHECK))
    return text.keep_nonempty_texts(
        {
            "ID": data.get("Id"),
            "Tags": text.items(data.get("RepoTags")),
            "Digests": text.items(data.get("RepoDigests")),
            "Created": text.time(data.get("Created")),
            "Size": text.size(data.get("Size")),
            "Platform": "/".join(filter(None, (str(data.get(key) or "") for key in ("Os", "Architecture", "Variant")))),
            "Layers": len(layers) or "",
            "Entrypoint": text.command(config.get("Entrypoint")),
            "Command": text.command(config.get("Cmd")),
            "User": config.get("User"),
            "Working directory": config.get("WorkingDir"),
            "Ports": ", ".join(text.mapping(config.get("ExposedPorts"))),
            "Volumes": ", ".join(text.mapping(config.get("Volumes"))),
            "Health check": text.command(health.get("Test")),
            "Author": data.get("Author"),
            "Environment": text.names_of(config.get("Env")),
            "Labels": text.labels(config.get("Labels")),
        }
    )


def summarise_volume(data: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one inspected volume."""
    return text.keep_nonempty_texts(
        {
            "Driver": data.get("Driver"),
            "Scope": data.get("Scope"),
            "Path": data.get("Mountpoint"),
            "Created": text.time(data.get("CreatedAt")),
            "Options": text.labels(data.get("Options")),
            "Labels": text.labels(data.get("Labels")),
        }
    )


def _state(state: Mapping[str, Any]) -> str:
    """Returns the state in words. Podman says `stopped` until it has tidied up after a container that exited."""
    word = str(state.get("Status") or "")
    word = "exited" if word == "stopped" else word
    if word in ("exited", "dead", "restarting"):
        word += f" with code {text.number(state.get('ExitCode')):g}"
    return f"{word}, killed because its memory was exhausted" if state.get("OOMKilled") else word


def _health(state: Mapping[str, Any]) -> str:
    health = text.mapping(state.get("Health") or state.get("Healthcheck"))
    word = str(health.get("Status") or "")
    if word in ("", "none"):
        return ""
    failed = text.number(health.get("FailingStreak"))
    word += f", {failed:g} failed in a row" if failed else ""
    last = next(iter(text.mappings(health.get("Log"))[-1:]), {})
    output = " ".join(str(last.get("Output") or "").split())[:MAX_OUTPUT]
    return f"{word}; last check: {output}" if output else word


def _restarts(data: Mapping[str, Any], policy: Mapping[str, Any]) -> str:
    number, most = text.number(data.get("RestartCount")), text.number(policy.get("MaximumRetryCount"))
    rule = str(policy.get("Name") or "no")
    return f"{number:g}; policy {rule}" + (f", at most {most:g}" if most else "")


def _ports(settings: Mapping[str, Any]) -> tuple[Port, ...]:
    try:
        found = json_decoder.convert(json_models.NetworkSettings, settings)
    except errors.InvalidResponse:
        return ()
    return decode.published_ports(found.ports or {})


def _mount(one: Mapping[str, Any]) -> str:
    source = one.get("Name") or one.get("Source") or ""
    read_only = "" if one.get("RW", True) else " (read only)"
    return f"{one.get('Type') or 'mount'} {source} at {one.get('Destination') or ''}{read_only}"


def _networks(settings: Mapping[str, Any], host: Mapping[str, Any]) -> Iterator[str]:
    found = text.mapping(settings.get("Networks"))
    for name, value in found.items():
        network = text.mapping(value)
        address = network.get("IPAddress") or network.get("GlobalIPv6Address")
        aliases = ", ".join(map(str, text.items(network.get("Aliases"))))
        yield f"{name}" + (f" {address}" if address else "") + (f" as {aliases}" if aliases else "")
    if not found and host.get("NetworkMode"):
        yield str(host["NetworkMode"])


def _limits(host: Mapping[str, Any]) -> str:
    cpus = text.number(host.get("NanoCpus")) / text.NANOSECONDS
    return text.limits(
        memory=host.get("Memory"),
        swap=host.get("MemorySwap"),
        cpus=cpus or text.quota(host.get("CpuQuota"), host.get("CpuPeriod")),
        cpu_set=host.get("CpusetCpus"),
        processes=host.get("PidsLimit"),
    )
