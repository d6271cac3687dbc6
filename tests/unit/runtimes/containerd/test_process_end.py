"""The end of a process is waited for by one request, which a grace that runs out does not end."""

from __future__ import annotations

import asyncio

import pytest

from core import errors
from runtimes.containerd.process_end import ProcessEnd


class Wait:
    """A request for the end of a process. `given_up`: it was cancelled before the process ended."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.asked, self.given_up = 0, False

    async def __call__(self) -> int:
        self.asked += 1
        try:
            await self.ended.wait()
        except asyncio.CancelledError:
            self.given_up = True
            raise
        return 137


async def test_a_grace_that_runs_out_does_not_end_the_request() -> None:
    request = Wait()
    async with ProcessEnd(request(), "web") as end:
        with pytest.raises(errors.TimedOut, match="The process of web did not end within 0.01 s"):
            await end.wait(0.01)
        asyncio.get_running_loop().call_later(0.01, request.ended.set)
        assert await end.wait(5.0) == 137
    assert (request.asked, request.given_up) == (1, False)


async def test_what_the_request_raises_comes_out_and_leaving_early_ends_it() -> None:
    async def lost() -> int:
        raise errors.Unreachable("containerd is gone.")

    async with ProcessEnd(lost(), "web") as end:
        with pytest.raises(errors.Unreachable):
            await end.wait(5.0)
    request = Wait()
    with pytest.raises(asyncio.CancelledError):
        async with ProcessEnd(request(), "web") as end:
            waiting = asyncio.get_running_loop().create_task(end.wait(5.0), name="waiting")
            await asyncio.sleep(0)
            waiting.cancel()
            await waiting
    assert request.given_up, "nobody waits for it any more"
