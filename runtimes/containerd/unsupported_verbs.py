"""Lists the verbs that containerd does not support, each with a sentence about what to do instead. `noun.*`: all other
verbs of that noun."""

from __future__ import annotations

_NETWORKS = "containerd itself has no networks. Its clients create them, through CNI."
_PODS = "Only CRI has pods: add an engine of kind cri with the same socket."
_SERVICES = "containerd has no services. Containers of a compose project have its labels."
_SWARM = "Only Docker has Swarm."
_VOLUMES = "containerd itself has no volumes. Its clients manage them: nerdctl volume ls."

ALTERNATIVES = {
    "container.create": "containerd leaves that to its clients: nerdctl run, ctr run.",
    "container.rename": "The id of a container is its name here. nerdctl has names of its own: nerdctl rename.",
    "container.logs": "containerd stores no output of containers. Use the program that started the container"
    " (nerdctl logs), or watch the engine that started it too (Docker, CRI).",
    "container.copy": "containerd copies no files. Show a text file with: exec NAME cat PATH.",
    "container.export": "containerd writes no archives of containers. Its clients do: nerdctl export.",
    "container.commit": "containerd makes no images of containers. Its clients do: nerdctl commit.",
    "container.diff": "containerd compares no files. Its clients do: nerdctl diff.",
    "container.prune": "containerd does not know which containers its clients still want: nerdctl container prune.",
    "container.healthcheck": "containerd has no health checks. Run the command of the check with exec.",
    "engine.prune": "containerd does not know what its clients still want: nerdctl system prune.",
    "engine.prune-cache": "containerd builds no images. Its clients do: nerdctl builder prune.",
    "engine.unused": "containerd does not know what its clients still want: nerdctl system prune.",
    "event.list": "containerd stores no events. Quarterdeck can show only the events that it received itself.",
    "image.prune": "containerd does not know which images its clients still want: nerdctl image prune.",
    "image.search": "containerd has no search. pull NAME pulls an image by its exact name.",
    "image.push": "containerd itself cannot push. Use one of its clients: nerdctl push, ctr images push.",
    "network.*": _NETWORKS,
    "pod.*": _PODS,
    "project.*": "containerd knows no order of a project. restart PROJECT restarts its containers, in any order.",
    "service.*": _SERVICES,
    "service.scale": "containerd has no services. Start or stop single containers.",
    "unit.*": "Only Podman has systemd units of containers.",
    "volume.*": _VOLUMES,
    **dict.fromkeys(("config.*", "node.*", "stack.*", "swarm.*", "task.*"), _SWARM),
    "secret.*": "containerd stores no secrets. Podman does, and so does a Swarm.",
}
