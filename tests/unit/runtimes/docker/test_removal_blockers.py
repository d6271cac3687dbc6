"""Which containers and services keep something from being removed, in the answers of a Docker daemon."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core.model.refs import Kind, Ref
from core.model.removal_blockers import FindUsers
from tests.helpers.prepared_daemon import PreparedDaemon

NETWORK, OTHER = "1" * 64, "2" * 64
IMAGE = f"sha256:{'a' * 64}"


def container(name: str, **more: Any) -> dict[str, Any]:
    return {"Id": name * 8, "Names": [f"/{name}"], "State": "running", "ImageID": IMAGE, **more}


def endpoint(network: str, id_: str = "e" * 64) -> dict[str, Any]:
    return {"NetworkSettings": {"Networks": {"shop": {"NetworkID": network, "EndpointID": id_}}}}


async def users(daemon: PreparedDaemon, kind: Kind, *resources: tuple[str, str], force: bool = False) -> Any:
    refs = tuple(Ref(engine=daemon.engine.ref, kind=kind, id=id_, name=name) for id_, name in resources)
    found = await daemon.do(FindUsers(engine=daemon.engine.ref, resources=refs, force=force))
    return [(use.target.name, use.user.kind, use.user.name, use.forcible) for use in found.rows]


def say(daemon: PreparedDaemon, target: str, answer: Any) -> None:
    daemon.answers[target] = (200, json.dumps(answer).encode())


async def test_a_network_is_used_by_who_has_an_address_in_it_and_by_services(daemon: PreparedDaemon) -> None:
    say(daemon, "/info", {"ID": "x", "Name": "h", "Swarm": {"LocalNodeState": "active", "ControlAvailable": True}})
    say(
        daemon,
        "/containers/json",
        [container("web", **endpoint(NETWORK)), container("gone", **endpoint(NETWORK, "")), container("db")],
    )
    template = {"Networks": [{"Target": OTHER}]}
    say(daemon, "/services", [{"ID": "s1", "Spec": {"Name": "shop_api", "TaskTemplate": template}}, {"ID": "s2"}])
    found = await users(daemon, Kind.NETWORK, (NETWORK, "shop"), (OTHER, "back"))
    assert found == [("shop", "container", "web", False), ("back", "service", "shop_api", False)]


async def test_a_volume_is_used_by_its_name_and_not_by_a_bind_of_that_path(daemon: PreparedDaemon) -> None:
    bind = {"Type": "bind", "Source": "/data", "Destination": "data"}
    named = {"Type": "volume", "Name": "data"}
    say(daemon, "/containers/json", [container("web", Mounts=[named]), container("db", Mounts=[bind])])
    assert await users(daemon, Kind.VOLUME, ("data", "data")) == [("data", "container", "web", False)]


@pytest.mark.parametrize(
    ("name", "force", "tags", "expected"),
    [
        ("web:1", False, ["web:1"], ["old", "web"]),
        ("web:1", True, ["web:1"], []),  # the name is taken away
        ("web:1", False, ["web:1", "web:2"], []),
        ("", False, ["web:1", "web:2"], ["old", "web"]),
        ("", True, ["web:1"], ["web"]),
    ],
)
async def test_an_image_is_used_by_its_own_containers(
    daemon: PreparedDaemon, name: str, force: bool, tags: list[str], expected: list[str]
) -> None:
    """The filter of the daemon also selects containers of images that are built on this one."""
    say(daemon, f"/images/{IMAGE}/json", {"Id": IMAGE, "RepoTags": tags})
    built_on_it = container("child", ImageID=f"sha256:{'b' * 64}")
    say(daemon, "/containers/json", [container("web"), container("old", State="exited"), built_on_it])
    say(daemon, "/images/json", [])
    found = await users(daemon, Kind.IMAGE, (IMAGE, name), force=force)
    assert sorted(user for _, _, user, _ in found) == expected
    assert all(forcible == bool(name) for _, _, _, forcible in found)


@pytest.mark.parametrize("force", [False, True])
async def test_an_image_by_its_id_is_used_by_the_images_that_were_built_on_it(
    daemon: PreparedDaemon, force: bool
) -> None:
    say(daemon, f"/images/{IMAGE}/json", {"Id": IMAGE, "RepoTags": ["web:1"]})
    say(daemon, "/containers/json", [])
    child, unnamed, other = (f"sha256:{letter * 64}" for letter in "bcd")
    rows = [
        {"Id": child, "ParentId": IMAGE, "RepoTags": ["<none>:<none>", "web:debug"]},
        {"Id": unnamed, "ParentId": IMAGE, "RepoTags": None},
        {"Id": other, "ParentId": child, "RepoTags": ["other:1"]},
    ]
    say(daemon, "/images/json", rows)
    assert await users(daemon, Kind.IMAGE, (IMAGE, ""), force=force) == [
        ("", "image", "web:debug", False),
        ("", "image", "c" * 12, False),
    ]
    # By its name, Docker takes only the name away.
    assert await users(daemon, Kind.IMAGE, (IMAGE, "web:1"), force=force) == []
