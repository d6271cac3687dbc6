"""Lists the verbs that OCI runtimes do not support, each with a sentence about what to do instead. `noun.*`: all other
verbs of that noun."""

from __future__ import annotations

_ONLY_CONTAINERS = "OCI runtimes have only containers. List them with: ps."
_SWARM = "Only Docker has Swarm."

ALTERNATIVES = {
    "container.create": "An OCI runtime needs a prepared bundle. Use an engine of kind docker or podman.",
    "container.rename": "The id of a container is its name and cannot be changed. Delete the container, and run its"
    " bundle again.",
    "container.prune": "OCI runtimes cannot tell which containers are still used. To remove one: rm NAME.",
    "container.restart": "An OCI container runs only once. Delete the container, and run its bundle again.",
    "container.logs": "OCI runtimes do not store logs. The caller of the runtime writes them to a file or to the"
    " journal.",
    "container.healthcheck": "OCI runtimes have no health checks. Run the command of the check with: exec NAME"
    " COMMAND.",
    "container.copy": "OCI runtimes cannot copy files. Show a text file with: exec NAME cat PATH.",
    "container.export": "OCI runtimes cannot write archives. To see the folder of the file system (the bundle):"
    " inspect NAME.",
    "container.commit": "OCI runtimes cannot create images. To see the folder of the file system (the bundle):"
    " inspect NAME.",
    "container.diff": "OCI runtimes have no image to compare with. To see the folder of the file system (the"
    " bundle): inspect NAME.",
    "engine.disk-use": "OCI runtimes do not store images or volumes. To see the disk of the engine that called them:"
    " df.",
    "engine.prune": "OCI runtimes cannot tell what is still used. To remove one container: rm NAME.",
    "engine.prune-cache": "OCI runtimes do not build images.",
    "engine.unused": "OCI runtimes cannot tell what is still used. To remove one container: rm NAME.",
    "event.list": "OCI runtimes do not store events. Quarterdeck shows only the events that it received itself.",
    "image.*": "OCI runtimes have no images. To see the folder of a container's file system (the bundle): inspect"
    " NAME.",
    "image.pull": "OCI runtimes have no images. Unpack an image into a bundle, for example with skopeo and umoci.",
    "network.*": "OCI runtimes have no networks. The caller of the runtime connects the container.",
    "service.scale": "OCI runtimes have only containers. Create more of them with the program that calls the runtime.",
    "unit.*": "Only Podman has systemd units of containers.",
    "volume.*": "OCI runtimes have no volumes. To see the mounts of a container: inspect NAME.",
    **dict.fromkeys(("namespace.*", "pod.*", "project.*", "secret.*", "service.*"), _ONLY_CONTAINERS),
    **dict.fromkeys(("config.*", "node.*", "stack.*", "swarm.*", "task.*"), _SWARM),
}
