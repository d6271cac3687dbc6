"""Who may do what, as people in Slack meet it: the first admin, refusals and their cure, grants, limits, strangers."""

import re

from tests.helpers.bot_process import ADA, BOB
from tests.helpers.waiting import wait_for


def test_the_first_admin_brings_the_code_from_the_log(deck, dockerd, slack):
    dockerd.run("web")
    deck.env["QUARTERDECK_ADMINS"] = "[]"
    deck.configure("grants: [{who: everyone, can: viewer}]")
    process = deck.up()
    code = wait_for("the code", lambda: re.search(r"/deck claim ([0-9a-f]{32})\n", process.log.read_text()))[1]
    deck.deck("bob", "claim " + "0" * 32)
    deck.last("bob", "The claim code is wrong")
    deck.deck("ada", "restart web -t 1")
    assert "at the console" in deck.last("ada", "does not have the permission container.restart")["text"]
    deck.deck("ada", f"claim {code}")
    assert deck.last("ada", "You are an admin now, ada")["ephemeral"]
    deck.deck("ada", "restart web -t 1")
    deck.last("bob", "web restarted")
    deck.deck("bob", f"claim {code}")
    deck.last("bob", "No claim code is valid now")
    for everybody in ("ada", "bob"):
        assert code not in "".join(one["text"] for one in deck.said(everybody))
    assert any(who == ADA and line.startswith("claim") and end == "done" for who, line, end in deck.audit())
    # A second start has nothing to offer.
    deck.stop()
    again = deck.up()
    assert "claim" not in again.log.read_text()


def test_a_refusal_is_private_and_names_the_cure(deck, dockerd, slack):
    web = dockerd.run("web")
    before = dockerd.state(web)["StartedAt"]
    deck.configure("grants: [{who: everyone, can: viewer}]")
    deck.up()
    for way in ("slash", "mention"):
        if way == "slash":
            deck.deck("bob", "restart web")
        else:
            slack.say("bob", "ops", "@quarterdeck restart web")
        told = deck.last("bob", "bob does not have the permission container.restart on web")
        assert told["ephemeral"]
        assert "to grant container.restart to bob: ada." in told["text"] and BOB in told["text"]
        assert ADA in told["text"]
    assert deck.said("ada") == []
    assert dockerd.state(web)["StartedAt"] == before
    rows = deck.audit("--refused")
    assert rows == [(BOB, "restart web", "refused")]
    assert "2 times" in deck.do("audit --refused")


def test_a_grant_by_mention_holds_from_the_next_command_on(deck, dockerd, slack):
    dockerd.run("web")
    dockerd.run("db")
    deck.configure("grants: [{who: everyone, can: viewer}]")
    deck.up()
    deck.deck("bob", "restart web -t 1")
    deck.last("bob", "bob does not have the permission")
    deck.deck("ada", "grant @bob operator --name web")
    granted = deck.last("bob", "bob is now operator on name web.")
    assert not granted["ephemeral"]
    deck.deck("bob", "restart web -t 1")
    deck.last("ada", "web restarted")
    deck.deck("bob", "restart db -t 1")
    deck.last("bob", "does not have the permission container.restart on db")
    slack.click("ada", granted, granted["buttons"][0])
    deck.last("ada", "Revoked g-")
    deck.deck("bob", "restart web -t 1")
    wait_for("the next refusal", lambda: sum("restart on web" in one["text"] for one in deck.said("bob")) == 2)


def test_a_grant_to_a_user_group_reaches_its_members(deck, dockerd, slack):
    dockerd.run("web")
    slack.add_group("S0SHOP", "shop", ["bob"])
    deck.up()
    deck.deck("bob", "ps")
    deck.last("bob", "bob does not have the permission")
    slack.say("ada", "ops", "@quarterdeck grant @shop viewer container.restart")
    deck.last("bob", "group:shop now has the permissions viewer, container.restart")
    deck.deck("bob", "ps")
    deck.last("bob", "localhost/busybox")
    deck.deck("bob", "whoami")
    assert "shop" in deck.last("bob", "Your grants here")["text"]
    assert deck.audit("--who", BOB)[0][2] == "refused"


def test_a_limit_says_when_to_try_again(deck, dockerd, slack):
    dockerd.run("web")
    deck.configure("limits: {read: 2/h}")
    deck.up()
    for _ in range(2):
        deck.deck("ada", "ps")
    wait_for("both answers", lambda: len(deck.said("ada")) == 2)
    deck.deck("ada", "ps")
    told = deck.last("ada", "Try again in")
    assert told["ephemeral"]
    assert (ADA, "ps", "refused") in deck.audit("--refused")


def test_strangers_guests_and_bots(deck, dockerd, slack):
    web = dockerd.run("web")
    before = dockerd.state(web)["StartedAt"]
    deck.configure("grants: [{who: everyone, can: operator}]")
    deck.up()
    slack.say("stan", "partners", "@quarterdeck restart web")
    assert deck.last("stan", "You are not a member of this workspace", "partners")["ephemeral"]
    deck.deck("gil", "restart web")
    assert deck.last("gil", "Guests of the workspace cannot")["ephemeral"]
    slack.say("uma", "ops", "@quarterdeck restart web")
    assert deck.last("uma", "Guests of the workspace cannot")["ephemeral"]
    silent = [
        slack.say("robot", "ops", "@quarterdeck restart web"),
        slack.say("ada", "ops", "@quarterdeck restart web", None, "channel_topic"),
    ]
    first = slack.say("ada", "ops", "hello @quarterdeck")
    silent.append(slack.edit("ada", first["ts"], "@quarterdeck restart web"))
    for one in silent:
        assert slack.settled(one["envelope_id"])["acked"]
    refused = [
        ("slack:T0001/U0GIL", "restart web", "refused"),
        ("slack:T0001/U0UMA", "restart web", "refused"),
        ("slack:T0999/U0STAN", "restart web", "refused"),
    ]
    assert sorted(deck.audit("--refused")) == refused
    assert dockerd.state(web)["StartedAt"] == before
    # All of their words came in before these, which are answered.
    deck.deck("bob", "restart web -t 1")
    deck.last("ada", "web restarted")
    assert sorted({row for row in deck.audit() if "restart" in row[1]}) == [
        *sorted([*refused, (BOB, "restart web -t 1", "done")])
    ]


def test_guests_may_speak_where_the_configuration_says_so(deck, dockerd, slack):
    dockerd.run("web")
    deck.env["QUARTERDECK_SLACK__GUESTS"] = "true"
    deck.configure("grants: [{who: everyone, can: viewer}]")
    deck.up()
    deck.deck("gil", "ps")
    deck.last("gil", "localhost/busybox")
    slack.say("stan", "partners", "@quarterdeck ps")
    deck.last("stan", "You are not a member of this workspace", "partners")


def test_an_edited_command_in_a_direct_message_is_not_given_twice(deck, dockerd, slack):
    web = dockerd.run("web")
    deck.up()
    said = slack.say("ada", "dm:ada", "restart web -t 1")
    deck.last("ada", "web restarted", "dm:ada")
    after = dockerd.state(web)["StartedAt"]
    edited = slack.edit("ada", said["ts"], "restart web -t 2")
    assert slack.settled(edited["envelope_id"])["acked"]
    slack.say("ada", "dm:ada", "whoami")
    deck.last("ada", ADA, "dm:ada")
    assert dockerd.state(web)["StartedAt"] == after
