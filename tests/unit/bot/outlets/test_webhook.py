"""The request about an incident: its schema, its signature, and what a receiver needs to verify it."""

from __future__ import annotations

import base64
import json
import re

import pytest

from bot.outlets import webhook
from bot.outlets.http_sender import SendOutcome, Sent
from bot.outlets.webhook import Webhook, payload, signed_headers, signing_key
from core.config.alert_routes import matchers
from core.model.alerts import AlertState, Severity
from core.model.end_causes import Cause, CauseKind
from core.model.incidents import acknowledge, merge_alert
from tests.helpers.alerts import alert
from tests.helpers.paths import ROOT

SECRET = "whsec_" + base64.b64encode(b"a key of 24 random bytes").decode()
SECOND = 1_000_000_000


class Wire:
    """Takes what would be sent."""

    def __init__(self) -> None:
        self.requests = []

    async def send(self, method, url, body, headers):
        self.requests.append((method, url, body, dict(headers)))
        return Sent(outcome=SendOutcome.DELIVERED)


def incident(*more, **fields):
    found = merge_alert(None, alert(at=1_764_470_000 * SECOND, since_ns=1_764_470_000 * SECOND, **fields))
    for each in more:
        found = merge_alert(found, each)
    return found


async def sent(about=None, secret=SECRET):
    wire = Wire()
    hook = Webhook("t", "https://x.example/hook", secret, wire, now=lambda: 1_764_470_005.7)
    await hook.send(about or incident())
    return wire.requests[0]


def test_the_schema_is_as_documented():
    """Every field, with its type, is in the table of docs/alerts.md, and nothing else is."""
    text = (ROOT / "docs/alerts.md").read_text("utf-8")
    section = text.partition("### The request")[2].partition("\n### ")[0]
    documented = set(re.findall(r"^\| `([\w.\[\]]+)`", section, re.MULTILINE))

    def names(value, path=""):
        for name, inner in value.items():
            yield f"{path}{name}"
            if isinstance(inner, dict):
                yield from names(inner, f"{path}{name}.")
            if isinstance(inner, list):
                yield from names(inner[0], f"{path}{name}[].")

    assert set(names(payload(incident()))) == documented


def test_the_state_is_in_the_type_and_secrets_are_hidden():
    cause = Cause(kind=CauseKind.CRASHED, text="it failed: password=hunter2hunter2")
    found = incident(text="AKIAIOSFODNN7EXAMPLE was used", cause=cause, team="payments")
    body = payload(found)
    assert (body["version"], body["type"], body["sequence"]) == (1, "incident.firing", 1)
    assert "hunter2" not in json.dumps(body) and body["data"]["team"] == "payments"
    assert payload(acknowledge(found, "slack:T1/U1", "Ada"))["data"]["acknowledged_name"] == "Ada"
    over = merge_alert(found, alert(at=1_764_470_060 * SECOND, state=AlertState.RESOLVED))
    assert (payload(over)["type"], payload(over)["data"]["changed_at"]) == (
        "incident.resolved",
        "2025-11-30T02:34:20.000Z",
    )


async def test_the_documented_example_accepts_our_request_and_refuses_others():
    """The example is run as it is written in docs/alerts.md."""
    text = (ROOT / "docs/alerts.md").read_text("utf-8")
    example = text.partition("### Verifying a request")[2].partition("```python\n")[2].partition("```")[0]
    names = {}
    exec(compile(example, "docs/alerts.md", "exec"), names)
    verify = names["verify"]
    for secret in (SECRET, "a secret that is no base64 at all"):
        _, _, body, headers = await sent(secret=secret)
        now = 1_764_470_005
        assert verify(secret, headers, body, now)
        assert not verify(secret, headers, body + b" ", now)
        assert not verify("whsec_" + base64.b64encode(b"another").decode(), headers, body, now)
        assert not verify(secret, headers, body, now + 301)  # recorded and sent again later
        assert not verify(secret, {**headers, "webhook-timestamp": str(now + 1)}, body, now)
        assert not verify(secret, {**headers, "webhook-id": "other"}, body, now)


def test_the_signature_is_that_of_the_specification():
    """The example of the Standard Webhooks specification, with the keys and the result that its libraries use."""
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_the_same_state_has_the_same_id_and_each_try_a_time_of_its_own():
    first, again = await sent(), await sent()
    assert first[3]["webhook-id"] == again[3]["webhook-id"] and first[2] == again[2]
    later = await sent(incident(alert(at=1_764_470_009 * SECOND, count=2)))
    assert later[3]["webhook-id"] != first[3]["webhook-id"]
    assert first[3]["webhook-timestamp"] == "1764470005"
    assert first[3]["Content-Type"] == "application/json"


async def test_hostile_names_stay_json_and_are_cut():
    about = incident(owner='web"\\\ud800\x00', text="x" * 100_000, team="\n\r")
    _, _, body, headers = await sent(about)
    read = json.loads(body)
    assert len(read["data"]["text"]) == webhook.MAX_TEXT and read["data"]["owner"].startswith('web"\\')
    assert all("\n" not in value and "\r" not in value for value in headers.values())


@pytest.mark.parametrize(
    ("severity", "wanted"),
    [(Severity.HIGH, ["high"]), (Severity.MEDIUM, ["high", "medium"]), (Severity.LOW, ["high", "medium", "low"])],
)
def test_a_webhook_can_ask_for_the_severe_ones_only(severity, wanted):
    hook = Webhook("t", "https://x.example", SECRET, Wire(), severity=severity)
    assert [str(each) for each in Severity if hook.wants(incident(severity=each))] == wanted


def test_a_webhook_can_ask_for_what_a_route_can_match():
    hook = Webhook(
        "t", "https://x.example", SECRET, Wire(), matchers=matchers({"team": ("pay*",), "rule": ("!=flapping",)})
    )
    assert hook.wants(incident(team="payments")) and not hook.wants(incident(team="search"))
    assert not hook.wants(incident(team="payments", rule="flapping"))


@pytest.mark.parametrize(
    "wish",
    [{"severity": Severity.HIGH}, {"matchers": matchers({"severity": ("high",)})},
     {"matchers": matchers({"rule": ("restart-gave-up",)})}],
)  # fmt: skip
def test_a_receiver_of_the_severe_ones_gets_what_follows_also_when_the_severe_part_is_over(wish):
    hook = Webhook("t", "https://x.example", SECRET, Wire(), **wish)
    now = 1_764_470_000 * SECOND
    gave_up = {"rule": "restart-gave-up", "severity": Severity.HIGH}
    crashed = incident()
    assert not hook.wants(crashed)
    both = incident(alert(at=now + 1, **gave_up))
    assert hook.wants(both)
    one_over = incident(alert(at=now + 1, **gave_up), alert(at=now + 2, state=AlertState.RESOLVED, **gave_up))
    assert one_over.severity is Severity.MEDIUM and hook.wants(one_over)
    over = merge_alert(one_over, alert(at=now + 3, state=AlertState.RESOLVED))
    assert over.state == "resolved" and over.severity is Severity.MEDIUM and hook.wants(over)
    assert not hook.wants(incident(alert(at=now + 3, state=AlertState.RESOLVED)))


def test_an_incident_that_no_receiver_wanted_stays_unwanted_at_its_end():
    hook = Webhook("t", "https://x.example", SECRET, Wire(), matchers=matchers({"rule": ("!=crash",)}))
    ended = alert(at=1_764_470_009 * SECOND, state=AlertState.RESOLVED)
    assert not hook.wants(incident()) and not hook.wants(incident(ended))
