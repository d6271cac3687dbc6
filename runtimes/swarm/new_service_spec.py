"""Builds the request body for `POST /services/create`: the specification of a new Swarm service."""

from __future__ import annotations

from typing import Any

from core.model.swarm import CreateService


def build_service_spec(action: CreateService) -> dict[str, Any]:
    """Builds the specification of the service that the action describes."""
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
        spec["EndpointSpec"] = {"Mode": "dnsrr"}  # the network `host` does not support a virtual IP
    return spec
