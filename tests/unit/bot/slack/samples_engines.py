"""Replies about what engines hold beside containers, and about the engines, as the commands really make them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from commands.spec import Result
from core import errors
from core.model.actions import DescribeEngine
from core.model.engines import Engine
from core.model.images import Image, Images, ListImages, PullImage
from core.model.pods import ListPods, Pod, Pods
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Reply
from core.model.resource_usage import ReadUsage, Usage, Usages
from core.model.results import Outcome
from core.model.swarm import ListNodes, Node, Nodes
from tests.unit.bot.slack.samples import HOST7, NOW, made, ref

ALICE = EngineRef(host="host7", kind="podman", name="1001")
MIB = 1 << 20
DAY = 86_400.0


def one(kind: Kind, name: str, engine: EngineRef = HOST7) -> Ref:
    return Ref(engine=engine, kind=kind, id=f"{sum(name.encode()):064x}", name=name)


def images() -> Reply:
    def image(*tags: str, engine: EngineRef = HOST7) -> Image:
        name = tags[0] if tags else "5f70bf18a086"
        at = NOW.timestamp() - len(name) * DAY
        return Image(ref=one(Kind.IMAGE, name, engine), tags=tags, size=len(name) * 3_100_000, created_at=at)

    here = Images(rows=(image("nginx:1.27", "nginx:latest"), image("registry.example/<!here>/web:2"), image()))
    there = Images(rows=(image("docker.io/library/nginx:1.27", engine=ALICE),))
    results = [
        Result(action=ListImages(engine=HOST7), value=here),
        Result(action=ListImages(engine=ALICE), value=there),
    ]
    return made("images", results)


def stats() -> Reply:
    def usage(name: str, percent: float, **more: Any) -> Usage:
        told = {"memory": 96 * MIB, "memory_limit": 512 * MIB, "processes": 7, "block_read": 0, "block_written": 4_096}
        return Usage(ref=ref(name), cpu_percent=percent, **told, **more)

    rows = (
        usage("shop-web", 12.3, network_received=1_300_000, network_sent=48_000),
        usage("shop-api", 181.0, network_received=900, network_sent=12),
        Usage(ref=ref("mailer"), memory=3 * MIB),
    )
    away = errors.Unreachable("podman/host7/1001 does not answer.", hint="Is its socket there?")
    told = Usages(rows=rows, missing="Of 1 container nothing can be read: it has no cgroup of its own.")
    return made(
        "stats",
        [Result(action=ReadUsage(engine=HOST7), value=told), Result(action=ReadUsage(engine=ALICE), error=away)],
    )


def nodes() -> Reply:
    told = {"state": "ready", "availability": "active", "role": "worker", "address": "10.0.0.2", "tasks": 4}
    rows = (
        Node(ref=one(Kind.NODE, "worker-1"), **told),
        Node(
            ref=one(Kind.NODE, "worker-2"),
            **told | {"state": "down", "availability": "drain", "message": "heartbeat failure", "tasks": 0},
        ),
        Node(ref=one(Kind.NODE, "boss"), **told | {"role": "manager", "leader": True}),
    )
    return made("nodes", [Result(action=ListNodes(engine=HOST7), value=Nodes(rows=rows))])


def pods() -> Reply:
    rows = (
        Pod(
            ref=one(Kind.POD, "web"),
            state="degraded",
            created_at=NOW.timestamp() - 7_200,
            labels={},
            members=("a", "b"),
            running=1,
        ),
    )
    return made("pods", [Result(action=ListPods(engine=HOST7), value=Pods(rows=rows))])


DOCKER = Engine(
    ref=HOST7,
    address="unix:///var/run/docker.sock",
    verbs=("container.list", "container.logs", "engine.list", "image.list"),
    version="26.1.5",
    api="1.45",
    system="linux/x86_64",
    storage="overlay2",
    cgroup="2",
    containers=12,
    running=9,
    runtime="runc 1.1.5",
    events="ring of 256",
    owned=(("podman", 3),),
    stream="up",
    stream_since=NOW.timestamp() - 300,
)
PODMAN = Engine(
    ref=ALICE,
    address="unix:///run/user/1001/podman/podman.sock",
    verbs=("container.list", "pod.list"),
    version="4.3.1",
    cgroup="1",
    user="alice (1001)",
    events="none",
    notes=("It tells no events: lists are all there is.",),
    stream="down",
    stream_since=NOW.timestamp() - 40,
    stream_fault="Its events are off.",
)
LACKING = errors.Unsupported("pod.list", "docker/host7", "It supports: container.inspect, container.list.")


def engines(line: str, *told: Engine) -> Reply:
    return made(line, [Result(action=DescribeEngine(engine=engine.ref), value=engine) for engine in told])


def pulled(outcome: Outcome) -> Reply:
    return made("pull nginx", [Result(action=PullImage(engine=HOST7, image="nginx"), value=outcome)])


SAMPLES: Mapping[str, tuple[str, Reply]] = {
    "images": ("images", images()),
    "stats": ("stats", stats()),
    "nodes": ("nodes", nodes()),
    "pods": ("pods", pods()),
    "pods-lacking": ("pods", made("pods", [Result(action=ListPods(engine=HOST7), error=LACKING)])),
    "engines": ("engines", engines("engines", DOCKER, PODMAN)),
    "engines-one": ("engines docker", engines("engines docker", DOCKER)),
    "info": ("info podman", engines("info podman", PODMAN)),
    "pulled": ("pull nginx", pulled(Outcome(status="done", detail="sha256:" + "d" * 64, took=12.5))),
    "pull-failed": (
        "pull nginx",
        pulled(Outcome(status="failed", detail="manifest unknown. Check the spelling of the tag.")),
    ),
}
