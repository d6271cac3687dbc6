"""Starts, stops, kills, pauses and removes containers of runc and crun, and runs programs in them.

Each verb reads the container's state first, and then calls the program that created the container. An OCI runtime has
no stop command. So a stop sends the image's stop signal, waits, and sends SIGKILL. The kernel reports the end of a
process, but only the parent of the process can read its exit code.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from core import errors, processes, temporary_files
from core.model import actions, inside_containers
from core.model.refs import Ref
from core.model.replies import Status
from core.model.results import ExecResult, Outcome
from runtimes.base import stop_grace
from runtimes.base.base_adapter import does
from runtimes.base.engine_options import EngineOptions
from runtimes.base.identifying_adapter import IdentifyingAdapter
from runtimes.formats import oci_process, signals
from runtimes.oci import decode, decode_errors, programs, state_dirs
from runtimes.oci.events import EventStream
from runtimes.oci.state_reader import ContainerState, StateReader, is_running

POLL_SECONDS = 0.05  # for the end of a process without a pidfd
KILL_SECONDS = 5.0  # how long a process may take to end after SIGKILL
SIGTERM, SIGKILL = "15", "9"
CONFLICT = 409  # codes of refusals, as in HTTP
ADD_OWNER = "Add that engine to `engines` in quarterdeck.yaml, or use its own program on its host."
FORBIDDEN = 403


class LifecycleVerbs(IdentifyingAdapter, abc.ABC):
    """Serves the verbs that change a container of runc or crun, and `container.exec`."""

    def __init__(self, url: str, options: EngineOptions, *, dirs: state_dirs.StateDirUrl) -> None:
        super().__init__(url, options)
        self._states = StateReader(dirs)
        self._programs = programs.ProgramFinder(dirs.program)
        self._streams: set[EventStream] = set()

    @abc.abstractmethod
    async def _find(self, target: Ref, seconds: float) -> ContainerState:
        """Reads the container's current state. Raises NotFound."""

    @abc.abstractmethod
    async def _read_spec(self, container: ContainerState, seconds: float) -> bytes:
        """Reads the specification that the container was created from. Raises NotFound and InvalidResponse."""

    @abc.abstractmethod
    def _gone(self, name: str) -> errors.NotFound: ...

    @does(actions.Start)
    async def start(self, action: actions.Start, seconds: float) -> Outcome:
        deadline = time.monotonic() + seconds
        container = await self._find(action.target, seconds)
        if container.up:
            return Outcome(status=Status.NOOP, detail="was already running")
        if container.state == "exited":
            raise errors.Rejected(
                CONFLICT,
                f"{action.target.name} has ended, and an OCI container runs once: remove it, and run its bundle again.",
            )
        return await self._change(container, "start", deadline)

    @does(actions.Stop)
    async def stop(self, action: actions.Stop, seconds: float) -> Outcome:
        """Sends the stop signal, and SIGKILL after the container's grace."""
        began = time.monotonic()
        container = await self._find(action.target, min(seconds, stop_grace.ENGINE_SECONDS))
        grace = stop_grace.grace_seconds(action.timeout, decode.own_grace(container.stored.annotations))
        seconds = stop_grace.patience(grace, seconds)
        deadline = began + seconds
        if not container.alive:
            return Outcome(status=Status.NOOP, detail="was not running")
        try:
            stop_signal = str(
                signals.parse_signal_number(container.stored.annotations.get(decode.STOP_SIGNAL, "") or "TERM")
            )
        except errors.BadUsage:
            stop_signal = SIGTERM
        if not await self._signal(container, stop_signal, deadline):
            return Outcome(status=Status.NOOP, detail="was not running")
        try:
            detail = await self._wait_or_kill(action.target, container, grace, deadline)
        except (errors.Unreachable, errors.TimedOut, errors.InvalidResponse) as error:
            raise error.with_sent(True) from error  # the stop signal was sent
        except errors.Rejected as error:
            raise errors.TimedOut(
                f"{action.target.name} received the stop signal, but its end is not confirmed: {error.full_message()}",
                sent=True,
                hint="Check with `ps` whether the container still runs.",
            ) from error
        killed = (action.target.name,) if detail else ()
        return Outcome(status=Status.DONE, detail=detail, took=time.monotonic() - began, killed=killed)

    async def _wait_or_kill(self, target: Ref, container: ContainerState, grace: float, deadline: float) -> str:
        """Waits for the end after the stop signal, and kills the container if necessary. Returns the detail of the
        outcome."""
        if container.state == "paused":  # a paused process receives its signals only after it is resumed
            try:
                await self._change(container, "resume", deadline)
            except (errors.Rejected, errors.NotFound):  # somebody else has resumed it, or the signal has ended it
                if is_running(container.stored) and self._states.is_frozen(container.stored):
                    raise
        detail, began = "", time.monotonic()
        stop_grace.report(grace)
        if not await self._wait_for_end(container, min(grace, deadline - began)):
            if time.monotonic() >= deadline:
                raise errors.TimedOut(
                    f"{target.name} received the stop signal and did not end within {deadline - began:.0f} s.",
                    sent=True,
                    hint="Check with `ps` whether the container still runs, and stop it again.",
                )
            if await self._signal(container, SIGKILL, deadline):
                detail = stop_grace.was_killed(grace)
            if not await self._wait_for_end(container, min(KILL_SECONDS, deadline - time.monotonic())):
                raise errors.TimedOut(
                    f"{target.name} received SIGKILL but still runs.",
                    sent=True,
                    hint="Check the disks of the host: a process that waits for a disk cannot be killed.",
                )
        return detail

    @does(actions.Kill)
    async def kill(self, action: actions.Kill, seconds: float) -> Outcome:
        deadline = time.monotonic() + seconds
        number = str(signals.parse_signal_number(action.signal))
        container = await self._find(action.target, seconds)
        if not container.alive:
            raise errors.Rejected(
                CONFLICT,
                f"{action.target.name} is not running, so no signal can be sent to it.",
                hint="Check its state with: ps -a",
            )
        outcome = await self._change(container, "kill", deadline, number)
        if number != SIGKILL:
            return outcome
        # A container that still runs cannot be removed.
        ends = min(deadline, time.monotonic() + stop_grace.KILL_SECONDS)
        ended = await self._wait_for_end(container, ends - time.monotonic())
        return outcome if ended else msgspec.structs.replace(outcome, detail=stop_grace.still_runs())

    @does(actions.Pause)
    async def pause(self, action: actions.Pause, seconds: float) -> Outcome:
        deadline = time.monotonic() + seconds
        container = await self._find(action.target, seconds)
        if container.state == "paused":
            return Outcome(status=Status.NOOP, detail="was already paused")
        if container.state != "running":  # crun would freeze an empty group
            raise errors.Rejected(
                CONFLICT, f"{action.target.name} is {container.state}: only a running container can be paused."
            )
        return await self._change(container, "pause", deadline)

    @does(actions.Unpause)
    async def unpause(self, action: actions.Unpause, seconds: float) -> Outcome:
        deadline = time.monotonic() + seconds
        container = await self._find(action.target, seconds)
        if container.state == "running":
            return Outcome(status=Status.NOOP, detail="was not paused")
        if container.state != "paused":
            raise errors.Rejected(
                CONFLICT, f"{action.target.name} is {container.state}: only a paused container can be unpaused."
            )
        return await self._change(container, "resume", deadline)

    @does(actions.Remove)
    async def remove(self, action: actions.Remove, seconds: float) -> Outcome:
        deadline = time.monotonic() + seconds
        container = await self._find(action.target, seconds)
        if container.owners:
            owner = container.owners[0]
            why = f"{action.target.name} belongs to an engine of kind {owner}, and only that engine can remove it."
            raise errors.Rejected(FORBIDDEN, why, hint=ADD_OWNER)
        if container.up and not action.force:
            name = action.target.name
            raise errors.Rejected(CONFLICT, f"{name} is {container.state}: stop it first, or give: rm -f {name}")
        # Without --force, crun refuses to delete a container whose process has ended but was not reaped yet.
        return await self._change(container, "delete", deadline, flags=("--force",))

    @does(inside_containers.Exec)
    async def exec(self, action: inside_containers.Exec, seconds: float) -> ExecResult:
        deadline = time.monotonic() + seconds
        container = await self._find(action.target, seconds)
        if container.state != "running":
            name, paused = action.target.name, container.state == "paused"
            why = f"{name} is {container.state}: a program can only run in a running container."
            hint = f"Give first: unpause {name}" if paused else "List the running containers with: ps"
            raise errors.Rejected(CONFLICT, why, hint=hint)
        about, allowed = f"The program in {action.target.name}", min(float(action.timeout), deadline - time.monotonic())
        if action.environment:
            # Not --env: crun then forgets the container's own variables, and every user could read the values.
            process = oci_process.encode_process(await self._read_spec(container, seconds), action)
            with _private_file(process, self._states.owner_uid(container.root), about) as file:
                words: tuple[str, ...] = ("exec", "--process", file, "--", container.name)
                result = await self._call(container, words, allowed, about=about)
        else:
            flags = [
                *(("--user", action.user) if action.user else ()),
                *(("--cwd", action.workdir) if action.workdir else ()),
            ]
            words = ("exec", *flags, "--", container.name, *action.command)
            result = await self._call(container, words, allowed, about=about)
        if result.code in (1, 255) and (reason := decode_errors.exec_error(result.stderr)):
            raise errors.Rejected(result.code, reason)
        return ExecResult(
            exit_code=result.code, stdout=result.stdout, stderr=result.stderr, cut=result.dropped, took=result.seconds
        )

    # ── calling the runtime ──────────────────────────────────────────────────────────────────────────────────────

    async def _change(
        self, container: ContainerState, command: str, deadline: float, *arguments: str, flags: Sequence[str] = ()
    ) -> Outcome:
        name = decode.display_name(container.name)
        result = await self._call(
            container,
            (command, *flags, "--", container.name, *arguments),
            deadline - time.monotonic(),
            about=f"{container.stored.program} {command} of {name}",
        )
        for stream in self._streams:
            stream.mark(container.root, container.name)
        if result.code:
            reason = decode_errors.error_reason(result.stderr)
            if decode_errors.means_not_found(reason):
                raise self._gone(name)
            program = container.stored.program
            unknown = f"{program} {command} of {name} ended with exit code {result.code} and no message."
            raise errors.Rejected(result.code, reason or unknown)
        return Outcome(status=Status.DONE, took=result.seconds)

    async def _signal(self, container: ContainerState, number: str, deadline: float) -> bool:
        """Sends a signal. Returns False if the container had already ended."""
        try:
            await self._change(container, "kill", deadline, number)
        except (errors.Rejected, errors.NotFound):
            if is_running(container.stored):
                raise
            return False
        return True

    async def _call(
        self, container: ContainerState, arguments: Sequence[str], seconds: float, *, about: str
    ) -> processes.Result:
        program = self._programs.find(container.stored.program)
        if seconds <= 0:
            raise errors.TimedOut(
                f"{about} was not started, because the time limit of the command had passed.",
                sent=False,
                hint="Check the load of the engine's host, then give the command again.",
            )
        return await programs.run(
            program,
            ("--root", container.root, "--log-format", "json", *arguments),
            seconds=seconds,
            uid=self._states.owner_uid(container.root),
            about=about,
        )

    async def _wait_for_end(self, container: ContainerState, seconds: float) -> bool:
        """Waits for the end of the first process. Returns False if it still runs after that time."""
        if seconds <= 0:
            return not is_running(container.stored)
        try:
            handle = os.pidfd_open(container.stored.pid)
        except OSError:
            handle = -1
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        try:
            if handle >= 0:
                loop.add_reader(handle, ended.set)
            deadline = time.monotonic() + seconds
            while (running := is_running(container.stored)) and time.monotonic() < deadline:
                with contextlib.suppress(TimeoutError):
                    left = max(0.0, deadline - time.monotonic())
                    async with asyncio.timeout(left if handle >= 0 else min(left, POLL_SECONDS)):
                        await ended.wait()
                if ended.is_set():
                    return True
            return not running
        finally:
            if handle >= 0:
                loop.remove_reader(handle)
                os.close(handle)


@contextlib.contextmanager
def _private_file(content: bytes, uid: int, about: str) -> Iterator[str]:
    """Yields the path of a file that only the user with this uid can read. It is removed afterwards. `about`: the
    program that needs the file, for the error. Raises Unreachable."""
    name = ""
    try:
        descriptor, name = tempfile.mkstemp(prefix="quarterdeck-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), uid, -1)
        yield name
    except OSError as error:
        raise errors.Unreachable(
            f"{about} was not started: its process.json could not be written to {tempfile.gettempdir()} on"
            f" Quarterdeck's host: {error.strerror}.",
            hint=temporary_files.write_error_hint(error),
        ) from error
    finally:
        if name:
            Path(name).unlink(missing_ok=True)
