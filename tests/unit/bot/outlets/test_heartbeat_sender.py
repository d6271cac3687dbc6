"""The heartbeat: it is sent only while this process could find and report trouble."""

from __future__ import annotations

import pytest

from bot.outlets.heartbeat_sender import make_heartbeat_job
from bot.outlets.http_sender import SendOutcome, Sent
from core import metrics

URL = "https://ping.example/secret-path"


class Service:
    """The service that is called, and what this process thinks of itself."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, bytes]] = []
        self.answer = Sent(outcome=SendOutcome.DELIVERED)
        self.is_ready = self.evaluates = True
        self.counts = metrics.Metrics()
        self.job = make_heartbeat_job(
            URL,
            every=60,
            ready=self.ready,
            evaluates=lambda: self.evaluates,
            sender=self,
            counts=self.counts,
        )

    async def ready(self):
        return self.is_ready, {}

    async def send(self, method, url, body, headers):
        self.sent.append((method, url, body))
        return self.answer

    def counted(self) -> dict[str, float]:
        return {
            each: self.counts.registry.get_sample_value("quarterdeck_heartbeats_total", {"outcome": each})
            for each in ("sent", "failed", "not_ready")
        }


async def test_it_is_sent_while_this_process_is_ready() -> None:
    service = Service()
    assert service.counted() == {"sent": 0, "failed": 0, "not_ready": 0}, "Prometheus sees the first increase"
    report = await service.job.run()
    assert service.sent == [("GET", URL, b"")] and not report.faults
    assert service.counted() == {"sent": 1, "failed": 0, "not_ready": 0}


@pytest.mark.parametrize("missing", ["is_ready", "evaluates"])
async def test_it_is_not_sent_by_a_process_that_is_not_ready_or_evaluates_no_rules(missing: str) -> None:
    service = Service()
    setattr(service, missing, False)
    report = await service.job.run()
    assert service.sent == [] and service.counted()["not_ready"] == 1
    assert report.faults == ("The heartbeat was not sent, because Quarterdeck is not ready.",)


async def test_what_the_service_does_not_accept_is_a_fault_that_quotes_no_address() -> None:
    service = Service()
    service.answer = Sent(outcome=SendOutcome.FAILED, reason="The receiver answered with status 503.")
    report = await service.job.run()
    assert report.faults == ("The heartbeat was not accepted. The receiver answered with status 503.",)
    assert service.counted() == {"sent": 0, "failed": 1, "not_ready": 0}
    assert URL not in str(report)
