"""Answers of every engine for the tests of decoders: recorded where there is a recording, else as the engines write
them."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf import any_pb2, json_format

from runtimes.compose import services
from runtimes.proto import (
    containerd_containers_pb2,
    containerd_events_pb2,
    containerd_task_types_pb2,
    containerd_types_pb2,
    cri_pb2,
)
from tests.helpers.paths import CAPTURES

NOW = 1_800_000_000.0


def captured(*names: str) -> list[bytes]:
    """Ten lines at a time of recorded streams."""
    lines = [line for name in names for line in (CAPTURES / name).read_bytes().splitlines()]
    return [b"\n".join(lines[at : at + 10]) for at in range(0, len(lines), 10)]


def exchanged(begins: str) -> list[bytes]:
    files = sorted(CAPTURES.glob("docker-*.exchanges.jsonl"))
    told = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return [str(one["body"]).encode() for one in told if one["ask"].startswith(begins)]


def inspections(pattern: str) -> list[bytes]:
    found = [json.loads(file.read_bytes()) for file in sorted((CAPTURES / "inspections").glob(f"{pattern}.json"))]
    return encoded(*(one[0] if isinstance(one, list) else one for one in found))


def encoded(*values: Any) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


# ── samples that no recording has ────────────────────────────────────────────────────────────────────────────────────

DOCKER_LIST = encoded(
    [
        {
            "Id": "a" * 64,
            "Names": ["/shop-web-1"],
            "Image": "nginx:1",
            "ImageID": "sha256:" + "b" * 64,
            "Command": "nginx",
            "Created": 1_700_000_000,
            "State": "exited",
            "Status": "Exited (137) 3 days ago",
            "Ports": [{"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
            "Labels": {
                services.PROJECT: "shop",
                services.SERVICE: "web",
                services.NUMBER: "1",
                "com.docker.swarm.service.id": "x",
            },
        },
        {"Id": "c" * 64, "Names": ["/db"], "Status": "Up 2 hours (healthy)", "State": "running", "Labels": {}},
    ]
)
STATS = encoded(
    {
        "cpu_stats": {"cpu_usage": {"total_usage": 5}},
        "memory_stats": {"usage": 5, "limit": 9, "stats": {"inactive_file": 1}},
        "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 3}]},
        "pids_stats": {"current": 4},
    }
)
PODMAN_LIST = encoded(
    [
        {
            "Id": "a" * 64,
            "Names": ["web"],
            "Image": "nginx",
            "ImageID": "b" * 64,
            "Command": ["a", "b"],
            "Created": "2026-11-24T17:23:32.447Z",
            "State": "running",
            "Status": "healthy",
            "StartedAt": 1_700_000_000,
            "ExitedAt": -62135596800,
            "ExitCode": 0,
            "Ports": [{"host_ip": "", "container_port": 80, "host_port": 8080, "range": 3, "protocol": "tcp,udp"}],
            "Labels": {"a": "b"},
        }
    ]
)
PODMAN_FILE = [
    b'{"ContainerExitCode":3,"ID":"a","Image":"i","Name":"web","Status":"died","Time":"2026-11-24T17:23:32.8Z",'
    b'"Type":"container","Attributes":{"a":"b"}}\n{"Name":"n","Network":"x","Status":"create",'
    b'"Time":"2026-11-24T17:23:33Z","Type":"network"}'
]
PODMAN_STATS = encoded(
    {"Error": None, "Stats": [{"ContainerID": "a" * 64, "CPUNano": 5, "SystemNano": 9, "MemUsage": 5, "MemLimit": 9,
                               "Network": {"eth0": {"RxBytes": 1, "TxBytes": 2}}, "PIDs": 3}]}
)  # fmt: skip
TASKS = encoded(
    [
        {
            "ID": "t1",
            "ServiceID": "s1",
            "NodeID": "n1",
            "Slot": 1,
            "DesiredState": "running",
            "CreatedAt": "2026-11-24T03:00:00Z",
            "Status": {
                "State": "failed",
                "Timestamp": "2026-11-24T03:00:00.5Z",
                "Err": "non-zero exit (7)",
                "ContainerStatus": {"ContainerID": "c1", "ExitCode": 7},
            },
            "Spec": {"ContainerSpec": {"Image": "nginx@sha256:aa", "Labels": {"a": "b"}}},
        }
    ]
)
SERVICES = encoded(
    [
        {
            "ID": "s1",
            "UpdatedAt": "2026-11-24T03:00:00Z",
            "Spec": {
                "Name": "shop_web",
                "Labels": {"com.docker.stack.namespace": "shop"},
                "TaskTemplate": {
                    "ContainerSpec": {"Image": "nginx", "Labels": {"a": "b"}, "Env": ["A=b"], "Mounts": [{}]},
                    "Resources": {"Limits": {"NanoCPUs": 5, "MemoryBytes": 5}},
                    "RestartPolicy": {"Condition": "any", "Delay": 5, "MaxAttempts": 1},
                },
                "Mode": {"Replicated": {"Replicas": 3}},
                "UpdateConfig": {"Parallelism": 1, "Delay": 5},
            },
            "Endpoint": {"Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080}]},
            "UpdateStatus": {"State": "paused", "StartedAt": "2026-11-24T03:00:00Z", "Message": "paused"},
        }
    ]
)  # fmt: skip
NODES = encoded(
    [
        {
            "ID": "n1",
            "UpdatedAt": "2026-11-24T03:00:00Z",
            "Spec": {"Role": "manager", "Availability": "active", "Labels": {"a": "b"}},
            "Description": {"Hostname": "m1", "Platform": {"OS": "linux"}, "Engine": {"EngineVersion": "26"}},
            "Status": {"State": "down", "Addr": "10.0.0.1", "Message": "gone"},
            "ManagerStatus": {"Leader": True, "Reachability": "reachable", "Addr": "10.0.0.1:2377"},
        }
    ]
)
RUNC = encoded(
    {
        "init_process_pid": 4267,
        "init_process_start": 13,
        "created": "2026-11-24T17:18:59.2Z",
        "config": {"labels": ["a=b", "bundle=/srv/web"], "cgroups": {"memory": 0}},
        "cgroup_paths": {"memory": "/sys/fs/cgroup/memory/web", "freezer": "/f"},
    }
)
CRUN = encoded(
    {"pid": 3, "process-start-time": 5, "cgroup-path": "/web", "created": "2026-11-24T17:18:59Z", "bundle": "/b"}
)
SPEC = encoded({"process": {"args": ["sleep", "9"], "terminal": False}, "annotations": {"c": "d"}})
UNITS = [
    b"Id=web.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\nResult=exit-code\nExecMainStatus=1\n"
    b"MainPID=7\nStateChangeTimestampMonotonic=123\nFragmentPath=/x\nExecStart={ path=/usr/bin/podman ; argv[]="
    b"/usr/bin/podman run --name web nginx "
    b"; ignore_errors=no ; start_time=[n/a] }\n\nId=db.service\nActiveState=active\n"
]
FRAMES = [
    b"".join(
        bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text
        for stream, text in (
            (1, b"2026-11-24T17:18:59.123456789Z one\n"),
            (2, b"2026-11-24T17:18:59.223456789Z t\xc3\xbc\n"),
            (1, b"2026-11-24T17:18:59.3Z " + b"x" * 50),
            (1, b"2026-11-24T17:18:59.4Z end\n"),
        )
    )
]
CRI_LOG = [
    b"2026-11-24T17:18:59.123456789Z stdout F one\n2026-11-24T17:18:59+00:00 stderr P tw\n"
    b"2026-11-24T17:18:59Z stderr F o\n"
]
RESPONSES = [
    b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\n3;x=y\r\nyou\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwrong",
    b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
]
CRUN_ERRORS = [
    b'{"msg":"no","level":"error","time":"2026-11-24T17:18:59Z"}\n',
    b'{\n "msg":"no",\n "level":"error",\n "time":"2026"\n}\nmore\n',
]


# ── messages of protobuf ─────────────────────────────────────────────────────────────────────────────────────────────


def messages(kind: str) -> list[bytes]:
    lines = map(json.loads, (CAPTURES / "containerd-1.7.cri.jsonl").read_text().splitlines())
    shape = getattr(cri_pb2, kind)
    found = [
        json_format.ParseDict(one["body"], shape(), ignore_unknown_fields=True)
        for one in lines
        if one["message"] == kind
    ]
    return [one.SerializeToString() for one in found]


def envelopes() -> list[bytes]:
    told = (
        containerd_events_pb2.TaskExit(container_id="web", id="web", pid=7, exit_status=3),
        containerd_events_pb2.TaskStart(container_id="web", pid=7),
        containerd_events_pb2.ContainerCreate(id="web", image="nginx"),
        containerd_events_pb2.ContainerUpdate(id="web", image="nginx", labels={"a": "b"}),
        containerd_events_pb2.ImageCreate(name="nginx"),
    )
    topics = ("/tasks/exit", "/tasks/start", "/containers/create", "/containers/update", "/images/create")
    found = []
    for topic, message in zip(topics, told, strict=True):
        body = any_pb2.Any(type_url=message.DESCRIPTOR.full_name, value=message.SerializeToString())
        one = containerd_types_pb2.Envelope(namespace="default", topic=topic, event=body)
        one.timestamp.FromNanoseconds(int(NOW * 1e9))
        found.append(one.SerializeToString())
    return found


def containers() -> list[bytes]:
    one = containerd_containers_pb2.Container(id="web", image="nginx", labels={"nginx": "1", "nerdctl/ports": "[]"})
    one.created_at.FromNanoseconds(int(NOW * 1e9))
    one.spec.value = SPEC[0]
    return [containerd_containers_pb2.ListContainersResponse(containers=[one, one]).SerializeToString()]


def tasks() -> list[bytes]:
    one = containerd_task_types_pb2.Process(id="web", pid=3, exit_status=3)
    one.status = containerd_task_types_pb2.Status.STOPPED
    one.exited_at.FromNanoseconds(int(NOW * 1e9))
    return [one.SerializeToString()]
