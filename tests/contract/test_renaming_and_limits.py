"""What every engine that renames containers and changes their limits promises of that."""

import random
from pathlib import Path

import pytest

from core import errors
from core.model import actions
from core.model.rename_and_update import UNLIMITED, RenameContainer, UpdateContainer
from core.model.replies import Status
from runtimes.podman.update import FIRST_KEPT, FIRST_RESTART
from runtimes.podman.versions import parse_version
from tests.contract.grounds import over
from tests.helpers.waiting import wait_for


@over(RenameContainer)
async def test_a_container_has_its_new_name_and_is_the_same(ground):
    ground.daemon.run("before")
    ref = await ground.ref("before")
    outcome = await ground.do(RenameContainer(engine=ground.runtime.ref, target=ref, name="after-it"))
    assert (outcome.status, outcome.detail) == (Status.DONE, "to after-it")
    rows = {row.ref.id: row for row in (await ground.do(actions.ListContainers(engine=ref.engine))).rows}
    assert rows[ref.id].ref.name == "after-it"
    assert rows[ref.id].state == "running"
    ground.daemon.remove("after-it")


@over(RenameContainer)
async def test_a_name_that_is_taken_or_no_name_is_refused(ground):
    for name in ("one-of-two", "two-of-two"):
        ground.daemon.run(name)
    ref = await ground.ref("one-of-two")
    with pytest.raises(errors.Rejected, match="in use"):
        await ground.do(RenameContainer(engine=ref.engine, target=ref, name="two-of-two"))
    for name in ("", "-f", "a b", "a/b", "../x", "x" * 200, "a\0b"):
        with pytest.raises(errors.BadUsage):
            await ground.do(RenameContainer(engine=ref.engine, target=ref, name=name))
    assert (await ground.ref("one-of-two")).id == ref.id
    gone = RenameContainer(engine=ref.engine, target=ref, name="three")
    ground.daemon.remove("one-of-two")
    with pytest.raises(errors.NotFound):
        await ground.do(gone)


@over(UpdateContainer)
async def test_limits_are_changed_and_changed_again(ground):
    seconds = str(random.randrange(100_000, 900_000))
    ground.daemon.run("limited", f"exec sleep {seconds}")
    ref = await ground.ref("limited")
    pids = {} if ref.engine.kind == "cri" else {"pids": 100}
    if "pauses" in ground.lacks and (await ground.do(actions.DescribeEngine(engine=ref.engine))).cgroup == "1":
        with pytest.raises(errors.UserError, match="cannot limit its containers"):
            await ground.do(UpdateContainer(engine=ref.engine, target=ref, memory=64 << 20))
        return
    for megabytes in (64, 256, 32):
        action = UpdateContainer(engine=ref.engine, target=ref, memory=megabytes << 20, cpus=0.5, **pids)
        outcome = await ground.do(action)
        assert outcome.status == Status.DONE
        assert f"memory {megabytes} MiB, cpus 0.5" in outcome.detail
        limit = ground.daemon.memory_limit("limited") if "cgroups" in ground.lacks else memory_limit(seconds)
        assert limit == megabytes << 20, outcome
    assert (await ground.rows())["limited"].state == "running"
    unlimited = {"pids": UNLIMITED} if pids else {}
    action = UpdateContainer(engine=ref.engine, target=ref, memory=UNLIMITED, cpus=UNLIMITED, **unlimited)
    outcome = await ground.do(action)
    assert outcome.status == Status.DONE and "memory unlimited, cpus unlimited" in outcome.detail
    if "cgroups" in ground.lacks:
        assert ground.daemon.memory_limit("limited") == UNLIMITED
        return
    assert memory_limit(seconds) >= 1 << 60
    summary = (await ground.do(actions.InspectContainer(engine=ref.engine, target=ref))).summary
    assert "memory" not in summary.get("Limits", "") or ref.engine.kind in ("containerd", "oci", "podman"), summary
    again = UpdateContainer(engine=ref.engine, target=ref, memory=48 << 20, cpus=0.25)
    assert (await ground.do(again)).status == Status.DONE
    assert memory_limit(seconds) == 48 << 20


def memory_limit(seconds):
    """The limit that the kernel holds the container to that sleeps for so long."""
    wanted = f"sleep\0{seconds}\0".encode()

    def found():
        return [one.parent for one in Path("/proc").glob("[0-9]*/cmdline") if _read(one).endswith(wanted)]

    # An engine may say that a container runs before its first process is the program that was asked for.
    (pid,) = wait_for("the program", found)
    lines = [line.split(":", 2) for line in (pid / "cgroup").read_text().splitlines()]
    paths = {controller: path for _, controllers, path in lines for controller in controllers.split(",")}
    if "memory" in paths:
        return int(Path(f"/sys/fs/cgroup/memory{paths['memory']}/memory.limit_in_bytes").read_text())
    limit = Path(f"/sys/fs/cgroup{paths['']}/memory.max").read_text().strip()
    return 1 << 63 if limit == "max" else int(limit)


def _read(path):
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""


@over(UpdateContainer)
async def test_limits_of_one_that_does_not_run(ground):
    ground.daemon.run("ended", "sleep 0.1; test -e /again || { touch /again; exit 0; }; exec sleep 300")
    ground.daemon.wait("ended")
    ref = await ground.ref("ended")
    action = UpdateContainer(engine=ref.engine, target=ref, memory=64 << 20)
    if ref.engine.kind == "podman":
        await ground.do(actions.ShowInfo(engine=ref.engine))  # it tells its version
    unlimited = (await ground.do(actions.DescribeEngine(engine=ref.engine))).cgroup == "1" and "pauses" in ground.lacks
    kept = ref.engine.kind == "podman" and not unlimited and parse_version(ground.runtime.version) >= FIRST_KEPT
    if ref.engine.kind != "docker" and not kept:
        with pytest.raises((errors.Rejected, errors.UserError)):
            await ground.do(action)
        return
    assert (await ground.do(action)).status == Status.DONE
    await ground.do(actions.Start(engine=ref.engine, target=ref))
    data = (await ground.do(actions.InspectContainer(engine=ref.engine, target=ref))).data
    assert data["HostConfig"]["Memory"] == 64 << 20  # of the next run


@over(UpdateContainer)
async def test_a_restart_policy_is_changed_where_the_engine_can(ground):
    ground.daemon.run("kept-up")
    ref = await ground.ref("kept-up")
    action = UpdateContainer(engine=ref.engine, target=ref, restart="on-failure:3")
    if ref.engine.kind not in ("docker", "podman"):
        with pytest.raises(errors.UserError, match="cannot change a restart policy"):
            await ground.do(action)
        return
    if ref.engine.kind == "podman":
        await ground.do(actions.ShowInfo(engine=ref.engine))
    if ref.engine.kind == "podman" and parse_version(ground.runtime.version) < FIRST_RESTART:
        with pytest.raises(errors.UserError, match="cannot change a restart policy: this needs 5.1") as caught:
            await ground.do(action)
        assert "unit install" in caught.value.hint
        return
    assert (await ground.do(action)).status == Status.DONE
    data = (await ground.do(actions.InspectContainer(engine=ref.engine, target=ref))).data
    policy = data["HostConfig"]["RestartPolicy"]
    assert (policy["Name"], policy["MaximumRetryCount"]) == ("on-failure", 3)
    for wrong in ("sometimes", "always:3", "on-failure:x"):
        with pytest.raises(errors.BadUsage):
            await ground.do(UpdateContainer(engine=ref.engine, target=ref, restart=wrong))


@over(UpdateContainer)
async def test_limits_of_a_container_that_is_gone(ground):
    ground.daemon.run("gone-soon")
    ref = await ground.ref("gone-soon")
    ground.daemon.remove("gone-soon")
    with pytest.raises((errors.NotFound, errors.UserError)):
        await ground.do(UpdateContainer(engine=ref.engine, target=ref, memory=64 << 20))
