"""The door for an Alertmanager, as a client on the wire sees it, with a real store behind it."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace

import msgspec
import pytest

from bot import listening_socket, metrics_server
from bot.notify.incident_writer import stored_incidents
from bot.outlets import alert_receiver, received_alert_cleanup
from bot.outlets.alert_receiver import MAX_BODY, AlertReceiver
from core import metrics
from core.config.load import ListenAddress
from core.model.alerts import Severity
from core.model.containers import Container
from core.model.incidents import IncidentState
from core.model.refs import EngineRef, Kind
from core.model.swarm_status import ServiceState, SwarmState
from core.store.client import Store
from tests.helpers.alerts import WEB
from tests.unit.bot.notify.test_incident_writer import Desk
from tests.unit.bot.test_metrics_server import send

TOKEN, PASSWORD = "a-token-of-some-length", "a-password-of-some-length"
BEARER = f"Bearer {TOKEN}"
START = "2026-11-30T02:00:00.123456789Z"


def entry(
    alertname="HighCPU",
    *,
    status="firing",
    fingerprint="f1",
    start=START,
    end="0001-01-01T00:00:00Z",
    notes=None,
    **labels,
):
    return {
        "status": status,
        "labels": {"alertname": alertname, **labels},
        "annotations": notes if notes is not None else {"summary": "CPU is high."},
        "startsAt": start,
        "endsAt": end,
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up",
        "fingerprint": fingerprint,
    }


def request(*alerts, **more):
    body = {"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "quarterdeck"}
    body |= {"groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am:9093"}
    return json.dumps(body | {"alerts": list(alerts)} | more).encode()


class Door:
    def __init__(self, url: str) -> None:
        self.desk = Desk(url)
        self.counts = metrics.Metrics()
        facts = {"image": "i", "image_id": "", "command": "", "state": "running", "status": "Up", "created_at": 0.0}
        self.rows = {WEB.id: Container(ref=WEB, labels={"team": "x", "quarterdeck.team": "payments"}, **facts)}
        mirror = SimpleNamespace(ref=WEB.engine, containers=self.rows, swarm_state=None)
        self.mirrors = [mirror]
        self.receiver = AlertReceiver(
            self.desk.store,
            self.desk.writer,
            self.counts,
            lambda: self.mirrors,
            token=TOKEN,
            username="am",
            password=PASSWORD,
        )
        self.port = 0

    async def open(self):
        sock = listening_socket.open_socket(ListenAddress("127.0.0.1", 0))
        self.port = sock.getsockname()[1]

        async def ready():
            return True, {}

        self.server = await metrics_server.serve_metrics(
            sock, page=lambda form: b"", ready=ready, refused=print, endpoints={alert_receiver.PATH: self.receiver}
        )

    async def ask(
        self, body=b"", *, method="POST", auth=BEARER, path=alert_receiver.PATH, kind="application/json", **headers
    ):
        lines = [f"{method} {path} HTTP/1.1", "Host: here", "Connection: close", f"Content-Length: {len(body)}"]
        lines += [f"Content-Type: {kind}"] if kind else []
        lines += [f"Authorization: {auth}"] if auth else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        status, answered, text = await send(self.port, "\r\n".join([*lines, "", ""]).encode() + body)
        return status, answered, text.decode()

    async def tell(self, *alerts):
        status, _, text = await self.ask(request(*alerts))
        assert status == 200, text
        return list(await stored_incidents(self.desk.store))

    def count(self, outcome):
        return self.counts.alerts_received_total.labels(outcome)._value.get()


@pytest.fixture
async def door(valkey):
    made = Door(valkey.url)
    await made.open()
    yield made
    await made.server.aclose()
    await made.desk.store.aclose()


async def test_an_alert_about_a_container_is_an_incident_of_it_with_its_buttons(door):
    (incident,) = await door.tell(entry(severity="critical", id=f"/docker/{WEB.id}", name="web", instance="h1:8080"))
    main = incident.main
    assert (main.subject, main.owner, main.severity) == (WEB, "web", Severity.HIGH)
    assert (main.rule, main.text, main.team, main.source) == ("HighCPU", "CPU is high", "payments", "alertmanager")
    assert main.link == "http://prometheus:9090/graph?g0.expr=up"
    assert door.count("stored") == 1


async def test_the_labels_of_a_service_are_not_known(door):
    swarm = EngineRef(host="c1", kind="swarm")
    service = ServiceState(id="s1", name="shop_web", mode="replicated", stack="shop", desired=1, running=1)
    state = SwarmState(services=(service,), nodes=(), read_at=1.0)
    door.mirrors.append(SimpleNamespace(ref=swarm, containers={}, swarm_state=state))
    (incident,) = await door.tell(entry(host="c1", engine="swarm", service="shop_web"))
    assert (incident.main.subject.kind, incident.main.labels_known) == (Kind.SERVICE, False)
    found = await door.tell(entry(fingerprint="f2", id=f"/docker/{WEB.id}"))
    assert [each.main.labels_known for each in found if each.main.subject == WEB] == [True]


async def test_an_alert_about_something_else_is_an_incident_too(door):
    (incident,) = await door.tell(entry("HostDown", instance="h7:9100", job="node"))
    assert (incident.main.owner, incident.main.subject.kind) == ("h7:9100", Kind.BOT)
    (also,) = [
        each for each in await door.tell(entry("Watchdog", fingerprint="f2", notes={})) if each.key != incident.key
    ]
    assert (also.main.owner, also.main.text, also.severity) == ("Watchdog", "Watchdog", Severity.MEDIUM)


async def test_what_is_delivered_again_changes_nothing(door):
    (first,) = await door.tell(entry(name="web"), entry(name="web"))
    for _ in range(3):
        (again,) = await door.tell(entry(name="web"))
        assert again == first
    over = entry(status="resolved", end="2026-11-30T02:05:00Z", name="web")
    (ended,) = await door.tell(over)
    assert ended.state is IncidentState.RESOLVED and ended.changed_ns - first.began_ns > 200_000_000_000
    assert (await door.tell(over)) == [ended] and (await door.tell(over, over)) == [ended]


async def test_an_alert_that_begins_again_reopens_its_incident(door):
    await door.tell(entry(name="web"))
    await door.tell(entry(status="resolved", end="2026-11-30T02:05:00Z", name="web"))
    (incident,) = await door.tell(entry(start="2026-11-30T02:10:00Z", name="web"))
    assert (incident.state, incident.opened) == (IncidentState.FIRING, 2)


async def test_the_end_belongs_to_the_same_container_even_if_that_is_gone(door):
    await door.tell(entry(id=f"/docker/{WEB.id}"))
    door.rows.clear()
    (incident,) = await door.tell(entry(status="resolved", end="2026-11-30T02:05:00Z", id=f"/docker/{WEB.id}"))
    assert incident.state is IncidentState.RESOLVED and incident.main.subject == WEB
    assert await door.desk.store.all_received_alerts() == []


async def test_the_container_that_replaces_another_is_the_same_incident(door):
    await door.tell(entry(id=f"/docker/{WEB.id}"))
    fresh = "9" * 64
    old = door.rows.pop(WEB.id)
    door.rows[fresh] = msgspec.structs.replace(old, ref=msgspec.structs.replace(WEB, id=fresh))
    (incident,) = await door.tell(entry(fingerprint="f2", start="2026-11-30T02:01:00Z", id=f"/docker/{fresh}"))
    assert len(incident.alerts) == 2 and incident.main.subject.id == fresh


async def test_an_end_of_something_unknown_is_no_incident(door):
    assert await door.tell(entry(status="resolved", end="2026-11-30T02:05:00Z")) == []
    assert door.count("unknown") == 1


async def test_our_own_alert_that_comes_back_is_left_out(door):
    assert await door.tell(entry("crash", reporter="quarterdeck")) == []
    assert door.count("own") == 1


async def test_a_container_whose_alerts_are_off_has_none(door):
    door.rows[WEB.id].labels["quarterdeck.alerts"] = "off"
    assert await door.tell(entry(id=f"/docker/{WEB.id}")) == []
    assert await door.tell(entry(status="resolved", id=f"/docker/{WEB.id}")) == []


@pytest.mark.parametrize(
    "auth",
    ["", "Bearer wrong", f"Basic {base64.b64encode(b'am:wrong').decode()}", f"Bearer {TOKEN}x", "Basic !", "Bearer",
     TOKEN, f"Basic {base64.b64encode(f'other:{PASSWORD}'.encode()).decode()}", "Basic " + "A" * 3000],
)  # fmt: skip
async def test_a_stranger_gets_401_and_nothing_is_read(door, auth):
    status, headers, text = await door.ask(request(entry()), auth=auth)
    assert status == 401 and "missing or wrong" in text and "Bearer" in headers["www-authenticate"]
    assert await stored_incidents(door.desk.store) == []
    assert door.count("unauthorized") == 1


async def test_a_strangers_large_body_is_not_taken_into_memory(door):
    limit = door.receiver.body_limit(SimpleNamespace(headers={}))
    assert limit == 0
    assert (await door.ask(b"x" * 100_000, auth="Bearer wrong"))[0] == 401


@pytest.mark.parametrize(
    "auth",
    [
        BEARER,
        BEARER.lower().replace(TOKEN.lower(), TOKEN),
        f"Basic {base64.b64encode(f'am:{PASSWORD}'.encode()).decode()}",
    ],
)
async def test_who_knows_the_token_or_the_password_is_let_in(door, auth):
    assert (await door.ask(request(), auth=auth))[0] == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not a webhook notification of Alertmanager"),
        (b"{", "not a webhook notification of Alertmanager"),
        (b"\xff\xfe", "not a webhook notification of Alertmanager"),
        (b"[]", "not a webhook notification of Alertmanager"),
        (b"{}", "version"),
        (b"[" * 100_000, "not a webhook notification of Alertmanager"),
        (request(version=4), "version"),
        (request(version="3"), "Version “3”"),
        (request(alerts={}), "alerts"),
        (request(entry() | {"labels": {"a": 7}}), "labels"),
        (request(entry() | {"startsAt": "yesterday"}), "startsAt"),
        (request(entry() | {"startsAt": "2026-11-30T02:00:00"}), "time zone"),
        (request(entry() | {"status": "odd"}), "status"),
        (request(entry() | {"fingerprint": ""}), "fingerprint"),
    ],
)
async def test_what_is_no_request_of_an_alertmanager_gets_400_with_a_sentence(door, body, said):
    status, _, text = await door.ask(body)
    assert status == 400 and said in text and text.rstrip().endswith(".") and len(text) < 1000
    assert await stored_incidents(door.desk.store) == []


async def test_other_methods_types_and_sizes_are_refused(door):
    assert (await door.ask(method="GET"))[0] == 405
    assert (await door.ask(method="DELETE"))[0] == 405
    assert (await door.ask(request(entry()), kind="text/plain"))[0] == 415
    assert (await door.ask(request(entry()), kind=""))[0] == 415
    assert (await door.ask(request(entry()), Content_Encoding="gzip"))[0] == 415
    assert (await door.ask(request(entry()), kind="application/json; charset=utf-8"))[0] == 200
    assert (await door.ask(b"{" + b" " * MAX_BODY))[0] == 413
    assert (await door.ask(b"x", path="/metrics", method="POST"))[0] == 405


async def test_a_store_that_does_not_answer_gets_503_and_the_repetition_is_stored_once(door):
    real, door.desk.writer._store = door.desk.writer._store, Store.open("unix:///nowhere/x.sock", timeout=0.1)
    status, headers, _ = await door.ask(request(entry(name="web")))
    assert (status, headers["retry-after"]) == (503, "5")
    assert door.count("not_stored") == 1 and door.count("stored") == 0
    door.desk.writer._store = real
    (incident,) = await door.tell(entry(name="web"))
    assert incident.count == 1 and incident.main.subject == WEB


async def test_hostile_labels_and_annotations_are_plain_text(door):
    nasty = "<!channel>\n\x1b[31m" + "x" * 10_000
    (incident,) = await door.tell(
        entry(nasty, notes={"summary": nasty}, instance=nasty, severity=nasty, team=nasty)
        | {"generatorURL": "javascript:alert(1)"}
    )
    main = incident.main
    assert main.link == "" and main.severity is Severity.MEDIUM and main.channel == ""
    assert all(len(each) <= 450 and each.isprintable() for each in (main.rule, main.text, main.owner, main.team))


async def test_alerts_are_bounded(door, monkeypatch):
    monkeypatch.setattr(alert_receiver, "MAX_OPEN", 5)
    found = await door.tell(*(entry(f"A{number}", fingerprint=f"f{number}") for number in range(8)))
    assert len(found) == 5 and door.count("overflow") == 3
    await door.tell(entry("A0", fingerprint="f0", status="resolved", end="2026-11-30T02:05:00Z"))
    assert len(await door.tell(entry("B", fingerprint="new"))) == 6


async def test_many_alerts_over_many_containers_are_taken_at_once(door):
    row = door.rows[WEB.id]
    for number in range(3_000):
        ref = msgspec.structs.replace(WEB, id=f"{number:064x}", name=f"c{number}")
        door.rows[ref.id] = msgspec.structs.replace(row, ref=ref)
    alerts = [entry(fingerprint=f"f{number}", id=f"/docker/{number:064x}") for number in range(300)]
    found = await door.tell(*alerts)
    assert len(found) == 300
    assert {each.main.subject.name for each in found} == {f"c{number}" for number in range(300)}


async def test_more_alerts_than_are_stored_at_once_are_taken_in_parts(door, monkeypatch):
    monkeypatch.setattr(alert_receiver, "ALERTS_AT_ONCE", 3)
    found = await door.tell(*(entry(fingerprint=f"f{number}", instance=f"i{number}") for number in range(10)))
    assert {each.main.owner for each in found} == {f"i{number}" for number in range(10)}
    assert door.count("stored") == 10


async def test_alerts_about_different_things_are_different_incidents_whoever_exports_them(door):
    exporter = {"instance": "10.0.0.9:8080", "job": "kube-state-metrics", "namespace": "shop"}
    about = ({"deployment": "web"}, {"deployment": "db"}, {"statefulset": "db"}, {"job_name": "backup"}, {"node": "n1"})
    for number, each in enumerate(about):
        await door.tell(entry("Replicas", fingerprint=f"f{number}", **exporter, **each))
    disks = [entry("DiskFull", fingerprint=each, instance="h9:9100", mountpoint=each) for each in ("/", "/data")]
    found = await door.tell(*disks)
    owners = sorted(incident.main.owner for incident in found)
    assert owners == ["h9:9100", "h9:9100", "n1", "shop/backup", "shop/db", "shop/db", "shop/web"]
    found = await door.tell(disks[0] | {"status": "resolved", "endsAt": "2026-11-30T03:00:00Z"})
    open_ones = [each for each in found if each.state is not IncidentState.RESOLVED]
    assert len(found) == 7 and len(open_ones) == 6
    pods = [entry("Restarts", fingerprint=f"p{name}", pod="web-1", container=name, **exporter) for name in ("a", "b")]
    assert len(await door.tell(*pods)) == 8


async def test_what_is_left_over_is_removed_in_the_second_run_only(door):
    (incident,) = await door.tell(entry(name="web"))
    job = received_alert_cleanup.make_cleanup_job(door.desk.store)
    await job.run()
    await job.run()
    assert len(await door.desk.store.all_received_alerts()) == 1
    await door.desk.store.remove_incidents([incident.key])
    await job.run()
    assert len(await door.desk.store.all_received_alerts()) == 1
    await job.run()
    assert await door.desk.store.all_received_alerts() == []
