"""Builds the specification of a new service, as a Swarm's API expects it."""

from __future__ import annotations

from typing import Any

from core.model.swarm import CreateService


def build_service_spec(action: CreateService) -> dict[str, Any]:
    container: dict[str, Any] = {"Image": action.image}
    if action.command:
        container["Command"] = list(action.command)
    if action.environment:
        container["Env"] = [f"{name}={value}" for name, value in action.environment]
    template: dict[str, Any] = {"ContainerSpec": container}
    if action.networks:
        template["Networks"] = [{"Target": network} for network in action.networks]
    spec: dict[str, Any] = {
        "Name": action.name,
        "Labels": dict(action.labels),
        "TaskTemplate": template,
        "Mode": {"Replicated": {"Replicas": action.replicas}},
    }
    if action.ports:
        spec["EndpointSpec"] = {
            "Ports": [
                {"PublishedPort": published, "TargetPort": target, "Protocol": protocol, "PublishMode": "ingress"}
                for published, target, protocol in action.ports
            ]
        }
    elif "host" in action.networks:
        spec["EndpointSpec"] = {"Mode": "dnsrr"}  # the hosts' own network allows no virtual address
    return spec
