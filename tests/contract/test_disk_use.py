"""What every engine that measures its disk use promises: sizes that follow what is written, and a data directory."""

import asyncio
import socket

from core.model.disk_use import ReadDiskUse
from runtimes.base import data_filesystem
from tests.contract.grounds import over
from tests.helpers.waiting import wait_for

WRITTEN = 5_000_000


async def measured(ground):
    return await ground.do(ReadDiskUse(engine=ground.runtime.ref), seconds=60)


@over(ReadDiskUse)
async def test_what_a_container_writes_is_measured(ground):
    before = await measured(ground)
    script = f"head -c {WRITTEN} /dev/urandom > /big; : > /done; sleep 3600"
    await asyncio.to_thread(ground.daemon.run, "writer", script)
    wait = ["/bin/sh", "-c", "while [ ! -e /done ]; do sleep 0.05; done"]
    await asyncio.to_thread(ground.daemon.exec, "writer", wait)
    after = await measured(ground)
    assert after.images is None or after.images >= 0
    if after.writable is None:  # one file system for images and containers, measured together
        assert ground.runtime.ref.kind == "cri"
        return
    assert after.writable - (before.writable or 0) >= WRITTEN


@over(ReadDiskUse)
async def test_the_data_directory_of_a_local_engine_has_a_file_system(ground):
    await measured(ground)
    root = ground.runtime.data_root
    if root is None:
        assert ground.runtime.address.startswith("ssh://"), "on another machine"
        return
    if "data on disk" in ground.lacks:
        assert data_filesystem.read_filesystem(root, ground.runtime.ref.host) is None
        return
    # A busy service may not take a connection at once; the product reads again a minute later.
    found = await asyncio.to_thread(
        wait_for, "the file system", lambda: data_filesystem.read_filesystem(root, ground.runtime.ref.host)
    )
    assert 0 < found.free <= found.size
    if ground.runtime.ref.kind in ("docker", "podman"):
        assert ground.runtime.ref.host == socket.gethostname()
        assert data_filesystem.read_filesystem(root, "another-machine") is None, "a tunnel to another machine"
