"""Incidents reach people once, whatever is killed on the way."""

import re
import time

import pytest

from tests.helpers.waiting import wait_for
from tests.standins.slack.records import SCOPES

OPS = "C0OPS"
SLOW_ENOUGH = 90  # seconds
TAKEN_OVER = 120  # and for another process to wait until a post of the dead one cannot be on its way any more
REPEATED = "Slack did not confirm an earlier copy"


@pytest.fixture
def deck(deck, valkey):
    deck.configure(f"alerts: {{to: {OPS}}}\ngrants: [{{who: everyone, can: viewer}}]\n")
    deck.keep_in(valkey)
    return deck


def pair(deck):
    first = deck.up()
    wait_for("the first one to lead", lambda: deck.series("posting_leader") == 1, SLOW_ENOUGH)
    second = deck.up(sockets=2)
    return first, second


def roots(deck):
    """What each message is about, the oldest first."""
    return [found[1] for one in deck.said("ada") if (found := re.search(r"Firing: (\w+):", one["text"]))]


def crash(dockerd, name):
    container = dockerd.run(name, "exit 2")
    dockerd.api.wait(container)


@pytest.mark.parametrize("scope", ["channels:history", ""])
def test_of_two_replicas_one_is_killed_between_post_and_record(deck, dockerd, slack, scope):
    """With the optional scope the message is found; without it there is a second one, which says so."""
    if scope:
        slack.install([*SCOPES, scope])
    first, _ = pair(deck)
    slack.fault("chat.postMessage", "timeout", applied=True, channel=OPS)
    crash(dockerd, "web")
    wait_for("the message", lambda: roots(deck), SLOW_ENOUGH)
    deck.kill(first)
    deck.expire("hold:posting")
    wait_for("the details", lambda: _detailed(deck), TAKEN_OVER)
    if scope:
        assert roots(deck) == ["web"]
        assert deck.series("slack_lost_answers_total", outcome="found") == 1
    else:
        assert roots(deck) == ["web", "web"]
        assert sum(REPEATED in call["args"]["text"] for call in slack.calls("chat.postMessage")) == 1
        assert deck.series("slack_lost_answers_total", outcome="repeated") == 1


def test_of_two_replicas_one_is_killed_in_the_middle_of_a_flush(deck, dockerd, slack):
    """The first incident is told, the second is being told, and the third waits."""
    first, _ = pair(deck)
    crash(dockerd, "first")
    wait_for("the first one", lambda: _detailed(deck), SLOW_ENOUGH)
    slack.fault("chat.postMessage", "timeout", channel=OPS)
    crash(dockerd, "second")
    crash(dockerd, "third")
    wait_for("the second one", lambda: any("fault" in call["error"] for call in slack.calls("chat.postMessage")))
    deck.kill(first)
    deck.expire("hold:posting")
    for name in ("second", "third"):
        deck.last("ada", f"Firing: {name}", seconds=TAKEN_OVER)
    wait_for("all details", lambda: _detailed(deck, 3), TAKEN_OVER)
    assert roots(deck) == ["first", "second", "third"]


def test_the_next_start_says_once_that_nobody_watched(deck, dockerd, slack):
    deck.configure(f"alerts: {{to: {OPS}}}\nrules: {{change: {{nobody-watched: {{settle: 5s}}}}}}\n")
    dockerd.run("web")
    deck.up()
    wait_for("the watch to be recorded", lambda: deck.store.get("{qd}:watched"), SLOW_ENOUGH)
    deck.stop()
    last = int(deck.store.get("{qd}:watched"))
    deck.store.set("{qd}:watched", last - 1_800_000)  # as if it was stopped half an hour earlier
    deck.up()
    told = deck.last("ada", "nobody watched from", seconds=SLOW_ENOUGH)
    at = time.strftime("%Y-%m-%d %H:%M", time.gmtime(last / 1000 - 1800))
    assert at in told["text"] and "medium" in told["text"]
    deck.stop()
    deck.up()
    deck.last("ada", "Resolved: quarterdeck", seconds=SLOW_ENOUGH)
    assert len([call for call in slack.calls("chat.postMessage") if not call["args"].get("thread_ts")]) == 1


def _detailed(deck, number=1):
    """Whether so many messages have the details in their thread."""
    calls = deck.slack.calls("chat.postMessage")
    return sum(bool(call["args"].get("thread_ts")) and not call["error"] for call in calls) >= number
