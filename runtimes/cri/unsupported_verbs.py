"""Lists the verbs that CRI does not support, each with a sentence about what to do instead."""

from __future__ import annotations

_KUBECTL = "Kubernetes has its own API for this: use kubectl."
_NETWORKS = "CRI engines use the CNI configuration in /etc/cni/net.d."
_SWARM = "Only Docker has Swarm."
_VOLUMES = "The kubelet mounts volumes; inspect shows the mounts of a container."

ALTERNATIVES = {
    "container.restart": "Stop the container: the kubelet starts a new one.",
    "container.create": "Only the kubelet creates containers here: use kubectl run.",
    "container.kill": "Stop the container with a timeout of 0: this sends SIGKILL. Use exec to send another signal.",
    "container.pause": "CRI cannot pause containers. Use an engine of kind containerd or oci on the same host.",
    "container.unpause": "CRI cannot resume containers. Use an engine of kind containerd or oci on the same host.",
    "container.healthcheck": "The kubelet runs the probes. To run a program in the container, use exec.",
    "container.copy": "CRI cannot copy files. Show a text file with: exec NAME cat PATH.",
    "container.export": "CRI cannot write archives of containers. Use the engine's own client on its host.",
    "container.commit": "CRI cannot make images of containers. Build the image in CI, then: pull IMAGE.",
    "container.diff": "CRI cannot compare files. Use exec to look into the container.",
    "image.push": "CRI cannot push images. Push the image from the host where it was built.",
    "image.tag": "CRI cannot add a name to an image. Pull the image by the other name.",
    "pod.start": "Only the kubelet starts pods. It replaces a stopped pod with a new one.",
    "pod.restart": "Stop the pod: the kubelet creates a new one.",
    "pod.pause": "CRI cannot pause pods.",
    "pod.unpause": "CRI cannot pause pods, so no pod is paused.",
    "namespace.list": "Use ps: it shows the Kubernetes namespace of a container as its project.",
    "network.list": f"{_NETWORKS} info shows it.",
    "network.inspect": f"{_NETWORKS} info shows it.",
    "network.remove": _NETWORKS,
    "volume.list": _VOLUMES,
    "volume.inspect": _VOLUMES,
    "volume.remove": "The kubelet and Kubernetes manage volumes: use kubectl.",
    "service.list": "Use pods: it lists the groups of containers that run together.",
    "service.scale": "Kubernetes decides how many pods run: use kubectl scale.",
    "service.logs": "Read the logs of each container: logs.",
    "node.list": _KUBECTL,
    "node.inspect": _KUBECTL,
    "node.drain": "Use kubectl drain.",
    "node.activate": "Use kubectl uncordon.",
    "task.list": "Use pods: it lists the groups of containers that run together.",
    "service.create": _KUBECTL,
    "service.inspect": _KUBECTL,
    "service.remove": _KUBECTL,
    "service.rollback": "Use kubectl rollout undo.",
    "service.update": "Use kubectl set image.",
    "stack.list": _KUBECTL,
    "secret.list": _KUBECTL,
    "config.list": _KUBECTL,
    "swarm.init": _SWARM,
    "swarm.token": _SWARM,
    "unit.draft": "The kubelet restarts containers here; only Podman writes systemd units.",
    "unit.install": "The kubelet restarts containers here; only Podman installs systemd units.",
    "unit.list": "The kubelet restarts containers here; only Podman has systemd units.",
    "unit.start": "The kubelet restarts containers here; only Podman has systemd units.",
    "unit.stop": "The kubelet restarts containers here; only Podman has systemd units.",
    "unit.restart": "The kubelet restarts containers here; only Podman has systemd units.",
}
