"""Runs a program in a container of a CRI engine, and returns its output (CRI's ExecSync)."""

from __future__ import annotations

import re
import time

from core import errors
from core.model import inside_containers
from core.model.results import ExecResult
from runtimes.base.base_adapter import does
from runtimes.cri import decode
from runtimes.cri.lifecycle import LifecycleVerbs
from runtimes.proto import cri_pb2 as cri

STATUS_SECONDS = 5.0
MAX_OUTPUT_BYTES = 65_536  # of stdout and of stderr
CRIO_TIMED_OUT = b"command timed out"
_CRIO_FAILED = re.compile(r"command error: (.*?)(?:, stdout: .*)?", re.DOTALL)
"""CRI-O's report of a program that could not be started, with the output that it did not write."""


class ExecVerbs(LifecycleVerbs):
    """Serves the verb `container.exec` for CRI engines."""

    @does(inside_containers.Exec)
    async def exec(self, action: inside_containers.Exec, seconds: float) -> ExecResult:
        began, target = time.monotonic(), action.target
        if action.user:
            raise errors.BadUsage(
                f"CRI cannot run a program as the user {action.user}: it always uses the container's own user.",
                hint="Leave --user out, or run `su` in the container.",
            )
        if action.workdir or action.environment:
            given = f"directory {action.workdir}" if action.workdir else f"variable {action.environment[0][0]}"
            line = "cd PATH; PROGRAM" if action.workdir else f"{action.environment[0][0]}=VALUE PROGRAM"
            raise errors.BadUsage(
                f"CRI cannot set the {given} of a program.",
                hint=f"Let a shell do it: exec {target.name} sh -c '{line}'",
            )
        request = cri.ExecSyncRequest(container_id=target.id, cmd=action.command, timeout=action.timeout)
        try:
            response = await self._request("ExecSync", request, cri.ExecSyncResponse, seconds)
        except errors.NotFound as error:
            raise await self._not_found(action, error.message) from error
        except errors.Rejected as error:
            if (failed := _CRIO_FAILED.fullmatch(error.text)) is None:
                raise
            raise errors.Rejected(error.code, failed[1]) from error
        except errors.TimedOut as error:
            if time.monotonic() - began < action.timeout:
                raise
            raise _timed_out(action) from error
        # After the timeout, containerd reports DEADLINE_EXCEEDED; CRI-O reports success with this exit code and text.
        if response.exit_code == -1 and CRIO_TIMED_OUT in response.stderr:
            raise _timed_out(action)
        stdout, stderr = response.stdout[:MAX_OUTPUT_BYTES], response.stderr[:MAX_OUTPUT_BYTES]
        return ExecResult(
            exit_code=response.exit_code,
            stdout=stdout.decode("utf-8", "replace"),
            stderr=stderr.decode("utf-8", "replace"),
            cut=len(response.stdout) + len(response.stderr) - len(stdout) - len(stderr),
            took=time.monotonic() - began,
        )

    async def _not_found(self, action: inside_containers.Exec, reason: str) -> errors.EngineError:
        """Returns the error for an answer "not found", which CRI-O also sends if the container exists but does not run.
        Raises NotFound if it does not exist."""
        status = (await self._container_status(action.target, STATUS_SECONDS)).status
        if status.state == decode.RUNNING:
            return errors.Rejected(5, reason)
        state = decode.STATES.get(status.state, "dead")
        return errors.Rejected(
            9,
            f"{action.target.name} is {state}: a program can only run in a running container.",
            hint="List the running containers with: ps",
        )


def _timed_out(action: inside_containers.Exec) -> errors.TimedOut:
    return errors.TimedOut(
        f"{action.command[0]} in {action.target.name} did not end within {action.timeout} s. The engine kills it now.",
        sent=True,
        hint=f"Check in the container what the program has already changed.{inside_containers.more_time(action)}",
    )
