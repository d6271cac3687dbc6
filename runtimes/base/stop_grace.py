"""Decides how long a container may take to stop: its grace, which is the time between the stop signal and the kill.

The requester's time comes first, then the container's own setting, then the default of its engine. Quarterdeck waits
for an engine as long as the container may take, and some seconds more.
"""

from __future__ import annotations

from collections.abc import Sequence

from core import action_progress

DEFAULT_SECONDS = 10  # Docker, Podman and nerdctl give this to a container without a setting of its own
KUBERNETES_ANNOTATION = "io.kubernetes.pod.terminationGracePeriod"  # a pod's setting, from the kubelet
KUBERNETES_SECONDS = 30  # the kubelet gives this to a pod without a setting of its own
ENGINE_SECONDS = 15.0  # what an engine may need beyond the grace, to kill, to clean up and to answer
SIGKILL_CODE = 137  # the exit code of a process that was killed
MAX_NAMES = 10  # in a sentence
KILL = "KILL"  # the signal that ends every process
KILL_SECONDS = 3.0  # how long the end of a killed container is waited for


def grace_seconds(given: int | None, own: int | None, default: int = DEFAULT_SECONDS) -> float:
    """Returns the grace in seconds. `given`: by the requester; `own`: the container's setting. A negative setting means
    that its container is never killed, and gives infinity."""
    chosen = given if given is not None else own if own is not None else default
    return float(chosen) if chosen >= 0 else float("inf")


def patience(grace: float, seconds: float) -> float:
    """Returns how many of the command's `seconds` to wait for an engine that stops a container."""
    return min(seconds, grace + ENGINE_SECONDS)


def report(grace: float) -> None:
    """Reports that the running action waits from now on for a container to stop, for at most its grace."""
    action_progress.begin("waiting for it to stop", grace)


def was_killed(grace: float) -> str:
    """Returns the detail of an outcome: the container used up its grace."""
    return f"did not end within {grace:.0f} s and was killed"


def still_runs() -> str:
    """Returns the detail of the outcome of a kill after which the container still runs."""
    return f"it still runs after {KILL_SECONDS:.0f} s"


def were_killed(names: Sequence[str]) -> str:
    """Returns the detail of the outcome of a change that stopped several containers or tasks; `names`: those that used
    up their grace. Returns an empty string without one."""
    if len(names) < 2:
        return f"{names[0]} did not end in time and was killed" if names else ""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{len(names)} did not end in time and were killed: {', '.join(sorted(names)[:MAX_NAMES])}{more}"


def parse_setting(text: str) -> int | None:
    """Parses a setting that is stored as text, such as a label. Returns None for an invalid one."""
    text = text.strip()
    return int(text) if text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 10 else None
