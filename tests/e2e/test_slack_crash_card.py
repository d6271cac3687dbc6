"""The thread of an incident: the crash card with what changed and the chart, the log only where the route shows it, and
what self-healing did."""

import pytest

from tests.helpers import hungry_container
from tests.helpers.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(400)]
OPS = "C0OPS"
SLOW_ENOUGH = 90


def thread(deck, told, text):
    """The newest entry of the thread that holds this text."""
    return deck.last("ada", text, seconds=SLOW_ENOUGH, thread_ts=told["ts"])


def test_an_out_of_memory_end_has_a_card_with_its_limit_and_its_exit_code_in_words(deck, dockerd, slack):
    deck.configure(f"alerts: {{to: {OPS}}}\n")
    deck.up()
    hungry_container.run(dockerd, "web", "echo it begins", host={"mem_limit": "8m", "memswap_limit": "8m"})
    told = deck.last("ada", "Firing: web: out of memory", seconds=SLOW_ENOUGH)
    card = thread(deck, told, "Exit code")["text"]
    assert "out of memory" in card
    assert "8 MiB" in card
    assert "it begins" not in card, "without a route that says so, no log line is shown"


def test_log_lines_are_shown_only_where_the_route_says_so_and_no_label_forbids_it(deck, dockerd, slack):
    deck.configure(
        f"alerts: {{to: {OPS}}}\n"
        f"routes: [{{match: {{name: [open, closed]}}, to: {OPS}, logs: true}}]\n"
        "grants: [{who: everyone, can: viewer}]\n"
    )
    script = "echo it was fine; echo password=hunter2; echo the last words; exit 2"
    names = {"open": {}, "closed": {"quarterdeck.logs": "off"}, "other": {}}
    made = {name: dockerd.run(name, script, start=False, labels=labels) for name, labels in names.items()}
    deck.up()
    for name in names:
        dockerd.api.start(made[name])
    told = {name: deck.last("ada", f"Firing: {name}", seconds=SLOW_ENOUGH) for name in names}
    cards = {name: thread(deck, told[name], "Exit code")["text"] for name in names}
    assert "the last words" in cards["open"] and "The last 3 log lines" in cards["open"]
    assert "hunter2" not in cards["open"]
    assert "the last words" not in cards["closed"] + cards["other"]
    reads = [(who, line.split("@")[0]) for who, line, _ in deck.audit("--reads") if who.startswith("rule:")]
    assert reads == [("rule:crash", "logs open")]


def test_healing_restarts_what_crashed_says_so_in_the_thread_and_in_the_audit(deck, dockerd, slack):
    deck.configure(
        f"alerts: {{to: {OPS}}}\n"
        "healing:\n"
        "  - {name: restart-web, rules: [crash], on: {label.heal: restart}, do: restart, wait: 1s, tries: 2}\n"
    )
    web = dockerd.run("web", "exit 2", start=False, labels={"heal": "restart"})
    other = dockerd.run("other", "exit 2", start=False)
    deck.up()
    dockerd.api.start(other)
    dockerd.api.start(web)
    told = deck.last("ada", "Firing: web", seconds=SLOW_ENOUGH)
    assert "try 1 of 2" in thread(deck, told, "Healing rule restart-web: try 1")["text"]
    thread(deck, told, "gave up: restart-web tried 2 times to restart it")
    deck.last("ada", "self-healing gave up", seconds=SLOW_ENOUGH)
    rows = [row for row in deck.audit() if row[0].startswith("rule:restart-web")]
    assert {line.split("@")[0] for _, line, _ in rows} == {"restart web"}
    starts = dockerd.api.inspect_container(other)["State"]["StartedAt"]
    wait_for("the end", lambda: dockerd.api.inspect_container(web)["State"]["Status"] == "exited")
    assert dockerd.api.inspect_container(other)["State"]["StartedAt"] == starts, "nobody healed the other one"
