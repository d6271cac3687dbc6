"""Tests that a prune of Docker removes nothing that a container may use which cannot be decoded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core import errors
from core.model.images import RemoveImage
from core.model.prune import FindUnused
from core.model.refs import Kind, Ref
from tests.helpers.prepared_daemon import PreparedDaemon

USER = {"Id": "c" * 64, "Names": ["/web"], "State": "running", "Mounts": [{"Name": "data"}], "ImageID": "sha256:1"}
ID = "a" * 64
DIGEST = f"sha256:{'d' * 64}"


def say(daemon: PreparedDaemon, target: str, answer: Any) -> None:
    daemon.answers[target] = (200, json.dumps(answer).encode())


@pytest.fixture
def lists(daemon: PreparedDaemon) -> PreparedDaemon:
    """A daemon with one volume and one image, and a container that runs."""
    say(daemon, "/containers/json", [USER])
    say(daemon, "/networks", [])
    say(daemon, "/system/df", {})
    say(daemon, "/volumes", {"Volumes": [{"Name": "data", "Driver": "local"}, {"Name": "free", "Driver": "local"}]})
    say(daemon, "/images/json", [{"Id": "sha256:1", "RepoTags": ["web:1"]}, {"Id": "sha256:2", "RepoTags": ["old:1"]}])
    return daemon


async def unused(daemon: PreparedDaemon) -> list[str]:
    found = await daemon.do(FindUnused(engine=daemon.engine.ref))
    return [one.ref.name for one in found.rows]


async def test_what_a_running_container_uses_is_not_unused(lists: PreparedDaemon) -> None:
    assert await unused(lists) == ["free", "old:1"]


@pytest.mark.parametrize(
    ("target", "answer"),
    [
        ("/containers/json", [{**USER, "Command": "x" * (1 << 20)}]),
        ("/containers/json", [USER, {"Names": ["/without an id"]}]),
        ("/containers/json", [{**USER, "Mounts": "none"}]),
        ("/volumes", {"Volumes": [{"Name": "data", "Driver": "local", "Labels": 3}]}),
        ("/images/json", [{"Id": "sha256:2", "RepoTags": 3}]),
    ],
)
async def test_a_list_that_cannot_be_decoded_as_a_whole_shows_nothing_unused(
    lists: PreparedDaemon, target: str, answer: Any
) -> None:
    say(lists, target, answer)
    with pytest.raises(errors.InvalidResponse, match="cannot tell which resources are unused") as caught:
        await unused(lists)
    assert caught.value.sent is False


@pytest.mark.parametrize(
    ("tags", "digests", "users", "force"),
    [
        (["old:1"], [], [], 0),
        (None, ["old@" + DIGEST], [], 0),
        (["old:1"], ["old@" + DIGEST], [], 0),
        (["old:1", "old:2"], [], [], 1),
        (["old:1"], ["new@" + DIGEST], [], 1),
        (["old:1", "old:2"], [], [USER], 0),
        (["old:1", "old:2"], [], [{"Names": ["/without an id"]}], 0),
    ],
)
async def test_docker_forces_the_removal_of_an_image_with_several_names_alone(
    daemon: PreparedDaemon, tags: list[str] | None, digests: list[str], users: list[Any], force: int
) -> None:
    """With force, Docker removes an image that stopped containers use."""
    say(daemon, f"/images/sha256:{ID}/json", {"Id": f"sha256:{ID}", "RepoTags": tags, "RepoDigests": digests})
    say(daemon, "/containers/json", users)
    say(daemon, f"/images/sha256%3A{ID}?", [{"Deleted": f"sha256:{ID}"}])
    target = Ref(engine=daemon.engine.ref, kind=Kind.IMAGE, id=f"sha256:{ID}", name=ID[:12])
    await daemon.do(RemoveImage(engine=daemon.engine.ref, target=target))
    assert daemon.asked[-1].endswith(f"?force={force}")
