"""Docker's words into ours, held against recorded streams of two daemon generations and hostile input."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from core.model.events import EventKind, Origin
from core.model.refs import EngineRef, Kind
from runtimes.docker import decode
from runtimes.docker_like import decode as shared
from runtimes.formats import event_attributes, timestamps
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.swarm.json_models import KINDS
from tests.helpers.paths import CAPTURES

ENGINE = EngineRef(host="h", kind="docker")


@pytest.mark.parametrize("version", ["20.10", "26.1"])
def test_every_recorded_event_is_understood(version):
    lines = (CAPTURES / f"docker-{version}.events.jsonl").read_bytes()
    raw = [json.loads(line) for line in lines.splitlines()]
    events = decode.Decoder(ENGINE).events(lines, replay_before=0)
    assert len(events) == len(raw) > 100
    for event, given_ in zip(events, raw, strict=True):
        assert event.at_ns == given_["timeNano"]
        assert event.type == given_["Type"]
        assert event.subject.id == given_["Actor"]["ID"]
        assert event.origin is Origin.LIVE
        assert ": " not in event.action
    by_action = {event.action: event for event in events if event.type == "container"}
    assert by_action["die"].kind is EventKind.DIED
    assert by_action["die"].attrs["exit_code"].lstrip("-").isdigit()
    assert by_action["kill"].attrs["signal"].isdigit()
    assert by_action["health_status"].attrs["health"] in ("healthy", "unhealthy")
    assert by_action["rename"].attrs["old_name"]
    assert {"oom", "pause", "unpause", "destroy", "restart"} <= set(by_action)
    assert all(event.kind is EventKind.OTHER for event in events if event.type != "container")


def test_only_the_current_names_of_an_event_are_needed():
    """API 1.52 drops status, id and from."""
    actor = b'{"ID":"x1","Attributes":{"exitCode":"137","name":"web"}}'
    line = b'{"Type":"container","Action":"die","Actor":' + actor + b',"timeNano":5}'
    (event,) = decode.Decoder(ENGINE).events(line, replay_before=6)
    assert (event.kind, event.subject.name, event.attrs["exit_code"]) == (EventKind.DIED, "web", "137")
    assert event.origin is Origin.REPLAY


def test_what_one_event_has_of_its_own_is_in_no_other_event_of_its_image():
    def line(action: str, at_ns: int, **more: str) -> bytes:
        given_ = {"image": "shop", "name": "web", **more}
        actor = {"ID": "a" * 64, "Attributes": given_}
        return json.dumps({"Type": "container", "Action": action, "Actor": actor, "timeNano": at_ns}).encode()

    lines = b"\n".join(
        [
            line("start", 5),
            line("kill", 6, signal="9"),
            line("health_status: healthy", 7),
            line("die", 8, exitCode="137"),
            line("start", 9),
            line("start", 10, image=""),
        ]
    )
    events = decode.Decoder(ENGINE).events(lines, replay_before=0)
    assert [event.attrs for event in events] == [
        {"image": "shop"},
        {"image": "shop", "signal": "9"},
        {"image": "shop", "health": "healthy"},
        {"image": "shop", "exit_code": "137"},
        {"image": "shop"},
        {},
    ]


def test_the_attributes_of_images_are_cached_for_a_limited_number_and_length():
    attrs = event_attributes.AttributesByImage()
    for number in range(event_attributes.MAX_IMAGES + 5):
        assert attrs[str(number)] == {"image": str(number)}
    assert len(attrs) <= event_attributes.MAX_IMAGES
    long = "x" * (event_attributes.MAX_IMAGE_LENGTH + 1)
    assert attrs[long] == {"image": long}
    assert long not in attrs


def test_a_command_line_in_an_exec_event_stays_behind():
    line = b'{"Type":"container","Action":"exec_create: mysql -pHUNTER2","Actor":{"ID":"x1"},"timeNano":5}'
    (event,) = decode.Decoder(ENGINE).events(line, replay_before=0)
    assert event.action == "exec_create"
    assert "HUNTER2" not in repr(event)


def test_unknown_types_and_actions_pass_as_other():
    line = b'{"Type":"teapot","Action":"brewed","Actor":{"ID":"t"},"timeNano":5,"more":[1]}'
    (event,) = decode.Decoder(ENGINE).events(line, replay_before=0)
    assert (event.kind, event.subject.kind) == (EventKind.OTHER, Kind.ENGINE)


def test_what_is_not_json_is_garbled():
    assert decode.Decoder(ENGINE).events(b"<html>", replay_before=0) == []
    with pytest.raises(errors.InvalidResponse):
        decode.Decoder(ENGINE).containers(b'{"message": "no list"}')


def test_one_thing_is_one_ref_object():
    refs = shared.RefCache(ENGINE, KINDS)
    assert refs.ref("container", "a", "web") is refs.ref("container", "a", "web")
    for number in range(shared.MAX_REFS + 1):
        refs.ref("container", str(number), "x")
    assert len(refs.by_id) <= shared.MAX_REFS


@pytest.mark.parametrize(
    ("status", "health", "exit_code"),
    [
        ("Up 2 hours", "", None),
        ("Up 2 hours (healthy)", "healthy", None),
        ("Up 2 hours (unhealthy)", "unhealthy", None),
        ("Up 1 second (health: starting)", "starting", None),
        ("Up 2 hours (Paused)", "", None),
        ("Exited (137) 3 days ago", "", 137),
        ("Exited (-1) 3 days ago", "", -1),
        ("Restarting (1) 3 seconds ago", "", 1),
        ("Created", "", None),
        ("", "", None),
    ],
)
def test_what_the_status_sentence_tells(status, health, exit_code):
    (row,) = decode.Decoder(ENGINE).containers(json.dumps([{"Id": "a", "Names": ["/web"], "Status": status}]).encode())
    assert (row.health, row.exit_code) == (health, exit_code)


@pytest.mark.parametrize(
    ("names", "name"),
    [(["/web"], "web"), (["/other/alias", "/web"], "web"), ([], "0123456789ab"), (None, "0123456789ab")],
)
def test_names(names, name):
    body = json.dumps([{"Id": "0123456789abcdef", "Names": names}]).encode()
    assert decode.Decoder(ENGINE).containers(body)[0].ref.name == name


@given(st.integers(min_value=0, max_value=4 * 10**18))
def test_times_survive_to_the_nanosecond(at_ns):
    seconds, nanos = divmod(at_ns, 10**9)
    assert timestamps.format_since(at_ns) == f"{seconds}.{nanos:09d}"
    from datetime import UTC, datetime

    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S") + f".{nanos:09d}Z"
    assert timestamps.parse_nanoseconds(text.rjust(30, "0")) == at_ns


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00", "2026-01-01 00:00:00Z"])
def test_what_is_no_time(text):
    with pytest.raises((errors.InvalidResponse, ValueError)):
        timestamps.parse_nanoseconds(text)


def test_docker_never_is_none():
    assert timestamps.parse_seconds("0001-01-01T00:00:00Z") is None
    assert timestamps.parse_seconds("2026-01-02T03:04:05.5+02:00") == 1767315845.5


# ── labels that are named like attributes ────────────────────────────────────────────────────────────────────────────


def event(action, attributes, **more):
    actor = {"ID": "x1", "Attributes": {"name": "web", "image": "i:1", **attributes}}
    return json.dumps({"Type": "container", "Action": action, "Actor": actor, "timeNano": 5, **more}).encode()


FORGED = {"exitCode": "0", "signal": "9", "oldName": "/db", "container": "c", "execID": "e", "reason": "r"}


@pytest.mark.parametrize("action", ["create", "start", "stop", "restart", "pause", "destroy", "oom", "exec_start: x"])
def test_an_attribute_is_read_for_its_own_action_only(action):
    (found,) = decode.Decoder(ENGINE).events(event(action, FORGED), replay_before=0)
    assert found.attrs == {"image": "i:1"}


@pytest.mark.parametrize("way", ["list", "inspection", "create"])
def test_a_label_never_stands_for_what_the_daemon_reports(way):
    """Docker copies labels over its own attributes, so the attribute of such a container says nothing."""
    decoder = decode.Decoder(ENGINE)
    if way == "list":
        decoder.containers(json.dumps([{"Id": "x1", "Labels": FORGED}]).encode())
    elif way == "inspection":
        body = {"Id": "x1", "State": {"Status": "running"}, "Config": {"Labels": FORGED}}
        decoder.container(json.dumps(body).encode())
    else:
        decoder.events(event("create", FORGED), replay_before=0)
    for action in ("die", "kill", "rename", "exec_die"):
        (found,) = decoder.events(event(action, FORGED), replay_before=0)
        assert found.attrs == {"image": "i:1"}, action
    other = json.dumps({"Type": "container", "Action": "die", "timeNano": 5})
    actor = '{"ID":"x2","Attributes":{"exitCode":"3"}}'
    (found,) = decoder.events(f'{other[:-1]},"Actor":{actor}}}'.encode(), replay_before=0)
    assert found.attrs == {"exit_code": "3"}


@pytest.mark.parametrize(
    "code", ["--5", "+5", "5 ", "", "0x1", "1e3", "٣", "1" * 11, "5\n", '"} 1\nforged_metric 1', "-"]
)
def test_what_is_no_exit_code_is_left_out(code):
    (found,) = decode.Decoder(ENGINE).events(event("die", {"exitCode": code}), replay_before=0)
    assert "exit_code" not in found.attrs


@pytest.mark.parametrize("code", ["0", "137", "-1", "4294967295", "-2147483648"])
def test_exit_codes(code):
    (found,) = decode.Decoder(ENGINE).events(event("die", {"exitCode": code}), replay_before=0)
    assert found.attrs["exit_code"] == code


def test_a_signal_is_a_number_and_a_former_name_is_a_name():
    decoder = decode.Decoder(ENGINE)
    assert "signal" not in decoder.events(event("kill", {"signal": "TERM; rm"}), replay_before=0)[0].attrs
    assert "old_name" not in decoder.events(event("rename", {"oldName": "/a b"}), replay_before=0)[0].attrs
    assert "health" not in decoder.events(event("health_status: superb", {}), replay_before=0)[0].attrs


# ── one engine's bytes are its own trouble ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("at", ["1" + "0" * 30, "-5", "null", '"5"', "[]", "5.5", "1e400", "9223372036854775808"])
def test_an_event_with_an_absurd_time_has_the_time_in_seconds_or_is_left_out(at):
    skipped = SkippedDataCounter(lambda: str(ENGINE))
    good = event("start", {})
    bad = good.replace(b'"timeNano": 5', f'"timeNano": {at}'.encode())
    seconds = bad.replace(b'"Type"', b'"time": 7, "Type"')
    found = decode.Decoder(ENGINE, skipped).events(b"\n".join([good, bad, seconds, good]), replay_before=0)
    assert [one.at_ns for one in found] == [5, 7_000_000_000, 5]
    assert skipped.counts == {"field": 2, "event": 1}


def test_a_list_with_damage_shows_all_that_can_be_read():
    skipped = SkippedDataCounter(lambda: str(ENGINE))
    rows = b'[{"Id":"a","Names":["/web"],"Status":"Up \xff"},{"Id":"b","Ports":null,"Created":"x"},7,{"Id":"c"}]'
    found = decode.Decoder(ENGINE, skipped).containers(rows)
    assert [row.ref.id for row in found] == ["a", "b", "c"]
    assert skipped.counts == {"field": 2, "row": 1}


def test_an_inspection_without_a_state_or_labels_does_not_count():
    for body in ({"Id": "a"}, {"Id": "a", "State": None, "Config": {}}, {"Id": "a", "State": {}, "Config": {}}):
        with pytest.raises(errors.InvalidResponse):
            decode.Decoder(ENGINE).container(json.dumps(body).encode())
    with pytest.raises(errors.InvalidResponse):
        body = {"Id": "a", "State": {"Status": "running"}, "Config": {"Labels": 5}}
        decode.Decoder(ENGINE).container(json.dumps(body).encode())


@pytest.mark.parametrize("at", ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "1969-12-31T00:00:00Z", "soon"])
def test_a_time_that_does_not_exist_is_unknown(at):
    skipped = SkippedDataCounter(lambda: str(ENGINE))
    body = {"Id": "a", "Created": at, "State": {"Status": "running", "StartedAt": at}, "Config": {}}
    found = decode.Decoder(ENGINE, skipped).container(json.dumps(body).encode())
    assert (found.created_at, found.started_at) == (0.0, None)
    assert skipped.counts == {"field": 2}
