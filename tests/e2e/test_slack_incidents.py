"""Alerts as people in Slack meet them: one message for one trouble, with buttons that work, and silence otherwise."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.helpers import hungry_container
from tests.helpers.bot_process import ADA
from tests.helpers.waiting import wait_for

OPS = "C0OPS"
SLOW_ENOUGH = 90  # seconds: a cause is known two seconds after the end, and a busy machine takes its time


@pytest.fixture
def deck(deck):
    deck.configure(f"alerts: {{to: {OPS}}}\ngrants: [{{who: everyone, can: viewer}}]\n")
    return deck


def messages(slack):
    """The calls that posted a message of its own in the channel."""
    return [
        call
        for call in slack.calls("chat.postMessage")
        if call["args"].get("channel") == OPS and not call["args"].get("thread_ts")
    ]


def crash(dockerd, container, times=1):
    for _ in range(times):
        dockerd.api.start(container)
        dockerd.api.wait(container)


def test_twenty_crashes_of_one_container_are_one_message_also_over_a_restart_of_the_bot(deck, dockerd, slack):
    web = dockerd.run("web", "exit 2", start=False)
    deck.up()
    crash(dockerd, web)
    told = deck.last("ada", "Firing: web: crashed", seconds=SLOW_ENOUGH)
    assert "exit code 2" in told["text"] and "medium" in told["text"]
    crash(dockerd, web, 9)
    assert "crash loop" in deck.last("ada", "10 times", seconds=SLOW_ENOUGH)["text"]
    deck.stop()
    crash(dockerd, web, 3)  # while nobody watches
    deck.up()
    crash(dockerd, web, 7)
    deck.last("ada", "20 times", seconds=SLOW_ENOUGH)
    assert len(messages(slack)) == 1
    card = deck.said("ada", thread_ts=told["ts"])
    assert any("container web@docker/" in one["text"] for one in card)


def test_the_buttons_are_commands_of_whoever_clicks(deck, dockerd, slack):
    web = dockerd.run("web", "echo it is broken; exit 2", start=False)
    deck.up()
    crash(dockerd, web)
    told = deck.last("ada", "Firing: web", seconds=SLOW_ENOUGH)
    slack.click("bob", told, "Ack")
    deck.last("bob", "bob does not have the permission incident.acknowledge")
    slack.click("ada", told, "Ack")
    assert "ada takes care of it" in deck.last("ada", "Acknowledged: web")["text"]
    slack.click("bob", told, "Logs")
    deck.last("bob", "it is broken")
    assert (ADA, "done") in {(who, end) for who, line, end in deck.audit() if line.startswith("ack ")}


def test_an_ordinary_day_is_silent(deck, dockerd, slack):
    """A stop, a restart, a kill -HUP, a removal and a job that finishes are no alerts."""
    web = dockerd.run("web", "trap 'exit 0' TERM; trap : HUP; while :; do sleep 0.1; done")
    deck.up()
    dockerd.api.kill(web, "HUP")
    dockerd.api.restart(web, timeout=5)
    dockerd.api.stop(web, timeout=5)
    dockerd.api.start(web)
    dockerd.api.kill(web)
    dockerd.api.remove_container(web)
    job = dockerd.run("job", "exit 0")
    dockerd.api.wait(job)
    loud = dockerd.run("loud", "exit 3")
    dockerd.api.wait(loud)
    # The ends are explained in order, so when the last one is told, the others were looked at.
    deck.last("ada", "Firing: loud", seconds=SLOW_ENOUGH)
    assert len(messages(slack)) == 1
    deck.deck("ada", "incidents")
    shown = deck.last("ada", "loud")["text"]
    assert "web" not in shown and "job" not in shown


def test_an_end_behind_the_memory_limit_is_told_as_such(deck, dockerd, slack):
    deck.up()
    web = hungry_container.run(dockerd, "web", host={"mem_limit": "8m", "memswap_limit": "8m"})
    assert dockerd.wait(web) != 0
    deck.last("ada", "Firing: web: out of memory", seconds=SLOW_ENOUGH)
    assert len(messages(slack)) == 1


def nobody_waits(pipe):
    """Whether nobody waits for this end of the pipe; who does goes on."""
    try:
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return True
    return False


def test_forty_one_ends_at_once_are_one_message_and_three_calls(deck, dockerd, slack, tmp_path):
    script = "read line < /go/now; exit 2"  # a pipe: each waits for its other end, and all go on at once
    go = tmp_path / "go"
    go.mkdir()
    os.mkfifo(go / "now")
    host = {"binds": [f"{go}:/go:ro"], "init": False}
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: dockerd.run(f"web{number}", script, host=host), range(41)))
    deck.up()
    wait_for("all of them to go on", lambda: nobody_waits(go / "now"))
    deck.last("ada", "41 incidents at once on ", seconds=SLOW_ENOUGH)
    wait_for("all to be told", lambda: deck.series("incidents_waiting") == 0, SLOW_ENOUGH)
    assert len(messages(slack)) == 1
    every = [*slack.calls("chat.postMessage"), *slack.calls("chat.update")]
    calls = sorted((call for call in every if call["args"].get("channel") == OPS), key=lambda call: call["at"])
    # On a busy machine, the ends come in several groups. The table is edited again five seconds after each group.
    assert len(calls) <= 3 + (calls[-1]["at"] - calls[0]["at"]) // 5


def test_hostile_names_labels_and_log_lines_mention_nobody(deck, dockerd, slack):
    deck.configure(f"alerts: {{to: {OPS}}}\nroutes: [{{to: {OPS}, logs: true}}]\n")
    deck.up()
    labels = {"quarterdeck.team": "<!channel>", "quarterdeck.channel": "<!here>", "quarterdeck.severity": "@everyone"}
    web = dockerd.run(
        "web",
        "echo 'end: <!channel> <@U0BOB> @here'; exit 2",
        labels={**labels, "com.docker.compose.project": "<!channel>", "com.docker.compose.service": "@here"},
    )
    dockerd.api.wait(web)
    told = deck.last("ada", "crashed", seconds=SLOW_ENOUGH)
    deck.last("ada", "end: ", seconds=SLOW_ENOUGH, thread_ts=told["ts"])  # the log is in the card
    assert slack.alarms() == []


def test_an_alert_waits_while_slack_refuses_and_is_told_once(deck, dockerd, slack):
    web = dockerd.run("web", "exit 2", start=False)
    deck.up()
    slack.fault("chat.postMessage", "ratelimited", count=2)
    crash(dockerd, web)
    deck.last("ada", "Firing: web", seconds=SLOW_ENOUGH)
    wait_for("the thread", lambda: slack.calls("chat.postMessage")[-1]["args"].get("thread_ts"))
    assert len([call for call in messages(slack) if not call["error"]]) == 1


def test_alerts_are_listed_without_a_channel(deck, dockerd, slack):
    deck.configure("grants: [{who: everyone, can: viewer}]\n")
    web = dockerd.run("web", "exit 2", start=False)
    deck.up()
    crash(dockerd, web)
    wait_for("the incident", lambda: "web" in deck.do("incidents"), SLOW_ENOUGH, pause=2.0)
    said = deck.do("incidents")
    assert "crashed: it failed (exit code 2)" in said and "Alerts are not posted in any channel" in said
    assert messages(slack) == []
