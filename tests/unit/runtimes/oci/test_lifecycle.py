"""Stops of paused containers that somebody else resumes at the same time."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core import errors
from core.model.refs import Kind, Ref
from runtimes.kernel import procfs
from runtimes.oci import decode, engine
from runtimes.oci.state_reader import ContainerState, StateReader


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_stop_goes_on_if_the_container_is_not_paused_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    freezer = tmp_path / "cgroup/web"
    freezer.mkdir(parents=True)
    (freezer / "freezer.state").write_text("FROZEN\n" if frozen else "THAWED\n")
    runtime = engine.Oci(f"file://{tmp_path}/runc")
    runtime._states = StateReader(runtime._states.dirs, cgroups=str(tmp_path / "cgroup"))
    ticks = procfs.process_start_ticks(os.getpid())
    assert ticks is not None
    stored = msgspec.structs.replace(
        decode.decode_runc_state(b"{}"), pid=os.getpid(), start_ticks=ticks, freezer_cgroup=str(freezer)
    )
    container = ContainerState(
        root="/r",
        name="web",
        id="c1",
        stored=stored,
        state="paused",
        started=True,
        started_ns=None,
        oom_kills=None,
        owners=(),
    )

    async def change(container: ContainerState, command: str, *args: Any, **options: Any) -> Any:
        raise errors.Rejected(1, "the container is not paused")

    async def wait_for_end(container: ContainerState, seconds: float) -> bool:
        return True

    monkeypatch.setattr(runtime, "_change", change)
    monkeypatch.setattr(runtime, "_wait_for_end", wait_for_end)
    target = Ref(engine=runtime.ref, kind=Kind.CONTAINER, id="c1", name="web")
    stopping = runtime._wait_or_kill(target, container, 5.0, time.monotonic() + 30)
    if frozen:
        with pytest.raises(errors.Rejected):
            await stopping
    else:
        assert not await stopping
    await runtime.aclose()
