"""Questions: asked of the asker alone, or of everybody where another has to approve; answered once, by whom they are
for."""

import pytest

from tests.helpers.bot_process import ADA, BOB
from tests.helpers.waiting import wait_for
from tests.standins.slack import client


def test_what_destroys_is_asked_of_the_asker_alone(deck, dockerd, slack):
    dockerd.run("web")
    deck.up()
    deck.deck("ada", "rm -f web")
    question = deck.last("ada", "cannot be undone")
    assert question["ephemeral"]
    assert question["buttons"] == ["Yes, rm web", "Cancel"]
    assert deck.said("bob") == []
    with pytest.raises(client.Refused, match="sees no message"):
        slack.click("bob", question, "Yes, rm web")
    assert dockerd.state("web")["Running"]
    slack.click("ada", question, "Yes, rm web")
    done = deck.last("bob", "web removed")
    assert done["text"].startswith("ada · rm -f web\n")
    assert not dockerd.api.containers(all=True)
    # The private question is gone with it.
    wait_for("the question to go", lambda: [one for one in deck.said("ada") if one["ephemeral"]] == [])
    assert deck.audit("--who", ADA) == [(ADA, "rm -f web", "asked"), (ADA, "rm -f web", "done")]


def test_a_no_is_a_no(deck, dockerd, slack):
    dockerd.run("web")
    deck.up()
    deck.deck("ada", "rm -f web")
    slack.click("ada", deck.last("ada", "cannot be undone"), "Cancel")
    told = deck.last("ada", "Cancelled, nothing was done")
    assert told["buttons"] == []
    assert len(deck.said("ada")) == 1  # it stands in the question's place
    assert deck.said("bob") == []
    assert dockerd.state("web")["Running"]


def test_the_words_of_a_question_are_no_use_to_others(deck, dockerd, slack):
    """A token that was read over a shoulder, typed by somebody else."""
    dockerd.run("web")
    deck.configure("grants: [{who: everyone, can: operator}]")
    deck.up()
    deck.deck("ada", "rm -f web")
    line = slack.buttons(deck.last("ada", "cannot be undone"))[0]["value"]
    deck.deck("bob", line)
    assert deck.last("bob", "Only ada can confirm this")["ephemeral"]
    deck.deck("bob", line.replace("confirm", "cancel"))
    deck.last("bob", "Only ada can cancel this")
    assert dockerd.state("web")["Running"]
    deck.deck("ada", line)
    deck.last("bob", "web removed")
    deck.deck("ada", line)
    deck.last("ada", "expired or was already answered")
    assert (BOB, line, "refused") in deck.audit("--refused")


def test_a_question_that_waited_too_long_says_so_and_loses_its_buttons(deck, dockerd, slack, valkey):
    dockerd.run("web")
    deck.keep_in(valkey)
    deck.up()
    deck.deck("ada", "rm -f web")
    question = deck.last("ada", "confirm within 5 min")
    deck.expire("question:*")
    slack.click("ada", question, "Yes, rm web")
    told = deck.last("ada", "has expired")
    assert told["buttons"] == []
    assert len(deck.said("ada")) == 1
    assert dockerd.state("web")["Running"]


def test_a_new_container_under_the_old_name_is_not_what_was_asked_about(deck, dockerd, slack):
    first = dockerd.run("web")
    deck.up()
    deck.deck("ada", "rm -f web")
    question = deck.last("ada", "cannot be undone")
    dockerd.api.remove_container(first, force=True)
    second = dockerd.run("web")
    slack.click("ada", question, "Yes, rm web")
    deck.last("ada", "web")
    wait_for("an answer", lambda: not any("confirm within" in one["text"] for one in deck.said("ada")))
    assert dockerd.state("web")["Running"]
    assert dockerd.api.inspect_container("web")["Id"] == second


def test_another_person_approves_before_everybodys_eyes(deck, dockerd, slack):
    web = dockerd.run("web", labels={"env": "prod"})
    deck.configure(
        "grants: [{who: everyone, can: operator}]\n"
        "guards: [{can: container.stop, on: {label.env: prod}, ask: approve, from: 'group:developers'}]\n"
    )
    deck.up()
    deck.deck("ada", "stop web -t 1")
    question = deck.last("bob", "Somebody else has to approve")
    assert not question["ephemeral"]
    assert "group:developers" in question["text"]
    assert question["text"].startswith("ada · stop web -t 1\n")
    slack.click("ada", question, "Approve")
    assert deck.last("ada", "Somebody else must approve it")["ephemeral"]
    slack.click("gil", question, "Approve")
    assert deck.last("gil", "Guests of the workspace")["ephemeral"]
    assert dockerd.state(web)["Running"]
    assert deck.said("bob")[0]["buttons"] == ["Approve", "Cancel"]  # still open
    slack.click("bob", question, "Approve")
    done = deck.last("ada", "web stopped")
    assert done["ts"] == question["ts"]
    assert "Approve" not in done["buttons"]
    assert "stop web -t 1 (asked by" in done["text"]
    assert dockerd.state(web)["Running"] is False
    rows = deck.audit("--target", "web")
    assert rows[0] == (ADA, "stop web -t 1", "asked")
    assert rows[-1] == (BOB, f"stop web -t 1 (asked by {ADA})", "done")


def test_who_may_not_approve_is_told_who_may(deck, dockerd, slack):
    dockerd.run("web")
    deck.configure(
        "grants: [{who: everyone, can: operator}]\n"
        "guards: [{can: container.stop, ask: approve, from: 'group:oncall'}]\n"
    )
    deck.up()
    slack.say("bob", "ops", "@quarterdeck stop web -t 1")
    question = deck.last("ada", "Somebody else has to approve")
    slack.add_user("U0EVE", "eve")
    slack.add_channel("C0OPS", "ops", ["ada", "bob", "eve", "quarterdeck"])
    slack.click("eve", question, "Approve")
    assert "group:oncall" in deck.last("eve", "not an approver of this command")["text"]
    slack.click("ada", question, "Cancel")
    turned = deck.last("bob", "Cancelled, nothing was done")
    assert turned["ts"] == question["ts"]
    assert turned["buttons"] == []
    assert dockerd.state("web")["Running"]


def test_many_at_once_are_asked_about(deck, dockerd, slack):
    for name in ("w-1", "w-2", "w-3", "w-4"):
        dockerd.run(name)
    deck.up()
    deck.deck("ada", "stop 'w-*' -t 1")
    question = deck.last("ada", "changes 4 resources at once")
    assert question["buttons"] == ["Yes, stop 4 containers", "Cancel"]
    slack.click("ada", question, "Yes, stop 4 containers")
    deck.last("bob", "4 stopped")
    assert not dockerd.api.containers()
