"""A freeze as people meet it: set in Slack, seen in every refusal there and at the console, announced, lifted."""

from tests.helpers.waiting import wait_for

OPS = "C0OPS"


def posted(slack, text):
    """Whether a message with this text was posted in the channel of the alerts."""
    calls = slack.calls("chat.postMessage")
    return any(call["args"].get("channel") == OPS and text in str(call["args"]) for call in calls)


def test_a_freeze_holds_in_slack_and_at_the_console_until_it_is_lifted(deck, dockerd, slack):
    web = dockerd.run("web")
    before = dockerd.state(web)["StartedAt"]
    deck.configure(f"alerts: {{to: {OPS}}}\ngrants: [{{who: everyone, can: operator}}]\n")
    deck.up()
    deck.deck("bob", "rm web")
    deck.last("bob", "does not have the permission container.remove")
    deck.deck("ada", "rm -f web")
    asked = deck.last("ada", "cannot be undone")
    deck.deck("ada", "freeze --for 2h --reason 'data centre move'")
    wait_for("the announcement", lambda: posted(slack, "Show the freeze"))
    slack.click("ada", asked, asked["buttons"][0])
    deck.last("ada", "Nothing was changed: ada has frozen all changes")
    deck.deck("bob", "restart web -t 1")
    refused = deck.last("bob", "Nothing was changed: ada has frozen all changes")
    assert refused["ephemeral"] and "data centre move" in refused["text"]
    assert "data centre move" in deck.do("restart web -t 1", code=3)
    assert "ada has frozen all changes" in deck.do("frozen")
    assert dockerd.state(web)["StartedAt"] == before
    deck.deck("bob", "unfreeze")
    deck.last("bob", "unfreeze --force")
    deck.do("unfreeze --force")
    wait_for("the end's announcement", lambda: posted(slack, "the freeze of ada has ended"))
    deck.deck("bob", "restart web -t 1")
    deck.last("ada", "web restarted")
    assert dockerd.state(web)["StartedAt"] != before
    refusals = deck.audit("--refused")
    assert [(line, end) for _, line, end in refusals if "restart" in line] == [("restart web -t 1", "refused")] * 2
