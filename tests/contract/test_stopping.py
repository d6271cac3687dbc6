"""What a container asks for itself when it is stopped, held against each real engine: it has the time that it asked
for, and the outcome tells a kill."""

import asyncio

import pytest

from core.model import actions
from core.model.events import EventKind
from core.model.replies import Status
from runtimes.base import stop_grace
from runtimes.cri import client, decode
from tests.contract.grounds import FIELDS, READY, capable, over
from tests.contract.test_runtime_contract import Hearing

DEAF = f"trap '' TERM; {READY}; while :; do sleep 0.05; done"
CRI_NOTE = client.recreation_note({decode.POD_UID: "u"})
SLOW = f"trap 'sleep 1.5; exit 7' TERM; {READY}; while :; do sleep 0.05; done"


def asking(kind, seconds):
    """The words that make a container of this kind of engine ask for so many seconds."""
    pod = {"annotations": {stop_grace.KUBERNETES_ANNOTATION: str(seconds)}}
    return {
        "docker": {"stop_timeout": seconds},
        "podman": {"more": ("--stop-timeout", str(seconds))},
        "containerd": {"labels": {"nerdctl/stop-timeout": str(seconds)}},
        "cri": pod,
        "oci": {"labels": {"io.kubernetes.cri-o.Annotations": f'{{"{stop_grace.KUBERNETES_ANNOTATION}":"{seconds}"}}'}},
    }[kind]


async def run(ground, script, seconds):
    """A container that has set its trap."""
    ground.daemon.run("it", script, init=False, **asking(ground.runtime.ref.kind, seconds))
    target = await ground.ref("it")
    await ground.until_ready(target)
    return target


def said(outcome):
    """The detail, without what CRI engines add."""
    return outcome.detail.removesuffix(CRI_NOTE).removesuffix("; ")


@over(actions.Stop)
async def test_a_container_is_killed_after_its_own_time_and_the_outcome_says_so(ground):
    for _ in range(3):  # a busy machine may take longer once
        target = await run(ground, DEAF, 2)
        outcome = await ground.do(actions.Stop(engine=ground.runtime.ref, target=target))
        assert (outcome.status, said(outcome)) == (Status.DONE, "did not end within 2 s and was killed")
        assert ground.daemon.status("it") == "exited"
        assert outcome.took >= 2
        if outcome.took < 10:
            break
        ground.daemon.remove("it")
    assert outcome.took < 10


@over(actions.Stop)
async def test_the_requesters_time_comes_before_the_containers(ground):
    target = await run(ground, DEAF, 60)
    outcome = await ground.do(actions.Stop(engine=ground.runtime.ref, target=target, timeout=1))
    assert (outcome.status, said(outcome)) == (Status.DONE, "did not end within 1 s and was killed")


@over(actions.Stop)
async def test_a_container_that_ends_in_its_time_ends_as_it_wants(ground):
    target = await run(ground, SLOW, 20)
    outcome = await ground.do(actions.Stop(engine=ground.runtime.ref, target=target))
    assert (outcome.status, said(outcome)) == (Status.DONE, "")
    if "exit codes" not in ground.lacks:
        async with asyncio.timeout(60):
            while (row := (await ground.rows())["it"]).state != "exited":  # the list of Docker 26 is late
                await asyncio.sleep(0.05)
        assert row.exit_code == 7


@pytest.mark.parametrize(
    ("ground", "script", "seconds", "code", "detail"),
    [
        pytest.param(name, *case, id=f"{name}-{case[2]}")
        for name in capable(actions.Restart)
        if FIELDS[name].kind != "oci"
        for case in (
            (SLOW, 20, "7", ""),
            (DEAF, 2, "137", "did not end within 2 s and was killed"),
        )
    ],
    indirect=["ground"],
)
async def test_a_restart_gives_the_same_time_as_a_stop(ground, script, seconds, code, detail):
    target = await run(ground, script, seconds)
    async with Hearing(ground) as heard:
        outcome = await ground.do(actions.Restart(engine=ground.runtime.ref, target=target))
        died = await heard.of(EventKind.DIED, target.id)
    assert (outcome.status, said(outcome)) == (Status.DONE, detail)
    assert died.attrs["exit_code"] == code
    assert ground.daemon.status("it") == "running"


@over(actions.Kill, actions.Remove)
async def test_a_container_can_be_removed_as_soon_as_it_was_killed(ground):
    for _ in range(3):
        target = await run(ground, DEAF, 60)
        assert (await ground.do(actions.Kill(engine=target.engine, target=target))).status == Status.DONE
        assert (await ground.do(actions.Remove(engine=target.engine, target=target))).status == Status.DONE
