"""The file for alerts while the store is away: private, bounded, and read by the next process."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bot.notify import incident_writer, unstored_alerts
from bot.notify.incident_writer import IncidentWriter, stored_incidents
from bot.notify.unstored_alerts import UnstoredAlertsFile
from core import metrics
from core.model.alerts import AlertState, Severity
from core.store.client import Store
from tests.helpers.alerts import alert

NOBODY = 65534


class Disk:
    def __init__(self, root: Path) -> None:
        self.folder = root / "state" / "spool"
        self.counts = metrics.Metrics()

    def spool(self, process: str = "p1") -> UnstoredAlertsFile:
        return UnstoredAlertsFile(self.folder, process, self.counts)


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path)


async def test_what_one_process_saved_the_next_one_reads_and_removes(disk):
    saved = [alert(at=1), alert("crash-loop", at=2, state=AlertState.RESOLVED)]
    assert await disk.spool().save(saved)
    (file,) = disk.folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(disk.folder.stat().st_mode) == 0o700
    following = disk.spool("p2")
    assert list(await following.load()) == saved
    await following.clear()
    assert list(disk.folder.iterdir()) == []


async def test_restarts_without_a_store_leave_one_file(disk):
    saved = [alert(at=1), alert("crash-loop", at=2)]
    assert await disk.spool("p1").save(saved)
    for replica in ("p2", "p3", "p4"):
        spool = disk.spool(replica)
        assert await spool.save(list(await spool.load()))
    (file,) = disk.folder.iterdir()
    assert "p4" in file.name and list(await disk.spool("p5").load()) == saved


async def test_a_save_replaces_the_file_as_a_whole(disk):
    spool = disk.spool()
    await spool.save([alert(at=at, fingerprint=str(at)) for at in range(1, 100)])
    await spool.save([alert(at=7)])
    assert [each.at_ns for each in await disk.spool("p2").load()] == [7]
    assert len(list(disk.folder.iterdir())) == 1


async def test_nothing_to_read_is_no_error(disk):
    with capture_logs() as lines:
        assert await disk.spool().load() == []
        await disk.spool().clear()
    assert lines == [] and not disk.folder.exists()


async def test_a_file_has_a_limit(disk, monkeypatch):
    monkeypatch.setattr(unstored_alerts, "MAX_ALERTS", 10)
    spool = disk.spool()
    await spool.save([alert(at=at, fingerprint=str(at)) for at in range(1, 50)])
    assert len(await disk.spool("p2").load()) == spool.saved == 10
    monkeypatch.setattr(unstored_alerts, "MAX_BYTES", 2000)
    await spool.save([alert(at=at, fingerprint=str(at)) for at in range(1, 50)])
    assert 0 < spool.saved < 10 and max(file.stat().st_size for file in disk.folder.iterdir()) <= 2000


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"alerts": [{"rule": 7}]}', b"[" * 100_000])
async def test_a_damaged_file_is_counted_and_removed(disk, content):
    await disk.spool().save([alert()])
    (disk.folder / "alerts-p0.json").write_bytes(content)
    following = disk.spool("p2")
    assert len(await following.load()) == 1
    assert disk.counts.alerts_lost_total.labels("damaged_file")._value.get() == 1
    await following.clear()
    assert list(disk.folder.iterdir()) == []


async def test_what_a_stranger_put_there_is_not_read(disk, tmp_path):
    await disk.spool().save([alert()])
    secret = tmp_path / "secret"
    secret.write_text('{"alerts": []}')
    (disk.folder / "alerts-link.json").symlink_to(secret)
    os.mkfifo(disk.folder / "alerts-pipe.json")
    (disk.folder / "alerts-folder.json").mkdir()
    foreign = disk.folder / "alerts-foreign.json"
    foreign.write_text('{"alerts": []}')
    if os.geteuid() == 0:
        os.chown(foreign, NOBODY, NOBODY)
    (disk.folder / "notes.txt").write_text("mine")
    following = disk.spool("p2")
    assert len(await following.load()) == 1
    await following.clear()
    assert {"alerts-link.json", "alerts-pipe.json", "alerts-folder.json", "notes.txt"} <= {
        file.name for file in disk.folder.iterdir()
    }


@pytest.mark.parametrize("way", ["open", "link"])
async def test_a_folder_that_others_can_write_to_is_not_used(disk, tmp_path, way):
    disk.folder.parent.mkdir()
    if way == "open":
        disk.folder.mkdir()
        disk.folder.chmod(0o777)
    else:
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        disk.folder.symlink_to(tmp_path / "elsewhere")
    with capture_logs() as lines:
        assert not await disk.spool().save([alert()])
        assert await disk.spool().load() == []
    assert "could not be read or written" in lines[0]["event"]
    assert [*disk.folder.resolve().iterdir()] == []


async def test_a_file_system_that_does_not_answer_or_is_full_stops_nothing(disk, monkeypatch):
    monkeypatch.setattr(unstored_alerts, "DISK_SECONDS", 0.05)
    spool = disk.spool()
    gate, write = asyncio.Event(), UnstoredAlertsFile._write
    loop = asyncio.get_running_loop()

    def hang(self, data):
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result()
        write(self, data)

    monkeypatch.setattr(UnstoredAlertsFile, "_write", hang)
    with capture_logs() as lines:
        assert not await spool.save([alert()])
    assert lines[0]["reason"] == "the disk did not answer in time"
    gate.set()
    monkeypatch.setattr(UnstoredAlertsFile, "_write", write)
    monkeypatch.setattr(unstored_alerts, "DISK_SECONDS", 20)
    await spool.load()  # comes after the late one in its thread
    monkeypatch.setattr(os, "fsync", full)
    with capture_logs() as lines:
        assert not await spool.save([alert(at=2)])
    assert lines[0]["reason"] == "No space left on device"
    assert [file.name for file in disk.folder.iterdir()] == ["alerts-p1.json"]  # the one that came late


def full(handle: int) -> None:
    raise OSError(28, "No space left on device")


# With the writer.


async def until(true):
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.01)


@pytest.fixture
def brisk(monkeypatch):
    monkeypatch.setattr(incident_writer, "RETRY_SECONDS", 0.01)


async def test_alerts_of_a_process_that_ended_without_a_store_reach_the_store_later(disk, valkey, brisk):
    counts = metrics.Metrics()
    gone = Store.open("unix:///nowhere/valkey.sock", timeout=0.1)
    first = IncidentWriter(gone, counts, lambda: None, disk.spool())
    task = asyncio.create_task(first.run())
    for number in range(5):
        first.report(alert(at=number + 1, fingerprint=f"f{number}", owner=f"o{number}"))
    await until(lambda: counts.alerts_spooled._value.get() == 5)
    first.report(alert(at=9, fingerprint="f9", owner="o9"))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)  # the last one is saved at the end
    store = Store.open(valkey.url, timeout=20.0)
    second = IncidentWriter(store, counts, lambda: None, disk.spool("p2"))
    task = asyncio.create_task(second.run())
    await second.drained.wait()
    await until(lambda: not any(disk.folder.iterdir()))
    assert len(await stored_incidents(store)) == 6
    assert counts.alerts_lost_total.labels("queue_full")._value.get() == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.aclose()


async def test_a_store_that_comes_back_empties_the_file_of_this_process(disk, valkey, brisk):
    counts = metrics.Metrics()
    writer = IncidentWriter(Store.open("unix:///nowhere/x.sock", timeout=0.1), counts, lambda: None, disk.spool())
    task = asyncio.create_task(writer.run())
    writer.report(alert())
    await until(lambda: counts.alerts_spooled._value.get() == 1)
    writer._store = store = Store.open(valkey.url, timeout=20.0)
    await until(lambda: counts.alerts_spooled._value.get() == 0)
    assert list(disk.folder.iterdir()) == [] and len(await stored_incidents(store)) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.aclose()


async def test_a_full_queue_drops_what_is_least_urgent_and_counts_it(monkeypatch, valkey):
    monkeypatch.setattr(incident_writer, "MAX_QUEUED", 3)
    counts = metrics.Metrics()
    writer = IncidentWriter(Store.open(valkey.url), counts, lambda: None)
    for number in range(3):
        writer.report(alert(fingerprint=f"m{number}"))
    writer.report(alert(fingerprint="m3"))
    for number in range(4):
        writer.report(alert(fingerprint=f"h{number}", severity=Severity.HIGH))
    assert {fingerprint for fingerprint, _ in writer._queued} == {"h0", "h1", "h2"}
    assert counts.alerts_lost_total.labels("queue_full")._value.get() == 5
    writer.report(alert(fingerprint="h0", severity=Severity.HIGH, at=5))
    assert writer._queued["h0", AlertState.FIRING].at_ns == 5
