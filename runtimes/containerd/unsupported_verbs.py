"""Lists the verbs that containerd does not support, each with a sentence about what to do instead. `noun.*`: all other
verbs of that noun."""

from __future__ import annotations

_NETWORKS = "containerd itself has no networks. Its clients create them by CNI."
_PODS = "Only CRI has pods. Add an engine of kind cri with the same socket to `engines` in quarterdeck.yaml."
_SERVICES = "containerd has no services. Containers of a compose project have its labels."
_SWARM = "Only Docker has Swarm."
_VOLUMES = "containerd itself has no volumes. Its clients manage them, for example: nerdctl volume ls."

ALTERNATIVES = {
    "container.create": "containerd's clients create containers: nerdctl run, ctr run.",
    "container.rename": "On containerd the id of a container is its name. To change the name that nerdctl shows:"
    " nerdctl rename.",
    "container.logs": "containerd does not store the output of containers. Use the program that started the container"
    " (nerdctl logs), or watch the engine that started it too (Docker, CRI).",
    "container.copy": "containerd cannot copy files. Show a text file with: exec NAME cat PATH.",
    "container.export": "containerd cannot write archives of containers. Use one of its clients: nerdctl export.",
    "container.commit": "containerd cannot create images of containers. Use one of its clients: nerdctl commit.",
    "container.diff": "containerd cannot compare files. Use one of its clients: nerdctl diff.",
    "container.prune": "containerd cannot tell which containers its clients still use. Use: nerdctl container prune.",
    "container.healthcheck": "containerd has no health checks. Run the command of the check with: exec NAME COMMAND.",
    "engine.prune": "containerd cannot tell what its clients still use. Use: nerdctl system prune.",
    "engine.prune-cache": "containerd cannot build images. Use one of its clients: nerdctl builder prune.",
    "engine.unused": "containerd cannot tell what its clients still use. Use: nerdctl system prune.",
    "event.list": "containerd does not store events. Quarterdeck can show only the events that it received itself.",
    "image.prune": "containerd cannot tell which images its clients still use. Use: nerdctl image prune.",
    "image.search": "containerd cannot search. Pull an image by its exact name: pull NAME.",
    "image.push": "containerd itself cannot push. Use one of its clients: nerdctl push, ctr images push.",
    "network.*": _NETWORKS,
    "pod.*": _PODS,
    "project.*": "containerd cannot order the containers of a project. To restart them in any order: restart PROJECT.",
    "service.*": _SERVICES,
    "service.scale": "containerd has no services. Start or stop single containers.",
    "unit.*": "Only Podman has systemd units of containers.",
    "volume.*": _VOLUMES,
    **dict.fromkeys(("config.*", "node.*", "stack.*", "swarm.*", "task.*"), _SWARM),
    "secret.*": "containerd has no secrets. Podman and Swarm have them.",
}
