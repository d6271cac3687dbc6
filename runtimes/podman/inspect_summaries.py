"""Summarises inspected pods and networks of Podman for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtimes.formats import summary_text as text


def summarise_pod(data: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one inspected pod."""
    infra = text.mapping(data.get("InfraConfig"))
    ports = text.mapping(infra.get("PortBindings"))
    return text.keep_nonempty_texts(
        {
            "ID": data.get("Id"),
            "State": str(data.get("State") or "").lower(),
            "Created": text.time(data.get("Created")),
            "Hostname": data.get("Hostname"),
            "Containers": [
                f"{one.get('Name') or ''} {one.get('State') or ''}" for one in text.mappings(data.get("Containers"))
            ],
            "Shared": ", ".join(map(str, text.items(data.get("SharedNamespaces")))),
            "Ports": [
                f"{one.get('HostIp') or '0.0.0.0'}:{one.get('HostPort') or ''}->{inside}"  # noqa: S104
                for inside, bindings in ports.items()
                for one in text.mappings(bindings)
            ],
            "Networks": ", ".join(map(str, text.items(infra.get("Networks")))),
            "Restart policy": data.get("RestartPolicy"),
            "Labels": text.labels(data.get("Labels")),
        }
    )


def summarise_network(data: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one inspected network."""
    return text.keep_nonempty_texts(
        {
            "ID": data.get("id"),
            "Driver": data.get("driver"),
            "Interface": data.get("network_interface"),
            "Created": text.time(data.get("created")),
            "Subnets": [_subnet(one) for one in text.mappings(data.get("subnets"))],
            "IPv6": data.get("ipv6_enabled"),
            "Internal": data.get("internal"),
            "Name resolution": data.get("dns_enabled"),
            "Containers": [
                f"{text.mapping(one).get('name') or ''}" for one in text.mapping(data.get("containers")).values()
            ],
            "Options": text.labels(data.get("options")),
            "Labels": text.labels(data.get("labels")),
        }
    )


def _subnet(one: Mapping[str, Any]) -> str:
    lease = text.mapping(one.get("lease_range"))
    gateway = f", gateway {one['gateway']}" if one.get("gateway") else ""
    addresses = f", addresses {lease.get('start_ip') or ''} to {lease.get('end_ip') or ''}" if lease else ""
    return f"{one.get('subnet') or ''}{gateway}{addresses}"
