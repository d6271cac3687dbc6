"""Lists the verbs that a Swarm does not support, each with a sentence about what to do instead. `noun.*`: all other
verbs of that noun."""

from __future__ import annotations

CONTAINERS = "Containers belong to the engine of their node; service ps lists the tasks with their nodes."
_DISKS = "Each node has a disk of its own: use the engine of that node."

ALTERNATIVES = {
    "container.*": CONTAINERS,
    "container.logs": "service logs NAME shows the logs of all tasks of a service together.",
    "container.restart": "service update --force NAME replaces the tasks of a service.",
    "container.stop": "scale NAME=0 stops all tasks of a service.",
    "engine.disk-use": _DISKS,
    "engine.prune": _DISKS,
    "engine.prune-cache": _DISKS,
    "engine.unused": _DISKS,
    "image.*": "Images belong to the engine of each node. service update --image changes the image of a service.",
    "namespace.*": "A Swarm has no namespaces; stack ls shows which services belong together.",
    "network.*": "network ls shows the networks of a Swarm on the engine of a manager.",
    "pod.*": "A Swarm has no pods; service ps NAME lists the tasks of a service.",
    "project.*": "A Swarm has no projects; stack ls shows which services belong together.",
    "stats.read": CONTAINERS,
    "swarm.init": "This engine is a Swarm already; swarm join-token shows how a node joins it.",
    "unit.*": "The Swarm replaces tasks that end; only Podman has systemd units.",
    "volume.*": "Volumes belong to the engine of each node; service inspect shows those of a service.",
}
