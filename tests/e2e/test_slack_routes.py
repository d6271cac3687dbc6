"""Routes as people in Slack meet them: the right channel, the right people, the buttons, maintenance, and the first
channel without any configuration."""

import json

import pytest

from tests.helpers.bot_process import ADA, series
from tests.helpers.waiting import wait_for

OPS, SECRET = "C0OPS", "C0SEC"
SLOW_ENOUGH = 90  # seconds: a cause is known two seconds after the end, and a busy machine takes its time
VIEWERS = "grants: [{who: everyone, can: viewer}]\n"


def configure(deck, routes=(), alerts=None):
    deck.configure(f"{VIEWERS}alerts: {json.dumps(alerts or {})}\nroutes: {json.dumps(routes)}\n")


def messages(slack, channel):
    """The calls that posted a message of its own in a channel."""
    return [
        call
        for call in slack.calls("chat.postMessage")
        if call["args"].get("channel") == channel and not call["args"].get("thread_ts") and not call["error"]
    ]


def crash(dockerd, container, times=1):
    for _ in range(times):
        dockerd.api.start(container)
        dockerd.api.wait(container)


def test_a_severe_incident_goes_to_its_channel_and_people_and_mentions_only_whom_the_configuration_names(
    deck, dockerd, slack
):
    deck.woken = True
    configure(
        deck,
        [
            {"match": {"name": "pay*"}, "to": [SECRET, "U0BOB"], "mention": ["S0ONCALL"]},
            {"to": "#ops"},
        ],
    )
    deck.up()
    hostile = {"quarterdeck.team": "<!channel>", "app": "<!subteam^S0DEVS>"}
    dockerd.wait(dockerd.run("pay", "exit 2", labels=hostile))
    dockerd.wait(dockerd.run("web", "exit 2", labels=hostile))
    deck.last("ada", "Firing: pay", "secret", seconds=SLOW_ENOUGH)
    deck.last("bob", "Firing: pay", "dm:bob", seconds=SLOW_ENOUGH)
    deck.last("ada", "Firing: web", seconds=SLOW_ENOUGH)
    assert "pay" not in slack.text("ada", "ops") and "Firing: web" not in slack.text("ada", "secret")
    alarms = slack.alarms()
    assert {who for alarm in alarms for who in alarm["fires"]} == {"S0ONCALL"}
    assert {alarm["channel"] for alarm in alarms} == {SECRET, "D0BOB"}
    assert all(not alarm["dangers"] for alarm in alarms)


def test_the_first_channel_is_named_in_chat_and_the_next_crash_is_posted_there(deck, dockerd, slack):
    deck.configure(VIEWERS)
    process = deck.up()
    web = dockerd.run("web", "exit 2", start=False)
    wait_for("the log", lambda: "Incidents are not posted" in deck.log(), SLOW_ENOUGH)
    assert deck.log().count("Incidents are not posted") == 1
    assert series(process.port, "quarterdeck_alert_channel_configured") == 0
    deck.deck("bob", "alerts here")
    deck.last("bob", "does not have the permission alert.route")
    deck.deck("ada", "alerts here")
    deck.last("bob", "Alerts are posted in this channel from now on")
    crash(dockerd, web)
    deck.last("bob", "Firing: web", seconds=SLOW_ENOUGH)
    wait_for("the metric", lambda: series(process.port, "quarterdeck_alert_channel_configured") == 1)
    deck.stop()
    process = deck.up()
    other = dockerd.run("other", "exit 2", start=False)
    crash(dockerd, other)
    deck.last("bob", "Firing: other", seconds=SLOW_ENOUGH)
    assert len(messages(slack, OPS)) >= 2


def test_the_message_has_four_buttons_that_work_after_a_restart_of_the_bot(deck, dockerd, slack):
    configure(deck, alerts={"to": OPS})
    web = dockerd.run("web", "echo it is broken; exit 2", start=False)
    deck.up()
    crash(dockerd, web)
    told = deck.last("ada", "Firing: web", seconds=SLOW_ENOUGH)
    labels = [button["label"] for button in slack.buttons(told)]
    assert labels == ["Ack", "Logs", "Restart", "More…"]
    deck.stop()
    deck.up()
    slack.click("bob", told, "Restart")
    deck.last("bob", "bob does not have the permission container.restart")
    slack.click("bob", told, "More…")
    more = deck.last("bob", "Silence until resolved")
    slack.click("ada", told, "Ack")
    deck.last("ada", "ada takes care of it", seconds=SLOW_ENOUGH)
    assert [button["label"] for button in slack.buttons(told)] == ["Logs", "Restart", "More…"]
    slack.click("bob", more, "Silence until resolved")
    deck.last("bob", "bob does not have the permission incident.silence")
    slack.click("ada", told, "Restart")
    deck.last("ada", "web restarted", seconds=SLOW_ENOUGH)
    lines = [line for who, line, end in deck.audit() if who == ADA and end == "done"]
    assert any(line.startswith("restart ") and f"#{web[:12]}" in line for line in lines)


def test_restart_never_means_another_container_of_that_name(deck, dockerd, slack):
    configure(deck, alerts={"to": OPS})
    deck.up()
    web = dockerd.run("web", "exit 2")
    dockerd.wait(web)
    told = deck.last("ada", "Firing: web", seconds=SLOW_ENOUGH)
    dockerd.api.remove_container(web)
    new = dockerd.run("web", "while :; do sleep 1; done")
    started = dockerd.api.inspect_container(new)["State"]["StartedAt"]
    slack.click("ada", told, "Restart")
    deck.last("ada", "There is no container")
    assert dockerd.api.inspect_container(new)["State"]["StartedAt"] == started


def test_maintenance_is_announced_and_what_is_wrong_afterwards_is_posted(deck, dockerd, slack):
    configure(deck, alerts={"to": OPS})
    web = dockerd.run("web", "exit 2", start=False)
    once = "[ -e /again ] && exec sleep 600; touch /again; exit 2"
    short = dockerd.run("short", once, start=False)
    deck.up()
    deck.deck("ada", "maintenance add --host '*' --for 1h --reason 'new disks'", channel="secret")
    deck.last("ada", "everything on host * is open until", "secret")
    deck.last("ada", "Maintenance of everything on host * began", seconds=SLOW_ENOUGH)
    crash(dockerd, web)
    crash(dockerd, short)
    wait_for(
        "the incidents",
        lambda: {"web", "short"} <= set(deck.do("incidents").replace("@", " ").split()),
        SLOW_ENOUGH,
        pause=2.0,
    )
    dockerd.api.start(short)
    dockerd.api.stop(short, timeout=5)  # somebody stops it, so its crash is no trouble any more
    wait_for("its end", lambda: "short" not in deck.do("incidents"), SLOW_ENOUGH, pause=2.0)
    assert "web" not in slack.text("ada", "ops")
    slack.click("ada", deck.last("ada", "Maintenance of everything on host * began"), "End it now")
    deck.last("ada", "is over. 1 incident about it is still open", seconds=SLOW_ENOUGH)
    deck.last("ada", "Firing: web", seconds=SLOW_ENOUGH)
    assert "short" not in slack.text("ada", "ops")


def test_incidents_of_one_project_share_a_message(deck, dockerd, slack):
    configure(deck, [{"to": OPS, "group_by": ["project"]}])
    deck.up()
    for name in ("api", "db"):
        labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": name}
        dockerd.wait(dockerd.run(f"shop-{name}-1", "exit 2", labels=labels))
        deck.last("ada", f"shop/{name}", seconds=SLOW_ENOUGH)
    deck.last("ada", "2 incidents of project shop, 2 still open", seconds=SLOW_ENOUGH)
    assert len(messages(slack, OPS)) == 1


def test_a_label_cannot_send_an_incident_to_a_channel_that_the_configuration_does_not_name(deck, dockerd, slack):
    configure(deck, alerts={"to": OPS})
    deck.up()
    dockerd.wait(dockerd.run("web", "exit 2", labels={"quarterdeck.channel": SECRET}))
    deck.last("ada", "Firing: web", seconds=SLOW_ENOUGH)
    assert messages(slack, SECRET) == []


@pytest.mark.parametrize("quiet", [True, False])
def test_quiet_hours_hold_everything_back(deck, dockerd, slack, quiet):
    """The hours are of the clock of the machine, so one route is always quiet and the other one never."""
    hours = {"from": "00:00", "to": "24:00", "days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}
    configure(deck, [{"to": SECRET, "continue": True, **({"quiet": hours} if quiet else {})}, {"to": OPS}])
    deck.up()
    dockerd.wait(dockerd.run("web", "exit 2"))
    deck.last("ada", "Firing: web", seconds=SLOW_ENOUGH)
    if not quiet:
        deck.last("ada", "Firing: web", "secret", seconds=SLOW_ENOUGH)
    else:
        wait_for("the thread", lambda: [c for c in slack.calls("chat.postMessage") if c["args"].get("thread_ts")])
        assert messages(slack, SECRET) == []
