"""A Swarm's words into ours: rows as people and permission see them, recorded events, and whatever is missing."""

import json
from collections import Counter
from datetime import UTC, datetime

from core.model.events import EventKind, Origin
from core.model.refs import EngineRef, Kind
from runtimes.docker import decode as docker_decode
from runtimes.formats import json_decoder
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.swarm import decode, json_models, service_summary
from tests.helpers.paths import CAPTURES

ENGINE = EngineRef(host="k1", kind="swarm")
STACK = {"com.docker.stack.namespace": "shop"}
SERVICE = {
    "ID": "web1",
    "Spec": {
        "Name": "shop_web",
        "Labels": {**STACK, "env": "dev"},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "nginx:1.27@sha256:aa", "Labels": {"env": "prod"}, "Env": ["TOKEN=x"]}
        },
        "Mode": {"Replicated": {"Replicas": 3}},
    },
    "Endpoint": {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080}]},
    "UpdateStatus": {"State": "updating", "Message": "update in progress"},
}


def tasks(*rows):
    return json_decoder.decode_rows(json_models.Task, json.dumps(rows).encode())


def nodes(*rows):
    return json_decoder.decode_rows(json_models.Node, json.dumps(rows).encode())


def service(raw):
    return json_decoder.decode_json(json_models.Service, json.dumps(raw).encode())


def task(slot, state, **more):
    return {
        "ID": f"t{slot}",
        "ServiceID": "web1",
        "NodeID": "n1",
        "Slot": slot,
        "DesiredState": "running",
        "Status": {"State": state, "Timestamp": "2026-11-24T03:00:00.5Z", **more},
        "Spec": {"ContainerSpec": {"Image": "nginx:1.27@sha256:aa", "Labels": {"env": "prod"}}},
    }


def running(slot):
    return task(slot, "running", ContainerStatus={"ContainerID": f"c{slot}", "ExitCode": 0})


def test_a_service_holds_what_people_and_permission_look_at():
    row = decode.service(
        ENGINE, service(SERVICE), tasks(running(1), running(2), task(3, "pending", Err="no suitable node"))
    )
    assert (row.ref.kind, row.ref.id, row.ref.name) == (Kind.SERVICE, "web1", "shop_web")
    assert (row.mode, row.image, row.running, row.desired) == ("replicated", "nginx:1.27", 2, 3)
    assert (row.project, row.service, row.short_name, row.update) == ("shop", "shop_web", "web", "updating")
    assert row.full_names == ("shop_web", "shop/web")
    assert row.health == "1 pending: no suitable node"
    assert [str(port) for port in row.ports] == ["*:8080->80/tcp"]
    assert row.members == ("c1", "c2")
    # Labels of the service and of its containers differ: permission must hold for either.
    assert [labels["env"] for labels in row.labels] == ["dev", "prod"]


def test_a_service_without_labels_or_tasks_is_a_service():
    bare = {"ID": "x" * 25, "Spec": {"Mode": {"Replicated": {}}, "TaskTemplate": {}}}
    row = decode.service(ENGINE, service(bare), ())
    assert (row.ref.name, row.running, row.desired, row.project, row.labels) == ("x" * 12, 0, 1, None, ({},))
    assert service_summary.make_summary_fields(bare) == {"ID": "x" * 25, "Mode": "replicated"}


def test_a_task_tells_where_it_ran_how_it_ended_and_why():
    failed = task(2, "failed", Err="task: non-zero exit (7)", ContainerStatus={"ContainerID": "c2", "ExitCode": 7})
    (raw,) = tasks(failed)
    row = decode.task(ENGINE, raw, service(SERVICE), "m1")
    assert (row.ref.kind, row.ref.name, row.service, row.node) == (Kind.TASK, "shop_web.2", "shop_web", "m1")
    assert (row.state, row.desired, row.exit_code, row.container) == ("failed", "running", 7, "c2")
    assert (row.why, row.image, row.project) == ("task: non-zero exit (7)", "nginx:1.27", "shop")
    assert row.at == datetime(2026, 11, 24, 3, 0, 0, 500_000, UTC).timestamp()
    (up,) = tasks(running(1) | {"Slot": 0})
    row = decode.task(ENGINE, up, None, "m1")
    assert (row.ref.name, row.service, row.exit_code, row.why) == ("web1.m1", "web1", None, "")


def test_a_node_tells_its_part_and_what_is_missing_is_empty():
    raw, bare = nodes(
        {
            "ID": "n1",
            "Spec": {"Role": "manager", "Availability": "drain", "Labels": {"rack": "a"}},
            "Description": {
                "Hostname": "m1",
                "Platform": {"OS": "linux", "Architecture": "x86_64"},
                "Engine": {"EngineVersion": "26.1"},
            },
            "Status": {"State": "ready", "Addr": "10.0.0.1"},
            "ManagerStatus": {"Leader": True, "Reachability": "reachable", "Addr": "10.0.0.1:2377"},
        },
        {"ID": "n" * 25, "Status": {"State": "teleporting"}},
    )
    row = decode.node(ENGINE, raw, 2)
    assert (row.ref.kind, row.ref.name, row.state, row.availability) == (Kind.NODE, "m1", "ready", "drain")
    assert (row.role, row.leader, row.address, row.version) == ("manager", True, "10.0.0.1", "26.1")
    assert (row.system, row.labels, row.tasks) == ("linux/x86_64", {"rack": "a"}, 2)
    row = decode.node(ENGINE, bare, None)
    assert (row.ref.name, row.state, row.leader, row.system) == ("n" * 12, "teleporting", False, "")


def test_a_stack_is_what_carries_its_label():
    rows = [decode.service(ENGINE, service(SERVICE), tasks(running(1)))]
    more = {
        "networks": [{"Name": "shop_net", "Labels": STACK}],
        "secrets": [{"Spec": {"Name": "shop_key", "Labels": STACK}}],
        "configs": [{"Spec": {"Name": "alone", "Labels": {"com.docker.stack.namespace": "mail"}}}],
    }
    parts = {
        kind: json_decoder.decode_rows(json_models.StackPart, json.dumps(part).encode()) for kind, part in more.items()
    }
    mail, shop = decode.stacks(rows, parts)
    assert (shop.name, shop.running, shop.desired, shop.networks, shop.secrets) == (
        "shop", 1, 3, ("shop_net",), ("shop_key",),
    )  # fmt: skip
    assert [ref.name for ref in shop.services] == ["shop_web"]
    assert (mail.name, mail.services, mail.configs, mail.labels) == (
        "mail", (), ("alone",), ({"com.docker.stack.namespace": "mail"},),
    )  # fmt: skip


def test_what_a_manager_told_of_its_swarm_as_it_was_recorded():
    lines = (CAPTURES / "swarm-manager.events.jsonl").read_bytes()
    raw = [json.loads(line) for line in lines.splitlines()]
    events = decode.decode_events(ENGINE, lines, replay_before=0)
    assert len(events) == sum(one["scope"] == "swarm" for one in raw)
    counted = Counter((event.type, event.action) for event in events)
    assert counted["service", "create"] and counted["node", "update"]
    assert {event.kind for event in events} == {EventKind.OTHER}
    assert {event.subject.engine for event in events} == {ENGINE}
    back = next(event for event in events if event.attrs.get("state") == "ready")
    assert (back.subject.kind, back.subject.name) == (Kind.NODE, "node2")
    assert {event.origin for event in decode.decode_events(ENGINE, lines, replay_before=1 << 62)} == {Origin.REPLAY}


def test_a_worker_tells_nothing_of_the_swarm_but_of_its_own_containers():
    lines = (CAPTURES / "swarm-worker.events.jsonl").read_bytes()
    assert decode.decode_events(ENGINE, lines, replay_before=0) == []
    told = docker_decode.Decoder(EngineRef(host="w1", kind="docker")).events(lines, replay_before=0)
    assert {event.subject.kind for event in told} >= {Kind.CONTAINER}


def test_rows_and_events_that_cannot_be_decoded_hide_no_others():
    skipped = SkippedDataCounter(lambda: "swarm/k1")
    for kind in (json_models.Task, json_models.Node, json_models.Service):
        (row,) = json_decoder.decode_rows(kind, b'[{}, "x", {"ID": "a"}, null]', skipped)
        assert row.id == "a"
    event = b'{"Type":"node","Action":"update","Actor":{"ID":"n1"},"scope":"swarm","timeNano":5}'
    (found,) = decode.decode_events(ENGINE, b"nonsense\n" + event, skipped, replay_before=0)
    assert found.subject.id == "n1"
    assert skipped.counts == {"row": 9, "event": 1}


def test_a_new_value_is_read_for_its_own_type_and_action_only():
    attributes = {"name": "web", "image.new": "i:2", "availability.new": "drain", "state.new": "down"}

    def attrs(type_, action):
        actor = {"ID": "x", "Attributes": attributes}
        line = {"Type": type_, "Action": action, "Actor": actor, "scope": "swarm", "timeNano": 5}
        return decode.decode_events(ENGINE, json.dumps(line).encode(), replay_before=0)[0].attrs

    assert attrs("service", "update") == {"image": "i:2"}
    assert attrs("node", "update") == {"state": "down", "availability": "drain"}
    assert attrs("service", "create") == attrs("secret", "update") == attrs("network", "update") == {}


def test_tokens_are_in_no_repr():
    told = json_decoder.decode_json(
        json_models.Cluster, b'{"ID": "k1", "JoinTokens": {"Worker": "SWMTKN-1-a", "Manager": "b"}}'
    )
    assert told.tokens.worker == "SWMTKN-1-a" and "SWMTKN" not in repr(told)


def test_the_short_form_names_what_was_asked_for_and_no_secret():
    raw = {
        **SERVICE,
        "PreviousSpec": {"Name": "shop_web"},
        "Spec": {
            **SERVICE["Spec"],
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": "nginx:1.27",
                    "Args": ["-g", "daemon off;"],
                    "Env": ["TOKEN=hunter2"],
                    "Mounts": [{"Type": "volume", "Source": "data", "Target": "/data", "ReadOnly": True}],
                    "Secrets": [{"SecretName": "key"}],
                },
                "Resources": {"Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 64 << 20}},
                "RestartPolicy": {"Condition": "on-failure", "Delay": 5_000_000_000, "MaxAttempts": 3},
                "Placement": {"Constraints": ["node.role == worker"]},
            },
            "UpdateConfig": {"Parallelism": 2, "Monitor": 5_000_000_000, "FailureAction": "rollback"},
        },
    }
    told = service_summary.make_summary_fields(raw)
    assert "hunter2" not in repr(told)
    assert {key: told[key] for key in ("Environment", "Mounts", "Secrets", "Limits", "Placement", "Ports")} == {
        "Environment": "TOKEN",
        "Mounts": "volume data at /data (read only)",
        "Secrets": "key",
        "Limits": "0.5 CPU, 64 MiB",
        "Placement": "node.role == worker",
        "Ports": "8080 to 80/tcp (ingress)",
    }
    assert told["Restarts"] == "on-failure, after 5 s, at most 3 times"
    assert told["Updates"] == "2 at once, 0 s apart, watched 5 s, then rollback on failure, stop-first"
    assert told["Earlier version"]
