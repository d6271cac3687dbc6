"""The half of the OCI adapter that changes things: each verb looks first, so that what there was to do is known, and
then calls the container's own program.

A runtime has no stop: it is the signal its image asks for, patience, and the kill. An end is seen by the kernel's
notice; its code is its parent's alone to know.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Sequence

from core import errors, processes
from core.model import actions
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import ExecResult, Outcome
from runtimes.base.adapter import does
from runtimes.base.engine import EngineAdapter
from runtimes.base.options import EngineOptions
from runtimes.formats import signals
from runtimes.oci import cli, decode, state, state_dirs, watcher
from runtimes.oci.state import Seen

LOOK_AGAIN = 0.05  # seconds between looks at a process whose end gives no notice
AFTER_KILL = 5.0  # seconds a killed process may take to end


class Changing(EngineAdapter, abc.ABC):
    def __init__(self, url: str, options: EngineOptions, *, places: state_dirs.Places) -> None:
        super().__init__(url, options)
        self._states = state.States(places)
        self._programs = cli.Programs(places.program)
        self._watches: set[watcher.Watcher] = set()

    @abc.abstractmethod
    async def _find(self, target: Ref, seconds: float) -> Seen:
        """The container as it is now. Raises NotFound."""

    @abc.abstractmethod
    def _is_gone(self, name: str) -> errors.NotFound: ...

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        ends = time.monotonic() + seconds
        seen = await self._find(action.target, seconds)
        if seen.up:
            return Outcome(status=Status.NOOP, detail="was running already")
        if seen.state == "exited":
            raise errors.Rejected(
                409,
                f"{action.target.name} has ended, and an OCI container runs once: delete it and run its bundle again.",
            )
        return await self._change(seen, "start", ends)

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        """The signal it asks for, and the kill after `timeout` seconds. One that is paused hears it when it goes on."""
        began = time.monotonic()
        ends = began + seconds
        seen = await self._find(action.target, seconds)
        if not seen.lives:
            return Outcome(status=Status.NOOP, detail="was not running")
        try:
            polite = signals.number(seen.known.annotations.get(decode.STOP_SIGNAL, "") or "TERM")
        except errors.BadUsage:
            polite = int(signal.SIGTERM)
        if not await self._signal(seen, polite, ends):
            return Outcome(status=Status.NOOP, detail="was not running")
        try:
            detail = await self._seen_off(action, seen, ends, seconds)
        except (errors.Unreachable, errors.TimedOut) as error:
            error.sent = True  # the polite signal has left, whatever became of the rest
            raise
        except errors.Rejected as error:
            raise errors.TimedOut(
                f"{action.target.name} was told to end, and then: {error.full_message()}", sent=True
            ) from error
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began)

    async def _seen_off(self, action: actions.Stop, seen: Seen, ends: float, seconds: float) -> str:
        """After the polite signal: until it has ended. How it came to, where there is something to say."""
        if seen.state == "paused":
            await self._change(seen, "resume", ends)
        detail = ""
        if not await self._ends(seen, min(float(action.timeout), ends - time.monotonic())):
            if time.monotonic() >= ends:
                raise errors.TimedOut(
                    f"{action.target.name} was told to end and had not within {seconds:.0f} s.", sent=True
                )
            if await self._signal(seen, signal.SIGKILL, ends):
                detail = "was killed, as it did not end by itself"
            if not await self._ends(seen, min(AFTER_KILL, ends - time.monotonic())):
                raise errors.TimedOut(f"{action.target.name} was killed and is still there.", sent=True)
        return detail

    @does(actions.Kill)
    async def kill(self, action: actions.Kill, seconds: float) -> Outcome:
        ends = time.monotonic() + seconds
        number = signals.number(action.signal)
        seen = await self._find(action.target, seconds)
        if not seen.lives:
            raise errors.Rejected(409, f"{action.target.name} is not running.")
        return await self._change(seen, "kill", ends, str(number))

    @does(actions.Pause)
    async def pause(self, action: actions.Pause, seconds: float) -> Outcome:
        ends = time.monotonic() + seconds
        seen = await self._find(action.target, seconds)
        if seen.state == "paused":
            return Outcome(status=Status.NOOP, detail="was already paused")
        if seen.state != "running":  # crun would freeze what is not there
            raise errors.Rejected(409, f"{action.target.name} is not running.")
        return await self._change(seen, "pause", ends)

    @does(actions.Unpause)
    async def unpause(self, action: actions.Unpause, seconds: float) -> Outcome:
        ends = time.monotonic() + seconds
        seen = await self._find(action.target, seconds)
        if seen.state == "running":
            return Outcome(status=Status.NOOP, detail="was not paused")
        if seen.state != "paused":
            raise errors.Rejected(409, f"{action.target.name} is not running.")
        return await self._change(seen, "resume", ends)

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        ends = time.monotonic() + seconds
        seen = await self._find(action.target, seconds)
        if seen.owners:
            raise errors.Rejected(
                403, f"{action.target.name} belongs to {seen.owners[0]}: removed here, it would be missed there."
            )
        if seen.up and not action.force:
            raise errors.Rejected(409, f"{action.target.name} is running: stop it first, or remove it by force.")
        # crun takes a process that ended and was not waited for yet for a living one.
        return await self._change(seen, "delete", ends, flags=("--force",))

    @does(actions.Exec)
    async def exec(self, action: actions.Exec, seconds: float) -> ExecResult:
        ends = time.monotonic() + seconds
        seen = await self._find(action.target, seconds)
        if seen.state != "running":
            raise errors.Rejected(
                409, f"{action.target.name} is {seen.state}: programs can be run in it while it runs."
            )
        flags = ("--user", action.user) if action.user else ()
        answer = await self._call(
            seen,
            ("exec", *flags, "--", seen.name, *action.command),
            min(float(action.timeout), ends - time.monotonic()),
            about=f"The program in {action.target.name}",
        )
        if answer.code in (1, 255) and (why := decode.failed(answer.stderr)):
            raise errors.Rejected(answer.code, why)
        return ExecResult(
            exit_code=answer.code, stdout=answer.stdout, stderr=answer.stderr, cut=answer.dropped, took=answer.seconds
        )

    async def _change(self, seen: Seen, verb: str, ends: float, *more: str, flags: Sequence[str] = ()) -> Outcome:
        name = decode.called(seen.name)
        answer = await self._call(
            seen, (verb, *flags, "--", seen.name, *more), ends - time.monotonic(), about=f"{verb} of {name}"
        )
        for watch in self._watches:
            watch.touch(seen.root, seen.name)
        if answer.code:
            why = decode.said(answer.stderr)
            if decode.gone(why):
                raise self._is_gone(name)
            raise errors.Rejected(answer.code, why or f"{seen.known.program} {verb} ended with code {answer.code}.")
        return Outcome(status=Status.DONE, took=answer.seconds)

    async def _signal(self, seen: Seen, number: int, ends: float) -> bool:
        """Whether it was there to hear it."""
        try:
            await self._change(seen, "kill", ends, str(int(number)))
        except (errors.Rejected, errors.NotFound):
            if state.born(seen.known.pid) == seen.known.born:
                raise
            return False
        return True

    async def _call(self, seen: Seen, words: Sequence[str], seconds: float, *, about: str) -> processes.Result:
        program = self._programs.find(seen.known.program)
        if seconds <= 0:
            raise errors.TimedOut(f"There was no time left for {about}.", sent=False)
        return await cli.run(
            program,
            ("--root", seen.root, "--log-format", "json", *words),
            seconds=seconds,
            uid=self._states.uid(seen.root),
            about=about,
        )

    async def _ends(self, seen: Seen, seconds: float) -> bool:
        """Waits until its first process is gone."""
        if seconds <= 0:
            return state.born(seen.known.pid) != seen.known.born
        try:
            handle = os.pidfd_open(seen.known.pid)
        except OSError:
            handle = -1
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        try:
            if handle >= 0:
                loop.add_reader(handle, over.set)
            ends = time.monotonic() + seconds
            while (here := state.born(seen.known.pid) == seen.known.born) and time.monotonic() < ends:
                with contextlib.suppress(TimeoutError):
                    left = max(0.0, ends - time.monotonic())
                    async with asyncio.timeout(left if handle >= 0 else min(left, LOOK_AGAIN)):
                        await over.wait()
                if over.is_set():
                    return True
            return not here
        finally:
            if handle >= 0:
                loop.remove_reader(handle)
                os.close(handle)
