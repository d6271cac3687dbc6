"""Summaries of what engines report about a container, an image, a network and a volume, on every real engine."""

from __future__ import annotations

import time

from core.model import actions, images, networks_and_volumes
from core.model.refs import Kind
from core.model.secrets_and_configs import ListSecrets
from tests.contract.grounds import over


@over(actions.InspectContainer)
async def test_a_container_in_short(ground):
    ground.daemon.run("up", "exec sleep 3600", environment={"DB_PASSWORD": "hunter2"}, labels={"app": "shop"})
    target = await ground.ref("up")
    found = await ground.do(actions.InspectContainer(engine=ground.runtime.ref, target=target))
    assert not found.reaches, "an ordinary container takes nothing from its host"
    told = found.summary
    assert told["State"].startswith("running")
    assert "sleep" in told["Command"]
    assert told["Started"].endswith("Z") or "times of an end" in ground.lacks
    assert "DB_PASSWORD" in told["Environment"]
    assert "hunter" not in repr(told)
    # A kubelet labels the pod.
    label = "io.kubernetes.container.name=up" if ground.runtime.ref.kind == "cri" else "app=shop"
    assert label in told["Labels"].split("\n")
    if ground.runtime.ref.kind != "oci":
        assert "busybox" in told["Image"]
    ground.daemon.run("ended", "exit 3")
    ground.daemon.wait("ended")
    target = await ground.ref("ended")
    told = (await ground.do(actions.InspectContainer(engine=ground.runtime.ref, target=target))).summary
    assert told["State"] == ("exited" if "exit codes" in ground.lacks else "exited with code 3")


@over(images.ListImages, images.InspectImage)
async def test_an_image_in_short(ground):
    ground.daemon.run("up")
    rows = (await ground.do(images.ListImages(engine=ground.runtime.ref))).rows
    row = next(row for row in rows if any("busybox" in tag for tag in row.tags))
    told = (await ground.do(images.InspectImage(engine=ground.runtime.ref, target=row.ref))).summary
    assert "busybox" in told.get("Tags", "") + told.get("Names", "")
    assert told["Size"]
    assert "linux" in told.get("Platform", "linux")


@over(networks_and_volumes.InspectNetwork, networks_and_volumes.InspectVolume)
async def test_a_network_and_a_volume_in_short(ground):
    ground.daemon.network("qd-net", {"env": "prod"})
    rows = (await ground.do(networks_and_volumes.ListNetworks(engine=ground.runtime.ref))).rows
    target = next(row.ref for row in rows if row.ref.name == "qd-net")
    told = (await ground.do(networks_and_volumes.InspectNetwork(engine=ground.runtime.ref, target=target))).summary
    assert (told["Driver"], told["Labels"]) == ("bridge", "env=prod")
    assert "/" in told["Subnets"]
    ground.daemon.volume("qd-vol", {"env": "prod"})
    rows = (await ground.do(networks_and_volumes.ListVolumes(engine=ground.runtime.ref))).rows
    target = next(row.ref for row in rows if row.ref.name == "qd-vol")
    told = (await ground.do(networks_and_volumes.InspectVolume(engine=ground.runtime.ref, target=target))).summary
    assert (told["Driver"], told["Labels"]) == ("local", "env=prod")
    assert told["Path"].endswith("/qd-vol/_data")


@over(ListSecrets)
async def test_secrets_are_listed_by_name_alone(ground):
    ground.daemon.cli("secret", "create", "qd-key", "/etc/hostname")
    try:
        rows = (await ground.do(ListSecrets(engine=ground.runtime.ref))).rows
        row = next(row for row in rows if row.ref.name == "qd-key")
        assert (row.ref.kind, row.driver) == (Kind.SECRET, "file")
        assert abs(row.created_at - time.time()) < 600
    finally:
        ground.daemon.cli("secret", "rm", "qd-key")
