"""Tests of what differs between CRI-O and containerd, with a stand-in for CRI-O, with and without its event stream."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from core import errors
from core.model import actions, images, inside_containers, resource_usage
from core.model.events import EventKind
from core.model.replies import Status
from core.ports import Call
from runtimes import engine_registry
from runtimes.cri import event_stream, events
from runtimes.proto import cri_pb2 as cri
from tests.helpers.watched_engine import WatchedEngine


async def do(runtime, action, seconds=60.0):
    deadline = datetime.now(UTC) + timedelta(seconds=seconds)
    return await runtime.run(action, Call(id="t", who="t", deadline=deadline, invocation="t"))


async def rows(runtime):
    return {row.ref.name: row for row in (await do(runtime, actions.ListContainers(engine=runtime.ref))).rows}


@pytest.fixture
async def engine(crio):
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=crio.url))
    yield runtime
    await runtime.aclose()


async def life(eye, crio):
    """The events of one container while it is watched, and its final state."""
    name = f"default/it{len(crio.made)}/it{len(crio.made)}"
    await asyncio.to_thread(crio.run, name.rpartition("/")[2], "sleep 0.2; exit 5")
    await eye.until(lambda: EventKind.DIED in eye.kinds(name))
    await asyncio.to_thread(crio.clear)
    await eye.until(lambda: EventKind.REMOVED in eye.kinds(name))
    kinds = [EventKind.CREATED, EventKind.STARTED, EventKind.DIED, EventKind.REMOVED]
    assert [kind for kind in eye.kinds(name) if kind in kinds] == kinds
    (died,) = [event for event in eye.seen if event.kind is EventKind.DIED and event.subject.name == name]
    assert died.attrs["exit_code"] == "5"


async def test_events_come_by_its_stream_where_it_is_on(crio, monkeypatch):
    # Nothing is looked for without a reason that the stream gives.
    monkeypatch.setattr(events, "POLL_SECONDS", 3600.0)
    monkeypatch.setattr(events, "COMPARE_SECONDS", 3600.0)
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=crio.url)) as eye:
        await life(eye, crio)
        told = await do(eye.runtime, actions.DescribeEngine(engine=eye.runtime.ref))
        assert (told.events, told.version, told.runtime) == ("broadcast", "cri-o 1.37.0", "crun")


async def test_where_its_stream_is_off_it_is_looked_at_and_not_asked_again(quiet_crio, monkeypatch):
    monkeypatch.setattr(events, "POLL_SECONDS", 0.05)
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=quiet_crio.url)) as eye:
        await life(eye, quiet_crio)
        told = await do(eye.runtime, actions.DescribeEngine(engine=eye.runtime.ref))
        assert told.events == "polled"
        assert quiet_crio.asked.count("GetContainerEvents") == 1


async def test_an_engine_nobody_watches_tells_how_its_events_would_come(crio, quiet_crio):
    for daemon, way in ((crio, "broadcast"), (quiet_crio, "polled")):
        runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=daemon.url))
        assert (await do(runtime, actions.DescribeEngine(engine=runtime.ref))).events == way
        await runtime.aclose()


async def test_a_pod_that_is_made_again_has_its_name_and_leaves_nothing_behind(own_crio):
    """A pod that is removed sends no event, and its containers none either."""
    daemon = own_crio
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=daemon.url)) as eye:
        name = "shop/web/app"
        for attempt in (4, 0):
            pod = await asyncio.to_thread(daemon.kubelet.pod, "web", "shop")
            made = await asyncio.to_thread(
                daemon.kubelet.container, pod, "app", ["/bin/sleep", "3600"], attempt=attempt
            )
            await eye.until(lambda made=made: (row := eye.row(name)) is not None and row.ref.id == made)
            if attempt:
                await asyncio.to_thread(daemon.kubelet.remove_pod, pod[0])
        await eye.until(lambda: list(eye.mirror.containers) == [made])
        assert [row.ref.name for row in eye.mirror.containers.values()] == [name]
        assert eye.kinds(name).count(EventKind.CREATED) == 2
        assert eye.kinds(name).count(EventKind.REMOVED) == 1


async def test_a_container_without_the_kubelets_labels_has_a_row_at_once(own_crio, monkeypatch):
    monkeypatch.setattr(events, "COMPARE_SECONDS", 3600.0)
    daemon = own_crio
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=daemon.url)) as eye:
        pod = await asyncio.to_thread(daemon.kubelet.pod, "web", "shop")
        command = ["/bin/sh", "-c", "sleep 0.3; exit 7"]
        made = await asyncio.to_thread(daemon.kubelet.container, pod, "app", command, labelled=False)
        await eye.until(lambda: (row := eye.row("shop/web/app")) is not None and row.ref.id == made)
        await eye.until(lambda: eye.row("shop/web/app").exit_code == 7)
        kinds = [EventKind.CREATED, EventKind.STARTED, EventKind.DIED]
        assert [kind for kind in eye.kinds("shop/web/app") if kind in kinds] == kinds


async def test_events_from_before_the_first_listener_are_not_told_as_live(own_crio):
    daemon = own_crio
    await asyncio.to_thread(daemon.run, "gone", "exit 0")
    await asyncio.to_thread(daemon.wait, "gone")
    await asyncio.to_thread(daemon.clear)
    await asyncio.to_thread(daemon.run, "stays")
    assert daemon._events.qsize() > 3
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=daemon.url)) as eye:
        await asyncio.to_thread(daemon.run, "later")
        await eye.until(lambda: eye.row("default/later/later") is not None)
        assert not eye.kinds("default/gone/gone") and not eye.kinds("default/stays/stays")
        assert {row.ref.name for row in eye.mirror.containers.values()} == {
            "default/stays/stays", "default/later/later"
        }  # fmt: skip


async def test_created_is_told_once_over_a_restart_of_the_daemon(own_crio):
    """The list's clock is up to 155 ms behind the status's, and moves with each restart."""
    daemon = own_crio
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=daemon.url)) as eye:
        await asyncio.to_thread(daemon.run, "it")
        await eye.until(lambda: EventKind.STARTED in eye.kinds("default/it/it"))
        for number in range(3):
            await asyncio.to_thread(daemon.kill)
            await eye.until(lambda: not eye.mirror.live)
            await asyncio.to_thread(daemon.start)
            await asyncio.to_thread(daemon.run, f"after{number}")
            name = f"default/after{number}/after{number}"
            await eye.until(lambda name=name: eye.mirror.live and EventKind.STARTED in eye.kinds(name))
            assert eye.kinds(name).count(EventKind.CREATED) == 1
        assert eye.kinds("default/it/it").count(EventKind.CREATED) == 1
        assert eye.kinds("default/it/it").count(EventKind.STARTED) == 1


async def test_the_name_that_was_asked_for_is_shown_of_an_image_with_two(own_crio, monkeypatch):
    monkeypatch.setattr(events, "COMPARE_SECONDS", 3600.0)
    own_crio.tag("localhost/busybox:1", "localhost/other:2")
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=own_crio.url)) as eye:
        await asyncio.to_thread(own_crio.run, "it", "sleep 0.3; exit 3")
        await eye.until(lambda: (row := eye.row("default/it/it")) is not None and row.state == "exited")
        assert (await rows(eye.runtime))["default/it/it"].image == "localhost/busybox:1"
        assert eye.row("default/it/it").image == "localhost/busybox:1"
        assert {event.attrs["image"] for event in eye.seen if event.subject.name == "default/it/it"} == {
            "localhost/busybox:1"
        }


@pytest.mark.parametrize("cgroup", [1, 2])
async def test_without_a_memory_limit_none_is_shown(own_crio, cgroup):
    own_crio.cgroup = cgroup
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=own_crio.url))
    await asyncio.to_thread(own_crio.run, "free")
    await asyncio.to_thread(own_crio.run, "held", memory=64 << 20)
    found = {row.ref.name: row for row in (await do(runtime, resource_usage.ReadUsage(engine=runtime.ref))).rows}
    assert found["default/free/free"].memory_limit is None
    assert found["default/held/held"].memory_limit == 64 << 20
    await runtime.aclose()


async def test_a_program_in_an_ended_or_created_container_is_refused_with_its_state(crio, engine):
    await asyncio.to_thread(crio.run, "done", "exit 0")
    await asyncio.to_thread(crio.wait, "done")
    await asyncio.to_thread(crio.run, "new", start=False)
    for name, state in (("default/done/done", "exited"), ("default/new/new", "created")):
        target = (await rows(engine))[name].ref
        with pytest.raises(errors.Rejected, match=f"is {state}: a program can only run in a running container"):
            await do(engine, inside_containers.Exec(engine=engine.ref, target=target, command=("true",)))
    await asyncio.to_thread(crio.remove, "done")
    with pytest.raises(errors.NotFound, match="has no container"):
        await do(engine, inside_containers.Exec(engine=engine.ref, target=gone(target), command=("true",)))


def gone(target):
    """A container that does not exist any more."""
    return msgspec.structs.replace(target, id="0" * 64)


async def test_a_program_that_is_not_there_is_named(crio, engine):
    await asyncio.to_thread(crio.run, "it")
    target = (await rows(engine))["default/it/it"].ref
    said = r"^executable file `nothing` not found in \$PATH: No such file or directory$"
    with pytest.raises(errors.Rejected, match=said):
        await do(engine, inside_containers.Exec(engine=engine.ref, target=target, command=("nothing",)))


async def test_memory_that_ran_out_for_a_child_shows_at_the_end_also_with_code_0(crio, engine):
    await asyncio.to_thread(crio.run, "it", "while [ ! -e /go ]; do sleep 0.02; done; exit 0")
    crio.child_out_of_memory("it")
    assert (await rows(engine))["default/it/it"].oom_killed is False
    (crio._boxes[crio.id("it")].root / "go").touch()
    await asyncio.to_thread(crio.wait, "it")
    row = (await rows(engine))["default/it/it"]
    assert (row.exit_code, row.oom_killed) == (0, True)


async def test_an_image_in_use_is_refused_with_a_cure_that_helps(own_crio):
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=own_crio.url))
    await asyncio.to_thread(own_crio.run, "done", "exit 0")
    await asyncio.to_thread(own_crio.wait, "done")
    (row,) = (await do(runtime, images.ListImages(engine=runtime.ref))).rows
    for force in (False, True):
        with pytest.raises(errors.Rejected, match="is used by default/done/done: remove these first.$"):
            await do(runtime, images.RemoveImage(engine=runtime.ref, target=row.ref, force=force))
    own_crio.tag("localhost/busybox:1", "localhost/other:2")
    outcome = await do(runtime, images.RemoveImage(engine=runtime.ref, target=row.ref))
    assert outcome.detail == "still exists as localhost/other:2"
    await runtime.aclose()


async def test_a_newer_containerd_sends_its_events_to_all_and_is_not_polled(own_crio, monkeypatch):
    """From version 2 on. A stand-in: its stream is that of CRI-O."""
    monkeypatch.setattr(events, "POLL_SECONDS", 3600.0)
    monkeypatch.setattr(events, "COMPARE_SECONDS", 3600.0)
    own_crio.name, own_crio.release = "containerd", "v2.1.9"
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=own_crio.url)) as eye:
        await life(eye, own_crio)
        assert (await do(eye.runtime, actions.DescribeEngine(engine=eye.runtime.ref))).events == "broadcast"


async def test_containerd_is_polled_and_its_stream_is_not_used(quiet_crio, monkeypatch):
    """containerd 1.7 sends each event to one listener only, so the kubelet would miss the events that Quarterdeck
    receives."""
    monkeypatch.setattr(events, "POLL_SECONDS", 0.05)
    quiet_crio.name, quiet_crio.release = "containerd", "1.7.24~ds1"
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=quiet_crio.url)) as eye:
        await life(eye, quiet_crio)
        await do(eye.runtime, actions.DescribeEngine(engine=eye.runtime.ref))
    assert "GetContainerEvents" not in quiet_crio.asked


async def test_one_who_does_not_take_events_holds_nobody_up_and_loses_the_stream(own_crio, monkeypatch):
    monkeypatch.setattr(event_stream, "MAX_QUEUED_EVENTS", 50)
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=own_crio.url))
    stream = runtime.events(None)
    assert await anext(stream) == ()
    heard = []
    listener = threading.Thread(target=_listen, args=(own_crio, heard, 500), daemon=True)
    listener.start()
    thing = await asyncio.to_thread(own_crio.run, "it")
    async with asyncio.timeout(60):
        while len(own_crio._listeners) < 2:
            await asyncio.sleep(0.01)
    await asyncio.to_thread(own_crio.send_events, thing, 500)
    await asyncio.to_thread(listener.join, 60)
    assert len(heard) == 500
    with pytest.raises(errors.InvalidResponse, match="before they could be read"):
        async for _ in stream:
            pass
    await runtime.aclose()


def _listen(crio, heard, count):
    import grpc

    with grpc.insecure_channel(f"unix:{crio.socket}", options=(("grpc.default_authority", "localhost"),)) as channel:
        call = channel.unary_stream(
            "/runtime.v1.RuntimeService/GetContainerEvents",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=cri.ContainerEventResponse.FromString,
        )(cri.GetEventsRequest(), timeout=60)
        for told in call:
            if told.container_event_type == 1:
                heard.append(told)
            if len(heard) == count:
                call.cancel()
                return


async def test_words_nobody_knows_yet_pass(own_crio):
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=own_crio.url)) as eye:
        own_crio.odd_event = 17
        thing = await asyncio.to_thread(own_crio.run, "it", "exit 0")
        await eye.until(lambda: any(event.action == "event_17" for event in eye.seen))
        # What the event says of containers is heard all the same.
        await eye.until(lambda: any(e.kind is EventKind.DIED and e.subject.id == thing for e in eye.seen))
        assert next(event.kind for event in eye.seen if event.action == "event_17") is EventKind.OTHER
        own_crio.odd_event = 0
        await asyncio.to_thread(own_crio.run, "strange")
        own_crio.unknown_state("strange", 7)
        found = await rows(eye.runtime)
        assert found["default/strange/strange"].state == "dead"
        own_crio.unknown_state("strange", 1)


async def test_five_hundred_containers_are_looked_at_in_two_calls(own_crio, record_property):
    own_crio.create_many(500)
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=own_crio.url))
    assert len(await rows(runtime)) == 500
    own_crio.asked.clear()
    loop = asyncio.get_running_loop()
    began = loop.time()
    found = await rows(runtime)
    record_property("a look at 500 containers of CRI, ms", round((loop.time() - began) * 1000, 1))
    assert len(found) == 500
    assert sorted(own_crio.asked) == ["ListContainers", "ListPodSandbox"]
    own_crio.asked.clear()
    await do(runtime, resource_usage.ReadUsage(engine=runtime.ref, only=("none",)))
    assert own_crio.asked.count("ContainerStatus") == 0
    await runtime.aclose()


async def test_one_container_that_cannot_be_told_of_does_not_hide_the_others(crio, engine):
    thing = await asyncio.to_thread(crio.run, "odd")
    await asyncio.to_thread(crio.run, "fine")
    crio.broken.add(thing)
    try:
        found = await rows(engine)
        assert found["default/odd/odd"].state == "running" and found["default/odd/odd"].started_at is None
        assert found["default/fine/fine"].started_at is not None
        target = found["default/odd/odd"].ref
        with pytest.raises(errors.Rejected, match="unexpected end of JSON"):
            await do(engine, actions.InspectContainer(engine=engine.ref, target=target))
    finally:
        crio.broken.clear()
    assert (await rows(engine))["default/odd/odd"].started_at is not None


async def test_a_code_it_has_not_read_yet_is_asked_for_again(crio, engine):
    thing = await asyncio.to_thread(crio.run, "it", "exit 3")
    await asyncio.to_thread(crio.wait, "it")
    crio.unread_exit_codes.add(thing)
    assert (await rows(engine))["default/it/it"].exit_code == -1
    crio.unread_exit_codes.clear()
    assert (await rows(engine))["default/it/it"].exit_code == 3


async def test_memory_that_ran_out_is_heard(crio):
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=crio.url)) as eye:
        await asyncio.to_thread(crio.run, "it")
        await asyncio.to_thread(crio.out_of_memory, "it")
        await eye.until(lambda: EventKind.DIED in eye.kinds("default/it/it"))
        assert EventKind.OOM in eye.kinds("default/it/it")
        await eye.until(lambda: (row := eye.row("default/it/it")) is not None and row.oom_killed)
        assert eye.row("default/it/it").exit_code == 137


async def test_a_network_that_is_not_ready_is_a_note_and_no_fault(own_crio):
    own_crio.not_ready = "Network plugin returns error: no CNI configuration file in /etc/cni/net.d/"
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=own_crio.url))
    told = await do(runtime, actions.DescribeEngine(engine=runtime.ref))
    assert told.fault == ""
    (note,) = told.notes
    assert "NetworkReady is false" in note and "no CNI configuration" in note
    info = (await do(runtime, actions.ShowInfo(engine=runtime.ref))).data
    assert (info["cgroup_driver"], info["info"]["config"]["sandboxImage"]) == ("systemd", "pause")
    await runtime.aclose()


async def test_one_tag_is_taken_away_alone_and_the_outcome_tells_what_stays(own_crio):
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=own_crio.url))
    own_crio.tag("localhost/busybox:1", "localhost/other:2")
    told = await do(runtime, images.ListImages(engine=runtime.ref))
    (row,) = told.rows
    outcome = await do(runtime, images.RemoveImage(engine=runtime.ref, target=row.ref))
    assert (outcome.status, outcome.detail) == (Status.DONE, "still exists as localhost/other:2")
    (row,) = (await do(runtime, images.ListImages(engine=runtime.ref))).rows
    assert row.tags == ("localhost/other:2",)
    await runtime.aclose()


async def test_what_runs_on_in_a_hang_is_not_waited_for(own_crio):
    runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="cri", url=own_crio.url))
    await asyncio.to_thread(own_crio.run, "it")
    target = (await rows(runtime))["default/it/it"].ref
    own_crio.hang.set()
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(errors.TimedOut):
        await do(runtime, actions.Stop(engine=runtime.ref, target=target), 0.5)
    told = await do(runtime, actions.DescribeEngine(engine=runtime.ref), 0.5)
    assert told.fault
    assert loop.time() - began < 30  # the deadlines are a second in all
    own_crio.hang.clear()
    await runtime.aclose()


async def test_an_engine_that_goes_and_comes_back_is_heard_again(own_crio):
    await asyncio.to_thread(own_crio.run, "it", "while [ ! -e /go ]; do sleep 0.02; done; exit 6")
    async with WatchedEngine(engine_registry.EngineAddress(kind="cri", url=own_crio.url)) as eye:
        await asyncio.to_thread(own_crio.kill)
        await eye.until(lambda: not eye.mirror.live)
        (own_crio._boxes[own_crio.id("it")].root / "go").touch()
        await asyncio.to_thread(own_crio._boxes[own_crio.id("it")].ended.wait, 60)
        await asyncio.to_thread(own_crio.start)
        await eye.until(lambda: EventKind.DIED in eye.kinds("default/it/it"))
        assert eye.kinds("default/it/it").count(EventKind.DIED) == 1
        assert eye.row("default/it/it").exit_code == 6
        assert (await do(eye.runtime, actions.DescribeEngine(engine=eye.runtime.ref))).events == "broadcast"
