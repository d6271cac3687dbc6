"""What comes nearest to what CRI cannot do, a sentence for each verb."""

from __future__ import annotations

from collections.abc import Mapping

_CLUSTER = "Kubernetes has these, and its own API for them: kubectl."

SENTENCES: Mapping[str, str] = {
    "container.restart": "Stop it: the kubelet starts it again, as a new container.",
    "container.kill": "Stop it with a timeout of 0: that is SIGKILL; exec kill in it sends any other signal.",
    "container.pause": "Nothing of CRI pauses. containerd as an engine of its own does, and so does the OCI runtime.",
    "container.unpause": "containerd as an engine of its own does it, and so does the OCI runtime.",
    "container.healthcheck": "The kubelet runs probes itself; exec runs a program in the container.",
    "image.push": "An engine of CRI only pulls. Push from where the image was built.",
    "image.tag": "An engine of CRI names images as they were pulled. Pull it under the other name.",
    "pod.start": "The kubelet starts pods; a stopped one it replaces by a new one.",
    "pod.restart": "Stop it: the kubelet makes a new one.",
    "pod.pause": "Nothing of CRI pauses pods.",
    "pod.unpause": "Nothing of CRI pauses pods.",
    "namespace.list": "The namespaces of Kubernetes are its containers' projects: ps shows them.",
    "network.list": "Networks are those of the CNI configuration in /etc/cni/net.d: info shows it.",
    "network.inspect": "Networks are those of the CNI configuration in /etc/cni/net.d: info shows it.",
    "network.remove": "Networks are those of the CNI configuration in /etc/cni/net.d.",
    "volume.list": "Volumes are the kubelet's; inspect shows what is mounted into a container.",
    "volume.inspect": "Volumes are the kubelet's; inspect shows what is mounted into a container.",
    "volume.remove": "Volumes are the kubelet's and Kubernetes': kubectl.",
    "service.list": "Pods are what runs together here: pods lists them.",
    "service.scale": "kubectl scale does it: how many pods run is decided in Kubernetes.",
    "service.logs": "Logs are to be had of each container: logs.",
    "node.list": _CLUSTER,
    "node.inspect": _CLUSTER,
    "node.drain": "kubectl drain does it.",
    "node.activate": "kubectl uncordon does it.",
    "task.list": "Pods are what runs together here: pods lists them.",
    "service.create": _CLUSTER,
    "service.inspect": _CLUSTER,
    "service.remove": _CLUSTER,
    "service.rollback": "kubectl rollout undo does it.",
    "service.update": "kubectl set image does it.",
    "stack.list": _CLUSTER,
    "swarm.init": "A Swarm is Docker's.",
    "swarm.token": "A Swarm is Docker's.",
    "unit.draft": "The kubelet keeps containers up here; Podman writes units.",
    "unit.install": "The kubelet keeps containers up here; Podman installs units.",
    "unit.list": "The kubelet keeps containers up here; units are Podman's.",
    "unit.start": "The kubelet keeps containers up here; units are Podman's.",
    "unit.stop": "The kubelet keeps containers up here; units are Podman's.",
    "unit.restart": "The kubelet keeps containers up here; units are Podman's.",
}
