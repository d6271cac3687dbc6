"""Debian's Prometheus and Alertmanager with the bot between them: alerts come in as incidents, and ours go out."""

import pytest

from tests.daemons.alertmanager import private_alertmanager, prometheus_with_rules
from tests.helpers.waiting import free_tcp_port, wait_for

OPS, TOKEN = "C0OPS", "a-token-of-some-length"
SLOW_ENOUGH = 120  # seconds: a scrape, an evaluation, a group and a delivery, on a busy machine
DOWN = {
    "alert": "ContainerDown",
    "expr": 'quarterdeck_container_state{state="exited", name="api"} == 1',
    "labels": {"severity": "critical"},
    "annotations": {"summary": "{{ $labels.name }} on {{ $labels.host }} is down"},
}


@pytest.fixture
def deck(deck):
    # Our own rules are off, so that every message is about what Prometheus found.
    deck.configure(
        f"alerts: {{to: {OPS}}}\n"
        "grants: [{who: everyone, can: viewer}]\n"
        "rules: {off: [crash, crash-loop, restart-gave-up]}\n"
        f"alertmanager: {{receive_token: {TOKEN}}}\n"
    )
    return deck


def test_an_alert_of_prometheus_is_an_incident_of_its_container_until_it_is_resolved(deck, dockerd, slack, short_tmp):
    api = dockerd.run("api", "trap 'exit 3' TERM; while :; do sleep 0.1; done")
    deck.up()
    with (
        private_alertmanager(short_tmp, f"http://127.0.0.1:{deck.port}/api/alertmanager", TOKEN) as alertmanager,
        prometheus_with_rules(short_tmp, deck.port, alertmanager.url, [DOWN]),
    ):
        dockerd.api.stop(api)
        told = deck.last("ada", "Firing: api", seconds=SLOW_ENOUGH)
        assert "api on" in told["text"] and "is down" in told["text"] and "high" in told["text"]
        assert {"Logs", "Restart"} <= {button["label"] for button in slack.buttons(told)}
        slack.click("ada", told, "Restart")  # the button acts on the container that the alert named
        wait_for("the container to run", lambda: dockerd.api.inspect_container(api)["State"]["Running"])
        deck.last("ada", "Resolved: api", seconds=SLOW_ENOUGH)
        assert deck.do("incidents --all").count("api@docker/") == 1
    assert deck.series("alerts_received_total", outcome="stored") >= 2
    assert not deck.series("alerts_received_total", outcome="refused")


def test_our_alerts_go_to_an_alertmanager_instead_of_slack_and_end_there(deck, dockerd, short_tmp):
    web = dockerd.run("web", "exit 2", start=False)
    with private_alertmanager(short_tmp) as alertmanager:
        deck.configure(
            f"alertmanager: {{send_to: [{{url: '{alertmanager.url}'}}, {{url: 'http://127.0.0.1:{free_tcp_port()}'}}],"
            " link: 'https://deck.example.com/'}\n"
            "rules: {change: {crash: {settle: 2s}}}\n"  # so that its end is soon found
        )
        deck.up()
        wait_for("the lease", lambda: deck.series("outlet_leader") == 1)
        dockerd.api.start(web)
        dockerd.api.wait(web)
        (alert,) = wait_for("the alert", alertmanager.alerts, SLOW_ENOUGH, pause=0.2)
        assert alert["labels"]["alertname"] == "crash" and alert["labels"]["severity"] == "warning"
        assert alert["labels"]["owner"] == "web" and alert["labels"]["reporter"] == "quarterdeck"
        assert alert["generatorURL"] == "https://deck.example.com/"
        assert "exit code 2" in alert["annotations"]["summary"]
        dockerd.api.remove_container(web)
        wait_for("its end", lambda: not alertmanager.alerts(), SLOW_ENOUGH, pause=0.2)
        # The other one is down, which hinders nobody.
        assert deck.series("outlet_requests_total", kind="alertmanager", outcome="failed") >= 1


def test_an_alert_that_goes_round_in_a_circle_is_one_incident(deck, dockerd, slack, short_tmp):
    web = dockerd.run("web", "exit 2", start=False)
    port = free_tcp_port()
    with private_alertmanager(short_tmp, f"http://127.0.0.1:{port}/api/alertmanager", TOKEN) as alertmanager:
        deck.configure(
            f"alerts: {{to: {OPS}}}\n"
            f"alertmanager: {{receive_token: {TOKEN}, send_to: [{{url: '{alertmanager.url}'}}]}}\n"
        )
        deck.up(port=port)
        wait_for("the lease", lambda: deck.series("outlet_leader") == 1)
        dockerd.api.start(web)
        dockerd.api.wait(web)
        deck.last("ada", "Firing: web", seconds=SLOW_ENOUGH)
        wait_for("the circle", lambda: deck.series("alerts_received_total", outcome="own"), SLOW_ENOUGH)
        assert deck.do("incidents").count("crashed") == 1
