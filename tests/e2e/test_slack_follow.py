"""Logs that are followed: one message that changes, until it is stopped or its process ends."""

import pytest

from tests.helpers.bot_process import ADA
from tests.helpers.waiting import wait_for


@pytest.fixture
def web(dockerd):
    return dockerd.run("web", 'i=0; while :; do i=$((i+1)); echo "line $i <!channel>"; sleep 1; done')


def test_followed_logs_end_at_a_click(deck, slack, web):
    deck.up()
    deck.deck("ada", "logs -f web --share")
    shown = deck.last("bob", "line 3 ")
    assert shown["buttons"] == ["Stop"]
    slack.click("bob", shown, "Stop")
    deck.last("bob", "somebody else started it")
    slack.click("ada", shown, "Stop")
    ended = deck.last("ada", "was stopped")
    assert ended["ts"] == shown["ts"]
    assert "Stop" not in ended["buttons"]
    assert "line 3 <!channel>" in ended["text"]
    assert [one["ts"] for one in deck.said("bob") if "line 3 " in one["text"]] == [shown["ts"]]
    assert (ADA, "logs -f web --share", "done") in deck.audit("--reads", "--who", ADA)


def test_unshared_they_are_the_askers_alone(deck, slack, web):
    deck.up()
    deck.deck("ada", "logs -f web")
    deck.last("ada", "line 2 ", "dm:ada")
    assert deck.said("bob") == []


def test_a_process_that_stops_says_so(deck, slack, web):
    process = deck.up()
    slack.say("ada", "dm:ada", "logs -f web")
    deck.last("ada", "line 2 ", "dm:ada")
    process.terminate()
    assert process.wait(60) == 0
    (ended,) = deck.said("ada", "dm:ada")
    assert "Quarterdeck is stopping" in ended["text"]
    assert "Stop" not in ended["buttons"]


def test_a_process_that_was_killed_is_told_of_in_the_same_message(deck, slack, web, valkey):
    deck.keep_in(valkey)
    process = deck.up()
    slack.say("ada", "ops", "@quarterdeck logs -f web")
    shown = deck.last("ada", "line 2 ")
    wait_for("the note of where it is said", lambda: deck.store.hexists(deck.store.keys("*:inv:slack*")[0], "posted"))
    deck.kill(process)
    deck.expire("replica:*")
    deck.up()
    told = deck.last("ada", "restarted while this command ran. The command changed nothing")
    assert told["ts"] == shown["ts"]
    assert told["buttons"] == ["Run again"]
    slack.click("ada", told, "Run again")
    wait_for(
        "it to go on", lambda: any("Stop" in one["buttons"] for one in [*deck.said("ada"), *deck.said("ada", "dm:ada")])
    )
