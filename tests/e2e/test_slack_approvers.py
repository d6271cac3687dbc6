"""Two guards that each want an approval of another group: two people satisfy them, before everybody's eyes, in whatever
order; who is in neither group changes nothing, and one of them may cancel."""

import pytest

from tests.helpers.bot_process import ADA, BOB
from tests.helpers.waiting import wait_for

CY = "slack:T0001/U0CY"
ONCALL = "{can: container.stop, on: {label.env: prod}, ask: approve, from: 'group:oncall'}"
SECURITY = "{can: ends, ask: approve, from: 'group:security'}"


@pytest.fixture
def crew(deck, slack):
    """Ada is on call, Cy does security, Bob and Eve do neither. Returns how to begin with these guards."""
    slack.add_user("U0CY", "cy")
    slack.add_user("U0EVE", "eve")
    slack.add_channel("C0OPS", "ops", ["ada", "bob", "cy", "eve", "quarterdeck"])
    slack.add_group("S0ONCALL", "oncall", ["ada"])
    slack.add_group("S0SECURITY", "security", ["cy"])

    def begin(*guards):
        deck.env["QUARTERDECK_ADMINS"] = "[]"
        deck.configure(
            "grants: [{who: everyone, can: [operator, audit.read]}]\nguards:\n"
            + "".join(f"  - {one}\n" for one in guards)
        )
        deck.up()

    return begin


@pytest.mark.parametrize("guards", [(ONCALL, SECURITY), (SECURITY, ONCALL)], ids=["oncall first", "security first"])
@pytest.mark.parametrize("order", [("ada", "cy"), ("cy", "ada")], ids=["ada first", "cy first"])
def test_two_people_approve_in_whatever_order(deck, dockerd, slack, crew, guards, order):
    web = dockerd.run("web", labels={"env": "prod"})
    crew(*guards)
    deck.deck("bob", "stop web -t 1")
    question = deck.last("eve", "Somebody else has to approve")
    assert "group:oncall" in question["text"] and "group:security" in question["text"]
    slack.click("eve", question, "Approve")
    deck.last("eve", "not an approver of this command")
    slack.click("bob", question, "Approve")
    deck.last("bob", "Somebody else must approve it")
    first, second = order
    slack.click(first, question, "Approve")
    open_still = deck.last("eve", f"{first} approved")
    assert (open_still["ts"], open_still["buttons"]) == (question["ts"], ["Approve", "Cancel"])
    missing = {"ada": "group:oncall", "cy": "group:security"}[second]
    assert missing in open_still["text"]
    # Once more by the same person, and by somebody in neither group: the question stays open.
    slack.click(first, open_still, "Approve")
    deck.last(first, "not an approver of this command")
    slack.click("eve", open_still, "Approve")
    wait_for("eve's second refusal", lambda: sum("not an approver" in one["text"] for one in deck.said("eve")) == 2)
    assert dockerd.state(web)["Running"]
    slack.click(second, open_still, "Approve")
    done = deck.last("bob", "web stopped")
    assert done["ts"] == question["ts"] and "Approve" not in done["buttons"]
    assert dockerd.state(web)["Running"] is False
    ids = {"ada": ADA, "cy": CY}
    line = f"stop web -t 1 (asked by {BOB})"
    rows = [row for row in deck.audit("--target", "web") if row[2] != "refused"]
    assert rows == [(BOB, "stop web -t 1", "asked"), (ids[first], line, "approved"), (ids[second], line, "done")]


def test_one_of_them_cancels_after_the_other_has_approved(deck, dockerd, slack, crew):
    web = dockerd.run("web", labels={"env": "prod"})
    crew(ONCALL, SECURITY)
    deck.deck("bob", "stop web -t 1")
    question = deck.last("ada", "Somebody else has to approve")
    slack.click("ada", question, "Approve")
    half = deck.last("bob", "ada approved")
    slack.click("eve", half, "Cancel")
    deck.last("eve", "can cancel this question")
    slack.click("cy", half, "Cancel")
    gone = deck.last("bob", "Cancelled, nothing was done")
    assert (gone["ts"], gone["buttons"]) == (question["ts"], [])
    assert dockerd.state(web)["Running"]
    rows = [row for row in deck.audit("--target", "web") if row[2] != "refused"]
    line = f"stop web -t 1 (asked by {BOB})"
    assert rows == [(BOB, "stop web -t 1", "asked"), (ADA, line, "approved"), (CY, line, "cancelled")]
