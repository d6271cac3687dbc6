"""Plans `run` and `create`: converts the words of a command line into one request for a new container.

The words mean the same as for `docker run`. Some need a terminal or the user's own machine, such as a relative path or
a variable without a value. They are refused, and the error names the alternative. Names of other containers are looked
up, so that only containers that the requester may list can be linked or joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from commands._shared import container_limits, new_resources, service_values, targets
from commands.spec import ONE_ENGINE, ONE_HOST, Arg, ArgType, Context, timeout_option
from core import errors
from core.model import image_names
from core.model.actions import Action
from core.model.create_container import PULL_POLICIES, CreateContainer, Link
from core.model.host_access import HostAccess, MountPoint, Namespace
from core.model.refs import EngineRef, Kind, Ref
from core.ports import Query
from core.text import command_line

DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS = 600, 1_800
_CONTAINER = "container:"
_KINDS = {"pid": "process ID", "ipc": "IPC", "uts": "host name", "userns": "user", "cgroupns": "cgroup"}
_OF_HOST_ONLY = ("uts", "userns", "cgroupns")  # the namespaces that no container shares with another one

ARGS = (
    Arg(name="image", required=True, help="repository, repository:tag (default tag: latest) or repository@digest"),
    Arg(name="command", remainder=True, help="program to run instead of the image's own, with its arguments"),
    Arg(name="--name", help="name of the container (default: the engine chooses one)"),
    Arg(name="--publish", short="p", many=True, placeholder="[IP:][PORT:]PORT", help="publish a port on the host"),
    Arg(name="--env", short="e", many=True, placeholder="NAME=VALUE", help="set an environment variable"),
    Arg(
        name="--volume",
        short="v",
        many=True,
        placeholder="[SOURCE:]PATH[:ro]",
        help="mount a volume; a path of the host needs the permission host.reach",
    ),
    Arg(name="--label", short="l", many=True, placeholder="NAME=VALUE", help="set a label"),
    Arg(
        name="--network",
        hidden_names=("--net",),
        help="network of the container; none: no network; host: needs the permission host.reach; container:CONTAINER:"
        " needs the permissions host.reach and container.exec",
    ),
    Arg(
        name="--pod",
        placeholder="POD",
        help="put the container into this pod (Podman only); needs the permissions pod.join and host.reach",
    ),
    Arg(
        name="--link",
        many=True,
        placeholder="CONTAINER[:ALIAS]",
        help="let the container reach CONTAINER by its name or by ALIAS (Docker only); needs the permission"
        " container.inspect",
    ),
    Arg(
        name="--restart",
        placeholder="POLICY",
        help="when the engine starts the container again: no, always, unless-stopped or on-failure[:TIMES] (default"
        " no)",
    ),
    Arg(name="--memory", short="m", placeholder="SIZE", help="memory limit, such as 512m"),
    Arg(name="--cpus", placeholder="NUMBER", help="CPU limit, such as 1.5"),
    Arg(name="--user", short="u", placeholder="USER[:GROUP]", help="run as this user of the container"),
    Arg(name="--workdir", short="w", placeholder="PATH", help="directory that the program starts in"),
    Arg(name="--entrypoint", placeholder="PROGRAM", help="program to run instead of the image's entrypoint"),
    Arg(
        name="--health-cmd",
        placeholder="CHECK",
        help="command line of the health check, such as 'curl -f http://localhost'",
    ),
    Arg(name="--rm", type=ArgType.FLAG, help="remove the container when it ends"),
    Arg(
        name="--pull",
        placeholder="WHEN",
        choices=PULL_POLICIES,
        default="missing",
        help="missing: pull the image only if the engine does not have it; always: pull it in any case; never: do not"
        " pull it",
    ),
    Arg(
        name="--privileged",
        type=ArgType.FLAG,
        help="give the container all rights on the host; needs the permission host.reach",
    ),
    Arg(
        name="--cap-add",
        many=True,
        placeholder="CAPABILITY",
        help="add a capability, such as NET_ADMIN; needs the permission host.reach",
    ),
    Arg(
        name="--device",
        many=True,
        placeholder="DEVICE",
        help="use a device of the host, such as /dev/fuse; needs the permission host.reach",
    ),
    Arg(
        name="--security-opt",
        many=True,
        placeholder="OPTION",
        help="change a security setting, such as no-new-privileges; needs the permission host.reach",
    ),
    Arg(
        name="--volumes-from",
        many=True,
        placeholder="CONTAINER",
        help="mount the volumes of another container; needs the permissions host.reach and container.exec",
    ),
    *(
        Arg(
            name=f"--{kind}",
            placeholder="host" if kind in _OF_HOST_ONLY else "host|container:CONTAINER",
            help=f"share the {what} namespace of the host; needs the permission host.reach"
            if kind in _OF_HOST_ONLY
            else f"share the {what} namespace of the host or of another container; needs the permission host.reach, and"
            " container.exec for another container",
        )
        for kind, what in _KINDS.items()
    ),
    timeout_option(DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS, "longest time for the pull"),
    ONE_HOST,
    ONE_ENGINE,
)


async def plan_creation(context: Context, *, start: bool) -> Sequence[Action[Any]]:
    """Returns the one action. Raises BadUsage, and the errors of the names that are looked up."""
    args = context.args
    engine = new_resources.choose_engine(context, CreateContainer.verb, "create containers")
    pod = await _pod(context, engine)
    network, namespaces = await _network(context, engine)
    for kind in _KINDS:
        if value := args[kind]:
            namespaces.append(await _namespace(context, engine, kind, value))
    links = [await _link(context, engine, text) for text in args["link"]]
    access = HostAccess(
        mounts=tuple(map(_mount, args["volume"])),
        namespaces=tuple(namespaces),
        volumes_from=tuple([await _container(context, engine, name) for name in args["volumes_from"]]),
        devices=args["device"],
        capabilities=args["cap_add"],
        security_options=args["security_opt"],
        privileged=args["privileged"],
        pod=pod,
    )
    if args["rm"] and args["restart"] not in (None, "no"):
        raise errors.BadUsage("--rm and --restart cannot be combined.", hint="Leave one of them out.")
    return [
        CreateContainer(
            engine=engine,
            image=image_names.with_default_tag(args["image"]),
            name=args["name"] or "",
            command=args["command"],
            entrypoint=(args["entrypoint"],) if args["entrypoint"] else (),
            environment=tuple(service_values.parse_pair("--env", text) for text in args["env"]),
            labels=new_resources.labels(args["label"]),
            ports=args["publish"],
            network=network,
            links=tuple(links),
            restart=args["restart"] or "",
            memory=container_limits.parse_memory(args["memory"]),
            cpus=container_limits.cpus(args["cpus"]),
            user=args["user"] or "",
            workdir=args["workdir"] or "",
            health=args["health_cmd"] or "",
            remove=args["rm"],
            pull=args["pull"],
            access=access,
            start=start,
            timeout=args["timeout"],
        )
    ]


async def _network(context: Context, engine: EngineRef) -> tuple[str, list[Namespace]]:
    """Returns the name of the network, or the namespace that is shared instead of one."""
    name = context.args["network"] or ""
    if name == "host" or name.startswith(_CONTAINER):
        return "", [await _namespace(context, engine, "network", name)]
    if ":" in name:
        raise errors.BadUsage(
            f"--network cannot be “{command_line.abbreviate(name)}”.",
            hint="Write the name of a network, none, host or container:NAME.",
        )
    return name, []


async def _pod(context: Context, engine: EngineRef) -> Ref | None:
    args, name = context.args, context.args["pod"]
    if not name:
        return None
    if engine.kind != "podman":
        raise errors.BadUsage(
            f"--pod cannot be used on {engine}: only Podman has pods.",
            hint="Choose a Podman engine with --engine, or put the containers into one network with --network NAME.",
        )
    if args["publish"] or args["network"]:
        option = "--publish" if args["publish"] else "--network"
        raise errors.BadUsage(
            f"--pod and {option} cannot be combined: a pod has one network for all its containers.",
            hint=f"Give {option} when you create the pod: pod create NAME {option} VALUE",
        )
    found = await context.find.find(Query(names=(name,), engine=str(engine), kind=Kind.POD))
    if len(found) != 1:
        raise errors.Ambiguous(name, targets.display_names(found))
    return found[0]


async def _namespace(context: Context, engine: EngineRef, kind: str, value: str) -> Namespace:
    if value == "host":
        return Namespace(kind=kind)
    name = value.removeprefix(_CONTAINER)
    if name == value or not name or kind in _OF_HOST_ONLY:
        hint = "Write host." if kind in _OF_HOST_ONLY else "Write host or container:NAME."
        raise errors.BadUsage(f"--{kind} cannot be “{command_line.abbreviate(value)}”.", hint=hint)
    return Namespace(kind=kind, container=await _container(context, engine, name))


async def _link(context: Context, engine: EngineRef, text: str) -> Link:
    name, _, alias = text.partition(":")
    if not name:
        raise errors.BadUsage(
            f"--link “{command_line.abbreviate(text)}” names no container.", hint="Write --link CONTAINER:ALIAS."
        )
    return Link(target=await _container(context, engine, name), alias=alias or name)


async def _container(context: Context, engine: EngineRef, name: str) -> Ref:
    """Returns one container of this engine. Raises NotFound and Ambiguous."""
    found = await context.find.find(Query(names=(name,), engine=str(engine), kind=Kind.CONTAINER))
    if len(found) != 1:
        raise errors.Ambiguous(name, targets.display_names(found))
    return found[0]


def _mount(text: str) -> MountPoint:
    """`PATH`, `SOURCE:PATH` or `SOURCE:PATH:ro`."""
    parts = text.split(":")
    options = parts[2].split(",") if len(parts) == 3 else []
    source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
    if len(parts) > 3 or not target.startswith("/") or not set(options) <= {"ro", "rw", "z", "Z"}:
        raise errors.BadUsage(
            f"--volume cannot be “{command_line.abbreviate(text)}”.",
            hint="Write VOLUME:/PATH, /HOST_PATH:/PATH or only /PATH. Add :ro to forbid writing.",
        )
    if source.startswith((".", "~")) or (len(parts) > 1 and not source) or ("/" in source and source[0] != "/"):
        raise errors.BadUsage(
            f"“{command_line.abbreviate(source)}” in --volume “{command_line.abbreviate(text)}” is neither an absolute"
            " path nor the name of a volume.",
            hint="Write the whole path on the engine's host, or the name of a volume.",
        )
    return MountPoint(target=target, source=source, read_only="ro" in options)
