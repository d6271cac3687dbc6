"""Networks and volumes of every engine that has them."""

import time

import pytest

from core import errors
from core.model import networks_and_volumes
from core.model.refs import Kind
from core.model.replies import Status
from tests.contract.grounds import over


@over(networks_and_volumes.ListNetworks, networks_and_volumes.InspectNetwork, networks_and_volumes.RemoveNetwork)
async def test_networks_are_told_of_and_removed(ground):
    ground.daemon.network("qd-net", {"env": "prod"})
    rows = {
        row.ref.name: row
        for row in (await ground.do(networks_and_volumes.ListNetworks(engine=ground.runtime.ref))).rows
    }
    row = rows["qd-net"]
    assert (row.ref.kind, row.driver, row.labels["env"]) == (Kind.NETWORK, "bridge", "prod")
    assert row.subnets and all("/" in subnet for subnet in row.subnets)
    document = await ground.do(networks_and_volumes.InspectNetwork(engine=ground.runtime.ref, target=row.ref))
    assert document.ref == row.ref
    assert "qd-net" in repr(document.data)
    remove = networks_and_volumes.RemoveNetwork(engine=ground.runtime.ref, target=row.ref)
    assert (await ground.do(remove)).status == Status.DONE
    assert "qd-net" not in {
        one.ref.name for one in (await ground.do(networks_and_volumes.ListNetworks(engine=row.ref.engine))).rows
    }
    with pytest.raises(errors.NotFound, match="qd-net"):
        await ground.do(remove)
    with pytest.raises(errors.NotFound, match="qd-net"):
        await ground.do(networks_and_volumes.InspectNetwork(engine=ground.runtime.ref, target=row.ref))


@over(networks_and_volumes.ListVolumes, networks_and_volumes.InspectVolume, networks_and_volumes.RemoveVolume)
async def test_volumes_are_told_of_and_removed(ground):
    ground.daemon.volume("qd-vol", {"env": "prod"})
    rows = {
        row.ref.name: row for row in (await ground.do(networks_and_volumes.ListVolumes(engine=ground.runtime.ref))).rows
    }
    row = rows["qd-vol"]
    assert (row.ref.kind, row.ref.id, row.driver, row.labels["env"]) == (Kind.VOLUME, "qd-vol", "local", "prod")
    assert row.place.endswith("/qd-vol/_data")
    assert abs(row.created_at - time.time()) < 120
    document = await ground.do(networks_and_volumes.InspectVolume(engine=ground.runtime.ref, target=row.ref))
    assert "qd-vol" in repr(document.data)
    remove = networks_and_volumes.RemoveVolume(engine=ground.runtime.ref, target=row.ref)
    assert (await ground.do(remove)).status == Status.DONE
    assert "qd-vol" not in {
        one.ref.name for one in (await ground.do(networks_and_volumes.ListVolumes(engine=row.ref.engine))).rows
    }
    with pytest.raises(errors.NotFound, match="qd-vol"):
        await ground.do(remove)
