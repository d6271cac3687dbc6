"""The connection to Slack comes, goes and comes back; readiness and the metric tell how it is, and watching goes on."""

import json
import signal

from tests.helpers import held_container
from tests.helpers.bot_process import ADA, Deck, get
from tests.helpers.waiting import free_tcp_port, wait_for
from tests.standins.slack import client, state


def slack_part(deck):
    return json.loads(get(deck.port, "/readyz")[1])["slack"]


def test_a_killed_socket_is_followed_by_a_new_one(deck, dockerd, slack):
    dockerd.run("web")
    deck.up()
    assert deck.series("slack_connected") == 1
    (old,) = slack.sockets()
    slack.kill_sockets()
    wait_for("another socket", lambda: [one for one in slack.sockets() if one["name"] != old["name"]])
    deck.deck("ada", "ps")
    deck.last("ada", "localhost/busybox")
    deck.until_ready()
    assert deck.series("slack_connected") == 1


def test_a_refreshed_socket_loses_nothing(deck, dockerd, slack):
    dockerd.run("web")
    deck.up()
    (old,) = slack.sockets()
    slack.disconnect("refresh_requested")
    wait_for("another socket", lambda: [one for one in slack.sockets() if not one["retiring"]])
    for _ in range(3):
        deck.deck("ada", "ps")
    wait_for("all answers", lambda: len(deck.said("ada")) == 3)
    wait_for("the old socket to close", lambda: old["name"] not in [one["name"] for one in slack.sockets()])
    assert len(slack.sockets()) == 1


def test_a_silent_socket_is_replaced(deck, dockerd, slack):
    dockerd.run("web")
    deck.up()
    (old,) = slack.sockets()
    slack.silence_sockets()
    wait_for("another socket", lambda: [one for one in slack.sockets() if one["name"] != old["name"]])
    deck.deck("ada", "ps")
    deck.last("ada", "localhost/busybox")
    deck.until_ready()


def test_slack_may_come_later(dockerd, short_tmp):
    port = free_tcp_port()
    dockerd.run("web")
    nobody = client.Client(f"http://127.0.0.1:{port}")
    deck = Deck(short_tmp, dockerd.url, nobody)
    deck.port = free_tcp_port()
    deck.start("run", port=deck.port)
    wait_for("the engine", lambda: deck.series("container_state", name="web", state="running") == 1)
    assert deck.series("slack_connected") == 0
    wait_for("the reason", lambda: "cannot be reached" in slack_part(deck).get("reason", ""))
    assert get(deck.port, "/readyz")[0] == 503
    assert get(deck.port, "/healthz")[0] == 200
    assert deck.log().count("Slack is not connected") == 1  # said once, however often it is tried
    with client.start(short_tmp, port=port) as slack:
        deck.slack = slack
        slack.until_sockets(1)
        deck.until_ready()
        deck.deck("ada", "ps")
        deck.last("ada", "localhost/busybox")
        deck.close()


def test_wrong_tokens_are_said_with_their_cure_while_watching_goes_on(deck, dockerd, slack):
    dockerd.run("web")
    deck.env["SLACK_BOT_TOKEN"] = "xoxb-of-another-app"
    deck.port = free_tcp_port()
    process = deck.start("run", port=deck.port)
    wait_for("the words", lambda: "The bot token (slack.bot_token, xoxb-…) is not valid" in process.log.read_text())
    assert "xoxb-of" not in process.log.read_text()
    wait_for("the metrics", lambda: deck.series("container_state", name="web", state="running") == 1)
    assert deck.series("slack_connected") == 0
    assert "xoxb-…) is not valid" in slack_part(deck)["reason"]
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0

    deck.env["SLACK_BOT_TOKEN"], deck.env["SLACK_APP_TOKEN"] = slack.bot_token, "xapp-of-another-app"
    process = deck.start("run", port=free_tcp_port())
    other = "The app token (slack.app_token, xapp-…) is not valid"
    wait_for("the words about the other", lambda: other in process.log.read_text())
    assert "xapp-of" not in process.log.read_text()


def test_tokens_that_are_revoked_later(deck, dockerd, slack):
    deck.up()
    slack.revoke()
    slack.kill_sockets()
    wait_for("the loss", lambda: deck.series("slack_connected") == 0)
    assert get(deck.port, "/readyz")[0] == 503


def test_stopping_lets_a_change_end_and_tells_it(deck, dockerd, slack):
    web = held_container.run(dockerd, "web")
    before = dockerd.state(web)["StartedAt"]
    process = deck.up()
    deck.deck("ada", "restart web -t 200")
    deck.last("bob", "restarting web…")
    process.send_signal(signal.SIGTERM)
    slack.until_sockets(0)
    # Nobody is there to take new words, and Slack says so to whoever speaks them.
    deck.deck("ada", "stop web")
    slack.until("ada", "ops", "dispatch_failed")
    assert process.poll() is None
    held_container.let_end(dockerd, web)
    assert process.wait(60) == 0
    done = deck.last("bob", "web restarted", seconds=0.1)
    assert "Quarterdeck is stopping" in done["text"]
    assert "Stop watching" not in done["buttons"]
    assert len(deck.said("bob")) == 1
    assert dockerd.state(web)["Running"]
    assert dockerd.state(web)["StartedAt"] != before
    assert deck.audit("--who", ADA) == [(ADA, "restart web -t 200", "done")]


def test_signed_requests(deck, dockerd, slack):
    web = dockerd.run("web")
    listen = f"127.0.0.1:{free_tcp_port()}"
    url = f"http://{listen}/slack/events"
    deck.env |= {
        "QUARTERDECK_SLACK__MODE": "http",
        "QUARTERDECK_SLACK__LISTEN": listen,
        "SLACK_SIGNING_SECRET": slack.signing_secret,
    }
    del deck.env["SLACK_APP_TOKEN"]
    deck.up(sockets=0)
    slack.use_http(url)
    assert slack.verify_url() is True
    deck.deck("ada", "ps")
    deck.last("ada", "localhost/busybox")
    slack.say("ada", "ops", "@quarterdeck restart web -t 1")
    deck.last("bob", "web restarted")
    deck.deck("ada", "rm -f web")
    slack.click("ada", deck.last("ada", "cannot be undone"), "Cancel")
    deck.last("ada", "Cancelled")

    before = dockerd.state(web)["StartedAt"]
    for wrong in ({"signature": "bad"}, {"signature": "missing"}, {"skew": -600}, {"secret": "another"}):
        slack.use_http(url, **wrong)
        sent = deck.deck("ada", "restart web -t 1")
        assert slack.settled(sent["envelope_id"])["status"] == 401
        sent = slack.say("ada", "dm:ada", "restart web -t 1")
        assert slack.settled(sent["envelope_id"])["status"] == 401
    slack.use_http(url)
    deck.deck("ada", "whoami")
    deck.last("ada", state.TEAM)
    assert dockerd.state(web)["StartedAt"] == before
    assert [row[1:] for row in deck.audit("--who", ADA) if "restart" in row[1]] == [("restart web -t 1", "done")]
    deck.until_ready()
    assert get(int(listen.rpartition(":")[2]), "/slack/events")[0] == 405


def test_stopping_in_http_mode_answers_what_is_under_way(deck, dockerd, slack):
    web = held_container.run(dockerd, "web")
    listen = f"127.0.0.1:{free_tcp_port()}"
    deck.env |= {
        "QUARTERDECK_SLACK__MODE": "http",
        "QUARTERDECK_SLACK__LISTEN": listen,
        "SLACK_SIGNING_SECRET": slack.signing_secret,
    }
    process = deck.up(sockets=0)
    slack.use_http(f"http://{listen}/slack/events")
    deck.deck("ada", "restart web -t 200")
    deck.last("bob", "restarting web…")
    process.send_signal(signal.SIGTERM)

    def refused():
        deck.deck("ada", "whoami")
        return "dispatch_failed" in slack.text("ada", "ops")

    wait_for("the door to close", refused)
    held_container.let_end(dockerd, web)
    assert process.wait(60) == 0
    assert "web restarted" in deck.said("bob")[-1]["text"]
    assert dockerd.state(web)["Running"]
