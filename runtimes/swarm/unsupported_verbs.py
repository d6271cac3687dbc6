"""Lists the verbs that a Swarm does not support, each with a sentence about what to do instead. `noun.*`: all other
verbs of that noun."""

from __future__ import annotations

CONTAINERS = "Containers belong to the engine of their node. To list the tasks with their nodes: service ps NAME."
_DISKS = "Each node has a disk of its own: use the engine of that node."

ALTERNATIVES = {
    "container.*": CONTAINERS,
    "container.logs": "To see the logs of all tasks of a service together: service logs NAME.",
    "container.restart": "To replace the tasks of a service: service update --force NAME.",
    "container.stop": "To stop all tasks of a service: scale NAME=0.",
    "engine.disk-use": _DISKS,
    "engine.prune": _DISKS,
    "engine.prune-cache": _DISKS,
    "engine.unused": _DISKS,
    "image.*": "Images belong to the engine of each node. To change the image of a service: service update --image"
    " IMAGE NAME.",
    "namespace.*": "A Swarm has no namespaces. To see which services belong together: stack ls.",
    "network.*": "To see the networks of a Swarm, name the engine of a manager: network ls --engine docker.",
    "pod.*": "A Swarm has no pods. To list the tasks of a service: service ps NAME.",
    "project.*": "A Swarm has no projects. To see which services belong together: stack ls.",
    "stats.read": CONTAINERS,
    "swarm.init": "This engine is a Swarm already. To see how a node joins it: swarm join-token worker.",
    "unit.*": "The Swarm replaces tasks that end. Only Podman has systemd units.",
    "volume.*": "Volumes belong to the engine of each node. To see the volumes of a service: service inspect NAME.",
}
