"""Networks and volumes of every engine that has them."""

import time

import pytest

from core import errors
from core.model import resources
from core.model.refs import Kind
from core.model.replies import Status
from tests.contract.grounds import over


@over(resources.ListNetworks, resources.InspectNetwork, resources.RemoveNetwork)
async def test_networks_are_told_of_and_removed(ground):
    ground.daemon.network("qd-net", {"env": "prod"})
    rows = {row.ref.name: row for row in (await ground.do(resources.ListNetworks(engine=ground.runtime.ref))).rows}
    row = rows["qd-net"]
    assert (row.ref.kind, row.driver, row.labels["env"]) == (Kind.NETWORK, "bridge", "prod")
    assert row.subnets and all("/" in subnet for subnet in row.subnets)
    document = await ground.do(resources.InspectNetwork(engine=ground.runtime.ref, target=row.ref))
    assert document.ref == row.ref
    assert "qd-net" in repr(document.data)
    remove = resources.RemoveNetwork(engine=ground.runtime.ref, target=row.ref)
    assert (await ground.do(remove)).status == Status.DONE
    assert "qd-net" not in {
        one.ref.name for one in (await ground.do(resources.ListNetworks(engine=row.ref.engine))).rows
    }
    with pytest.raises(errors.NotFound, match="qd-net"):
        await ground.do(remove)
    with pytest.raises(errors.NotFound, match="qd-net"):
        await ground.do(resources.InspectNetwork(engine=ground.runtime.ref, target=row.ref))


@over(resources.ListVolumes, resources.InspectVolume, resources.RemoveVolume)
async def test_volumes_are_told_of_and_removed(ground):
    ground.daemon.volume("qd-vol", {"env": "prod"})
    rows = {row.ref.name: row for row in (await ground.do(resources.ListVolumes(engine=ground.runtime.ref))).rows}
    row = rows["qd-vol"]
    assert (row.ref.kind, row.ref.id, row.driver, row.labels["env"]) == (Kind.VOLUME, "qd-vol", "local", "prod")
    assert row.place.endswith("/qd-vol/_data")
    assert abs(row.created_at - time.time()) < 120
    document = await ground.do(resources.InspectVolume(engine=ground.runtime.ref, target=row.ref))
    assert "qd-vol" in repr(document.data)
    remove = resources.RemoveVolume(engine=ground.runtime.ref, target=row.ref)
    assert (await ground.do(remove)).status == Status.DONE
    assert "qd-vol" not in {
        one.ref.name for one in (await ground.do(resources.ListVolumes(engine=row.ref.engine))).rows
    }
    with pytest.raises(errors.NotFound, match="qd-vol"):
        await ground.do(remove)
