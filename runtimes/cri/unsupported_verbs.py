"""Lists the verbs that CRI does not support, each with a sentence about what to do instead. `noun.*`: all other verbs
of that noun."""

from __future__ import annotations

_KUBECTL = "Kubernetes manages this. Use kubectl."
_NETWORKS = "CRI engines use the CNI configuration in /etc/cni/net.d."
_SWARM = "Only Docker has Swarm."
_GARBAGE = "The kubelet removes unneeded containers and images by itself."
_VOLUMES = "The kubelet mounts volumes; inspect shows the mounts of a container."

ALTERNATIVES = {
    "container.restart": "Stop the container: the kubelet starts a new one.",
    "container.create": "Only the kubelet creates containers. Use kubectl run.",
    "container.kill": "Stop the container with a timeout of 0: this sends SIGKILL. Use exec to send another signal.",
    "container.pause": "CRI cannot pause containers. Use an engine of kind containerd or oci on the same host.",
    "container.unpause": "CRI cannot resume containers. Use an engine of kind containerd or oci on the same host.",
    "container.healthcheck": "The kubelet runs the probes. To run a program in the container, use exec.",
    "container.copy": "CRI cannot copy files. Show a text file with: exec NAME cat PATH.",
    "container.export": "CRI cannot write archives of containers. Use the engine's own client on its host.",
    "container.commit": "CRI cannot make images of containers. Build the image in CI, then: pull IMAGE.",
    "container.diff": "CRI cannot compare files. Use exec to show files of the container.",
    "config.*": _KUBECTL,
    "container.prune": f"{_GARBAGE} rm NAME removes one container.",
    "image.prune": f"{_GARBAGE} rmi NAME removes one image.",
    "image.search": "CRI cannot search. pull NAME pulls an image by its exact name.",
    "engine.prune": _GARBAGE,
    "engine.prune-cache": "CRI engines cannot build images.",
    "engine.unused": _GARBAGE,
    "image.push": "CRI cannot push images. Push the image from the host where it was built.",
    "image.tag": "CRI cannot add a name to an image. Pull the image by the other name.",
    "container.rename": "CRI cannot rename containers: the kubelet chooses their names.",
    "pod.create": "Only the kubelet creates pods. Use kubectl run.",
    "pod.start": "Only the kubelet starts pods. It replaces a stopped pod with a new one.",
    "pod.restart": "Stop the pod: the kubelet creates a new one.",
    "pod.pause": "CRI cannot pause pods.",
    "pod.unpause": "CRI cannot pause pods, so no pod is paused.",
    "namespace.list": "Use ps: it shows the Kubernetes namespace of a container as its project.",
    "network.list": f"{_NETWORKS} info shows it.",
    "network.inspect": f"{_NETWORKS} info shows it.",
    "volume.list": _VOLUMES,
    "volume.inspect": _VOLUMES,
    "service.list": "Use pods: it lists the groups of containers that run together.",
    "service.scale": "Kubernetes decides how many pods run: use kubectl scale.",
    "service.logs": "Read the logs of each container: logs.",
    "node.drain": "Use kubectl drain.",
    "node.activate": "Use kubectl uncordon.",
    "task.list": "Use pods: it lists the groups of containers that run together.",
    "service.rollback": "Use kubectl rollout undo.",
    "service.update": "Use kubectl set image.",
    "unit.draft": "The kubelet restarts containers. Only Podman writes systemd units.",
    "unit.install": "The kubelet restarts containers. Only Podman installs systemd units.",
    "network.*": _NETWORKS,
    "node.*": _KUBECTL,
    "project.*": "The kubelet starts containers: stop NAME ends one, and the kubelet starts a new one.",
    "secret.*": _KUBECTL,
    "service.*": _KUBECTL,
    "stack.*": _KUBECTL,
    "swarm.*": _SWARM,
    "unit.*": "The kubelet restarts containers. Only Podman has systemd units.",
    "volume.*": "The kubelet and Kubernetes manage volumes: use kubectl.",
}
