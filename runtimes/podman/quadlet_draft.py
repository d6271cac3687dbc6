"""Drafts the text of a Quadlet file that runs an inspected Podman container under systemd. Writes nothing to disk.

The input is the container, its image, and the version of the Podman that will read the file. The result has four parts:
the unit's text, the environment, notes on differences, and losses. A loss is data of the present container that is lost
when the unit replaces it. The environment belongs in a separate file that only its owner may read, because every user
can read a unit through systemd. Values that the image sets are not repeated. Arguments come from the container's own
command line. From the `podman` command that created the container, only the option names are read, to report the
options that the unit does not contain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from core import errors
from core.lazy_dataclass import dataclass
from core.text import command_line
from runtimes.podman import quadlet_option_writer, quadlet_quoting
from runtimes.podman.inspect_models import InspectedContainer, InspectedImage

MAX_VALUE = 60_000  # bytes; a line of an environment file may have 64 KiB in Podman
UNIT_LABEL = "PODMAN_SYSTEMD_UNIT"
_VARIABLE = re.compile(r"[^\s=#*\0][^\s=*\0]*")
_OWN_ANNOTATIONS = ("io.podman.", "io.kubernetes.", "io.container.", "org.opencontainers.", "run.oci.")
# Options of the command line that made it which are copied from the container, or change nothing in a unit.
_COPIED_OPTIONS = """
add-host annotation cap-add cap-drop cidfile cpu-period cpu-quota cpu-shares cpus cpuset-cpus cpuset-mems detach device
dns dns-opt dns-option dns-search entrypoint env env-file expose group-add health-cmd health-interval health-on-failure
health-retries health-start-period health-timeout hostname init interactive ipc label label-file log-driver memory
memory-reservation memory-swap mount name net network network-alias no-healthcheck oom-score-adj pid pids-limit pod
privileged publish publish-all pull quiet read-only replace restart rm sdnotify secret security-opt shm-size stop-signal
stop-timeout tls-verify tmpfs tty tz ulimit user uts volume workdir
"""


def draft_quadlet_text(
    container: InspectedContainer,
    image: InspectedImage,
    *,
    version: tuple[int, ...],
    environment_file: str,
    header: str,
    pod: str = "",
    user: bool = False,
) -> QuadletDraft:
    """Returns the draft. `environment_file`: the path of the file with the environment; `pod`: the name of the pod;
    `user`: whether the unit is for an ordinary user's systemd. Raises UserError for a container that a Quadlet file
    cannot describe."""
    if container.is_infra:
        raise errors.UserError(
            f"{container.name} is the infra container of a pod, which Podman starts with the pod.",
            hint="Name another container of the pod.",
        )
    if container.rootfs or not container.image_name:
        raise errors.UserError(
            f"{container.name} runs from a directory, not from an image.",
            hint="Name a container that was created from an image.",
        )
    section = quadlet_quoting.ContainerSection(version)
    section.add("ContainerName", container.name, "--name")
    _image(section, container)
    environment = environment_of(container, image)
    if environment:
        section.add_words("EnvironmentFile", environment_file)
    notes: list[str] = []
    quadlet_option_writer.add_process_options(section, container, image)
    notes += quadlet_option_writer.add_network_options(section, container, pod)
    quadlet_option_writer.add_mount_options(section, container)
    _labels(section, container, image)
    _health(section, container, image)
    quadlet_option_writer.add_security_options(section, container)
    quadlet_option_writer.add_resource_limits(section, container)
    notes += quadlet_option_writer.add_secrets(section, container)
    _command(section, container, image)
    sections = [
        f"# {header}",
        "[Unit]",
        f"Description={container.name}, run by Podman",
        *_restart_limit(container),
        "",
        "[Container]",
        *section.lines,
        "",
        "[Service]",
        f"Restart={_restart(container)}",
        "",
        "[Install]",
        f"WantedBy={'default.target' if user else 'multi-user.target default.target'}",
        "",
    ]
    notes += [
        f"A value of {option} contains a comma, a quote or a line break and is not copied."
        for option in dict.fromkeys(section.left_out)
    ]
    notes += _not_copied(container)
    losses = [
        f"The data in its volume at {path} would be lost at its next stop, because that volume has no name."
        for path in container.anonymous_volumes()
    ]
    return QuadletDraft(text="\n".join(sections), environment=environment, notes=notes, losses=losses)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuadletDraft:
    """Holds the text of a Quadlet file, the environment for it, and notes and losses for the reader."""

    text: str
    environment: Sequence[tuple[str, str]]
    notes: Sequence[str]
    losses: Sequence[str]


def environment_of(container: InspectedContainer, image: InspectedImage) -> Sequence[tuple[str, str]]:
    """Returns the variables that neither the image nor Podman sets. Raises UserError for a variable that an environment
    file cannot contain."""
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
                f"{container.name} has the environment variable {name[:80]!r}, whose name an environment file cannot"
                " contain.",
                hint="Create the container again without this variable. Or install a unit of the other style: unit"
                f" install {container.name} --style generate",
            )
        if any(character in value for character in "\n\r\0") or len(value.encode()) > MAX_VALUE:
            why = "has line breaks" if len(value.encode()) <= MAX_VALUE else f"has more than {MAX_VALUE:,} bytes"
            raise errors.UserError(
                f"The value of {name} in {container.name} {why}, which an environment file cannot contain.",
                hint="On the engine's host, store the value with `podman secret create NAME FILE`, and create the"
                f" container again with --secret NAME,type=env,target={name} instead of --env.",
            )
        found.append((name, value))
    return sorted(found)


def environment_text(environment: Iterable[tuple[str, str]], header: str) -> str:
    """Writes variables in Podman's format: one per line; everything after the first `=` is the value."""
    return "".join([f"# {header}\n", *(f"{name}={value}\n" for name, value in environment)])


def _image(section: quadlet_quoting.ContainerSection, container: InspectedContainer) -> None:
    name = quadlet_quoting.raw_value(container.image_name)
    if name is None or " " in name:
        raise errors.UserError(
            f"{container.name} was created from the image “{command_line.abbreviate(container.image_name)}”. A Quadlet"
            " file cannot contain this name.",
            hint="Tag the image with a plain name such as shop/web:1, and create the container again from that name.",
        )
    section.lines.append(f"Image={name}")


def _labels(section: quadlet_quoting.ContainerSection, container: InspectedContainer, image: InspectedImage) -> None:
    own = _added(container.config.labels, image.config.labels)
    for name, value in own:
        if name and name != UNIT_LABEL:
            section.add_pair("Label", name, value, "--label")
    for name, value in _added(container.config.annotations, None):
        if name and not name.startswith(_OWN_ANNOTATIONS):
            section.add_pair("Annotation", name, value, "--annotation")


def _added(container: Mapping[str, str] | None, image: Mapping[str, str] | None) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in (container or {}).items() if (image or {}).get(name) != value)


def _health(section: quadlet_quoting.ContainerSection, container: InspectedContainer, image: InspectedImage) -> None:
    check = container.config.healthcheck
    test = check.test if check is not None else None
    if check is None or not test or check == image.healthcheck:
        return
    if test[0] == "NONE":
        section.add_argument("--no-healthcheck")
        return
    command = json.dumps(test[1:], ensure_ascii=False) if test[0] == "CMD" else " ".join(test)
    if test[0] == "CMD-SHELL":
        command = " ".join(test[1:])
    section.add("HealthCmd", command, "--health-cmd", since=(4, 5), spaces=True)
    for key, value in (("Interval", check.interval), ("Timeout", check.timeout), ("StartPeriod", check.start_period)):
        if value:
            flag = "--health-start-period" if key == "StartPeriod" else f"--health-{key.lower()}"
            section.add(f"Health{key}", _duration(value), flag, since=(4, 5))
    if check.retries:
        section.add("HealthRetries", str(check.retries), "--health-retries", since=(4, 5))
    if container.config.healthcheck_on_failure_action not in ("", "none"):
        section.add_argument("--health-on-failure", container.config.healthcheck_on_failure_action)


def _duration(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{seconds}s" if not rest else f"{nanoseconds}ns"


def _command(section: quadlet_quoting.ContainerSection, container: InspectedContainer, image: InspectedImage) -> None:
    argv = container.argv()
    entrypoint = list(image.config.entrypoint or ())
    rest = argv[len(entrypoint) :]
    if argv == [*entrypoint, *(image.config.cmd or ())]:
        return
    if argv[: len(entrypoint)] == entrypoint and rest and quadlet_quoting.splits_correctly(rest):
        section.add_words("Exec", *rest)
    else:
        section.add_argument("--entrypoint", json.dumps(argv, ensure_ascii=False))


def _restart(container: InspectedContainer) -> str:
    name = container.host_config.restart_policy.name
    return {"always": "always", "unless-stopped": "always", "on-failure": "on-failure"}.get(name, "no")


def _restart_limit(container: InspectedContainer) -> list[str]:
    policy = container.host_config.restart_policy
    if policy.name != "on-failure" or policy.maximum_retry_count <= 0:
        return []
    return [f"StartLimitBurst={policy.maximum_retry_count}"]


def _not_copied(container: InspectedContainer) -> Iterator[str]:
    copied = _COPIED_OPTIONS.split()
    for option in sorted(quadlet_option_writer.given_options(container)):
        if option[2:] not in copied:
            yield f"It was made with {option}, which is not copied; add it as PodmanArgs={option}=…"
