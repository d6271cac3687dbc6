"""Lists the verbs that OCI runtimes do not support, each with a sentence about what to do instead. `noun.*`: all other
verbs of that noun."""

from __future__ import annotations

_ONLY_CONTAINERS = "OCI runtimes have only containers: ps lists them."
_SWARM = "Only Docker has Swarm."

ALTERNATIVES = {
    "container.create": "An OCI runtime needs a prepared bundle. Use an engine of kind docker or podman.",
    "container.rename": "The id of a container is its name and cannot be changed."
    " Delete the container and run its bundle again.",
    "container.prune": "OCI runtimes do not know which containers are still needed. rm NAME removes one.",
    "container.restart": "An OCI container runs only once. Delete the container and run its bundle again.",
    "container.logs": "OCI runtimes store no logs. The caller of the runtime chose where they go: a file or the"
    " journal.",
    "container.healthcheck": "OCI runtimes have no health checks. Run the command of the check with exec.",
    "container.copy": "OCI runtimes cannot copy files. Show a text file with: exec NAME cat PATH.",
    "container.export": "OCI runtimes cannot export containers. inspect shows the bundle, which is the file system.",
    "container.commit": "OCI runtimes cannot make images. inspect shows the bundle (the folder) of a container.",
    "container.diff": "OCI runtimes store no image to compare with. inspect shows the bundle of a container.",
    "engine.disk-use": "OCI runtimes store no images and no volumes. df shows the disk of the engine that called them.",
    "engine.prune": "OCI runtimes do not know what is still needed. rm NAME removes one container.",
    "engine.prune-cache": "OCI runtimes cannot build images.",
    "engine.unused": "OCI runtimes do not know what is still needed. rm NAME removes one container.",
    "event.list": "OCI runtimes store no events. New events are shown as they happen.",
    "image.*": "OCI runtimes have no images. Use inspect: it shows the bundle (the folder) of a container.",
    "image.pull": "OCI runtimes have no images. Unpack one into a bundle, for example with skopeo and umoci.",
    "network.*": "OCI runtimes cannot create networks. Their caller connects containers to networks.",
    "service.scale": "OCI runtimes have only containers. Create more of them with the runtime's caller.",
    "unit.*": "Only Podman has systemd units of containers.",
    "volume.*": "OCI runtimes have no volumes. inspect shows the mounts of a container.",
    **dict.fromkeys(("namespace.*", "pod.*", "project.*", "secret.*", "service.*"), _ONLY_CONTAINERS),
    **dict.fromkeys(("config.*", "node.*", "stack.*", "swarm.*", "task.*"), _SWARM),
}
