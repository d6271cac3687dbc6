"""Maps the commands of docker, podman, crictl and other programs to Quarterdeck's commands, and gives an alternative
for those that do not exist here.

A line of such a program begins with its name. The next one or two words are looked up in the tables of this module. A
phrase that is in no table has the same name here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from bot.parsing import unsupported_commands
from core.lazy_dataclass import dataclass

# What people type before a command out of habit. It is removed.
PREFIXES = frozenset({"/deck", "/quarterdeck", "deck", "quarterdeck", "sudo", "$"})

# A noun and a verb that have one word here, or another noun.
NOUN_VERBS: Mapping[str, str] = {
    "container list": "ps",
    "container ps": "ps",
    "container remove": "rm",
    "image list": "images",
    "image rm": "rmi",
    "image remove": "rmi",
    "image pull": "pull",
    "image push": "push",
    "image tag": "tag",
    "image build": "build",
    "manifest inspect": "image remote",
    "imagetools inspect": "image remote",
    "network list": "network ls",
    "network remove": "network rm",
    "volume list": "volume ls",
    "volume remove": "volume rm",
    "pod list": "pods",
    "pod ps": "pods",
    "service list": "services",
    "service remove": "service rm",
    "service scale": "scale",
    "node list": "nodes",
    "stack list": "stack ls",
    "secret list": "secret ls",
    "config list": "config ls",
    "system df": "df",
    "system info": "info",
    "system events": "events",
    "quadlet install": "unit install",
    "quadlet print": "unit cat",
    "compose ls": "project ls",
    "compose ps": "ps",
    "compose logs": "logs",
    "compose top": "top",
    "compose images": "images",
    "compose start": "start",
    "compose stop": "stop",
    "compose restart": "restart",
    "compose pause": "pause",
    "compose unpause": "unpause",
    "compose kill": "kill",
    "compose rm": "rm",
    "compose scale": "scale",
    "compose events": "events",
    "compose port": "port",
    "compose exec": "exec",
    "compose cp": "cp",
    "compose commit": "commit",
    "compose export": "export",
}
# The kind of the engine that lists the containers of a containerd namespace.
NAMESPACE_ENGINES = {"k8s.io": "cri", "moby": "docker"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignProgram:
    """One program. `commands`: its own names, as ours. `engine`: the kind of the engines that it knows, to which a
    command with `--engine` is limited; empty for all. `globals`: its options before the command, each with a sentence
    that says what to write instead. `namespace`: its option for a containerd namespace. `ignored`: options that change
    nothing here. `alone`: what its nouns list if nothing follows them. `transports`: what may stand before an image's
    name."""

    commands: Mapping[str, str] = field(default_factory=dict)
    engine: str = ""
    globals: Mapping[str, str] = field(default_factory=dict)
    namespace: tuple[str, ...] = ()
    ignored: frozenset[str] = frozenset()
    alone: Mapping[str, str] = field(default_factory=dict)
    transports: tuple[str, ...] = ()


_ADDRESS = (
    "Quarterdeck chooses engines by name: write --engine NAME or --host NAME after the command. List the engines with:"
    " engines"
)
_DOCKER_GLOBALS = {
    **dict.fromkeys(("-H", "--host", "-c", "--context", "--connection", "--url", "--remote", "-r"), _ADDRESS),
    "--config": "Leave the option out: Quarterdeck has its own configuration.",
    "--log-level": "Leave the option out: it changes only what the program prints about itself.",
    "-l": "Leave the option out: it changes only what the program prints about itself.",
    "-D": "Leave the option out: it changes only what the program prints about itself.",
    "--debug": "Leave the option out: it changes only what the program prints about itself.",
    **dict.fromkeys(
        ("-f", "--file", "-p", "--project-name", "--project-directory"),
        "A project is found by its name: write it as the target, such as ps shop or restart shop/web.",
    ),
}
_CRICTL = {
    "images": "images",
    "image": "images",
    "img": "images",
    "inspecti": "image inspect",
    "inspectp": "pod inspect",
    "pods": "pods",
    "statsp": "stats",
    "imagefsinfo": "df",
    "rmp": "pod rm",
    "stopp": "pod stop",
    "runp": "pod create",
    "runtime-config": "info",
}
_CTR = {
    **dict.fromkeys(("c ls", "c list", "containers ls", "containers list", "container ls", "container list"), "ps -a"),
    **dict.fromkeys(("t ls", "t list", "tasks ls", "tasks list", "task ls", "task list"), "ps"),
    **dict.fromkeys(("i ls", "i list", "images ls", "images list", "image ls", "image list"), "images"),
    **dict.fromkeys(("ns ls", "ns list", "namespaces ls", "namespace ls", "namespaces list"), "namespaces"),
    **dict.fromkeys(("c info", "containers info", "container info"), "inspect"),
    **dict.fromkeys(("c rm", "c delete", "containers rm", "containers delete", "container rm"), "rm"),
    **dict.fromkeys(("i pull", "images pull", "image pull"), "pull"),
    **dict.fromkeys(("i rm", "images rm", "image rm"), "rmi"),
    **dict.fromkeys(("i tag", "images tag", "image tag"), "tag"),
    **dict.fromkeys(("i push", "images push", "image push"), "push"),
    **dict.fromkeys(("plugins ls", "plugin ls"), "info"),
    **{
        f"{noun} {verb}": ours
        for noun in ("t", "task", "tasks")
        for verb, ours in {
            "kill": "kill",
            "start": "start",
            "pause": "pause",
            "resume": "unpause",
            "exec": "exec",
            "ps": "top",
            "metrics": "stats",
            "rm": "rm",
            "delete": "rm",
        }.items()
    },
}
_CTR_ALONE = {
    **dict.fromkeys(("c", "container", "containers"), "ps -a"),
    **dict.fromkeys(("t", "task", "tasks"), "ps"),
    **dict.fromkeys(("i", "image", "images"), "images"),
    **dict.fromkeys(("ns", "namespace", "namespaces"), "namespaces"),
}
_OCI = {
    "list": "ps -a",
    "state": "inspect",
    "ps": "top",
    "resume": "unpause",
    "delete": "rm",
}
_SYSTEMCTL = {
    "status": "unit status",
    "cat": "unit cat",
    "show": "unit status",
    "is-active": "unit status",
    "is-enabled": "unit status",
    "list-units": "units",
    "list-unit-files": "units",
    "start": "unit start",
    "stop": "unit stop",
    "restart": "unit restart",
    "enable": "unit enable",
    "disable": "unit disable",
}
# Ours, and those that docker compose has and Quarterdeck refuses.
_COMPOSE = {
    name.removeprefix("compose "): ours
    for name, ours in (*NOUN_VERBS.items(), *((name, name) for name in unsupported_commands.MISSING))
    if name.startswith("compose ")
}
_NO_PAGER = frozenset({"--user", "--system", "--no-pager"})

FOREIGN_PROGRAMS: Mapping[str, ForeignProgram] = {
    # People say docker for every engine, and a Swarm is an engine of its own here.
    "docker": ForeignProgram(globals=_DOCKER_GLOBALS),
    "docker-compose": ForeignProgram(commands=_COMPOSE, globals=_DOCKER_GLOBALS),
    "podman": ForeignProgram(engine="podman", globals=_DOCKER_GLOBALS),
    "podman-compose": ForeignProgram(commands=_COMPOSE, engine="podman", globals=_DOCKER_GLOBALS),
    "nerdctl": ForeignProgram(
        commands={"namespace ls": "namespaces"},
        engine="containerd",
        globals={"-a": _ADDRESS, "--address": _ADDRESS},
        namespace=("-n", "--namespace"),
    ),
    "ctr": ForeignProgram(
        commands=_CTR,
        alone=_CTR_ALONE,
        engine="containerd",
        globals={"-a": _ADDRESS, "--address": _ADDRESS},
        namespace=("-n", "--namespace"),
    ),
    "crictl": ForeignProgram(
        commands=_CRICTL,
        engine="cri",
        globals=dict.fromkeys(("-r", "--runtime-endpoint", "-i", "--image-endpoint", "-c", "--config"), _ADDRESS),
    ),
    "runc": ForeignProgram(commands=_OCI, engine="oci", globals={"--root": _ADDRESS}),
    "crun": ForeignProgram(commands=_OCI, engine="oci", globals={"--root": _ADDRESS}),
    "skopeo": ForeignProgram(
        commands={
            "inspect": "image remote",
            "list-tags": "image remote",
            **{verb: f"skopeo {verb}" for verb in ("copy", "delete", "sync", "login", "logout")},
        },
        transports=("docker://", "containers-storage:", "docker-daemon:"),
    ),
    "systemctl": ForeignProgram(commands=_SYSTEMCTL, ignored=_NO_PAGER),
    "loginctl": ForeignProgram(
        commands={
            "enable-linger": "linger enable",
            "disable-linger": "linger disable",
            "show-user": "linger show",
        },
        engine="podman",
    ),
}
