"""What every engine that creates networks and volumes promises of that."""

import contextlib
import os
import random

import pytest

from core import errors
from core.model import networks_and_volumes as parts
from core.model.actions import ListContainers
from core.model.create_container import CreateContainer
from core.model.replies import Status
from tests.contract.grounds import capable, over


@pytest.fixture
def name(tmp_path):
    return f"made-{tmp_path.name[-16:].strip('_').lower()}"


async def row(ground, kind, name):
    found = (await ground.do(kind(engine=ground.runtime.ref))).rows
    return next((each for each in found if each.ref.name == name), None)


@over(parts.CreateNetwork, parts.RemoveNetwork, parts.ListNetworks)
async def test_a_network_is_created_joined_left_and_removed(ground, name):
    net = f"10.{random.randrange(100, 250)}.{os.getpid() % 256}"
    made = parts.CreateNetwork(
        engine=ground.runtime.ref,
        name=name,
        subnet=f"{net}.0/24",
        ip_range=f"{net}.128/25",
        gateway=f"{net}.1",
        internal=True,
        labels=(("team", "a"),),
    )
    outcome = await ground.do(made)
    assert outcome.status == Status.DONE and outcome.detail, outcome
    found = await row(ground, parts.ListNetworks, name)
    assert (found.driver, found.subnets, found.internal) == ("bridge", (f"{net}.0/24",), True)
    assert found.labels["team"] == "a"
    with pytest.raises(errors.EngineError):
        await ground.do(made)
    document = await ground.do(parts.InspectNetwork(engine=ground.runtime.ref, target=found.ref))
    assert f"{net}.1" in repr(document.data)
    await ground.do(parts.RemoveNetwork(engine=ground.runtime.ref, target=found.ref))
    assert await row(ground, parts.ListNetworks, name) is None


# A rootless engine has no bridge to join here.
BRIDGED = [each for each in capable(parts.ConnectNetwork, parts.DisconnectNetwork) if each != "podman rootless"]


@pytest.mark.parametrize("ground", BRIDGED, indirect=True)
async def test_a_container_joins_a_network_and_leaves_it(ground, name):
    net = f"10.{random.randrange(100, 250)}.{os.getpid() % 256}"
    first, second = f"{name}-1", f"{name}-2"
    for number, each in enumerate((first, second)):
        subnet = f"{net}.{number * 16}/28"
        await ground.do(parts.CreateNetwork(engine=ground.runtime.ref, name=each, subnet=subnet, internal=True))
    networks = [await row(ground, parts.ListNetworks, each) for each in (first, second)]
    try:
        sleeping = CreateContainer(
            engine=ground.runtime.ref,
            image="localhost/busybox:1",
            name=name,
            command=("/bin/sh", "-c", "exec sleep 3600"),
            network=first,
            start=False,
        )
        assert (await ground.outcome(sleeping))[0].status == Status.DONE
        rows = (await ground.do(ListContainers(engine=ground.runtime.ref))).rows
        target = next(each.ref for each in rows if each.ref.name == name)
        join = parts.ConnectNetwork(
            engine=ground.runtime.ref, target=target, network=networks[1].ref, aliases=("other",)
        )
        assert (await ground.do(join)).status == Status.DONE
        leave = parts.DisconnectNetwork(engine=ground.runtime.ref, target=target, network=networks[1].ref)
        assert (await ground.do(leave)).status == Status.DONE
        with pytest.raises((errors.EngineError, errors.NotFound)):
            await ground.do(leave)
    finally:
        with contextlib.suppress(Exception):
            ground.daemon.remove(name)
        for each in networks:
            await ground.do(parts.RemoveNetwork(engine=ground.runtime.ref, target=each.ref))


@over(parts.CreateVolume, parts.RemoveVolume, parts.ListVolumes)
async def test_a_volume_is_created_once_and_removed(ground, name):
    made = parts.CreateVolume(engine=ground.runtime.ref, name=name, labels=(("team", "a"),))
    assert (await ground.do(made)).status == Status.DONE
    assert (await ground.do(made)).status == Status.NOOP
    found = await row(ground, parts.ListVolumes, name)
    assert (found.driver, found.labels["team"]) == ("local", "a")
    await ground.do(parts.RemoveVolume(engine=ground.runtime.ref, target=found.ref))
    assert await row(ground, parts.ListVolumes, name) is None
