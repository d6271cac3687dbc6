"""Lists the verbs that containerd does not support, each with a sentence about what to do instead. `noun.*`: all other
verbs of that noun."""

from __future__ import annotations

_NETWORKS = "containerd itself has no networks. Its clients create them, through CNI."
_PODS = "Only CRI has pods: add an engine of kind cri with the same socket."
_SERVICES = "containerd has no services. Containers of a compose project have its labels."
_SWARM = "Only Docker has Swarm."
_VOLUMES = "containerd itself has no volumes. Its clients manage them: nerdctl volume ls."

ALTERNATIVES = {
    "container.create": "Only clients of containerd create containers: nerdctl run, ctr run.",
    "container.rename": "containerd has no names of containers, only ids. For names of nerdctl, use: nerdctl rename.",
    "container.logs": "containerd stores no output of containers. Use the program that started the container"
    " (nerdctl logs), or watch the engine that started it too (Docker, CRI).",
    "container.copy": "containerd cannot copy files. Show a text file with: exec NAME cat PATH.",
    "container.export": "containerd cannot export containers. Use one of its clients: nerdctl export.",
    "container.commit": "containerd cannot make images of containers. Use one of its clients: nerdctl commit.",
    "container.diff": "containerd cannot compare files. Use one of its clients: nerdctl diff.",
    "container.prune": "containerd does not know which containers are still needed. Use: nerdctl container prune.",
    "container.healthcheck": "containerd has no health checks. Run the command of the check with exec.",
    "engine.prune": "containerd does not know what its clients still need. Use: nerdctl system prune.",
    "engine.prune-cache": "containerd cannot build images. Use one of its clients: nerdctl builder prune.",
    "engine.unused": "containerd does not know what its clients still need. Use: nerdctl system prune.",
    "event.list": "containerd stores no events. Quarterdeck can show only the events that it received itself.",
    "image.prune": "containerd does not know which images are still needed. Use: nerdctl image prune.",
    "image.search": "containerd has no search. pull NAME pulls an image by its exact name.",
    "image.push": "containerd itself cannot push. Use one of its clients: nerdctl push, ctr images push.",
    "network.*": _NETWORKS,
    "pod.*": _PODS,
    "project.*": "containerd stores no order of a project. restart PROJECT restarts its containers in any order.",
    "service.*": _SERVICES,
    "service.scale": "containerd has no services. Start or stop single containers.",
    "unit.*": "Only Podman has systemd units of containers.",
    "volume.*": _VOLUMES,
    **dict.fromkeys(("config.*", "node.*", "stack.*", "swarm.*", "task.*"), _SWARM),
    "secret.*": "containerd stores no secrets. Podman does, and so does a Swarm.",
}
