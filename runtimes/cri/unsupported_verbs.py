"""Lists the verbs that CRI does not support, each with a sentence about what to do instead. `noun.*`: all other verbs
of that noun."""

from __future__ import annotations

_KUBECTL = "Kubernetes has its own API for this. Use: kubectl."
_NETWORKS = "CRI engines use the CNI configuration in /etc/cni/net.d."
_SWARM = "Only Docker has Swarm."
_HOST_TOOLS = "On the engine's host, use ctr for containerd, or the OCI runtime (crun, runc) for CRI-O."
_GARBAGE = "The kubelet itself removes what is not needed."
_VOLUMES = "The kubelet mounts volumes. To see the mounts of a container: inspect NAME."

ALTERNATIVES = {
    "container.restart": "Stop the container. The kubelet then starts a new one.",
    "container.create": "Only the kubelet creates containers here. Use: kubectl run.",
    "container.kill": "A stop with a timeout of 0 sends SIGKILL: stop --timeout 0 NAME. To send another signal: exec"
    " NAME kill -HUP 1.",
    "container.pause": f"CRI cannot pause containers. {_HOST_TOOLS}",
    "container.unpause": f"CRI cannot resume containers. {_HOST_TOOLS}",
    "container.healthcheck": "The kubelet runs the probes. To run a program in the container: exec NAME COMMAND.",
    "container.copy": "CRI cannot copy files. Show a text file with: exec NAME cat PATH.",
    "container.export": "CRI cannot write archives of containers. Use the engine's own client on its host.",
    "container.commit": "CRI cannot create images of containers. Build the image elsewhere, then give: pull IMAGE.",
    "container.diff": "CRI cannot compare files. To list the files of a container: exec NAME ls /.",
    "config.*": _KUBECTL,
    "container.prune": f"{_GARBAGE} To remove one container: rm NAME.",
    "image.prune": f"{_GARBAGE} To remove one image: rmi NAME.",
    "image.search": "CRI cannot search. Pull an image by its exact name: pull NAME.",
    "engine.prune": _GARBAGE,
    "engine.prune-cache": "CRI engines do not build images.",
    "engine.unused": _GARBAGE,
    "image.push": "CRI cannot push images. Push the image from the host where it was built.",
    "image.tag": "CRI cannot add a name to an image. Pull the image by the other name.",
    "container.rename": "The kubelet names the containers here.",
    "pod.create": "Only the kubelet creates pods here. Use: kubectl run.",
    "pod.start": "Only the kubelet starts pods. It replaces a stopped pod with a new one.",
    "pod.restart": "Stop the pod. The kubelet then creates a new one.",
    "pod.pause": "CRI cannot pause pods.",
    "pod.unpause": "CRI cannot pause pods, so no pod is paused.",
    "namespace.list": "The Kubernetes namespace of a container is shown as its project: ps.",
    "network.list": f"{_NETWORKS} To see it: info ENGINE.",
    "network.inspect": f"{_NETWORKS} To see it: info ENGINE.",
    "volume.list": _VOLUMES,
    "volume.inspect": _VOLUMES,
    "service.list": "To list the groups of containers that run together: pods.",
    "service.scale": "Kubernetes decides how many pods run. Use: kubectl scale.",
    "service.logs": "Read the logs of each container: logs NAME.",
    "node.drain": "Use: kubectl drain.",
    "node.activate": "Use: kubectl uncordon.",
    "task.list": "To list the groups of containers that run together: pods.",
    "service.rollback": "Use: kubectl rollout undo.",
    "service.update": "Use: kubectl set image.",
    "unit.draft": "The kubelet restarts containers here. Only Podman writes systemd units.",
    "unit.install": "The kubelet restarts containers here. Only Podman installs systemd units.",
    "network.*": _NETWORKS,
    "node.*": _KUBECTL,
    "project.*": "The kubelet starts containers. It replaces a container that you stop: stop NAME.",
    "secret.*": _KUBECTL,
    "service.*": _KUBECTL,
    "stack.*": _KUBECTL,
    "swarm.*": _SWARM,
    "unit.*": "The kubelet restarts containers here. Only Podman has systemd units.",
    "volume.*": "The kubelet and Kubernetes manage volumes. Use: kubectl.",
}
