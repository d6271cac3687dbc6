"""systemd's words about services into ours; pure.

In come the paragraphs of `systemctl show`, out come the services that run containers and nothing else: whatever is not
podman running or starting something is none of ours, however its name looks. An argument of a command line may hold
line breaks and so look like properties, even like another service's paragraph; of each property the first counts, and
whoever changes a service asks for it alone first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# As `ExecStart` is told: path, words joined by blanks, then how it went.
_EXEC = re.compile(r"\{ path=(?P<path>/.*?) ; argv\[\]=(?P<argv>.*?) ; ignore_errors=")
_RUNS = frozenset({"run", "start"})
_PLAYS = frozenset({"play", "kube"})
# Other things podman does; the first of all these words says which it is, options before it may have values.
_OTHERS = frozenset(
    {"system", "auto-update", "image", "volume", "network", "exec", "pull", "build", "stop", "rm", "restart", "wait"}
)
_GENERATED = ("container-", "pod-")
_WHY = {
    "exit-code": "its program ended with code {status}",
    "signal": "its program was ended by signal {status}",
    "core-dump": "its program crashed with signal {status}",
    "oom-kill": "the kernel ended it for want of memory",
    "timeout": "it did not start or stop in time",
    "watchdog": "it stopped telling that it lives",
    "start-limit-hit": "it was started too often in a short time",
    "protocol": "it did not tell that it had started",
    "resources": "systemd could not give it what it needs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as systemd tells of it. `changed`: microseconds on the clock that starts at boot, of its last change of
    state; `container` and `pod`: names of what it runs, where it tells; `file`: where it is written, or what it was
    made from."""

    name: str
    load: str
    active: str
    sub: str
    enabled: str = ""
    file: str = ""
    description: str = ""
    changed: int = 0
    why: str = ""
    pid: int | None = None
    runs: bool = False
    container: str = ""
    pod: str = ""

    @property
    def there(self) -> bool:
        return self.load not in ("", "not-found", "masked")


def services(text: str) -> list[Service]:
    """Each paragraph that has a name."""
    return [service for block in re.split(r"\n\s*\n", text) if (service := _service(block)) is not None]


def perhaps(files: str, known: Sequence[str]) -> list[str]:
    """Of the lines of list-unit-files those not yet known that may run containers: what generators made, what is named
    as `podman generate systemd` does. Patterns for many (`name@`) are none."""
    seen = set(known)
    found = []
    for line in files.splitlines():
        name, state, *_ = [*line.split(), "", ""]
        likely = state == "generated" or name.startswith(_GENERATED)
        if likely and name.endswith(".service") and "@." not in name and name not in seen:
            found.append(name)
    return found


def _service(block: str) -> Service | None:
    told: dict[str, str] = {}
    lines: list[str] = []
    for line in block.splitlines():
        key, equals, value = line.partition("=")
        if equals and key == "ExecStart":
            lines.append(value)
        elif equals:
            told.setdefault(key, value)
    if not told.get("Id"):
        return None
    runs, container, pod = False, "", ""
    for value in lines:
        if not runs and (match := _EXEC.search(value)) is not None:
            runs, container, pod = _read(match["path"], match["argv"].split())
    active = told.get("ActiveState", "")
    return Service(
        name=told["Id"],
        load=told.get("LoadState", ""),
        active=active,
        sub=told.get("SubState", ""),
        enabled=told.get("UnitFileState", ""),
        file=told.get("SourcePath") or told.get("FragmentPath", ""),
        description=told.get("Description", ""),
        changed=_number(told.get("StateChangeTimestampMonotonic", "")),
        why=_why(told) if active == "failed" else "",
        pid=_number(told.get("MainPID", "")) or None,
        runs=runs,
        container=container,
        pod=pod,
    )


def _read(path: str, argv: Sequence[str]) -> tuple[bool, str, str]:
    """Whether a command line runs containers, and which container or pod it names."""
    if path.rpartition("/")[2] not in ("podman", "podman-remote"):
        return False, "", ""
    words = list(argv[1:])
    at = next((at for at, word in enumerate(words) if word in _RUNS | _PLAYS | _OTHERS | {"pod"}), None)
    if at is None or words[at] in _OTHERS:
        return False, "", ""
    if words[at] in _PLAYS:
        return True, "", ""
    of_pod = words[at] == "pod"
    if of_pod:
        at += 1
        if words[at : at + 1] != ["start"]:
            return False, "", ""
    rest = words[at + 1 :]
    if words[at] == "run":
        return True, _named(rest), ""
    # `start --all` is the machine's service that starts what was running before a boot, not one container's.
    names = [word for word in rest if not word.startswith("-")]
    if not names or {"--all", "-a", "--filter"} & {word.partition("=")[0] for word in rest}:
        return False, "", ""
    return (True, "", names[-1]) if of_pod else (True, names[-1], "")


def _named(words: Sequence[str]) -> str:
    for at, word in enumerate(words):
        if word.startswith("--name="):
            return word.removeprefix("--name=")
        if word == "--name" and at + 1 < len(words):
            return words[at + 1]
    return ""


def _why(told: dict[str, str]) -> str:
    result = told.get("Result", "")
    words = _WHY.get(result, result.replace("-", " "))
    return words.format(status=told.get("ExecMainStatus", "?"))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0
