"""Two processes, one store: each line is done once, whoever is told of it and however often."""

import pytest

from tests.helpers import held_container
from tests.helpers.bot_process import ADA, happened
from tests.helpers.waiting import wait_for


@pytest.fixture
def pair(deck, valkey):
    """The port of each."""
    deck.keep_in(valkey)
    first = deck.up()
    second = deck.up(sockets=2)
    return first.port, second.port


def series_of(deck, port, name, way):
    deck.port = port
    return deck.series(name, way=way) or 0


def test_envelopes_are_spread_and_each_is_answered_once(deck, dockerd, slack, pair):
    dockerd.run("web", "echo hello; exec sleep 3600")
    asked = 16
    for _ in range(asked):
        deck.deck("ada", "logs web")
    wait_for("all answers", lambda: len(deck.said("ada")) == asked)
    counts = [series_of(deck, port, "slack_received_total", "slash") for port in pair]
    assert sum(counts) == asked
    assert all(counts)
    # A grant that one of them was told of holds on the other from its next command on.
    deck.deck("ada", "grant @bob viewer")
    deck.last("bob", "bob is now viewer, everywhere.")
    for _ in range(8):
        deck.deck("bob", "ps")
    wait_for("bob's answers", lambda: sum("localhost/busybox" in one["text"] for one in deck.said("bob")) == 8)


def press(deck, user, question, label, times):
    """Presses of one rendering of a message, in such a hurry that its end is not seen between them; waits for all."""
    before = answered(deck)
    clicked = [deck.slack.click(user, question, label)["envelope_id"]]
    payload = deck.slack.deliveries("interactive")[-1]["payload"]
    for number in range(times - 1):
        payload = payload | {"trigger_id": f"{payload['trigger_id']}{number}"}
        clicked.append(deck.slack.send("interactive", payload))
    assert all(deck.slack.settled(envelope)["acked"] for envelope in clicked)
    wait_for("all answers", lambda: answered(deck) == before + times)


def answered(deck):
    return sum(series_of(deck, process.port, "slack_reply_seconds_count", "click") for process in deck.running)


def test_a_double_click_does_it_once(deck, dockerd, slack, pair):
    for name in ("w1", "w2", "w3"):
        container = dockerd.run(name)
        deck.deck("ada", f"rm -f {name}")
        press(deck, "ada", deck.last("ada", f"Remove {name} on"), f"Yes, rm {name}", 3)
        assert happened(dockerd, container, "destroy") == 1
        assert sum(f"{name} removed" in one["text"] for one in deck.said("bob")) == 1
    done = [row for row in deck.audit() if row[2] == "done"]
    assert done == [(ADA, f"rm -f {name}", "done") for name in ("w1", "w2", "w3")]


def test_two_approvals_do_it_once_and_the_outcome_stands(deck, dockerd, slack, valkey):
    web = dockerd.run("web", "trap '' TERM; while :; do sleep 1; done", host={"init": False})
    deck.configure("grants: [{who: everyone, can: operator}]\nguards: [{can: container.stop, ask: approve}]\n")
    deck.keep_in(valkey)
    deck.up()
    deck.up(sockets=2)
    deck.deck("ada", "stop web -t 2")
    question = deck.last("bob", "Somebody else has to approve")
    press(deck, "bob", question, "Approve", 2)
    assert "web stopped" in deck.said("ada")[-1]["text"]
    assert deck.said("ada")[-1]["ts"] == question["ts"]
    assert happened(dockerd, web, "stop") == 1


def test_a_line_delivered_again_is_done_once(deck, dockerd, slack, pair):
    web = dockerd.run("web")
    sent = deck.deck("ada", "restart web -t 1")
    again = [slack.redeliver(sent["envelope_id"], fresh=True) for _ in range(3)]
    deck.last("ada", "web restarted")
    again.append(slack.redeliver(sent["envelope_id"], fresh=True))
    said = slack.say("ada", "ops", "@quarterdeck stop web -t 1")
    again += [slack.redeliver(said["envelope_id"], fresh=True) for _ in range(2)]
    deck.last("ada", "web stopped")
    for envelope in again:
        assert slack.settled(envelope)["acked"]
    slack.say("ada", "dm:ada", "whoami")
    deck.last("ada", ADA, "dm:ada")
    assert happened(dockerd, web, "restart") == 1
    assert happened(dockerd, web, "stop") == 2  # one of them is the restart's
    assert [row[1:] for row in deck.audit("--target", "web")] == [
        ("restart web -t 1", "done"),
        ("stop web -t 1", "done"),
    ]
    assert len(deck.said("bob")) == 2


def test_the_same_envelope_again(deck, dockerd, slack):
    """As after an acknowledgement that was lost."""
    web = dockerd.run("web")
    deck.up()
    sent = slack.say("ada", "ops", "@quarterdeck restart web -t 1")
    slack.settled(sent["envelope_id"])
    slack.redeliver(sent["envelope_id"], fresh=False)
    deck.last("ada", "web restarted")
    slack.settled(sent["envelope_id"])
    deck.deck("ada", "whoami")
    deck.last("ada", ADA)
    assert happened(dockerd, web, "restart") == 1
    assert len(deck.said("bob")) == 1


def test_who_is_at_work_on_a_thing_is_told_to_the_next(deck, dockerd, slack, pair):
    web = held_container.run(dockerd, "web")
    deck.deck("ada", "restart web -t 200")
    deck.last("bob", "restarting web…")
    for channel in ("secret", "dev", "dm:ada"):  # some of them come to the other process
        deck.deck("ada", "stop web -t 1", channel)
        deck.last("ada", "started container.restart on web", channel)
    held_container.let_end(dockerd, web)
    deck.last("bob", "web restarted")
    assert happened(dockerd, web, "stop") == 1
    assert (ADA, "stop web -t 1", "refused") in deck.audit("--refused")


def test_one_replica_leaves_and_the_other_goes_on(deck, dockerd, slack, pair):
    dockerd.run("web")
    first = deck.running[0]
    deck.deck("ada", "rm -f web")
    question = deck.last("ada", "cannot be undone")
    first.terminate()
    assert first.wait(60) == 0
    slack.until_sockets(1)
    slack.click("ada", question, "Yes, rm web")  # whoever asked, the other can be told
    deck.last("bob", "web removed")
