"""Lists commands of other programs that Quarterdeck does not have, each with the reason and the alternative.

A command that Quarterdeck has is never looked up here, so an entry has no effect once the command exists.
"""

from __future__ import annotations

from collections.abc import Mapping

_HOST = "on the engine's own host"
_NO_TERMINAL = "Chat has no terminal"
_IMAGES = "Quarterdeck moves images only through registries"
_BUILDS = "Quarterdeck does not build images, because a build runs its own code on the host"
_LOGIN = "Quarterdeck has no logins of its own: it uses those of the engine's host"
_SWARM = "Quarterdeck starts a Swarm and shows its join tokens, but does not change who belongs to it"
_SECRETS = "Quarterdeck lists secrets and configs, but does not change them"
_STACKS = "Quarterdeck does not deploy stacks, because a stack file can reach the host"
_KUBE = "Quarterdeck does not run Kubernetes files, because they can reach the host"
_COMPOSE = "Quarterdeck has no Compose files: they are on the host"
_FILES = "Quarterdeck is not a shell on the host"

# By the name of the command: why it is missing, and what helps, as one imperative sentence.
MISSING: Mapping[str, tuple[str, str]] = {
    "attach": (_NO_TERMINAL, "Follow the output with: logs -f NAME."),
    **dict.fromkeys(
        ("build", "buildx", "builder", "buildx build"), (_BUILDS, "Build the image elsewhere, then give: pull IMAGE.")
    ),
    "compose build": (_BUILDS, "Build the image elsewhere, then give: pull IMAGE."),
    **dict.fromkeys(("save", "load", "import"), (_IMAGES, "Push the image to a registry, then give: pull IMAGE.")),
    **dict.fromkeys(
        ("image save", "image load", "image import"), (_IMAGES, "Push the image to a registry, then give: pull NAME.")
    ),
    **dict.fromkeys(("login", "logout"), (_LOGIN, f"Use `docker login` or `podman login` {_HOST}.")),
    **dict.fromkeys(
        (f"stack {verb}" for verb in ("deploy", "up", "rm", "down", "remove", "config")),
        (_STACKS, "Use `docker stack` on a manager. List the services of a stack with: stack services NAME."),
    ),
    **dict.fromkeys(
        (f"{noun} {verb}" for noun in ("secret", "config") for verb in ("create", "rm", "inspect")),
        (_SECRETS, "Use `docker secret` and `docker config` on a manager. List them with `secret ls` and `config ls`."),
    ),
    **dict.fromkeys(
        (f"swarm {verb}" for verb in ("join", "leave", "update", "unlock", "unlock-key", "ca")),
        (_SWARM, f"Use `docker swarm` {_HOST}. See the state of the Swarm with: swarm info."),
    ),
    "node update": ("Quarterdeck changes only whether a node gets tasks", "Use `drain NODE` or `activate NODE`."),
    **dict.fromkeys(
        (f"node {verb}" for verb in ("promote", "demote", "rm")),
        (_SWARM, "Use `docker node` on a manager. List the nodes with: nodes."),
    ),
    "pod kill": (
        "Quarterdeck sends signals to containers, not to pods",
        "Stop the pod with `pod stop NAME -t 0`, or name its containers: kill NAME.",
    ),
    "pod prune": (
        "Quarterdeck does not prune pods, because a pod is started again as a whole",
        "List the pods with `pods`, and remove a pod with: pod rm NAME.",
    ),
    **dict.fromkeys(
        ("pod top", "pod stats"),
        (
            "Quarterdeck shows processes and usage for containers, not for pods",
            "Name the containers of the pod: `top NAME` or `stats 'shop-*'`.",
        ),
    ),
    **dict.fromkeys(
        (
            *("compose up", "compose down", "compose create", "compose run", "compose config", "compose watch"),
            *("compose pull", "compose push", "compose attach", "compose wait", "compose convert", "compose version"),
        ),
        (
            _COMPOSE,
            "Use `docker compose` there. List the containers of a project with `ps PROJECT`, and restart them with:"
            " restart PROJECT.",
        ),
    ),
    "compose": (
        "Quarterdeck finds a project by its name",
        "Name the project as the target: `ps shop` or `restart shop/web`.",
    ),
    **dict.fromkeys(
        ("context ls", "context use", "context", "machine", "system connection"),
        (
            "Quarterdeck reaches all its engines at once",
            "List the engines with `engines`, and choose one with --engine or --host.",
        ),
    ),
    **dict.fromkeys(
        ("plugin", "plugin ls", "plugins", "trust", "checkpoint", "restore", "manifest", "snapshots", "content"),
        ("Quarterdeck does not have this command", f"Use the engine's own program {_HOST}."),
    ),
    **dict.fromkeys(("play kube", "kube play", "kube down", "kube generate"), (_KUBE, f"Use `podman kube` {_HOST}.")),
    "generate kube": (_KUBE, "See the containers of a pod with: pod inspect NAME."),
    "healthcheck run": ("Quarterdeck itself does not run health checks", "See the last result with: inspect NAME."),
    "auto-update": (
        "Quarterdeck does not replace images yet",
        "Use `pull IMAGE`, then give: unit restart NAME.",
    ),
    "unshare": (_FILES, f"Use `podman unshare` {_HOST}."),
    **dict.fromkeys(
        ("mask", "unmask"),
        (
            "Quarterdeck does not mask units, because nothing can start a masked unit",
            "Stop systemd from starting the unit at boot: unit disable NAME.",
        ),
    ),
    "cat": (_FILES, "Show the files of a unit with: unit cat NAME."),
    **{f"skopeo {verb}": (_IMAGES, f"Use `skopeo {verb}` {_HOST} or in CI.") for verb in ("copy", "sync")},
    "skopeo delete": ("Quarterdeck removes nothing from a registry", f"Use `skopeo delete` {_HOST} or in CI."),
    **{f"skopeo {verb}": (_LOGIN, f"Use `skopeo {verb}` {_HOST}.") for verb in ("login", "logout")},
    "port-forward": (_NO_TERMINAL, "See the published ports of a container with: port NAME."),
    "spec": (_FILES, "See the specification of a container with: inspect NAME --raw."),
}

# Other programs that people type by mistake.
PROGRAMS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("less", "more", "vi", "vim", "nano"),
        (_FILES, "Show the files of a unit with `unit cat NAME`, and those for a new unit with: units --draft NAME."),
    ),
    **dict.fromkeys(
        ("mkdir", "cd", "rmdir", "mv", "chmod", "chown", "touch", "tee"),
        (_FILES, "To run a container as a service, with the folders and files that it needs: unit install NAME."),
    ),
    "grep": (_FILES, "Lists take names and patterns instead: ps 'web-*', logs web --since 10m."),
    "tail": (_FILES, "Show the last lines of a log with: logs NAME --tail 50."),
    "journalctl": (_FILES, "Show the last lines of a log with: logs NAME --tail 50."),
    "kubectl": (
        "Quarterdeck uses the engines of the nodes, not the Kubernetes API",
        "See the pods of a node with: pods, ps, logs.",
    ),
    "helm": ("Quarterdeck does not use the Kubernetes API", "See the pods of a node with: pods."),
    **dict.fromkeys(("bash", "sh", "ssh", "zsh", "curl", "apt", "yum"), (_FILES, "List the commands with: help.")),
}
