"""Writes the options of a container into a Quadlet file, with one function for each group of options.

An option is written as a Quadlet key if the installed Podman supports such a key. Otherwise it is written as an
argument of Podman's command line.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Mapping, Sequence

from runtimes.podman import inspect_models
from runtimes.podman.inspect_models import InspectedContainer, InspectedImage
from runtimes.podman.quadlet_quoting import ContainerSection

DEFAULT_NETWORKS = ("", "default", "bridge", "private", "slirp4netns", "pasta")
_OWN_TMPFS = ("/run", "/tmp", "/var/tmp")  # noqa: S108 (Podman adds them to a read-only container)


def add_process_options(section: ContainerSection, container: InspectedContainer, image: InspectedImage) -> None:
    """Adds the user, working directory, host name, terminal, stop signal and log driver."""
    config, host = container.config, container.host_config
    if config.user and config.user != image.config.user:
        # Quadlet has another key for the group.
        if ":" in config.user:
            section.add_argument("--user", config.user)
        else:
            section.add("User", config.user, "--user")
    if config.working_dir not in ("", image.config.working_dir or "/"):
        section.add("WorkingDir", config.working_dir, "--workdir", since=(4, 6))
    shares = host.uts_mode == "host" or host.network_mode == "host"
    if config.hostname and not container.id.startswith(config.hostname) and not shares:
        section.add("HostName", config.hostname, "--hostname", since=(4, 6))
    if config.timezone:
        section.add("Timezone", config.timezone, "--tz")
    if config.tty:
        section.add_argument("--tty")
    if config.open_stdin:
        section.add_argument("--interactive")
    if host.init:
        section.lines.append("RunInit=true")
    if str(config.stop_signal) not in ("15", "SIGTERM", "TERM", "", "0"):
        section.add_argument("--stop-signal", str(config.stop_signal))
    if config.stop_timeout != inspect_models.DEFAULT_STOP_TIMEOUT:
        section.add_argument("--stop-timeout", str(config.stop_timeout))
    if host.log_config.type == "none":
        section.add_argument("--log-driver", "none")


def add_network_options(section: ContainerSection, container: InspectedContainer, pod: str) -> list[str]:
    """Adds the networks, ports and DNS options, or the pod. Returns notes about dependencies of the unit."""
    if pod:
        section.add_argument("--pod", pod)
        return [f"Its pod {pod} has to exist; the unit does not create it."]
    host = container.host_config
    mode = host.network_mode
    if mode not in DEFAULT_NETWORKS:
        section.add("Network", mode, "--network")
    elif mode in ("bridge", ""):
        _joined_networks(section, container)
    if host.publish_all_ports:
        section.add_argument("--publish-all")
    else:
        _ports(section, host.port_bindings or {})
    names = (("--dns", host.dns), ("--dns-option", host.dns_options), ("--dns-search", host.dns_search))
    for flag, values in (*names, ("--add-host", host.extra_hosts)):
        for value in values or ():
            section.add_argument(flag, value)
    if mode.startswith("container:"):
        return [
            "The unit uses the network of another container by id. The id changes if that container is created again."
        ]
    return []


def _joined_networks(section: ContainerSection, container: InspectedContainer) -> None:
    joined = container.network_settings.networks or {}
    for name in sorted(joined) if list(joined) != ["podman"] else ():
        section.add("Network", name, "--network")
    aliases = {alias for network in joined.values() if network for alias in network.aliases or ()}
    for alias in sorted(aliases):
        if alias and not container.id.startswith(alias) and alias != container.name:
            section.add_argument("--network-alias", alias)


def _ports(section: ContainerSection, ports: Mapping[str, Sequence[inspect_models.Binding] | None]) -> None:
    for inside, bindings in sorted(ports.items()):
        for binding in bindings or ():
            ip = f"[{binding.host_ip}]" if ":" in binding.host_ip else binding.host_ip
            outside = f"{ip}:{binding.host_port}:" if ip else f"{binding.host_port}:" if binding.host_port else ""
            section.add("PublishPort", f"{outside}{inside.removesuffix('/tcp')}", "--publish")


def add_mount_options(section: ContainerSection, container: InspectedContainer) -> None:
    """Adds the volumes, bind mounts, tmpfs mounts and devices."""
    for mount in container.mounts or ():
        source = mount.name if mount.type == "volume" else mount.source
        if mount.type not in ("volume", "bind") or not source:
            continue
        options = [mount.mode] if mount.mode in ("z", "Z") else []
        options += [] if mount.rw else ["ro"]
        if mount.type == "bind" and mount.propagation not in ("", "rprivate"):
            options.append(mount.propagation)
        if ":" in source or ":" in mount.destination:
            parts = [f"type={mount.type}", f"source={source}", f"destination={mount.destination}"]
            section.add_argument("--mount", _comma_separated([*parts, *([] if mount.rw else ["readonly"])]))
        else:
            section.add(
                "Volume", ":".join([source, mount.destination, *([",".join(options)] if options else [])]), "--volume"
            )
    host = container.host_config
    for path, options_text in sorted((host.tmpfs or {}).items()):
        if not (host.readonly_rootfs and path in _OWN_TMPFS and "size=" not in options_text):
            section.add("Tmpfs", f"{path}:{options_text}" if options_text else path, "--tmpfs", since=(4, 5))
    if host.readonly_rootfs:
        section.lines.append("ReadOnly=true")
    for device in host.devices or () if not host.privileged else ():
        permissions = f":{device.cgroup_permissions}" if device.cgroup_permissions else ""
        section.add_argument("--device", f"{device.on_host}:{device.inside}{permissions}")


def _comma_separated(parts: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(parts)
    return line.getvalue()


def add_security_options(section: ContainerSection, container: InspectedContainer) -> None:
    """Adds the capabilities, groups, namespaces and security options."""
    host = container.host_config
    if host.privileged:
        section.add_argument("--privileged")
    else:
        for name in host.cap_drop or ():
            section.add("DropCapability", name, "--cap-drop")
        for name in host.cap_add or ():
            section.add("AddCapability", name, "--cap-add")
    for option in host.security_opt or ():
        section.add_argument("--security-opt", option)
    for group in host.group_add or ():
        section.add_argument("--group-add", group)
    for flag, mode in (("--pid", host.pid_mode), ("--ipc", host.ipc_mode), ("--uts", host.uts_mode)):
        if mode == "host" or mode.startswith(("container:", "ns:")):
            section.add_argument(flag, mode)
    if host.userns_mode not in ("", "private", "host"):
        section.add_argument("--userns", host.userns_mode)


def add_resource_limits(section: ContainerSection, container: InspectedContainer) -> None:
    """Adds the limits of memory, CPU and processes, and the ulimits."""
    host = container.host_config
    swap = host.memory_swap if host.memory and host.memory_swap != 2 * host.memory else 0
    numbers = {
        "--memory": host.memory,
        "--memory-reservation": host.memory_reservation,
        "--memory-swap": swap,
        "--cpu-shares": host.cpu_shares,
        "--cpu-quota": host.cpu_quota,
        "--cpu-period": host.cpu_period if host.cpu_quota else 0,
        "--oom-score-adj": host.oom_score_adj,
        "--pids-limit": 0 if host.pids_limit == inspect_models.DEFAULT_PIDS else host.pids_limit,
        "--shm-size": 0 if host.shm_size == inspect_models.DEFAULT_SHM else host.shm_size,
    }
    for flag, number in numbers.items():
        if number:
            section.add_argument(flag, str(number))
    for flag, text in (("--cpuset-cpus", host.cpuset_cpus), ("--cpuset-mems", host.cpuset_mems)):
        if text:
            section.add_argument(flag, text)
    explicit = "--ulimit" in given_options(container)
    for limit in host.ulimits or ():
        name = limit.name.removeprefix("RLIMIT_").lower()
        # Podman copies these two from its caller. The unit's own may be lower, and the container would not start.
        if explicit or name not in ("nofile", "nproc"):
            section.add_argument("--ulimit", f"{name}={limit.soft}:{limit.hard}")


def add_secrets(section: ContainerSection, container: InspectedContainer) -> list[str]:
    """Adds the secrets. Returns notes, because only the command line that created the container shows which secrets are
    environment variables."""
    command = container.config.create_command or ()
    given = [value for argument, value in itertools.pairwise(command) if argument == "--secret"]
    given += [argument.removeprefix("--secret=") for argument in command if argument.startswith("--secret=")]
    for value in given or [secret.name for secret in container.config.secrets or ()]:
        section.add_argument("--secret", value)
    if command:
        return []
    return ["Secrets in its environment variables, if any, are not copied, because Podman does not list them."]


def given_options(container: InspectedContainer) -> set[str]:
    """Returns the names of the long options with which the container was created."""
    found = set()
    for argument in container.config.create_command or ():
        if argument == container.image_name:
            break
        if (match := re.match(r"--[a-z][a-z-]*", argument)) is not None:
            found.add(match.group())
    return found
