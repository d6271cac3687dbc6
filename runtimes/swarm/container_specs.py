"""Changes the part of a Swarm service's specification that describes the containers of its tasks.

It takes a `ServiceSettings` and its removals. Settings that these do not name stay unchanged. The values are made with
the Python package `docker`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from core.model.host_access import MountPoint
from core.model.service_settings import (
    NO_HEALTH_CHECK,
    NO_SERVERS,
    HealthCheck,
    MountedValue,
    NameServers,
    Removals,
    ServiceSettings,
)

NANOSECONDS = 1_000_000_000


def change_container_spec(
    docker: Any, old: Mapping[str, Any], settings: ServiceSettings, removals: Removals, image: str
) -> dict[str, Any]:
    """Returns the `ContainerSpec` with the changes. `docker`: the package; `image`: empty: unchanged."""
    types = docker.types
    environment = _environment(old.get("Env") or (), settings.environment, removals.environment)
    labels = merged_names(old.get("Labels") or {}, settings.container_labels, removals.container_labels)
    mounts = _merged(
        old.get("Mounts") or (),
        [_mount(types, one) for one in settings.mounts],
        lambda one: one.get("Target"),
        removals.mounts,
    )
    secrets = _values(old.get("Secrets") or (), settings.secrets, removals.secrets, types.SecretReference, "SecretName")
    configs = _values(old.get("Configs") or (), settings.configs, removals.configs, types.ConfigReference, "ConfigName")
    given = types.ContainerSpec(
        image or old.get("Image"),
        command=list(settings.entrypoint) or old.get("Command"),
        args=list(settings.command) or old.get("Args"),
        hostname=settings.hostname or None,
        env=environment or None,
        workdir=settings.workdir or None,
        user=settings.user or None,
        labels=labels or None,
        mounts=mounts or None,
        stop_grace_period=nanoseconds(settings.stop_grace),
        secrets=secrets or None,
        read_only=settings.read_only or None,
        stop_signal=settings.stop_signal or None,
        healthcheck=_health(types, old.get("Healthcheck") or {}, settings.health),
        configs=configs or None,
        init=settings.init or None,
        cap_add=list(dict.fromkeys([*(old.get("CapabilityAdd") or ()), *settings.capabilities])) or None,
        groups=_listed(old.get("Groups") or (), settings.groups, removals.groups) or None,
        sysctls=merged_names(old.get("Sysctls") or {}, settings.sysctls, removals.sysctls) or None,
        dns_config=_name_servers(types, old.get("DNSConfig") or {}, settings.name_servers, removals.name_servers),
        cap_drop=list(dict.fromkeys([*(old.get("CapabilityDrop") or ()), *settings.dropped_capabilities])) or None,
    )
    # The package does not know these.
    ulimits = _ulimits(docker, old.get("Ulimits") or (), settings.ulimits, removals.ulimits)
    more = {"Ulimits": ulimits} if ulimits else {}
    # Only these lists can have become empty.
    lists = {"Env": environment, "Labels": labels, "Mounts": mounts, "Secrets": secrets, "Configs": configs}
    lists |= {"Ulimits": ulimits, "Groups": given.get("Groups"), "Sysctls": given.get("Sysctls")}
    emptied = {key: type(old[key])() for key, value in lists.items() if old.get(key) and not value}
    return {**old, **{key: value for key, value in given.items() if value is not None}, **more, **emptied}


def _listed(old: Iterable[str], given: Sequence[str], removed: Sequence[str]) -> list[str]:
    return [one for one in dict.fromkeys([*old, *given]) if one not in removed]


def _name_servers(
    types: Any, old: Mapping[str, Any], given: NameServers, removed: NameServers
) -> dict[str, Any] | None:
    if (given, removed) == (NO_SERVERS, NO_SERVERS):
        return None
    return dict(
        types.DNSConfig(
            nameservers=_listed(old.get("Nameservers") or (), given.addresses, removed.addresses),
            search=_listed(old.get("Search") or (), given.searches, removed.searches),
            options=_listed(old.get("Options") or (), given.options, removed.options),
        )
    )


def _ulimits(
    docker: Any, old: Iterable[Mapping[str, Any]], given: Sequence[str], removed: Sequence[str]
) -> list[dict[str, Any]]:
    made = []
    for text in given:
        name, _, limits = text.partition("=")
        soft, _, hard = limits.partition(":")
        made.append(dict(docker.types.Ulimit(name=name, soft=int(soft), hard=int(hard or soft))))
    return _merged(old, made, lambda one: one.get("Name"), removed)


def _environment(old: Iterable[str], given: Sequence[tuple[str, str]], removed: Sequence[str]) -> list[str]:
    names = {name for name, _ in given} | set(removed)
    kept = [entry for entry in old if entry.partition("=")[0] not in names]
    return [*kept, *(f"{name}={value}" for name, value in given)]


def merged_names(old: Mapping[str, str], given: Sequence[tuple[str, str]], removed: Sequence[str]) -> dict[str, str]:
    return {key: value for key, value in {**old, **dict(given)}.items() if key not in removed}


def _merged(
    old: Iterable[Mapping[str, Any]],
    given: Sequence[Mapping[str, Any]],
    key: Callable[[Mapping[str, Any]], Any],
    removed: Sequence[str],
) -> list[dict[str, Any]]:
    """Returns the old entries without those that are removed or given again, then the given ones."""
    replaced = {key(one) for one in given} | set(removed)
    return [*(dict(one) for one in old if key(one) not in replaced), *map(dict, given)]


def _mount(types: Any, mount: MountPoint) -> dict[str, Any]:
    kind = "tmpfs" if mount.tmpfs else "bind" if mount.is_host_path else "volume"
    return dict(types.Mount(mount.target, mount.source or None, type=kind, read_only=mount.read_only))


def _values(
    old: Iterable[Mapping[str, Any]],
    given: Sequence[MountedValue],
    removed: Sequence[str],
    make: Any,
    name: str,
) -> list[dict[str, Any]]:
    """Merges secrets or configs by the file that they are."""
    kept = [one for one in old if one.get(name) not in removed]
    made = [
        make(
            one.target.id,
            one.target.name,
            filename=one.path or None,
            uid=one.uid or None,
            gid=one.gid or None,
            mode=0o444 if one.mode is None else one.mode,
        )
        for one in given
    ]
    return _merged(kept, made, lambda one: (one.get("File") or {}).get("Name"), ())


def _health(types: Any, old: Mapping[str, Any], health: HealthCheck) -> dict[str, Any] | None:
    if health == NO_HEALTH_CHECK:
        return None
    if health.disabled:
        return dict(types.Healthcheck(test=["NONE"]))
    made = types.Healthcheck(
        test=health.command or old.get("Test"),
        interval=nanoseconds(health.interval),
        timeout=nanoseconds(health.timeout),
        retries=health.retries,
        start_period=nanoseconds(health.start_period),
    )
    return {**old, **{key: value for key, value in made.items() if value is not None}}


def nanoseconds(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * NANOSECONDS)
