"""Processes, changed files, waiting for an end, the history of images and the disk use, on every real engine."""

from __future__ import annotations

import asyncio

import pytest

from core import errors
from core.model import container_reads, images, verification
from core.model.background_jobs import ReadJob
from core.model.containers import NO_EXIT_CODE
from core.model.replies import Status
from runtimes.base import run_verification
from tests.contract.grounds import over


@over(container_reads.ReadProcesses)
async def test_the_processes_of_a_container_and_of_no_other(ground):
    ground.daemon.run("up", "sleep 3601 & exec sleep 3602")
    ground.daemon.run("other", "exec sleep 3603")
    ground.daemon.run("made", start=False)
    if type(ground.daemon).__name__ == "Crio":  # the stand-in has no processes
        return
    read = container_reads.ReadProcesses(engine=ground.runtime.ref, target=await ground.ref("up"))
    async with asyncio.timeout(60):  # until both programs were started
        while "3601" not in repr(found := await ground.do(read)) or "3602" not in repr(found):
            await asyncio.sleep(0.1)
    assert "3603" not in repr(found)
    assert "PID" in found.titles
    assert all(len(row) == len(found.titles) for row in found.rows)
    assert found.missing == 0
    idle = container_reads.ReadProcesses(engine=ground.runtime.ref, target=await ground.ref("made"))
    if ground.runtime.ref.kind == "oci":  # its first process exists, and has not begun the program
        assert len((await ground.do(idle)).rows) == 1
    else:
        with pytest.raises(errors.QuarterdeckError, match=r"not running|can only|must be|no container"):
            await ground.do(idle)


@over(container_reads.ReadFileChanges)
async def test_the_files_that_a_container_changed(ground):
    ground.daemon.run("up", "mkdir -p /made; echo a > /made/new; exec sleep 3600")
    read = container_reads.ReadFileChanges(engine=ground.runtime.ref, target=await ground.ref("up"))
    async with asyncio.timeout(60):
        while container_reads.FileChange("added", "/made/new") not in (found := await ground.do(read)).changes:
            await asyncio.sleep(0.1)
    assert container_reads.FileChange("added", "/made") in found.changes
    gone = container_reads.ReadFileChanges(
        engine=ground.runtime.ref, target=type(read.target)(**{**_fields(read.target), "id": "0" * 64, "name": "none"})
    )
    with pytest.raises(errors.NotFound, match="none"):
        await ground.do(gone)


@over(container_reads.WaitForEnd)
async def test_a_wait_ends_with_the_container_or_its_time(ground):
    ground.daemon.run("up", "exec sleep 3600")
    ground.daemon.run("ended", "exit 3")
    ground.daemon.wait("ended")
    over_already = container_reads.WaitForEnd(engine=ground.runtime.ref, target=await ground.ref("ended"))
    outcome, _ = await ground.outcome(over_already)
    assert outcome.status == Status.DONE
    assert outcome.detail == (
        f"has ended; {NO_EXIT_CODE['oci']}" if "exit codes" in ground.lacks else "has ended with code 3"
    )
    target = await ground.ref("up")
    short = container_reads.WaitForEnd(engine=ground.runtime.ref, target=target, timeout=0)
    assert "has not ended within 0 s: it is running" in (await ground.outcome(short))[0].detail
    started = await ground.do(container_reads.WaitForEnd(engine=ground.runtime.ref, target=target, timeout=60))
    page = await ground.do(ReadJob(engine=ground.runtime.ref, job=started.job, wait=5.0))
    async with asyncio.timeout(60):
        while not page.progress:
            page = await ground.do(ReadJob(engine=ground.runtime.ref, job=started.job, cursor=page.cursor, wait=5.0))
    assert page.progress.startswith("is running; waited")
    await asyncio.to_thread(ground.daemon.stop, "up")
    async with asyncio.timeout(60):
        while page.outcome is None:
            page = await ground.do(ReadJob(engine=ground.runtime.ref, job=started.job, cursor=page.cursor, wait=5.0))
    assert page.outcome.detail.startswith("has ended")


@over(verification.VerifyRuns)
async def test_what_became_of_new_runs_is_known_after_some_seconds(ground, monkeypatch):
    monkeypatch.setattr(verification, "SETTLE_SECONDS", 0.5)
    ground.daemon.run("up", "exec sleep 3600")
    ground.daemon.run("dies", "exit 3")
    ground.daemon.wait("dies")
    runs = tuple([await ground.ref(name) for name in ("up", "dies")])
    started = await ground.do(verification.VerifyRuns(engine=ground.runtime.ref, runs=runs))
    found, cursor, ended = {}, "", None
    async with asyncio.timeout(60):
        while ended is None:
            page = await ground.do(ReadJob(engine=ground.runtime.ref, job=started.job, cursor=cursor, wait=5.0))
            found |= {verdict.ref: verdict for verdict in map(run_verification.decode, page.lines)}
            cursor, ended = page.cursor, page.outcome
    assert ended.status == Status.DONE
    up, dies = (found[ref] for ref in runs)
    assert (up.state, up.failed) == (verification.RunState.RUNNING, False)
    assert (dies.state, dies.failed) == (verification.RunState.ENDED, True)
    assert dies.exit_code == (None if "exit codes" in ground.lacks else 3)


@over(images.ReadHistory, images.ListImages)
async def test_the_steps_by_which_an_image_was_built(ground):
    ground.daemon.run("up")
    rows = (await ground.do(images.ListImages(engine=ground.runtime.ref))).rows
    target = next(row.ref for row in rows if any("busybox" in tag for tag in row.tags))
    try:
        found = await ground.do(images.ReadHistory(engine=ground.runtime.ref, target=target))
    except errors.Unsupported as error:
        assert "does not report build steps" in error.full_message()
        return
    assert all(step.size >= 0 for step in found.rows)
    assert found.rows or ground.runtime.ref.kind in ("containerd", "cri")


@over(images.ListImages)
async def test_images_that_are_only_layers_of_others_are_listed_on_request(ground):
    ground.daemon.run("up")
    usual = await ground.do(images.ListImages(engine=ground.runtime.ref))
    everything = await ground.do(images.ListImages(engine=ground.runtime.ref, intermediate=True))
    assert {row.ref for row in usual.rows} <= {row.ref for row in everything.rows}


@over(container_reads.WaitForEnd)
async def test_what_is_not_there_is_not_waited_for(ground):
    ground.daemon.run("up")
    target = await ground.ref("up")
    ref = type(target)(**{**_fields(target), "id": target.id[:-8] + "ffffffff", "name": "none"})
    with pytest.raises(errors.NotFound, match="none"):
        await ground.do(container_reads.WaitForEnd(engine=ground.runtime.ref, target=ref))


def _fields(ref):
    return {name: getattr(ref, name) for name in ref.__struct_fields__}
