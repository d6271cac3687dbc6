"""What only a real Podman shows: its event file and other backends, services that die or hang, strangers' text."""

import asyncio
import contextlib
import os
import pwd
import signal
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from core import errors
from core.model import actions, event_actions
from core.model.background_jobs import ReadJob
from core.model.events import EventKind, Origin
from core.model.replies import Status
from runtimes.podman import events
from runtimes.transport import connect
from tests.daemons.docker import IMAGE
from tests.daemons.podman import ordinary_user, private_podman
from tests.helpers.deadlines import sent_in_vain
from tests.helpers.podman_calls import Desk
from tests.helpers.waiting import hang


@pytest.fixture
async def desk(podmand):
    made = Desk(podmand.url)
    yield made
    await made.runtime.aclose()


@pytest.fixture
async def own(own_podmand):
    made = Desk(own_podmand.url)
    yield made
    await made.runtime.aclose()


class Listening:
    """The events of an engine as they come, each with our time of its coming; `end` is what ended them."""

    def __init__(self, runtime, since=None):
        self.runtime, self.since = runtime, since
        self.got, self.end, self.stands = [], None, asyncio.Event()

    async def __aenter__(self):
        self.task = asyncio.create_task(self._listen())
        await asyncio.wait_for(self.stands.wait(), 60)
        return self

    async def __aexit__(self, *error):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _listen(self):
        try:
            async for batch in self.runtime.events(self.since):
                at = time.time_ns()
                self.stands.set()
                self.got += [(event, at) for event in batch]
        except errors.QuarterdeckError as error:
            self.end = error
            self.stands.set()

    def of(self, kind, name=None):
        return [event for event, _ in self.got if event.kind is kind and name in (None, event.subject.name)]

    async def until(self, true, seconds=60):
        ends = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < ends, (
                f"ended: {self.task.done()} {self.end}; {[one.action for one, _ in self.got]}"
            )
            await asyncio.sleep(0.01)


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_events_are_seen_as_they_are_written(podmand, desk, record_property):
    await asyncio.to_thread(podmand.run, "it")
    assert await desk.runtime.event_file() is None, "nothing is asked before the first contact"
    async with Listening(desk.runtime) as heard:
        assert await desk.runtime.event_file() == podmand.events
        for _ in range(25):
            await asyncio.to_thread(podmand.cli, "pause", "it")
            await asyncio.to_thread(podmand.cli, "unpause", "it")
        await heard.until(lambda: len(heard.of(EventKind.UNPAUSED)) == 25)
    late = sorted((at - event.at_ns) / 1e6 for event, at in heard.got)
    record_property("podman event by its file, ms, p50", round(statistics.median(late), 2))
    record_property("podman event by its file, ms, the latest of 50", round(late[-1], 2))
    assert all(event.origin is Origin.LIVE for event, _ in heard.got)


async def test_history_outlives_the_service_and_is_told_once(own_podmand, own):
    await asyncio.to_thread(own_podmand.run, "before", "exit 4")
    await asyncio.to_thread(own_podmand.wait, "before")
    async with Listening(own.runtime, since=1) as heard:
        await heard.until(lambda: heard.of(EventKind.DIED, "before"))
        await asyncio.to_thread(own_podmand.kill)
        await heard.until(lambda: heard.end is not None or heard.task.done())
    died = heard.of(EventKind.DIED, "before")[0]
    assert died.origin is Origin.REPLAY
    await asyncio.to_thread(own_podmand.run, "meanwhile", "exit 5")
    with pytest.raises(errors.Unreachable):
        await own.do(actions.ListContainers)
    await asyncio.to_thread(own_podmand.start)
    async with Listening(own.runtime, since=died.at_ns) as heard:
        await heard.until(lambda: heard.of(EventKind.DIED, "meanwhile"))
        assert len(heard.of(EventKind.DIED, "before")) == 1
        assert not heard.of(EventKind.CREATED, "before")
        assert heard.of(EventKind.DIED, "meanwhile")[0].attrs["exit_code"] == "5"


async def test_rotation_removal_and_cutting_lose_nothing_and_repeat_nothing():
    with private_podman(size=4000) as daemon:
        desk = Desk(daemon.url)
        daemon.run("it")
        async with Listening(desk.runtime) as heard:
            inodes = set()
            for _ in range(15):  # some 7 kB
                await asyncio.to_thread(daemon.cli, "pause", "it")
                await asyncio.to_thread(daemon.cli, "unpause", "it")
                inodes.add(daemon.events.stat().st_ino)
            assert len(inodes) > 1, "the file was rotated"
            # What is cut away before it was read is lost to everybody.
            await heard.until(lambda: len(heard.of(EventKind.UNPAUSED)) == 15)
            os.truncate(daemon.events, 0)
            await asyncio.to_thread(daemon.cli, "pause", "it")
            await heard.until(lambda: len(heard.of(EventKind.PAUSED)) == 16)
            daemon.events.unlink()
            await asyncio.to_thread(daemon.cli, "unpause", "it")
            await heard.until(lambda: len(heard.of(EventKind.UNPAUSED)) == 16)
            assert not heard.task.done()
            identities = [event.identity() for event, _ in heard.got]
            assert len(identities) == len(set(identities))
            assert len(heard.of(EventKind.PAUSED)) == len(heard.of(EventKind.UNPAUSED)) == 16
        await desk.runtime.aclose()


async def test_a_file_of_another_engine_is_not_taken_for_its_own(own_podmand, own):
    """Its own cannot be seen (as from within a container), another one lies where it would."""
    await asyncio.to_thread(own_podmand.run, "it")
    await own.do(actions.ListContainers)
    other = b'{"Name":"x","Status":"start","ID":"x","Time":"2026-01-01T00:00:00.5Z","Type":"container"}\n'
    moved = own_podmand.events.with_name("away")
    own_podmand.events.rename(moved)
    own_podmand.events.write_bytes(other)
    # The service itself reads what lies there: show ours elsewhere.
    elsewhere = own_podmand.root / "elsewhere/containers/storage"
    (elsewhere.parent.parent / "libpod/events").mkdir(parents=True)
    own_podmand.events.rename(elsewhere.parent.parent / "libpod/events/events.log")
    moved.rename(own_podmand.events)
    own.runtime._info.store.run_root = str(elsewhere)
    assert await own.runtime.event_file() is None
    told = await own.runtime._notes(own.runtime._info, 5.0)
    assert any("events come by its API" in note for note in told)


async def test_its_file_is_known_for_its_own_when_nothing_has_happened_for_a_while(podmand, desk):
    await asyncio.to_thread(podmand.run, "it")
    await desk.ref("it")
    await asyncio.sleep(3)
    assert [await desk.runtime.event_file() for _ in range(3)] == [podmand.events] * 3


async def test_a_thousand_events_come_in_order_and_the_mirror_of_them_is_right(podmand, desk):
    await asyncio.to_thread(podmand.run, "it")
    container = await desk.ref("it")
    async with Listening(desk.runtime) as heard:
        # As many as Podman writes for so many changes, by its own hand: one line each, appended under its lock.
        line = '{"ID":"%s","Image":"%s","Name":"it","Status":"%s","Time":"%s","Type":"container"}\n'
        with podmand.events.open("a") as file:
            for number in range(1000):
                at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + f"{number % 1000:03d}Z"
                file.write(line % (container.id, IMAGE, ("pause", "unpause")[number % 2], at))
                if number % 100 == 0:
                    file.flush()
        await heard.until(lambda: len(heard.got) >= 1000)
        kinds = [event.kind for event, _ in heard.got]
        assert kinds == [EventKind.PAUSED, EventKind.UNPAUSED] * 500
    assert (await desk.do(event_actions.ListEvents, since_ns=1, limit=10)).rows[-1].kind is EventKind.UNPAUSED
    assert len((await desk.do(event_actions.ListEvents, since_ns=1, limit=10)).rows) == 10


@pytest.mark.parametrize("since", ["now", "before"])
async def test_by_the_api_events_come_too(own_podmand, own, monkeypatch, since):
    monkeypatch.setattr(own.runtime, "event_file_path", lambda: Path("/nowhere"))
    await asyncio.to_thread(own_podmand.run, "early", "exit 0")
    await asyncio.to_thread(own_podmand.wait, "early")
    async with Listening(own.runtime, since=1 if since == "before" else None) as heard:
        await asyncio.to_thread(own_podmand.run, "it", "exit 7")
        await heard.until(lambda: heard.of(EventKind.DIED, "it"))
        assert heard.of(EventKind.DIED, "it")[0].attrs["exit_code"] == "7"
        early = heard.of(EventKind.DIED, "early")
        assert [event.attrs["exit_code"] for event in early] == (["0"] if since == "before" else [])
        await asyncio.to_thread(own_podmand.kill)
        await heard.until(lambda: heard.task.done())


async def test_without_events_it_says_so_and_still_lists():
    with private_podman(events="none") as daemon:
        desk = Desk(daemon.url)
        daemon.run("it")
        told = await desk.do(actions.DescribeEngine)
        assert told.events == "none"
        assert any("events_logger" in note for note in told.notes)
        assert [row.ref.name for row in (await desk.do(actions.ListContainers)).rows] == ["it"]
        with pytest.raises(errors.EventsUnsupported, match="records no events") as caught:
            async for _ in desk.runtime.events(None):
                pass
        assert "containers.conf" in caught.value.hint
        with pytest.raises(errors.EventsUnsupported, match="records no events"):
            await desk.do(event_actions.ListEvents, since_ns=1)
        await desk.runtime.aclose()


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_service_killed_mid_stream_ends_every_stream_with_a_sentence(own_podmand, own):
    await asyncio.to_thread(own_podmand.run, "it", "echo one; exec sleep 3600")
    target = await own.ref("it")
    started = await own.do(actions.ReadLogs, target=target, follow=True)
    while not (await own.do(ReadJob, job=started.job, wait=1.0)).lines:
        pass
    async with Listening(own.runtime) as heard:
        await asyncio.to_thread(own_podmand.kill)
        await heard.until(lambda: heard.task.done())
    page = await own.do(ReadJob, job=started.job, wait=5.0)
    while page.outcome is None:
        page = await own.do(ReadJob, job=started.job, cursor=page.cursor, wait=5.0)
    assert page.outcome.status == Status.FAILED
    assert "The log of it ended early" in page.outcome.detail
    with pytest.raises(errors.Unreachable) as caught:
        await own.do(actions.Stop, target=target)
    assert not caught.value.sent
    assert caught.value.hint
    told = await own.do(actions.DescribeEngine)
    assert "no engine listens" in told.fault
    await asyncio.to_thread(own_podmand.start)
    assert (await own.do(actions.DescribeEngine)).fault == ""
    assert (await own.do(actions.Stop, target=target, timeout=0)).status == Status.DONE


async def test_a_service_that_hangs_costs_its_own_deadline(own_podmand, own, monkeypatch):
    monkeypatch.setattr(events, "OPEN_SECONDS", 0.5)
    await asyncio.to_thread(own_podmand.run, "it")
    target = await own.ref("it")
    hang(own_podmand.process.pid)
    try:
        began = time.monotonic()
        with pytest.raises(errors.TimedOut):
            await own.do(actions.ListContainers, seconds=0.5)
        assert (await own.do(actions.DescribeEngine, seconds=0.5)).fault
        assert time.monotonic() - began < 20  # the deadlines are one second in all
        await sent_in_vain(lambda seconds: own.do(actions.Stop, seconds=seconds, target=target), 0.5)
        async with Listening(own.runtime) as heard:
            pass
        assert isinstance(heard.end, errors.TimedOut)
    finally:
        os.kill(own_podmand.process.pid, signal.SIGCONT)


@contextlib.contextmanager
def being(uid):
    """This process as that user, for as long as it opens files."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.mark.parametrize(
    ("folder", "socket", "said"),
    [
        (0o700, 0o600, "Quarterdeck has no access to the directory"),
        (0o711, 0o600, "Only root may use the engine socket"),
        (0o711, 0o660, "SocketGroup= and SocketMode=0660"),
    ],
)
async def test_a_socket_of_somebody_else_says_whose_it_is(podmand, desk, folder, socket, said, monkeypatch):
    monkeypatch.setattr(connect, "in_container", lambda: False)  # the machine of the tests may be one
    podmand.root.chmod(folder)
    podmand.socket.chmod(socket)
    try:
        with ordinary_user() as user, being(pwd.getpwnam(user).pw_uid):
            with pytest.raises(errors.Unreachable) as caught:
                await desk.do(actions.ListContainers)
            told = await desk.do(actions.DescribeEngine)
    finally:
        podmand.root.chmod(0o700)
    assert said in caught.value.full_message() and "Run " in caught.value.hint
    assert told.fault == caught.value.full_message()
    assert (await desk.do(actions.DescribeEngine)).fault == ""


# ── what strangers write ─────────────────────────────────────────────────────────────────────────────────────────

HOSTILE = {
    "name": "root",
    "containerExitCode": "99",
    "a\nb": "line\nbreak",
    "<!channel>": '"}\n{"Type":"container","Action":"died"}',
    "bidi": "\u202egnp.exe",
    "long": "x" * 20_000,
    "": "empty",
}


async def test_hostile_labels_change_no_meaning(podmand, desk):
    async with Listening(desk.runtime) as heard:
        container = await asyncio.to_thread(
            podmand.run, "it", "exit 3", labels={key: value for key, value in HOSTILE.items() if key}
        )
        await heard.until(lambda: heard.of(EventKind.DIED))
    assert {event.subject.name for event, _ in heard.got if event.subject.id == container} == {"it"}
    (died,) = heard.of(EventKind.DIED)
    assert died.attrs["exit_code"] == "3"
    row = next(row for row in (await desk.do(actions.ListContainers)).rows if row.ref.name == "it")
    assert {key: row.labels[key] for key in HOSTILE if key} == {key: value for key, value in HOSTILE.items() if key}


async def test_an_id_of_a_stranger_stays_within_its_path(podmand, desk):
    await asyncio.to_thread(podmand.run, "it")
    target = await desk.ref("it")
    # Podman 5 takes `%` alone for any characters of an id.
    for thing in ("../../libpod/containers/it", "it?force=true", "it/../it", "%2e%2e/it", "a b\r\nX: y"):
        with pytest.raises(errors.QuarterdeckError):
            await desk.do(actions.InspectContainer, target=msgspec.structs.replace(target, id=thing))
    assert (await desk.ref("it")) == target
