"""Explains why a container ended. Does no I/O and stores nothing.

The exit code alone never decides: 137 may be a slow `docker stop`, an out-of-memory kill or a `kill -9`. The first of
these causes that the evidence shows is returned:

1. LOST: the engine stopped, and no container of it survived.
2. REQUESTED: Quarterdeck ran a command, or a client of the engine asked it to stop, kill, restart or remove the
   container. REPLACED is the same, if a new container took the place of the old one.
3. OUT_OF_MEMORY: the kernel killed a process of the container just before the end, and the exit code is not 0.
4. FINISHED: the exit code is 0.
5. CRASHED: the exit code is a failure, or a signal that a faulty program causes itself, such as SIGSEGV.
6. KILLED: any other signal, on an engine that reports every request to end a container (Docker). For SIGKILL, the text
   also names the memory, because an engine may miss an out-of-memory kill: with cgroup v1, containerd listens for it
   only after it has started the process, and ignores it once the cgroup is removed (seen with Docker 20.10, on a
   loaded machine).
7. UNKNOWN: any other signal on the other engines, or no exit code.

A signal that was sent with `kill` counts as a request only if it ended the container: a SIGHUP often means “reload”.
What each engine reports was found by experiment; the table of recorded sequences is `tests/captures/endings.jsonl`.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence

import msgspec

from core.model.containers import SWARM_SERVICE_LABEL, Container
from core.model.end_causes import Cause, CauseKind
from core.model.events import Event, EventKind
from core.model.signal_names import SIGNALS
from runtimes.inventory.own_changes import OwnChange

SECOND = 1_000_000_000
# An out-of-memory notice precedes the end that it causes by less than this. containerd repeats the notice.
OOM_WINDOW_NS = 2 * SECOND
# Docker sends `stop` right after `die`; the clock of one daemon writes both.
STOP_WINDOW_NS = 2 * SECOND
# A stop gives the container at most this time before it is killed; see `--timeout` of `stop`.
GRACE_WINDOW_NS = 3600 * SECOND
# A signal such as SIGTERM ends a container at the latest after this, if it ends it at all.
SIGNAL_WINDOW_NS = 30 * SECOND
SIGNAL_BASE = 128  # a shell's exit code for a process that a signal ended is 128 plus the signal's number
# Signals that a client sends to end a container. Others are often handled, so they must agree with the exit code.
ENDING_SIGNALS = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGKILL, signal.SIGTERM})
# Signals that the kernel sends to a process because of its own fault.
FAULT_SIGNALS = {
    signal.SIGILL: "an illegal instruction",
    signal.SIGTRAP: "a trap",
    signal.SIGABRT: "it aborted itself",
    signal.SIGBUS: "a bus error",
    signal.SIGFPE: "an arithmetic error",
    signal.SIGSEGV: "a segmentation fault",
    signal.SIGPIPE: "a broken pipe",
    signal.SIGSYS: "a forbidden system call",
}
# The engines whose events contain every request to stop or kill a container.
REPORTING_ENGINES = frozenset({"docker"})
# Looked up once: on its class, a member of an enum is slow to find (Python 3.11).
_KILLED, _OOM, _RESTARTED, _STOPPED = EventKind.KILLED, EventKind.OOM, EventKind.RESTARTED, EventKind.STOPPED
_REQUESTS = frozenset({_KILLED, _STOPPED, _RESTARTED})
CODES = {126: "its command could not be executed", 127: "its command was not found"}


class EndEvidence(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The evidence about one end of a container.

    `died`: the event of the end. `run`: the container's events since its last start, and those shortly after the end,
    in the engine's order. `container`: the container as last inspected, if it was. `call`: the change by Quarterdeck
    that fits the end. `replaced_by`: the name of the container that took its place. `engine_lost`: the engine stopped
    around the end, and all of its containers ended.
    """

    died: Event
    run: Sequence[Event]
    container: Container | None = None
    call: OwnChange | None = None
    replaced_by: str = ""
    engine_lost: bool = False


def explain(end: EndEvidence) -> Cause:
    """Returns the cause of an end."""
    code = exit_code(end)
    if end.call is None and end.engine_lost:
        return Cause(kind=CauseKind.LOST, text="its engine or its host stopped")
    if end.call is not None or _is_requested(end, code):
        return _requested(end, code)
    if code != 0 and _is_out_of_memory(end, code):
        return Cause(kind=CauseKind.OUT_OF_MEMORY, text=f"out of memory{_after(code)}")
    return _from_code(code, reporting=end.died.subject.engine.kind in REPORTING_ENGINES)


def exit_code(end: EndEvidence) -> int | None:
    """Returns the exit code: of the inspection, if it is about this end, otherwise of the event."""
    container = _inspected_end(end)
    if container is not None and container.exit_code is not None:
        return container.exit_code
    text = end.died.attrs.get("exit_code", "")
    return int(text) if text else None


def is_certain(end: EndEvidence) -> bool:
    """Whether no later event can change the cause of this end. The engine must report every request before the end,
    and there was no request. The program failed by itself, or because of its memory limit."""
    code = exit_code(end)
    if end.died.subject.engine.kind not in REPORTING_ENGINES or end.call is not None or code in (None, 0):
        return False
    for event in end.run:
        if event.kind in _REQUESTS:
            return False
    number = (code or 0) - SIGNAL_BASE
    return number < 1 or number in FAULT_SIGNALS or _is_out_of_memory(end, code)


def _inspected_end(end: EndEvidence) -> Container | None:
    """Returns the inspection of the container, if it is about this end."""
    container = end.container
    if container is None or container.state != "exited" or container.finished_at is None:
        return None
    return container if abs(container.finished_at - end.died.at_ns / SECOND) < 1 else None


def _is_requested(end: EndEvidence, code: int | None) -> bool:
    died_at = end.died.at_ns
    for event in end.run:
        before = died_at - event.at_ns
        kind = event.kind
        if kind is _STOPPED:
            # Docker reports it after the end, Podman before.
            if -STOP_WINDOW_NS <= before <= GRACE_WINDOW_NS:
                return True
        elif kind is _RESTARTED:
            # Before the end it is a command. After it, Podman reports its restart policy.
            if 0 <= before <= GRACE_WINDOW_NS:
                return True
        elif kind is _KILLED and 0 <= before <= GRACE_WINDOW_NS and _ended_by(event, code, before):
            return True
    return end.died.subject.engine.kind == "podman" and _podman_stopped(end)


def _podman_stopped(end: EndEvidence) -> bool:
    """Whether `podman stop` ended the container. Podman 4 sends no `stop` event for it. But then both the command and
    the container's monitor clean up; after any other end, only the monitor does, or the removal if there is `--rm`.
    Podman 5 sends the event only sometimes, but its inspection says so; it says the same after any `podman kill`, even
    with a SIGHUP."""
    inspected = _inspected_end(end)
    if inspected is not None and inspected.stopped_by_client and not _has(end, _KILLED):
        return True
    cleanups = sum(event.action == "cleanup" and event.at_ns >= end.died.at_ns for event in end.run)
    removed = any(
        event.kind is EventKind.REMOVED and 0 <= event.at_ns - end.died.at_ns < STOP_WINDOW_NS for event in end.run
    )
    return cleanups >= (1 if removed else 2)


def _ended_by(kill: Event, code: int | None, before_ns: int) -> bool:
    """Whether this `kill` ended the container: its signal agrees with the exit code, or means an end and came just
    before. Podman reports no signal, so only the exit code can show it."""
    number = int(kill.attrs["signal"]) if kill.attrs.get("signal", "").isdecimal() else None
    if number is None:
        return code is not None and (code > SIGNAL_BASE or code == 0) and before_ns <= STOP_WINDOW_NS
    if code == SIGNAL_BASE + number:
        return True
    return number in ENDING_SIGNALS and before_ns <= SIGNAL_WINDOW_NS


def _requested(end: EndEvidence, code: int | None) -> Cause:
    if end.replaced_by:
        return Cause(kind=CauseKind.REPLACED, text=f"replaced by {end.replaced_by}")
    swarm = end.container is not None and SWARM_SERVICE_LABEL in end.container.labels
    if end.call is not None:
        done = end.call.verb.partition(".")[2].replace("-", " ")
        return Cause(kind=CauseKind.REQUESTED, text=f"{done} through Quarterdeck{_forced(end, code)}", by=end.call.who)
    if _has(end, _RESTARTED):
        verb = "restarted"
    elif _has(end, _STOPPED) or not _has(end, _KILLED):
        verb = "stopped"
    else:
        verb = "removed" if _has(end, EventKind.REMOVED) else "killed"
    by = "its Swarm" if swarm else "a client of its engine"
    return Cause(kind=CauseKind.REQUESTED, text=f"{verb} by {by}{_forced(end, code)}")


def _has(end: EndEvidence, kind: EventKind) -> bool:
    return kind in [event.kind for event in end.run]


def _forced(end: EndEvidence, code: int | None) -> str:
    """Says that a stop ended with SIGKILL, because the container did not end in time."""
    return ", killed after its grace period" if code == SIGNAL_BASE + signal.SIGKILL and _has(end, _STOPPED) else ""


def _is_out_of_memory(end: EndEvidence, code: int | None) -> bool:
    for event in end.run:
        if event.kind is _OOM and 0 <= end.died.at_ns - event.at_ns <= OOM_WINDOW_NS:
            return True
    # The flag stays set after an out-of-memory kill of a child, so it counts only with the kernel's own signal.
    flagged = end.container is not None and bool(end.container.oom_killed)
    return flagged and code in (SIGNAL_BASE + signal.SIGKILL, None)


def _from_code(code: int | None, *, reporting: bool) -> Cause:
    if code is None:
        return Cause(kind=CauseKind.UNKNOWN, text="ended, and the engine reports no exit code")
    if code == 0:
        return Cause(kind=CauseKind.FINISHED, text="finished")
    number = code - SIGNAL_BASE
    if number in FAULT_SIGNALS:
        return Cause(kind=CauseKind.CRASHED, text=f"crashed: {FAULT_SIGNALS[signal.Signals(number)]}{_after(code)}")
    if number in SIGNALS and not reporting:
        return Cause(
            kind=CauseKind.UNKNOWN,
            text=f"ended by SIG{SIGNALS[number]}{_after(code)}; the engine does not report who sent it",
        )
    if number == signal.SIGKILL:
        text = f"killed by SIGKILL from outside the engine, or out of memory{_after(code)}"
        return Cause(kind=CauseKind.KILLED, text=text)
    if number in SIGNALS:
        return Cause(
            kind=CauseKind.KILLED, text=f"killed from outside the engine by SIG{SIGNALS[number]}{_after(code)}"
        )
    return Cause(kind=CauseKind.CRASHED, text=f"crashed: {CODES.get(code, 'it failed')}{_after(code)}")


def _after(code: int | None) -> str:
    return "" if code is None else f" (exit code {code})"
