"""Every query of the dashboards and of the rules, asked of a real Prometheus that scraped a running bot with every
engine and a chat.

With DASHBOARD_PICTURES=1 the test goes on for a minute and draws the dashboards from those answers to
docs/pictures/.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import json
import math
import os
import re
import socket
import time
import urllib.request
from typing import Any

import pytest

from charts.pictures import dashboard_queries, draw
from charts.pictures.dashboard_queries import DashboardQuery, Times
from charts.pictures.prometheus_answers import PrometheusServer
from tests.daemons.prometheus import Prometheus, private_prometheus
from tests.e2e.test_webhooks import receiver
from tests.helpers.bot_process import Deck
from tests.helpers.paths import ROOT
from tests.helpers.waiting import free_tcp_port, wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

OPS, TOKEN = "C0OPS", "a-token-of-some-length"
RULES = ROOT / "charts" / "quarterdeck" / "rules"
PICTURES = ROOT / "docs" / "pictures"
SCRAPE = 2.0  # seconds, as private_prometheus does
SLOW_ENOUGH = 150
# What cannot happen here in a moment, so these queries may find nothing. That the series exist is a unit test.
EMPTY = {
    "quarterdeck_alerts_lost_total": "the queue of 20,000 alerts must be full, or a file damaged",
    "quarterdeck_engine_data_skipped_total": "an engine must send what cannot be decoded",
    "quarterdeck_outlet_lost_total": "a receiver must fail for a day",
    "quarterdeck_slack_ignored_total": "Slack must send what needs no answer",
    "quarterdeck_slack_lost_answers_total": "Slack must lose an answer",
    "quarterdeck_slack_overflow_total": "more messages must wait than the outbox holds",
    "quarterdeck_task_restarts_total": "a task must crash",
    "quarterdeck_task_failures_total": "a task must fail",
    "quarterdeck_unit_series_capped": "no systemd runs here",
    "quarterdeck_unit_state": "no systemd runs here",
}
# Uses some CPU, runs into its limit, is unhealthy, and fails after a while.
BUSY = (
    "i=0; while [ $i -lt 20 ]; do i=$((i+1)); j=0; while [ $j -lt 20000 ]; do j=$((j+1)); done; sleep 1; done; exit 3"
)


@pytest.fixture
def deck(grounds, short_tmp, slack):
    made = Deck(short_tmp, grounds["docker"].url, slack)
    made.env.pop("QUARTERDECK_ENGINES")
    yield made
    made.close()


def configure(deck: Deck, grounds: Any, there: str) -> None:
    named = {"rootless": "1001"}
    config = {
        "engines": [
            {"kind": daemon.kind, "url": daemon.url, "name": named.get(key, "default")}
            for key, daemon in grounds.items()
        ],
        "alerts": {"to": OPS},
        "grants": [{"who": "everyone", "can": "viewer"}],
        "webhooks": {"tickets": {"url": f"{there}/hook", "secret": "a secret of some length"}},
        "heartbeat": {"url": f"{there}/ping", "every": "10s"},
        "alertmanager": {"receive_token": TOKEN},
    }
    deck.configure(json.dumps(config))


def run_workloads(docker: Any) -> None:
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web", "quarterdeck.team": "payments"}
    docker.network("shop")
    limits = {"mem_limit": "64m", "memswap_limit": "64m", "cpu_period": 100_000, "cpu_quota": 20_000, "pids_limit": 50}
    again = {"restart_policy": {"Name": "on-failure", "MaximumRetryCount": 50}, "network_mode": "shop"}
    check = {"test": ["CMD-SHELL", "exit 1"], "interval": 10**9, "timeout": 10**9, "retries": 1}
    docker.run("shop-web-1", BUSY, labels=labels, host=limits | again, healthcheck=check)
    docker.run("shop-job-1", "exit 0", labels=labels | {"com.docker.compose.service": "job"})
    docker.run("shop-db-1", labels=labels | {"com.docker.compose.service": "db"})


def update_service(docker: Any) -> None:
    (service,) = docker.api.services()
    template = service["Spec"]["TaskTemplate"] | {"ForceUpdate": 1}
    version = service["Version"]["Index"]
    docker.api.update_service(service["ID"], version, task_template=template, fetch_current_spec=True)


def tell(port: int, name: str, began: float, *, resolved: bool = False) -> None:
    """What an Alertmanager posts about a container. `began`: in seconds since the epoch."""
    alert = {
        "status": "resolved" if resolved else "firing",
        "labels": {"alertname": "HighCPU", "severity": "warning", "name": name},
        "annotations": {"summary": f"CPU of {name} is high."},
        "startsAt": as_text(began),
        "endsAt": as_text(time.time()) if resolved else "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": name,
    }
    body = {"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": alert["status"], "receiver": "it"}
    body |= {"groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": [alert]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/alertmanager",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


def as_text(at: float) -> str:
    return datetime.datetime.fromtimestamp(at, tz=datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def send_too_much(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as door:
        head = f"POST /api/alertmanager HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {TOKEN}\r\n"
        door.sendall(f"{head}Content-Length: 999999999\r\n\r\n".encode())
        assert b" 413 " in door.recv(1000)


def give_commands(deck: Deck, slack: Any) -> None:
    """A read, a change, a refusal, and a call that Slack limits."""
    slack.fault("chat.postMessage", "429", retry_after=1)
    deck.deck("ada", "ps")
    deck.deck("ada", "restart shop-db-1 -t 1")
    deck.deck("bob", "stop shop-db-1")
    deck.last("bob", "bob does not have the permission container.stop")


class Asker:
    """Asks each question until it has an answer. `chosen`: the values of the dashboards' variables."""

    def __init__(self, url: str) -> None:
        self.server = PrometheusServer(url)
        self.begin = time.time() - SCRAPE
        self.open = {question for one in dashboard_queries.load() for question in dashboard_queries.queries(one)}
        self.asked = len(self.open)
        self.chosen = dict.fromkeys(("host", "engine", "project", "instance", "rule", "team", "service"), ".*")
        self.chosen["container"] = "shop-web-1|shop-job-1"  # one that is busy and crashes, and one that stays ended

    @property
    def times(self) -> Times:
        return Times(begin=self.begin, end=time.time(), step=SCRAPE, scrape=SCRAPE)

    def all_answered(self) -> bool:
        self.open = {question for question in self.open if not self._has_answer(question)}
        return not self.unanswered()

    def unanswered(self) -> list[DashboardQuery]:
        return [one for one in self.open if not set(re.findall(r"quarterdeck_\w+", one.expr)) & set(EMPTY)]

    def _has_answer(self, question: DashboardQuery) -> bool:
        times = self.times
        expr = dashboard_queries.fill(question.expr, self.chosen | times.builtin)
        if question.label:
            return bool(self.server.values(expr, question.label, times))
        found = self.server.at(expr, times.end) if question.instant else self.server.over(expr, times)
        return any(not math.isnan(value) for series in found for _, value in series.points)


class Rules:
    """What the rules of the files do on that Prometheus. A recording rule must find data; so must each series of an
    alert, but the alert itself need not fire."""

    def __init__(self, prometheus: Prometheus, asker: Asker) -> None:
        self.prometheus, self.asker = prometheus, asker

    def all(self) -> list[dict[str, Any]]:
        return [rule for group in self.prometheus.ask("rules")["groups"] for rule in group["rules"]]

    def wrong(self) -> list[tuple[str, str]]:
        """The rules that were not evaluated, or found nothing."""
        return [(rule["name"], problem) for rule in self.all() if (problem := self._problem(rule))]

    def _problem(self, rule: dict[str, Any]) -> str:
        if rule["health"] != "ok":
            return str(rule.get("lastError", rule["health"]))
        series = set(re.findall(r"\bquarterdeck[_:][\w:]+", rule["query"]))
        if rule["type"] == "recording" and not series & set(EMPTY):
            series.add(rule["name"])
        times = self.asker.times
        missing = [name for name in sorted(series - set(EMPTY)) if not self.asker.server.over(name, times)]
        return ", ".join(missing)


def acknowledged(deck: Deck) -> bool:
    return bool(deck.series("incident_acknowledge_seconds_count", rule="alertmanager", team="payments"))


def start(deck: Deck, slack: Any, port: int) -> None:
    deck.start("run", port=port)
    deck.port = port
    slack.until_sockets(1)
    deck.until_ready()
    wait_for("the lease", lambda: deck.series("outlet_leader") == 1, SLOW_ENOUGH)


def test_every_query_finds_data(deck, grounds, slack, short_tmp):
    docker, port = grounds["docker"], free_tcp_port()
    run_workloads(docker)
    with receiver() as there:
        there.status = 200
        configure(deck, grounds, there.url)
        start(deck, slack, port)
        with private_prometheus(short_tmp, port, sorted(RULES.glob("*.yaml"))) as prometheus:
            asker = Asker(prometheus.url)
            tell(port, "shop-db-1", began := time.time())
            told = deck.last("ada", "CPU of shop-db-1 is high", seconds=SLOW_ENOUGH)
            wait_for(
                "a scrape", lambda: prometheus.query('quarterdeck_incidents_open{rule="alertmanager"}'), SLOW_ENOUGH
            )
            deck.stop()
            start(deck, slack, port)  # it finds a gap
            update_service(docker)
            send_too_much(port)
            slack.click("ada", told, "Ack")
            wait_for("the acknowledgement", lambda: acknowledged(deck), SLOW_ENOUGH, pause=0.2)
            tell(port, "shop-db-1", began, resolved=True)
            pulse = itertools.count()

            def answered() -> bool:
                if next(pulse) % 5 == 0:
                    give_commands(deck, slack)
                return asker.all_answered()

            with contextlib.suppress(AssertionError):
                wait_for("an answer to every query", answered, SLOW_ENOUGH, pause=SCRAPE)
            assert asker.asked > 200 and asker.unanswered() == []
            rules = Rules(prometheus, asker)
            with contextlib.suppress(AssertionError):
                wait_for("the rules to be evaluated", lambda: not rules.wrong(), SLOW_ENOUGH, pause=SCRAPE)
            assert len(rules.all()) > 40 and rules.wrong() == []
            assert prometheus.refused_samples() == 0
            if os.environ.get("DASHBOARD_PICTURES"):
                draw_pictures(asker, deck, docker, slack)


def draw_pictures(asker: Asker, deck: Deck, docker: Any, slack: Any) -> None:
    """Lets a minute pass in which things happen, and draws the dashboards."""
    docker.run("shop-worker-1", "sleep 20; exit 1", host={"restart_policy": {"Name": "always"}, "mem_limit": "32m"})
    ends = time.monotonic() + 60
    began = time.time()
    for number in itertools.count():
        give_commands(deck, slack)
        began = began if number % 2 else time.time()
        tell(deck.port, "shop-db-1", began, resolved=bool(number % 2))
        time.sleep(15)
        if time.monotonic() > ends:
            break
    times = dataclasses.replace(asker.times, step=3 * SCRAPE)
    pictures = list(draw.draw_dashboards(asker.server.url, PICTURES, times, {"container": asker.chosen["container"]}))
    assert [picture.name for picture in pictures if picture.stat().st_size > 150_000] == []
