"""A webhook of a running bot: signed, delivered after an outage of the receiver and a kill of the bot."""

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bot.outlets.webhook import signed_headers, signing_key
from tests.helpers.waiting import wait_for

SECRET = "a secret of some length"
SLOW_ENOUGH = 90


class Receiver(ThreadingHTTPServer):
    """Remembers each request; answers with `status`."""

    def __init__(self):
        self.status, self.requests, self.pings = 503, [], []
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def delivered(self):
        return [json.loads(body) for status, _, body in self.requests if status == 200]


class Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.server.status, dict(self.headers), body))
        self._answer(self.server.status)

    def do_GET(self):
        self.server.pings.append(self.path)
        self._answer(200)

    def _answer(self, status):
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def receiver():
    made = Receiver()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()


def test_an_incident_reaches_its_receiver_although_both_were_down(deck, dockerd, valkey):
    deck.keep_in(valkey)
    with receiver() as there:
        deck.configure(
            f"webhooks: {{t: {{url: '{there.url}/hook', secret: '{SECRET}'}}}}\n"
            f"heartbeat: {{url: '{there.url}/ping', every: 10s}}\n"
            "rules: {change: {crash: {settle: 2s}}}\n"  # so that its end is soon found
        )
        process = deck.up()
        wait_for("the lease", lambda: deck.series("outlet_leader") == 1, SLOW_ENOUGH)
        web = dockerd.run("web", "exit 2")
        dockerd.api.wait(web)
        wait_for("the first try", lambda: there.requests, SLOW_ENOUGH)
        assert deck.series("outlet_waiting", kind="webhook", name="t") == 1
        deck.kill(process)
        deck.expire("hold:outlets")
        there.status = 200
        deck.up()
        sent = wait_for("the delivery", there.delivered, SLOW_ENOUGH)[0]
        assert sent["type"] == "incident.firing" and sent["data"]["owner"] == "web"
        assert "exit code 2" in sent["data"]["cause"]
        _, headers, body = there.requests[-1]
        at = int(headers["webhook-timestamp"])
        assert abs(at - time.time()) < 60
        expected = signed_headers(signing_key(SECRET), headers["webhook-id"], at, body)
        assert headers["webhook-signature"] == expected["webhook-signature"]
        assert headers["webhook-id"] == there.requests[0][1]["webhook-id"]
        dockerd.api.remove_container(web)
        wait_for("the end", lambda: there.delivered()[-1]["type"] == "incident.resolved", SLOW_ENOUGH)
        wait_for("the heartbeat", lambda: "/ping" in there.pings, SLOW_ENOUGH)
        assert SECRET not in deck.log() and there.url not in deck.do("incidents --all")
