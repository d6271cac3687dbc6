"""An inspected Podman container into the Quadlet file that runs the same under systemd; pure.

In come the container, its image and the version of the Podman that will read the file. Out come the unit's text, the
environment (kept apart: every user may read a unit through systemd, so all its values go to a file of their own that
only its owner may read), notes on what differs, and losses: what running it so would destroy. What the image says
already is left to the image. Arguments are the command line the container has, not the one that made it: of that only
the names of options are looked at, to tell which of them were not carried over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from core import errors
from runtimes.podman import quadlet_options, quadlet_syntax
from runtimes.podman.container_spec import Container, Image

LONGEST_VALUE = 60_000  # bytes; Podman reads an environment file by lines of at most 64 KiB
UNIT_LABEL = "PODMAN_SYSTEMD_UNIT"
_VARIABLE = re.compile(r"[^\s=#*\0][^\s=*\0]*")
_OWN_ANNOTATIONS = ("io.podman.", "io.kubernetes.", "io.container.", "org.opencontainers.", "run.oci.")
# Options of the command line that made it which are told of otherwise or change nothing here.
_TOLD = """
add-host annotation cap-add cap-drop cidfile cpu-period cpu-quota cpu-shares cpus cpuset-cpus cpuset-mems detach device
dns dns-opt dns-option dns-search entrypoint env env-file expose group-add health-cmd health-interval health-on-failure
health-retries health-start-period health-timeout hostname init interactive ipc label label-file log-driver memory
memory-reservation memory-swap mount name net network network-alias no-healthcheck oom-score-adj pid pids-limit pod
privileged publish publish-all pull quiet read-only replace restart rm sdnotify secret security-opt shm-size stop-signal
stop-timeout tls-verify tmpfs tty tz ulimit user uts volume workdir
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    text: str
    environment: Sequence[tuple[str, str]]
    notes: Sequence[str]
    losses: Sequence[str]


def draft(
    container: Container,
    image: Image,
    *,
    version: tuple[int, ...],
    environment_file: str,
    header: str,
    pod: str = "",
    user: bool = False,
) -> Draft:
    """`environment_file`: where the environment will be; `pod`: the name of the pod it is in; `user`: for the systemd
    of an ordinary user. Raises UserError for a container that no Quadlet file can describe."""
    if container.is_infra:
        raise errors.UserError(f"{container.name} only holds its pod together and is run with it.")
    if container.rootfs or not container.image_name:
        raise errors.UserError(
            f"{container.name} runs from a folder, not from an image.", hint="Quadlet units here are for images."
        )
    lines = quadlet_syntax.Lines(version)
    lines.put("ContainerName", container.name, "--name")
    _image(lines, container)
    environment = environment_of(container, image)
    if environment:
        lines.words("EnvironmentFile", environment_file)
    notes: list[str] = []
    quadlet_options.place(lines, container, image)
    notes += quadlet_options.networks(lines, container, pod)
    quadlet_options.volumes(lines, container)
    _labels(lines, container, image)
    _health(lines, container, image)
    quadlet_options.rights(lines, container)
    quadlet_options.limits(lines, container)
    notes += quadlet_options.secrets(lines, container)
    _command(lines, container, image)
    sections = [
        f"# {header}",
        "[Unit]",
        f"Description={container.name}, run by Podman",
        *_restarts(container),
        "",
        "[Container]",
        *lines.lines,
        "",
        "[Service]",
        f"Restart={_restart(container)}",
        "",
        "[Install]",
        f"WantedBy={'default.target' if user else 'multi-user.target default.target'}",
        "",
    ]
    notes += [
        f"A value of {option} holds a comma, a quote or a line break and is not carried over."
        for option in dict.fromkeys(lines.left_out)
    ]
    notes += _not_carried(container)
    losses = [
        f"What is in its volume at {path} would be lost at its next stop, since that volume has no name."
        for path in container.volumes_without_name()
    ]
    return Draft(text="\n".join(sections), environment=environment, notes=notes, losses=losses)


def environment_of(container: Container, image: Image) -> Sequence[tuple[str, str]]:
    """What the container has beyond its image and what Podman sets by itself. Raises UserError for what an environment
    file cannot hold."""
    given = set(image.config.env or ())
    own = {"container=podman", "container=oci", "TERM=xterm", f"HOSTNAME={container.config.hostname}"}
    if not any(entry.startswith("PATH=") for entry in given):
        own.add("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    found = []
    for entry in container.config.env or ():
        name, _, value = entry.partition("=")
        if entry in given or entry in own:
            continue
        if not _VARIABLE.fullmatch(name) or not name.isprintable():
            raise errors.UserError(
                f"{container.name} has an environment variable whose name cannot stand in a file.",
                hint="Make the container anew without it.",
            )
        if any(character in value for character in "\n\r\0") or len(value.encode()) > LONGEST_VALUE:
            raise errors.UserError(
                f"The value of {name} in {container.name} has line breaks or is too long for an environment file.",
                hint=f"Keep it with podman secret create and give it with --secret …,type=env,target={name}.",
            )
        found.append((name, value))
    return sorted(found)


def environment_text(environment: Iterable[tuple[str, str]], header: str) -> str:
    """Podman's own form: a line each, all that follows the first `=` is the value."""
    return "".join([f"# {header}\n", *(f"{name}={value}\n" for name, value in environment)])


def _image(lines: quadlet_syntax.Lines, container: Container) -> None:
    name = quadlet_syntax.raw(container.image_name)
    if name is None or " " in name:
        raise errors.UserError(f"The name of the image of {container.name} cannot stand in a unit.")
    lines.lines.append(f"Image={name}")


def _labels(lines: quadlet_syntax.Lines, container: Container, image: Image) -> None:
    ours = _beyond(container.config.labels, image.config.labels)
    for name, value in ours:
        if name and name != UNIT_LABEL:
            lines.pair("Label", name, value, "--label")
    for name, value in _beyond(container.config.annotations, None):
        if name and not name.startswith(_OWN_ANNOTATIONS):
            lines.pair("Annotation", name, value, "--annotation")


def _beyond(having: Mapping[str, str] | None, given: Mapping[str, str] | None) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in (having or {}).items() if (given or {}).get(name) != value)


def _health(lines: quadlet_syntax.Lines, container: Container, image: Image) -> None:
    check = container.config.healthcheck
    test = check.test if check is not None else None
    if check is None or not test or check == image.healthcheck:
        return
    if test[0] == "NONE":
        lines.argument("--no-healthcheck")
        return
    line = json.dumps(test[1:], ensure_ascii=False) if test[0] == "CMD" else " ".join(test)
    if test[0] == "CMD-SHELL":
        line = " ".join(test[1:])
    lines.put("HealthCmd", line, "--health-cmd", since=(4, 5), spaces=True)
    for key, value in (("Interval", check.interval), ("Timeout", check.timeout), ("StartPeriod", check.start_period)):
        if value:
            flag = "--health-start-period" if key == "StartPeriod" else f"--health-{key.lower()}"
            lines.put(f"Health{key}", _duration(value), flag, since=(4, 5))
    if check.retries:
        lines.put("HealthRetries", str(check.retries), "--health-retries", since=(4, 5))
    if container.config.healthcheck_on_failure_action not in ("", "none"):
        lines.argument("--health-on-failure", container.config.healthcheck_on_failure_action)


def _duration(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{seconds}s" if not rest else f"{nanoseconds}ns"


def _command(lines: quadlet_syntax.Lines, container: Container, image: Image) -> None:
    argv = container.argv()
    entry = list(image.config.entrypoint or ())
    rest = argv[len(entry) :]
    if argv == [*entry, *(image.config.cmd or ())]:
        return
    if argv[: len(entry)] == entry and rest and quadlet_syntax.expressible(rest):
        lines.words("Exec", *rest)
    else:
        lines.argument("--entrypoint", json.dumps(argv, ensure_ascii=False))


def _restart(container: Container) -> str:
    name = container.host_config.restart_policy.name
    return {"always": "always", "unless-stopped": "always", "on-failure": "on-failure"}.get(name, "no")


def _restarts(container: Container) -> list[str]:
    policy = container.host_config.restart_policy
    if policy.name != "on-failure" or policy.maximum_retry_count <= 0:
        return []
    return [f"StartLimitBurst={policy.maximum_retry_count}"]


def _not_carried(container: Container) -> Iterator[str]:
    carried = _TOLD.split()
    for option in sorted(quadlet_options.given(container)):
        if option[2:] not in carried:
            yield f"It was made with {option}, which is not carried over; add it as PodmanArgs={option}=…"
