"""Lists the processes of a container from /proc: those in the PID namespace of its first process, and their children.

A container that shares the PID namespace of this machine has only the descendants of its first process, because nothing
else distinguishes its processes from the others. Processes that end meanwhile are left out.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterator
from pathlib import Path

from core import errors
from core.lazy_dataclass import dataclass
from core.model.container_reads import MAX_PROCESSES, Processes
from core.model.refs import Ref
from runtimes.kernel import procfs

TITLES = ("UID", "PID", "PPID", "STARTED", "TIME", "CMD")
MAX_COMMAND = 4_096  # characters
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    pid: int
    parent: int
    uid: int
    cpu_seconds: float
    started_at: float
    command: str


def list_processes_of_container(first: int, root: str = "/proc") -> Processes | None:
    """Returns the processes of the container whose first process has this number; None if there is no such process, or
    if its namespace cannot be read. Reads all of /proc, so call it in a thread."""
    namespace, own = procfs.pid_namespace(str(first), root), procfs.pid_namespace("self", root)
    if namespace is None:
        return None
    found = {process.pid: process for process in _all(root)}
    if first not in found:
        return None
    if namespace == own:
        members = _descendants(first, found)
    else:
        members = {pid for pid in found if procfs.pid_namespace(str(pid), root) == namespace}
    shown = [found[pid] for pid in sorted(members) if pid in found]
    return Processes(
        titles=TITLES,
        rows=tuple(_row(process) for process in shown[:MAX_PROCESSES]),
        missing=max(0, len(shown) - MAX_PROCESSES),
    )


def belongs_to(pid: int, container_id: str, root: str = "/proc") -> bool:
    """Whether a process is in a cgroup named after this container: another PID namespace has the same numbers."""
    try:
        return container_id in Path(f"{root}/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def not_visible(target: Ref, engine: str, *, running: bool) -> errors.QuarterdeckError:
    """Returns the error for a container whose processes cannot be listed."""
    if not running:
        return errors.UserError(
            f"{target.name} has no processes: it is not running.",
            hint=f"Start the container first: start {target.name}",
        )
    return errors.EngineError(
        f"The processes of {target.name} on {engine} are not visible to Quarterdeck.",
        hint="Run Quarterdeck as root on that host and with the host's process IDs (--pid host).",
    )


def _all(root: str) -> Iterator[_Process]:
    for entry in Path(root).iterdir():
        name = entry.name
        if name.isascii() and name.isdecimal() and (process := _read(root, int(name))) is not None:
            yield process


def _read(root: str, pid: int) -> _Process | None:
    try:
        stat = Path(f"{root}/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        # The name of a process is in brackets, and may itself contain blanks and brackets.
        name, _, rest = stat.partition(" (")[2].rpartition(") ")
        fields = rest.split()
        arguments = Path(f"{root}/{pid}/cmdline").read_bytes()[:MAX_COMMAND].rstrip(b"\0")
        command = arguments.replace(b"\0", b" ").decode("utf-8", "replace") or f"[{name}]"
        uid = Path(f"{root}/{pid}").stat().st_uid
        ticks = int(fields[11]) + int(fields[12])
        started = procfs.process_start_time(pid, root) or 0.0
        return _Process(
            pid=pid, parent=int(fields[1]), uid=uid, cpu_seconds=ticks / _TICKS, started_at=started, command=command
        )
    except (OSError, ValueError, IndexError):
        return None


def _descendants(first: int, found: dict[int, _Process]) -> set[int]:
    members, waiting = {first}, [first]
    children: dict[int, list[int]] = {}
    for process in found.values():
        children.setdefault(process.parent, []).append(process.pid)
    while waiting:
        new = [pid for pid in children.get(waiting.pop(), ()) if pid not in members]
        members.update(new)
        waiting += new
    return members


def _row(process: _Process) -> tuple[str, ...]:
    started = time.strftime("%H:%M:%S", time.gmtime(process.started_at)) if process.started_at else ""
    minutes, seconds = divmod(int(process.cpu_seconds), 60)
    hours, minutes = divmod(minutes, 60)
    used = f"{hours:02}:{minutes:02}:{seconds:02}"
    return (_user(process.uid), str(process.pid), str(process.parent), started, used, process.command)


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
