"""Podman's words into ours, held against recorded streams of two generations in both dialects, and hostile input."""

import contextlib
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from core.model.containers import STATES
from core.model.events import EventKind, Origin
from core.model.refs import EngineRef, Kind
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.podman import decode
from tests.helpers.paths import CAPTURES

ENGINE = EngineRef(host="h", kind="podman")
ALL = [(version, way) for version in ("4.3", "5.4") for way in ("libpod", "compat")]


def recorded(version, way):
    lines = (CAPTURES / f"podman-{version}.{way}.events.jsonl").read_bytes()
    return lines, [json.loads(line) for line in lines.splitlines()]


def decoder(version="4.3"):
    return decode.Decoder(ENGINE, has_health=version.startswith("5"))


def line(**fields):
    attributes = fields.pop("attributes", {})
    actor = {"ID": fields.pop("id", "a" * 64), "Attributes": attributes}
    return json.dumps({"Type": "container", "Actor": actor, "timeNano": 5, **fields}).encode()


@pytest.mark.parametrize(("version", "way"), ALL)
def test_every_recorded_event_is_understood(version, way):
    lines, raw = recorded(version, way)
    events = decode.Decoder(ENGINE).events(lines, replay_before=0)
    assert len(events) == len(raw) > 100
    for event, given_ in zip(events, raw, strict=True):
        assert (event.at_ns, event.type, event.action) == (given_["timeNano"], given_["Type"], given_["Action"])
        assert event.origin is Origin.LIVE
        given = given_["Actor"]["Attributes"]
        if event.type == "network" and event.action in ("connect", "disconnect"):
            # Podman reports the container's id and name; 4.3 does not name the network.
            assert event.attrs == {"container": given_["Actor"]["ID"], "container_name": given["name"]}
            assert event.subject.name == given.get("network", "?")
        else:
            assert event.subject.name == (given["name"] or given.get("network"))
        assert event.subject.id == (given_["Actor"]["ID"] or event.subject.name)
        # 4.3 says code 0 on everything.
        assert ("exit_code" in event.attrs) == (event.action in ("died", "die", "exec_died"))
    kinds = {event.kind for event in events}
    assert {
        EventKind.CREATED, EventKind.STARTED, EventKind.DIED, EventKind.PAUSED, EventKind.UNPAUSED, EventKind.REMOVED,
        EventKind.RENAMED, EventKind.RESTARTED, EventKind.KILLED, EventKind.STOPPED, EventKind.HEALTH,
    } <= kinds  # fmt: skip
    assert (EventKind.UPDATED in kinds) == (version == "5.4")
    assert all(event.kind is EventKind.OTHER for event in events if event.type != "container")
    assert {event.subject.kind for event in events} >= {Kind.CONTAINER, Kind.IMAGE, Kind.NETWORK, Kind.VOLUME, Kind.POD}


@pytest.mark.parametrize("version", ["4.3", "5.4"])
def test_both_ways_of_the_api_tell_the_same(version):
    told = [decoder(version).events(recorded(version, way)[0], replay_before=0) for way in ("libpod", "compat")]
    assert [(event.at_ns, event.kind, event.subject, event.attrs) for event in told[0]] == [
        (event.at_ns, event.kind, event.subject, event.attrs) for event in told[1]
    ]
    assert {event.attrs["exit_code"] for event in told[0] if event.kind is EventKind.DIED} >= {"0", "137"}


@pytest.mark.parametrize("version", ["4.3", "5.4"])
def test_health_is_told_only_by_engines_that_know_it_and_only_when_it_changes(version):
    lines, raw = recorded(version, "libpod")
    health = [event for event in decoder(version).events(lines, replay_before=0) if event.kind is EventKind.HEALTH]
    said = [one["HealthStatus"] for one in raw if one["Action"] == "health_status"]
    if version == "4.3":
        # What it says was true before the check: not a word of it is passed on.
        assert said and len(health) == len(said)
        assert all("health" not in event.attrs for event in health)
    else:
        assert [event.attrs["health"] for event in health] == list(dict.fromkeys(said))


def test_the_health_after_a_new_start_is_told_although_it_is_the_one_before():
    steps = [("health_status", "healthy"), ("health_status", "healthy"), ("start", ""), ("health_status", "healthy")]
    lines = b"\n".join(line(Action=action, HealthStatus=health, timeNano=9) for action, health in steps)
    found = [event.action for event in decoder("5.4").events(lines, replay_before=0)]
    assert found == ["health_status", "start", "health_status"]


def test_what_the_file_says_is_what_the_api_says():
    logged = (
        b'{"ContainerExitCode":3,"ID":"%b","Image":"i:1","Name":"web","Status":"died",'
        b'"Time":"2026-11-24T17:23:32.800244932Z","Type":"container","Attributes":{"name":"x"}}\n' % (b"a" * 64)
    )
    at = 1_795_541_012_800_244_932
    api = line(Action="died", timeNano=at, attributes={"containerExitCode": "3", "image": "i:1", "name": "web"})
    found = decoder().file_events(logged, replay_before=0)
    assert found[0].labels == {"name": "x"}, "the API hides such a label"
    assert [msgspec.structs.replace(event, labels={}) for event in found] == decoder().events(api, replay_before=0)
    (event,) = found
    assert (event.at_ns, event.kind, event.attrs) == (at, EventKind.DIED, {"exit_code": "3", "image": "i:1"})
    assert (
        decoder().file_events(logged.replace(b'"ContainerExitCode":3,', b""), replay_before=0)[0].attrs["exit_code"]
        == "0"
    )
    east = logged.replace(b"17:23:32.800244932Z", b"19:23:32.800244932+02:00")
    assert decoder().file_events(east, replay_before=0)[0].at_ns == at


def test_a_torn_line_of_the_file_hides_no_other():
    whole = b'{"ID":"b","Name":"web","Status":"start","Time":"2026-11-24T17:23:32Z","Type":"container"}'
    lines = b"\n".join([whole, whole[:40], b"\0\0\0", whole.replace(b"2026-11", b"2026-99"), b"", whole])
    skipped = SkippedDataCounter(lambda: str(ENGINE))
    found = decode.Decoder(ENGINE, skipped).file_events(lines + b"\n", replay_before=0)
    assert (len(found), skipped.counts) == (2, {"event": 3})


def test_since_is_inclusive_whatever_the_engine_sent():
    lines = b"\n".join(line(Action="start", timeNano=at) for at in (12, 9, 10, 11))
    assert [event.at_ns for event in decoder().events(lines, replay_before=0, since=10)] == [12, 10, 11]
    origins = [event.origin for event in decoder().events(lines, replay_before=11)]
    assert origins == [Origin.LIVE, Origin.REPLAY, Origin.REPLAY, Origin.LIVE]


def test_a_complaint_in_an_answer_that_looks_like_success_is_one():
    with pytest.raises(errors.Rejected, match="bogus is an invalid filter"):
        decoder().events(b'{"cause":"bogus is an invalid filter","response":500}\n', replay_before=0)
    assert decoder().events(b"<html>\n", replay_before=0) == []


def test_what_is_new_or_missing_passes_as_other():
    lines = b'{"time":3}\n{"Type":"weather","Action":"rain","more":[1],"timeNano":4}\n' + line(Action="x")
    found = decoder().events(lines, replay_before=0)
    assert [(event.kind, event.type, event.action) for event in found] == [
        (EventKind.OTHER, "", ""),
        (EventKind.OTHER, "weather", "rain"),
        (EventKind.OTHER, "container", "x"),
    ]
    assert decoder("5.4").events(line(Action="health_status", HealthStatus="sulking"), replay_before=0) == []


def listed(**fields):
    row = {"Id": "a" * 64, "Names": ["web"], "Created": "2026-11-24T17:00:00Z", **fields}
    (container,) = decoder().containers(json.dumps([row]).encode(), 1_795_541_012)
    return container


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("running", "running"),
        ("stopping", "running"),
        ("configured", "created"),
        ("initialized", "created"),
        ("stopped", "exited"),
        ("exited", "exited"),
        ("paused", "paused"),
        ("unknown", "dead"),
        ("", "dead"),
        ("Running", "running"),
    ],
)
def test_each_state_is_one_of_ours(said, state):
    assert listed(State=said).state == state
    assert state in STATES


def test_a_list_tells_times_codes_health_and_each_port_of_a_range():
    up = listed(
        State="running",
        Status="unhealthy",
        StartedAt=1_795_541_000,
        ExitedAt=-62135596800,
        Ports=[{"host_ip": "", "container_port": 80, "host_port": 8080, "range": 2, "protocol": "tcp"}],
    )
    assert (up.health, up.started_at, up.finished_at, up.exit_code) == ("unhealthy", 1_795_541_000, None, None)
    assert up.status == "Up 12 seconds (unhealthy)"
    assert list(map(str, up.ports)) == [":8080->80/tcp", ":8081->81/tcp"]
    ended = listed(State="exited", Exited=True, ExitedAt=1_795_541_002, StartedAt=1_795_541_000, ExitCode=3, Status="x")
    assert (ended.exit_code, ended.finished_at, ended.health) == (3, 1_795_541_002, "")
    assert ended.status == "Exited (3) 10 seconds ago"
    made = listed(State="created", StartedAt=-62135596800, ExitedAt=-62135596800, Labels=None, Names=None, Ports=None)
    assert (made.status, made.started_at, made.exit_code, made.labels) == ("Created", None, None, {})
    assert made.ref.name == "a" * 12


def test_an_inspection_tells_what_only_it_knows():
    body = {
        "Id": "a" * 64,
        "Name": "web",
        "Created": "2026-11-24T17:23:32.44764179Z",
        "Image": "b" * 64,
        "ImageName": "i:1",
        "RestartCount": 2,
        "State": {
            "Status": "exited",
            "ExitCode": 137,
            "OOMKilled": True,
            "StartedAt": "2026-11-24T17:23:32.5Z",
            "FinishedAt": "2026-11-24T17:23:33.5+00:00",
            "Health": {"Status": "", "Log": None},
        },
        "Config": {"Labels": None, "Cmd": ["sh"]},
        "NetworkSettings": {"Ports": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "53/udp": None}},
    }
    found = decoder().container(json.dumps(body).encode())
    assert (found.state, found.exit_code, found.oom_killed, found.restarts) == ("exited", 137, True, 2)
    assert found.finished_at - found.started_at == 1
    assert (found.image, found.command, found.health, found.labels) == ("i:1", "sh", "", {})
    assert list(map(str, found.ports)) == [":8080->80/tcp", "53/udp"]
    never = {**body, "State": {"Status": "configured", "StartedAt": "0001-01-01T00:00:00Z"}}
    found = decoder().container(json.dumps(never).encode())
    assert (found.state, found.started_at, found.exit_code) == ("created", None, None)
    with pytest.raises(errors.InvalidResponse, match="podman/h sent an answer that cannot be decoded"):
        decoder().container(b"[]")


@given(st.binary(max_size=200))
def test_hostile_bytes_end_in_our_errors_or_in_nothing(data):
    lines = data.replace(b"\n", b" ") + b"\n"
    try:
        decoder().events(lines, replay_before=0)
    except errors.EngineError:
        pass
    assert len(decoder().file_events(lines, replay_before=0)) <= 1
    with contextlib.suppress(errors.InvalidResponse):
        assert decoder().containers(data, 0.0) == ()
    with pytest.raises(errors.InvalidResponse):
        decoder().container(data)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=5), st.text(min_size=1, max_size=40))
def test_labels_and_names_of_strangers_change_no_meaning(labels, name):
    attributes = {**labels, "name": name, "image": "i", "containerExitCode": "4"}
    (event,) = decoder().events(line(Action="died", attributes=attributes), replay_before=0)
    assert (event.kind, event.subject.name, event.attrs) == (EventKind.DIED, name, {"exit_code": "4", "image": "i"})


@pytest.mark.parametrize("action", ["create", "start", "init", "cleanup", "remove"])
def test_an_exit_code_is_read_from_an_end_only(action):
    attributes = {"name": "web", "image": "i", "containerExitCode": "7", "exitCode": "8", "network": "n"}
    (event,) = decoder().events(line(Action=action, attributes=attributes), replay_before=0)
    assert event.attrs == {"image": "i"}


def test_a_label_never_stands_for_the_exit_code():
    """Podman itself sets containerExitCode; exitCode is a label, except in the Docker-compatible `die`."""
    (event,) = decoder().events(line(Action="died", attributes={"exitCode": "0", "name": "web"}), replay_before=0)
    assert "exit_code" not in event.attrs
    (event,) = decoder().events(line(Action="die", attributes={"exitCode": "3", "name": "web"}), replay_before=0)
    assert event.attrs == {"exit_code": "3"}


def test_ports_are_limited():
    row = {"Id": "a", "Ports": [{"container_port": 1, "range": 65535, "protocol": "tcp," * 1000}] * 100}
    (found,) = decoder().containers(json.dumps([row]).encode(), 0.0)
    assert len(found.ports) == decode.MAX_PORTS
