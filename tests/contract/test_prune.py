"""What each engine says it does not use, and that a prune removes exactly what was pinned. What uses the rest."""

import os

import pytest

from core import errors
from core.model import actions, images, prune
from core.model.networks_and_volumes import ListNetworks, ListVolumes, RemoveNetwork, RemoveVolume
from core.model.refs import Kind
from core.model.removal_blockers import FindUsers
from core.model.replies import Status
from tests.contract.grounds import over


async def unused(ground, *kinds):
    found = await ground.do(prune.FindUnused(engine=ground.runtime.ref, kinds=kinds))
    assert found.measured
    return {row.ref.name: row for row in found.rows}


def using(daemon, name, *, network="", volume="", image=""):
    """Makes a container that does not run and uses these."""
    if hasattr(daemon, "api"):
        host = {"network_mode": network} if network else {}
        if volume:
            host["binds"] = {volume: {"bind": "/data", "mode": "rw"}}
        if image:
            daemon.api.create_container(image, ["/bin/sh"], name=name)
        else:
            daemon.run(name, start=False, host=host)
        return
    more = [*(["--network", network] if network else []), *(["-v", f"{volume}:/data"] if volume else [])]
    if image:
        daemon.cli("create", "--name", name, image, "/bin/sh")
    else:
        daemon.run(name, start=False, more=tuple(more))


async def pruned(ground, kind, *rows):
    return (await ground.outcome(kind(engine=ground.runtime.ref, pinned=rows)))[0]


@over(prune.PruneContainers)
async def test_stopped_containers_go_and_what_ended_later_stays(ground):
    ground.daemon.run("runs")
    ground.daemon.run("ended", "exit 3")
    ground.daemon.wait("ended")
    ground.daemon.run("made", start=False)
    found = await unused(ground, Kind.CONTAINER)
    assert found.keys() == {"ended", "made"}
    assert all(row.size is not None and row.created_at > 1e9 and row.detail for row in found.values())
    ground.daemon.run("later", "exit 0")
    ground.daemon.wait("later")
    outcome = await pruned(ground, prune.PruneContainers, *found.values())
    assert (outcome.status, outcome.detail[:20]) == (Status.DONE, "removed 2 containers")
    assert (await ground.rows()).keys() == {"runs", "later"}


@over(prune.PruneContainers, actions.Start)
async def test_a_container_that_runs_again_is_kept(ground):
    ground.daemon.run("again", start=False)
    (row,) = (await unused(ground, Kind.CONTAINER)).values()
    await ground.do(actions.Start(engine=ground.runtime.ref, target=row.ref))
    outcome = await pruned(ground, prune.PruneContainers, row)
    assert outcome.status == Status.NOOP and "again is used now, or is gone" in outcome.detail
    assert (await ground.rows())["again"].state == "running"


@over(prune.PruneNetworks)
async def test_networks_that_nothing_uses_go(ground):
    ground.daemon.network("lonely")
    ground.daemon.network("used")
    using(ground.daemon, "user", network="used")
    found = await unused(ground, Kind.NETWORK)
    user = (await ground.ref("user")).id
    assert {name: row.users for name, row in found.items()} == {"lonely": (), "used": (user,)}
    assert [row.ref.name for row in prune.choose(tuple(found.values()), (Kind.NETWORK,))] == ["lonely"]
    outcome = await pruned(ground, prune.PruneNetworks, *found.values())
    assert outcome.status == Status.DONE and "used is used by a stopped container" in outcome.detail
    left = {row.ref.name for row in (await ground.do(ListNetworks(engine=ground.runtime.ref))).rows}
    assert "used" in left and "lonely" not in left


@over(prune.PruneVolumes)
async def test_volumes_that_nothing_uses_go_and_one_made_again_stays(ground):
    daemon = ground.daemon
    daemon.volume("named")
    daemon.volume("used")
    using(daemon, "user", volume="used")
    if hasattr(daemon, "api"):
        daemon.run("holder", start=False, volumes=["/data"])
        daemon.api.remove_container("holder", v=False)
    else:
        daemon.run("holder", start=False, more=("-v", "/data"))
        daemon.cli("rm", "holder")
    found = await unused(ground, Kind.VOLUME)
    (anonymous,) = (row for row in found.values() if row.spare)
    assert len(anonymous.ref.name) == 64 and not found["named"].spare
    assert "used" not in found or found["used"].users
    assert prune.choose(tuple(found.values()), (Kind.VOLUME,)) == (anonymous,)
    both = prune.choose(tuple(found.values()), (Kind.VOLUME,), everything=(Kind.VOLUME,))
    assert {row.ref.name for row in both} == {"named", anonymous.ref.name}
    (daemon.api.remove_volume if hasattr(daemon, "api") else lambda name: daemon.cli("volume", "rm", name))("named")
    before = found["named"]
    daemon.volume("named")
    now = (await unused(ground, Kind.VOLUME))["named"]
    outcome = await pruned(ground, prune.PruneVolumes, anonymous, before)
    left = {row.ref.name for row in (await ground.do(ListVolumes(engine=ground.runtime.ref))).rows}
    assert outcome.status == Status.DONE and "removed " in outcome.detail
    assert anonymous.ref.name not in left and "used" in left
    # Docker's times of volumes have whole seconds.
    assert ("named" in left) == (now.created_at != before.created_at)


@over(prune.PruneImages, images.PullImage, images.TagImage)
async def test_images_without_a_tag_go_and_one_that_gets_a_tag_stays(ground, registry):
    repository = f"pruned-{ground.runtime.ref.kind}"

    async def pull():
        name = registry.push_busybox(repository, layers=[{"big": os.urandom(200_000)}])
        outcome, _ = await ground.outcome(images.PullImage(engine=ground.runtime.ref, image=name))
        assert outcome.status == Status.DONE, outcome
        rows = (await ground.do(images.ListImages(engine=ground.runtime.ref))).rows
        return next(row.ref for row in rows if name in row.tags), name

    first, _ = await pull()
    second, _ = await pull()
    third, name = await pull()
    ids = {first.id: first, second.id: second, third.id: third}
    listed = {row.ref.id: row.tags for row in (await ground.do(images.ListImages(engine=ground.runtime.ref))).rows}
    assert (listed[first.id], listed[third.id]) == ((), (name,)), "an image without a tag is listed"
    rows = [row for row in (await unused(ground, Kind.IMAGE)).values() if row.ref.id in ids]
    assert {row.ref.id: row.spare for row in rows} == {first.id: True, second.id: True, third.id: False}
    assert all(row.size and row.size >= 200_000 for row in rows)
    await ground.do(images.TagImage(engine=ground.runtime.ref, target=second, tag=f"{repository}/kept:1"))
    spare = [row for row in rows if row.spare]
    outcome = await pruned(ground, prune.PruneImages, *spare)
    assert outcome.status == Status.DONE and "removed 1 image" in outcome.detail, outcome
    assert "has other names now" in outcome.detail
    left = {row.ref.id for row in (await ground.do(images.ListImages(engine=ground.runtime.ref))).rows}
    assert first.id not in left and {second.id, third.id} <= left
    using(ground.daemon, "user", image=name)
    (tagged,) = (row for row in (await unused(ground, Kind.IMAGE)).values() if row.ref.id == third.id)
    assert tagged.users == ((await ground.ref("user")).id,)
    outcome = await pruned(ground, prune.PruneImages, tagged)
    assert outcome.status == Status.NOOP and "used by a stopped container" in outcome.detail
    # With all its names, once nothing uses it.
    ground.daemon.remove("user")
    await ground.do(images.TagImage(engine=ground.runtime.ref, target=third, tag=f"{repository}/more:1"))
    mine = [row for row in (await unused(ground, Kind.IMAGE)).values() if row.ref.id in (second.id, third.id)]
    outcome = await pruned(ground, prune.PruneImages, *mine)
    assert "removed 2 images" in outcome.detail, outcome
    left = {row.ref.id for row in (await ground.do(images.ListImages(engine=ground.runtime.ref))).rows}
    assert left.isdisjoint(ids)


@over(prune.PruneSystem)
async def test_a_system_prune_removes_containers_before_what_they_use(ground):
    ground.daemon.network("used")
    using(ground.daemon, "user", network="used")
    ground.daemon.run("runs")
    kinds = (Kind.CONTAINER, Kind.NETWORK)
    rows = prune.choose(tuple((await unused(ground, *kinds)).values()), kinds)
    assert [row.ref.name for row in rows] == ["user", "used"]
    outcome = await pruned(ground, prune.PruneSystem, *rows)
    assert outcome.detail.startswith("removed 1 container and 1 network"), outcome
    assert (await ground.rows()).keys() == {"runs"}


@over(prune.PruneContainers)
async def test_the_progress_counts_what_is_done(ground):
    for number in range(3):
        ground.daemon.run(f"made-{number}", start=False)
    rows = tuple((await unused(ground, Kind.CONTAINER)).values())
    outcome, told = await ground.outcome(prune.PruneContainers(engine=ground.runtime.ref, pinned=rows))
    assert outcome.status == Status.DONE and told[-1] == "3 of 3 done"


@over(prune.PruneContainers)
async def test_what_is_gone_by_the_time_is_no_failure(ground):
    ground.daemon.run("made", start=False)
    (row,) = (await unused(ground, Kind.CONTAINER)).values()
    ground.daemon.remove("made")
    outcome = await pruned(ground, prune.PruneContainers, row)
    assert outcome.status == Status.NOOP, outcome


async def users(ground, target, *, force=False):
    found = await ground.do(FindUsers(engine=ground.runtime.ref, resources=(target,), force=force))
    return {use.user.name: use for use in found.rows if use.target == target}


async def listed(ground, kind):
    return {row.ref.name: row.ref for row in (await ground.do(kind(engine=ground.runtime.ref))).rows}


@over(FindUsers, RemoveNetwork, RemoveVolume)
async def test_what_is_said_to_be_used_is_refused_and_the_rest_is_removed(ground):
    """Docker removes a network of stopped containers, Podman does not."""
    daemon = ground.daemon
    daemon.network("used-net")
    daemon.network("idle-net")
    daemon.volume("used-vol")
    daemon.volume("idle-vol")
    using(daemon, "user", network="used-net", volume="used-vol")
    for kind, remove, lists in (
        ("net", RemoveNetwork, ListNetworks),
        ("vol", RemoveVolume, ListVolumes),
    ):
        refs = await listed(ground, lists)
        used, idle = refs[f"used-{kind}"], refs[f"idle-{kind}"]
        found = await users(ground, used)
        if found:
            assert found.keys() == {"user"} and found["user"].user == await ground.ref("user")
            assert not found["user"].running and not found["user"].forcible
            with pytest.raises(errors.Rejected):
                await ground.do(remove(engine=ground.runtime.ref, target=used))
        else:
            assert (await ground.do(remove(engine=ground.runtime.ref, target=used))).status == Status.DONE
        assert await users(ground, idle) == {}
        assert (await ground.do(remove(engine=ground.runtime.ref, target=idle))).status == Status.DONE
    assert "used-vol" in await listed(ground, ListVolumes)


@over(FindUsers, images.RemoveImage)
async def test_the_users_of_an_image_are_named(ground):
    ground.daemon.run("runs")
    ground.daemon.run("ended", "exit 0")
    ground.daemon.wait("ended")
    rows = (await ground.do(images.ListImages(engine=ground.runtime.ref))).rows
    image = next(row.ref for row in rows if any("busybox" in tag for tag in row.tags))
    found = {ground.plain(use.user): use for use in (await users(ground, image)).values()}
    assert "runs" in found and found["runs"].running
    assert not any(use.running for name, use in found.items() if name == "ended")
    with pytest.raises(errors.Rejected):
        await ground.do(images.RemoveImage(engine=ground.runtime.ref, target=image))
    forced = {ground.plain(use.user) for use in (await users(ground, image, force=True)).values()}
    assert forced in (set(), {"runs"})  # Docker takes only the name away
