"""info: an engine in its own words, short and whole; engines: all of them at a glance, each verb of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from bot import plain_text
from core import errors
from core.model.actions import DescribeEngine, ShowInfo
from core.model.engines import Engine
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Ending, Fields, Lines
from core.model.results import Document
from core.ports import Query
from tests.unit.commands.conftest import HOST7, HOST8, NOW

ALICE = EngineRef(host="host8", kind="podman", name="1001")
UP = Engine(
    ref=HOST7,
    address="unix:///var/run/docker.sock",
    verbs=("container.list",),
    version="26.1.5",
    api="1.45",
    system="linux/x86_64",
    storage="overlay2",
    cgroup="2",
    containers=12,
    running=9,
    runtime="runc 1.1.5",
    events="ring of 256",
    owned=(("podman", 3), ("cri", 1)),
    stream="up",
    stream_since=NOW.timestamp() - 200,
)
ROOTLESS = Engine(
    ref=ALICE,
    address="unix:///run/user/1001/podman/podman.sock",
    verbs=("container.list", "pod.list"),
    version="4.3.1",
    cgroup="1",
    user="alice (1001)",
    events="none",
    notes=("It tells no events: lists are all there is.", "cgroup v1 lets a user see no usage."),
    stream="down",
    stream_since=NOW.timestamp() - 40,
    stream_fault="Its events are off.",
)


def answers(*of: object) -> Callable[[Any], Any]:
    said = dict(zip((HOST7, HOST8), of, strict=False))
    return lambda action: said[action.engine]


async def test_in_short_it_is_all_that_is_known_but_the_verbs(two_hosts):
    assert await two_hosts.plan("info host7 --host host7") == [DescribeEngine(engine=HOST7)]
    assert two_hosts.find.asked[-1] == Query(engine="host7", host="host7")
    first, second = (await two_hosts.say("info", answers(UP, ROOTLESS))).blocks
    assert isinstance(first, Fields)
    assert isinstance(second, Fields)
    assert (first.title, second.title) == ("docker/host7", "podman/host8/1001")
    assert first.fields == {
        "Kind": "docker",
        "Host": "host7",
        "Address": "unix:///var/run/docker.sock",
        "State": "up 3 min",
        "Version": "26.1.5",
        "API": "1.45",
        "OCI runtime": "runc 1.1.5",
        "System": "linux/x86_64",
        "Storage driver": "overlay2",
        "Cgroup version": "2",
        "Events": "ring of 256",
        "Event stream": "up since 2026-11-24T02:56:40Z",
        "Containers": "12 (9 running)",
        "Counted elsewhere": "3 by podman, 1 by cri",
    }
    assert second.fields["User"] == "alice (1001)"
    assert second.fields["Events"] == "none"
    assert second.fields["Event stream"] == "down since 2026-11-24T02:59:20Z: Its events are off."
    assert second.fields["Notes"].startswith("It tells no events: lists are all there is. cgroup v1")


async def test_engines_with_a_name_says_the_same_and_what_it_can_do(two_hosts):
    (told, *_) = (await two_hosts.say("engines host7 --host host7", answers(UP))).blocks
    (short, *_) = (await two_hosts.say("info host7 --host host7", answers(UP))).blocks
    assert told.fields == short.fields | {"Verbs": "container.list"}


def document(engine: EngineRef, **data: Any) -> Document:
    return Document(ref=Ref(engine=engine, kind=Kind.ENGINE, id="x", name=engine.host), data=data)


async def test_raw_is_the_engines_own_document_and_of_several_by_engine(two_hosts):
    assert await two_hosts.plan("info --raw --host host7") == [ShowInfo(engine=HOST7)]
    (lines,) = (await two_hosts.say("info --raw --host host7", lambda _: document(HOST7, Driver="overlay2"))).blocks
    assert isinstance(lines, Lines)
    assert json.loads("\n".join(lines.lines)) == {"Driver": "overlay2"}
    both = answers(document(HOST7, Driver="overlay2"), document(HOST8, Driver="vfs"))
    (lines,) = (await two_hosts.say("info --raw", both)).blocks
    assert json.loads("\n".join(lines.lines)) == {
        "docker/host7": {"Driver": "overlay2"},
        "docker/host8": {"Driver": "vfs"},
    }


async def test_a_format_picks_from_it_and_a_bad_one_asks_nobody(two_hosts):
    reply = await two_hosts.say("info -f '{{.Driver}}'", lambda action: document(action.engine, Driver="vfs"))
    assert plain_text.render(reply).split() == ["vfs", "vfs"]
    reply = await two_hosts.say("info -f '{{.Drover}}'", lambda action: document(action.engine, Driver="vfs"))
    assert "Driver" in plain_text.render(reply)
    assert reply.ending is Ending.USAGE
    with pytest.raises(errors.BadUsage):
        await two_hosts.plan("info -f '{{range .}}'")


async def test_an_engine_that_has_no_such_document_says_what_it_can_do(world):
    lacking = errors.Unsupported("engine.info", "oci/host7", "See what is known of it with: info oci/host7")
    reply = await world.say("info --raw", lambda _: lacking)
    assert "oci/host7 does not support engine.info. See what is known of it with" in plain_text.render(reply)
    assert reply.ending is Ending.USAGE


async def test_what_may_not_be_listed_is_not_there(two_hosts):
    reply = await two_hosts.say("info", answers(UP, None))
    assert "host8" not in plain_text.render(reply)
    reply = await two_hosts.say("info", answers(None, None))
    assert "no engines that you may list" in plain_text.render(reply)
    assert reply.ending is Ending.NOTHING


@pytest.mark.parametrize("command", ["info", "df", "version"])
async def test_an_engine_is_named_once(two_hosts, command):
    with pytest.raises(errors.BadUsage, match="names two engines: host7 and docker/host8"):
        await two_hosts.plan(f"{command} host7 --engine docker/host8")
