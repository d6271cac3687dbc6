"""Parses the output of systemctl and finds the services that run containers.

A service runs a container if its command is podman's `run`, `start` or `kube play`. The name of the service does not
matter. An argument of a command line may contain line breaks, and so look like properties or even like another service.
So only the first value of each property is used, and a service is read alone before it is changed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from core.lazy_dataclass import dataclass

# The format of `ExecStart`: path, arguments joined by blanks, then the result.
_EXEC = re.compile(r"\{ path=(?P<path>/.*?) ; argv\[\]=(?P<argv>.*?) ; ignore_errors=")
_RUN_COMMANDS = frozenset({"run", "start"})
_PLAY_COMMANDS = frozenset({"play", "kube"})
# Other commands of podman. The first of all these words is the command: options before it may have values.
_OTHER_COMMANDS = frozenset(
    {"system", "auto-update", "image", "volume", "network", "exec", "pull", "build", "stop", "rm", "restart", "wait"}
)
_GENERATED = ("container-", "pod-")
DEFAULT_TIMEOUT = 90.0  # systemd's own, for a start and for a stop
_SPAN = re.compile(r"([0-9.]+)(us|ms|s|min|h|d|w)\b")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_FAILURES = {
    "exit-code": "its program ended with code {status}",
    "signal": "its program was ended by signal {status}",
    "core-dump": "its program crashed with signal {status}",
    "oom-kill": "it was OOM-killed",
    "timeout": "it did not start or stop in time",
    "watchdog": "it missed its watchdog deadline",
    "start-limit-hit": "it was started too often in a short time",
    "protocol": "it did not report that it had started",
    "resources": "systemd could not provide the resources it needs",
}


def parse_services(text: str) -> list[Service]:
    """Parses the output of `systemctl show` to services."""
    return [service for block in re.split(r"\n\s*\n", text) if (service := _service(block)) is not None]


def unloaded_candidates(files: str, loaded: Sequence[str]) -> list[str]:
    """Returns the services in the output of `systemctl list-unit-files` that are not loaded and may run containers:
    those that a generator made, and those with names like the ones of `podman generate systemd`. Templates (`name@`)
    are left out."""
    seen = set(loaded)
    found = []
    for line in files.splitlines():
        name, state, *_ = [*line.split(), "", ""]
        likely = state == "generated" or name.startswith(_GENERATED)
        if likely and name.endswith(".service") and "@." not in name and name not in seen:
            found.append(name)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """Describes a service of systemd. `changed`: when its state changed last, in microseconds on the clock that starts
    at boot. `container` and `pod`: the names of what it runs, as far as its command contains them. `file`: its unit
    file, or the source file of a generated unit. `failure`: why it failed. `start_seconds` and `stop_seconds`: how long
    systemd lets it start and stop; infinity if it waits for ever. `stopped_late`: it was killed after that time."""

    name: str
    load: str
    active: str
    sub: str
    enabled: str = ""
    file: str = ""
    description: str = ""
    changed: int = 0
    failure: str = ""
    pid: int | None = None
    runs_container: bool = False
    container: str = ""
    pod: str = ""
    start_seconds: float = DEFAULT_TIMEOUT
    stop_seconds: float = DEFAULT_TIMEOUT
    stopped_late: bool = False

    @property
    def exists(self) -> bool:
        return self.load not in ("", "not-found", "masked")

    def job_seconds(self, verb: str) -> float:
        """Returns how long systemd may take to start, stop or restart it. A stop has its time twice: for its command,
        and for the processes that are left."""
        starting = self.start_seconds if verb != "stop" else 0.0
        return starting + (2 * self.stop_seconds if verb != "start" else 0.0)


def _service(block: str) -> Service | None:
    properties: dict[str, str] = {}
    commands: list[str] = []
    for line in block.splitlines():
        key, equals, value = line.partition("=")
        if equals and key == "ExecStart":
            commands.append(value)
        elif equals:
            properties.setdefault(key, value)
    if not properties.get("Id"):
        return None
    runs, container, pod = False, "", ""
    for value in commands:
        if not runs and (match := _EXEC.search(value)) is not None:
            runs, container, pod = _parse_command(match["path"], match["argv"].split())
    active = properties.get("ActiveState", "")
    return Service(
        name=properties["Id"],
        load=properties.get("LoadState", ""),
        active=active,
        sub=properties.get("SubState", ""),
        enabled=properties.get("UnitFileState", ""),
        file=properties.get("SourcePath") or properties.get("FragmentPath", ""),
        description=properties.get("Description", ""),
        changed=_number(properties.get("StateChangeTimestampMonotonic", "")),
        failure=_failure(properties) if active == "failed" else "",
        pid=_number(properties.get("MainPID", "")) or None,
        runs_container=runs,
        container=container,
        pod=pod,
        start_seconds=_span(properties.get("TimeoutStartUSec", "")),
        stop_seconds=_span(properties.get("TimeoutStopUSec", "")),
        stopped_late=properties.get("Result") == "timeout",
    )


def _parse_command(path: str, argv: Sequence[str]) -> tuple[bool, str, str]:
    """Returns whether a command line runs containers, and which container or pod it names."""
    if path.rpartition("/")[2] not in ("podman", "podman-remote"):
        return False, "", ""
    arguments = list(argv[1:])
    commands = _RUN_COMMANDS | _PLAY_COMMANDS | _OTHER_COMMANDS | {"pod"}
    at = next((at for at, argument in enumerate(arguments) if argument in commands), None)
    if at is None or arguments[at] in _OTHER_COMMANDS:
        return False, "", ""
    if arguments[at] in _PLAY_COMMANDS:
        return True, "", ""
    is_pod = arguments[at] == "pod"
    if is_pod:
        at += 1
        if arguments[at : at + 1] != ["start"]:
            return False, "", ""
    rest = arguments[at + 1 :]
    if arguments[at] == "run":
        return True, _name_option(rest), ""
    # `start --all` starts what was running before a boot (podman-restart.service), not one container.
    names = [argument for argument in rest if not argument.startswith("-")]
    if not names or {"--all", "-a", "--filter"} & {argument.partition("=")[0] for argument in rest}:
        return False, "", ""
    return (True, "", names[-1]) if is_pod else (True, names[-1], "")


def _name_option(arguments: Sequence[str]) -> str:
    for at, argument in enumerate(arguments):
        if argument.startswith("--name="):
            return argument.removeprefix("--name=")
        if argument == "--name" and at + 1 < len(arguments):
            return arguments[at + 1]
    return ""


def _failure(properties: dict[str, str]) -> str:
    result = properties.get("Result", "")
    if result not in _FAILURES:
        return result.replace("-", " ")
    return _FAILURES[result].format(status=properties.get("ExecMainStatus", "?"))


def _span(text: str) -> float:
    """Parses a time as systemctl shows it, such as `1min 30s`, to seconds."""
    if text == "infinity":
        return float("inf")
    parts = _SPAN.findall(text)
    if not parts or _SPAN.sub("", text).strip():
        return DEFAULT_TIMEOUT
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
