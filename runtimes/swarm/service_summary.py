"""Summarises an inspected Swarm service as pairs of name and text, for `service --pretty`.

Only the names of environment variables are included, because their values may be secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtimes.formats import summary_text
from runtimes.swarm import decode

SECOND = 1_000_000_000


def make_summary_fields(raw: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one service of `/services/ID`. Settings without a value are left out."""
    spec = raw.get("Spec") or {}
    template = spec.get("TaskTemplate") or {}
    container = template.get("ContainerSpec") or {}
    mode = decode.mode_of(spec)
    summary = {
        "ID": raw.get("ID"),
        "Name": spec.get("Name"),
        "Labels": _pairs(spec.get("Labels")),
        "Mode": mode,
        "Replicas": ((spec.get("Mode") or {}).get("Replicated") or {}).get("Replicas")
        if mode == "replicated"
        else None,
        "Update": decode.update(raw) or ((raw.get("UpdateStatus") or {}).get("State")),
        "Earlier version": "there is one to roll back to" if raw.get("PreviousSpec") else None,
        "Image": container.get("Image"),
        "Command": _command([*(container.get("Command") or ()), *(container.get("Args") or ())]),
        "Environment": ", ".join(entry.partition("=")[0] for entry in container.get("Env") or ()),
        "User": container.get("User"),
        "Mounts": ", ".join(_mount(one) for one in container.get("Mounts") or ()),
        "Secrets": _names(container.get("Secrets"), "SecretName"),
        "Configs": _names(container.get("Configs"), "ConfigName"),
        "Placement": ", ".join((template.get("Placement") or {}).get("Constraints") or ()),
        "Limits": _resources((template.get("Resources") or {}).get("Limits")),
        "Reservations": _resources((template.get("Resources") or {}).get("Reservations")),
        "Restarts": _restarts(template.get("RestartPolicy") or {}),
        "Updates": _updates(spec.get("UpdateConfig")),
        "Rollbacks": _updates(spec.get("RollbackConfig")),
        "Networks": _names(template.get("Networks") or spec.get("Networks"), "Target"),
        "Ports": ", ".join(_port(one) for one in (raw.get("Endpoint") or {}).get("Ports") or ()),
        "Created": summary_text.time(raw.get("CreatedAt")),
        "Updated": summary_text.time(raw.get("UpdatedAt")),
    }
    return {name: str(text) for name, text in summary.items() if text not in (None, "")}


def _pairs(labels: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted((labels or {}).items()))


def _command(words: Sequence[Any]) -> str:
    return " ".join(map(str, words))


def _names(rows: Any, key: str) -> str:
    return ", ".join(str(row.get(key) or "") for row in rows or ())


def _mount(one: Mapping[str, Any]) -> str:
    read_only = " (read only)" if one.get("ReadOnly") else ""
    return f"{one.get('Type') or 'volume'} {one.get('Source') or ''} at {one.get('Target') or ''}{read_only}"


def _resources(given: Any) -> str:
    given = given or {}
    parts = []
    if cpu := given.get("NanoCPUs"):
        parts.append(f"{cpu / SECOND:g} CPU")
    if memory := given.get("MemoryBytes"):
        parts.append(f"{memory / (1 << 20):g} MiB")
    if pids := given.get("Pids"):
        parts.append(f"{pids} processes")
    return ", ".join(parts)


def _restarts(policy: Mapping[str, Any]) -> str:
    if not policy:
        return ""
    limit = f", at most {policy['MaxAttempts']} times" if policy.get("MaxAttempts") else ""
    return f"{policy.get('Condition') or 'any'}, after {_seconds(policy.get('Delay'))}{limit}"


def _updates(config: Any) -> str:
    if not config:
        return ""
    parts = [
        f"{config.get('Parallelism') or 'all'} at once",
        f"{_seconds(config.get('Delay'))} apart",
        f"watched {_seconds(config.get('Monitor'))}",
        f"then {config.get('FailureAction') or 'pause'} on failure",
        str(config.get("Order") or "stop-first"),
    ]
    return ", ".join(parts)


def _seconds(nanoseconds: Any) -> str:
    return f"{(nanoseconds or 0) / SECOND:g} s"


def _port(one: Mapping[str, Any]) -> str:
    outside = f"{one['PublishedPort']} to " if one.get("PublishedPort") else ""
    return (
        f"{outside}{one.get('TargetPort') or 0}/{one.get('Protocol') or 'tcp'} ({one.get('PublishMode') or 'ingress'})"
    )
