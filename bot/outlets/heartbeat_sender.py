"""Calls the heartbeat address at an interval, while Quarterdeck is ready.

The service behind the address raises an alarm when the calls stop: because this process ended, hangs, watches no
engine, or could not send an incident to anybody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from bot.outlets.http_sender import HttpSender, SendOutcome
from bot.schedule.recurring_job import RecurringJob, RunReport
from core import metrics

WITHIN_SECONDS = 20.0
Ready = Callable[[], Awaitable[tuple[bool, dict[str, Any]]]]


def make_heartbeat_job(
    url: str,
    *,
    every: float,
    ready: Ready,
    evaluates: Callable[[], bool],
    sender: HttpSender,
    counts: metrics.Metrics,
) -> RecurringJob:
    """`evaluates`: whether the alert rules were evaluated in the last seconds."""
    for outcome in ("sent", "failed", "not_ready"):
        counts.heartbeats_total.labels(outcome)

    async def run() -> RunReport:
        is_ready, _ = await ready()
        if not is_ready or not evaluates():
            counts.heartbeats_total.labels("not_ready").inc()
            return RunReport(faults=("The heartbeat was not sent, because Quarterdeck is not ready.",))
        sent = await sender.send("GET", url, b"", {"User-Agent": "Quarterdeck"})
        delivered = sent.outcome is SendOutcome.DELIVERED
        counts.heartbeats_total.labels("sent" if delivered else "failed").inc()
        return RunReport() if delivered else RunReport(faults=(f"The heartbeat was not accepted. {sent.reason}",))

    return RecurringJob(name="heartbeat", every=every, within=WITHIN_SECONDS, run=run)
