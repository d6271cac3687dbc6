"""What became of the tasks of a service, on a Swarm that a test speaks for and on fake loop time."""

import json

import pytest

from core import errors
from core.model.refs import EngineRef, Kind, Ref
from core.model.verification import RunState, VerifyRuns
from runtimes.base import run_verification
from runtimes.base.jobs import Job
from runtimes.swarm import task_verification
from runtimes.transport.http_client import Response

pytestmark = pytest.mark.looptime
WEB = Ref(engine=EngineRef(host="k1", kind="swarm"), kind=Kind.SERVICE, id="web1", name="shop_web")


def task(name, state, code=0):
    container = {"ContainerID": "c", "ExitCode": code}
    return {"ID": name, "ServiceID": "web1", "Status": {"State": state, "Err": "no disk", "ContainerStatus": container}}


async def verdict(*looks):
    """The verdict if the tasks look so, one look after the other; the last stays. An error is raised."""
    left = list(looks)

    async def send(method, target, seconds, *, body=None, image=""):
        look = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(look, Exception):
            raise look
        return Response(status=200, headers={}, body=json.dumps(look).encode())

    job = Job("j", "job.verify", "ann", read_only=True)
    await task_verification.watch_tasks(send, VerifyRuns(engine=WEB.engine, runs=(WEB,)), job)
    (line,) = (await job.page("", 0)).lines
    return run_verification.decode(line)


UP, OLD = task("a", "running"), task("b", "failed", 1)
GONE = errors.Unreachable("The Swarm has no leader.", hint="Wait.")


async def test_tasks_that_run_on_are_fine_whatever_failed_before():
    found = await verdict([UP, OLD])
    assert (found.state, round(found.seconds), found.ref) == (RunState.RUNNING, 10, WEB)


async def test_a_task_that_fails_is_told_at_once():
    found = await verdict([UP, OLD], [UP, OLD, task("c", "failed", 2), task("d", "rejected")])
    assert (found.state, found.ends, found.why, round(found.seconds)) == (RunState.ENDED, 2, "no disk", 2)
    assert found.failed


async def test_a_swarm_that_elects_a_leader_is_asked_again():
    assert (await verdict(GONE, [UP])).state is RunState.RUNNING
    found = await verdict([UP], GONE)
    assert (found.state, "no leader" in found.why) == (RunState.UNKNOWN, True)
    assert (await verdict([UP], errors.NotFound("Gone."))).state is RunState.REMOVED
