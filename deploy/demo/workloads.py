"""Lists the sample containers of the demo. One works; each of the others has a different problem."""

from __future__ import annotations

from dataclasses import dataclass

PROJECT = "quarterdeck-demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One container. `script` is what its /bin/sh runs, `health` what its health check runs (empty: none), `restarts`
    whether its engine starts it again, `does` what people are told about it."""

    service: str
    does: str
    script: str
    health: str = ""
    restarts: bool = False
    memory_mb: int = 32

    @property
    def name(self) -> str:
        """Its name, as Docker Compose would give it."""
        return f"{PROJECT}-{self.service}-1"


WORKLOADS = (
    Workload(service="web", does="works", script='while :; do echo "GET / 200"; sleep 5; done'),
    # Podman starts it again at once. It lives long enough for the cause of its end to be known meanwhile.
    Workload(
        service="api",
        does="crashes repeatedly",
        script='echo "connecting to postgres://shop:hunter2@db/shop"; sleep 8; echo "FATAL: too many clients"; exit 3',
        restarts=True,
    ),
    # A megabyte every half second, kept in a variable of the shell. It ends by itself where no limit applies, as on
    # rootless Podman with cgroup v1.
    Workload(
        service="cache",
        does="leaks memory until the kernel kills it",
        script="piece=$(head -c 1048576 /dev/zero | tr '\\0' x); all=; left=40; "
        "while test $left -gt 0; do all=$all$piece; left=$((left - 1)); sleep 0.5; done; "
        'echo "no memory limit applies here"; exit 1',
        restarts=True,
        memory_mb=24,
    ),
    Workload(
        service="worker",
        does="is healthy for 20 seconds and unhealthy for 20",
        script="exec sleep 1000000",
        health="test $(($(date +%s) / 20 % 2)) = 0",
    ),
    # A request to the engine would be no unexpected end: it is killed by a process beside it.
    Workload(
        service="queue",
        does="is killed after 30 seconds, and restarted",
        script="sleep 1000000 & work=$!; (sleep 30; kill -9 $work) & wait $work; exit $?",
        restarts=True,
    ),
    Workload(service="job", does="finishes after five seconds", script='sleep 5; echo "42 invoices sent"'),
)
