"""The options of a container as keys and arguments of a Quadlet file, subject by subject; pure.

Keys where Quadlet has one that the Podman at hand knows, else arguments as on Podman's own command line.
"""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Mapping, Sequence

from runtimes.podman import container_spec
from runtimes.podman.container_spec import Container, Image
from runtimes.podman.quadlet_syntax import Lines

DEFAULT_NETWORKS = ("", "default", "bridge", "private", "slirp4netns", "pasta")
_OWN_TMPFS = ("/run", "/tmp", "/var/tmp")  # noqa: S108 (Podman's own in a container that is read only)


def place(lines: Lines, container: Container, image: Image) -> None:
    config, host = container.config, container.host_config
    if config.user and config.user != image.config.user:
        # Quadlet has another key for the group.
        if ":" in config.user:
            lines.argument("--user", config.user)
        else:
            lines.put("User", config.user, "--user")
    if config.working_dir not in ("", image.config.working_dir or "/"):
        lines.put("WorkingDir", config.working_dir, "--workdir", since=(4, 6))
    shares = host.uts_mode == "host" or host.network_mode == "host"
    if config.hostname and not container.id.startswith(config.hostname) and not shares:
        lines.put("HostName", config.hostname, "--hostname", since=(4, 6))
    if config.timezone:
        lines.put("Timezone", config.timezone, "--tz")
    if config.tty:
        lines.argument("--tty")
    if config.open_stdin:
        lines.argument("--interactive")
    if host.init:
        lines.lines.append("RunInit=true")
    if str(config.stop_signal) not in ("15", "SIGTERM", "TERM", "", "0"):
        lines.argument("--stop-signal", str(config.stop_signal))
    if config.stop_timeout != container_spec.DEFAULT_STOP_TIMEOUT:
        lines.argument("--stop-timeout", str(config.stop_timeout))
    if host.log_config.type == "none":
        lines.argument("--log-driver", "none")


def networks(lines: Lines, container: Container, pod: str) -> list[str]:
    """Notes on what another one has to be there for."""
    if pod:
        lines.argument("--pod", pod)
        return [f"Its pod {pod} has to be there; the unit does not make it."]
    host = container.host_config
    mode = host.network_mode
    if mode not in DEFAULT_NETWORKS:
        lines.put("Network", mode, "--network")
    elif mode in ("bridge", ""):
        _joined(lines, container)
    if host.publish_all_ports:
        lines.argument("--publish-all")
    else:
        _ports(lines, host.port_bindings or {})
    names = (("--dns", host.dns), ("--dns-option", host.dns_options), ("--dns-search", host.dns_search))
    for flag, values in (*names, ("--add-host", host.extra_hosts)):
        for value in values or ():
            lines.argument(flag, value)
    if mode.startswith("container:"):
        return ["It shares the network of another container by its id, which changes when that one is made anew."]
    return []


def _joined(lines: Lines, container: Container) -> None:
    joined = container.network_settings.networks or {}
    for name in sorted(joined) if list(joined) != ["podman"] else ():
        lines.put("Network", name, "--network")
    aliases = {alias for network in joined.values() if network for alias in network.aliases or ()}
    for alias in sorted(aliases):
        if alias and not container.id.startswith(alias) and alias != container.name:
            lines.argument("--network-alias", alias)


def _ports(lines: Lines, ports: Mapping[str, Sequence[container_spec.Binding] | None]) -> None:
    for inside, bindings in sorted(ports.items()):
        for binding in bindings or ():
            ip = f"[{binding.host_ip}]" if ":" in binding.host_ip else binding.host_ip
            outside = f"{ip}:{binding.host_port}:" if ip else f"{binding.host_port}:" if binding.host_port else ""
            lines.put("PublishPort", f"{outside}{inside.removesuffix('/tcp')}", "--publish")


def volumes(lines: Lines, container: Container) -> None:
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
            lines.argument("--mount", _comma_separated([*parts, *([] if mount.rw else ["readonly"])]))
        else:
            lines.put(
                "Volume", ":".join([source, mount.destination, *([",".join(options)] if options else [])]), "--volume"
            )
    host = container.host_config
    for path, how in sorted((host.tmpfs or {}).items()):
        if not (host.readonly_rootfs and path in _OWN_TMPFS and "size=" not in how):
            lines.put("Tmpfs", f"{path}:{how}" if how else path, "--tmpfs", since=(4, 5))
    if host.readonly_rootfs:
        lines.lines.append("ReadOnly=true")
    for device in host.devices or () if not host.privileged else ():
        how = f":{device.cgroup_permissions}" if device.cgroup_permissions else ""
        lines.argument("--device", f"{device.on_host}:{device.inside}{how}")


def _comma_separated(parts: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(parts)
    return line.getvalue()


def rights(lines: Lines, container: Container) -> None:
    host = container.host_config
    if host.privileged:
        lines.argument("--privileged")
    else:
        for name in host.cap_drop or ():
            lines.put("DropCapability", name, "--cap-drop")
        for name in host.cap_add or ():
            lines.put("AddCapability", name, "--cap-add")
    for option in host.security_opt or ():
        lines.argument("--security-opt", option)
    for group in host.group_add or ():
        lines.argument("--group-add", group)
    for flag, mode in (("--pid", host.pid_mode), ("--ipc", host.ipc_mode), ("--uts", host.uts_mode)):
        if mode == "host" or mode.startswith(("container:", "ns:")):
            lines.argument(flag, mode)
    if host.userns_mode not in ("", "private", "host"):
        lines.argument("--userns", host.userns_mode)


def limits(lines: Lines, container: Container) -> None:
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
        "--pids-limit": 0 if host.pids_limit == container_spec.DEFAULT_PIDS else host.pids_limit,
        "--shm-size": 0 if host.shm_size == container_spec.DEFAULT_SHM else host.shm_size,
    }
    for flag, number in numbers.items():
        if number:
            lines.argument(flag, str(number))
    for flag, text in (("--cpuset-cpus", host.cpuset_cpus), ("--cpuset-mems", host.cpuset_mems)):
        if text:
            lines.argument(flag, text)
    said = "--ulimit" in given(container)
    for limit in host.ulimits or ():
        name = limit.name.removeprefix("RLIMIT_").lower()
        # These two Podman takes from whoever starts it: the unit's may be lower, and it would not start.
        if said or name not in ("nofile", "nproc"):
            lines.argument("--ulimit", f"{name}={limit.soft}:{limit.hard}")


def secrets(lines: Lines, container: Container) -> list[str]:
    """Only the command line that made it tells which of them are environment variables."""
    told = container.config.create_command or ()
    given = [value for word, value in itertools.pairwise(told) if word == "--secret"]
    given += [word.removeprefix("--secret=") for word in told if word.startswith("--secret=")]
    for value in given or [secret.name for secret in container.config.secrets or ()]:
        lines.argument("--secret", value)
    if told:
        return []
    return ["Secrets it has as environment variables, if any, are not carried over: Podman does not tell of them."]


def given(container: Container) -> set[str]:
    """The names of the long options it was made with: those before the image."""
    found = set()
    for word in container.config.create_command or ():
        if word == container.image_name:
            break
        if (match := re.match(r"--[a-z][a-z-]*", word)) is not None:
            found.add(match.group())
    return found
