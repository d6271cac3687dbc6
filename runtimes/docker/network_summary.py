"""Summarises inspected networks of Docker for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtimes.formats import summary_text as text


def summarise_network(data: Mapping[str, Any]) -> dict[str, str]:
    """Summarises one inspected network."""
    subnets = text.mappings(text.mapping(data.get("IPAM")).get("Config"))
    return text.keep_nonempty_texts(
        {
            "ID": data.get("Id"),
            "Driver": data.get("Driver"),
            "Scope": data.get("Scope"),
            "Created": text.time(data.get("Created")),
            "Subnets": [_subnet(one) for one in subnets],
            "IPv6": data.get("EnableIPv6"),
            "Internal": data.get("Internal"),
            "Attachable": data.get("Attachable"),
            "Ingress": data.get("Ingress"),
            "Containers": [_member(text.mapping(one)) for one in text.mapping(data.get("Containers")).values()],
            "Options": text.labels(data.get("Options")),
            "Labels": text.labels(data.get("Labels")),
        }
    )


def _subnet(one: Mapping[str, Any]) -> str:
    gateway = f", gateway {one['Gateway']}" if one.get("Gateway") else ""
    addresses = f", addresses {one['IPRange']}" if one.get("IPRange") else ""
    return f"{one.get('Subnet') or ''}{gateway}{addresses}"


def _member(one: Mapping[str, Any]) -> str:
    return f"{one.get('Name') or ''} {one.get('IPv4Address') or one.get('IPv6Address') or ''}"
