"""An Enterprise organization: who is a member is known in every kind of request, whatever team Slack names."""

import pytest

ANA, SUE = "U0ANA", "U0SUE"


@pytest.fixture
def grid(deck, dockerd, slack):
    """Ana's home is the sister workspace, and she is in ours too. Sue is in the sister workspace alone."""

    def up(kind, identity):
        slack.configure(grid=kind)
        slack.add_user(ANA, "ana", team="T0002", teams=["T0001", "T0002"])
        slack.add_user(SUE, "sue", team="T0002", teams=["T0002"])
        slack.add_group("S0SIS", "oncall", ["sue"], team="T0002")
        for person in ("ana", "sue"):
            slack.invite("ada", "ops", person)
        deck.env["QUARTERDECK_ADMINS"] = f'["{identity}"]'
        dockerd.run("web")
        deck.up()

    return up


def test_a_member_whom_slack_counts_to_another_workspace(deck, slack, grid):
    grid("workspace", "slack:T0001/U0ANA")
    deck.deck("ana", "whoami")
    deck.last("ana", "slack:T0001/U0ANA")
    slack.say("ana", "ops", "@quarterdeck rm -f web")
    question = deck.last("ana", "cannot be undone")
    slack.click("ana", question, "Yes, rm web")
    deck.last("ada", "web removed")
    for said in (
        lambda: slack.say("sue", "ops", "@quarterdeck ps"),
        lambda: slack.say("stan", "partners", "@quarterdeck ps"),
    ):
        said()
    deck.last("sue", "not a member of this workspace")
    deck.last("stan", "not a member of this workspace", "partners")


def test_an_app_of_the_whole_organization(deck, slack, grid):
    grid("organization", "slack:E0001/U0ANA")
    deck.deck("ana", "grant group:S0SIS viewer")
    deck.last("ana", "group:S0SIS")
    deck.deck("ana", "grant group:oncall operator")
    deck.last("ana", "group:oncall")
    for person in ("ana", "sue"):
        deck.deck(person, "whoami")
        deck.last(person, f"slack:E0001/U0{person.upper()}")
    # Of a workspace's group only the id counts: whoever administers a workspace chooses its handles.
    deck.deck("sue", "ps")
    deck.last("sue", "localhost/busybox")
    deck.deck("sue", "restart web")
    deck.last("sue", "sue does not have the permission container.restart")
    slack.say("ana", "ops", "@quarterdeck rm -f web")
    slack.click("ana", deck.last("ana", "cannot be undone"), "Yes, rm web")
    deck.last("ada", "web removed")
    slack.say("stan", "partners", "@quarterdeck ps")
    deck.last("stan", "not a member of this organization", "partners")
