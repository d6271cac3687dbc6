"""How a failed pull is told, as Podman 5 and Podman 6 report it, and how an image is removed with all its names."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core import errors
from core.model import prune
from core.model.background_jobs import ReadJob
from core.model.images import PullImage, RemoveImage
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.podman.engine import Podman
from tests.helpers.prepared_daemon import PreparedDaemon, prepared_daemon

NAME = "127.0.0.1:5000/shop/nope:1"
REASON = f"initializing source docker://{NAME}: reading manifest 1 in 127.0.0.1:5000/shop/nope: manifest unknown"
INFO = {"host": {"hostname": "host7", "security": {"rootless": False}}, "store": {"graphRoot": "/r"}}


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[PreparedDaemon]:
    async with prepared_daemon(Podman, tmp_path / "p.sock", Libpod_API_Version="6.1.0") as made:
        made.answers["/info"] = (200, json.dumps({**INFO, "version": {"Version": "6.1.0"}}).encode())
        yield made


async def pulled(daemon: PreparedDaemon) -> Outcome:
    started = await daemon.do(PullImage(engine=daemon.engine.ref, image=NAME, timeout=10))
    async with asyncio.timeout(60):
        while True:
            page = await daemon.do(ReadJob(engine=daemon.engine.ref, job=started.job, cursor="", wait=1.0))
            if page.outcome is not None:
                found: Outcome = page.outcome
                return found


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, json.dumps({"error": REASON}).encode() + b"\n"),
        (200, json.dumps({"error": REASON}).encode()),  # without the last newline
        (404, json.dumps({"cause": "manifest unknown", "message": REASON, "response": 404}).encode()),
        (500, json.dumps({"cause": "manifest unknown", "message": REASON, "response": 500}).encode()),
    ],
)
async def test_a_failed_pull_is_told_in_the_registrys_words(daemon: PreparedDaemon, status: int, body: bytes) -> None:
    daemon.answers["/images/pull"] = (status, body)
    outcome = await pulled(daemon)
    assert (outcome.status, outcome.detail) == (Status.FAILED, "manifest unknown. Check the spelling of the tag.")


async def test_a_registry_that_wants_a_login_says_so(daemon: PreparedDaemon) -> None:
    reason = f"initializing source docker://{NAME}: reading manifest 1 in 127.0.0.1:5000/shop/nope: unauthorized"
    daemon.answers["/images/pull"] = (401, json.dumps({"message": reason}).encode())
    outcome = await pulled(daemon)
    assert outcome.status == Status.FAILED
    assert outcome.detail.startswith("unauthorized. Log in on Quarterdeck's host, as the user")


ID, OTHER = "a" * 64, "b" * 64
TAGS, DIGEST = ["localhost/web:1", "127.0.0.1:5000/web:2"], f"localhost/web@sha256:{'d' * 64}"


def say(daemon: PreparedDaemon, target: str, answer: Any, status: int = 200) -> None:
    daemon.answers[target] = (status, json.dumps(answer).encode())


@pytest.fixture
def image(daemon: PreparedDaemon) -> PreparedDaemon:
    """A service with one image, which was pulled by its digest and has two tags."""
    say(daemon, f"/images/{ID}/json", {"Id": ID, "RepoTags": TAGS})
    say(daemon, "/images/json", [{"Id": OTHER}, {"Id": ID, "RepoTags": TAGS, "Names": [*TAGS, DIGEST]}])
    say(daemon, "/containers/json", [{"Id": "c1", "Names": ["other"], "ImageID": OTHER, "State": "running"}])
    say(daemon, f"/images/{ID}/untag", "")
    say(daemon, f"/images/{ID}?force=false", {"Deleted": [ID]})
    return daemon


async def removed(daemon: PreparedDaemon) -> Outcome:
    target = Ref(engine=daemon.engine.ref, kind=Kind.IMAGE, id=ID, name=ID[:12])
    found: Outcome = await daemon.do(RemoveImage(engine=daemon.engine.ref, target=target))
    return found


def untagged(daemon: PreparedDaemon) -> list[str]:
    asked = (urllib.parse.urlsplit(one) for one in daemon.asked)
    found = (dict(urllib.parse.parse_qsl(one.query)) for one in asked if one.path.endswith("/untag"))
    return [f"{one['repo']}:{one['tag']}" for one in found]


async def test_an_image_is_removed_with_its_tags_and_its_digest(image: PreparedDaemon) -> None:
    outcome = await removed(image)
    assert (outcome.status, outcome.detail) == (Status.DONE, "the image is gone")
    assert untagged(image) == [TAGS[1], DIGEST]


@pytest.mark.parametrize(
    "row",
    [
        {"Id": "c1", "Names": ["web"], "ImageID": ID, "State": "exited"},
        {"Id": "c1", "Names": ["buildah-working-container"], "ImageID": ID, "State": "storage"},
    ],
)
async def test_an_image_that_is_used_keeps_its_names(image: PreparedDaemon, row: dict[str, Any]) -> None:
    say(image, "/containers/json", [row])
    with pytest.raises(errors.Rejected, match=f"is used by {row['Names'][0]}"):
        await removed(image)
    assert not untagged(image)
    assert any("external=true" in one for one in image.asked)


async def test_a_user_that_cannot_be_decoded_may_use_the_image(image: PreparedDaemon) -> None:
    say(image, "/containers/json", [3])
    with pytest.raises(errors.InvalidResponse, match="one of them may use the image") as caught:
        await removed(image)
    assert caught.value.sent is False and not untagged(image)


async def test_a_refusal_after_names_were_taken_away_says_which(image: PreparedDaemon) -> None:
    say(image, f"/images/{ID}?force=false", {"message": "image is in use by a container"}, 409)
    with pytest.raises(errors.EngineError) as caught:
        await removed(image)
    assert caught.value.sent
    assert f"({TAGS[1]}, {DIGEST})" in caught.value.message and "in use by a container" in caught.value.message
    # An answer that is lost by then leaves a change behind, too.
    image.answers[f"/images/{ID}?force=false"] = (200, b'{"Errors": ["no space left on device"]}')
    with pytest.raises(errors.EngineError, match="no space left") as caught:
        await removed(image)
    assert caught.value.sent


async def test_a_name_or_an_image_that_somebody_else_took_away_meanwhile_is_no_error(image: PreparedDaemon) -> None:
    say(image, f"/images/{ID}?force=false", {"message": "no such image"}, 404)
    assert (await removed(image)).detail == "the image is gone"
    say(image, f"/images/{ID}/untag", {"message": "tag not known"}, 500)
    with pytest.raises(errors.Rejected, match="tag not known"):
        await removed(image)  # it still has the name
    say(image, f"/images/{ID}?force=false", {"Deleted": [ID]})
    whole = [{"Id": ID, "RepoTags": TAGS, "Names": TAGS}]
    gone = [{"Id": ID, "RepoTags": TAGS[:1], "Names": TAGS[:1]}]
    answered = iter([whole, gone])

    class Lists(dict[str, tuple[int, bytes]]):
        def get(self, key: str, default: Any = None) -> Any:
            if key == "/images/json":
                return 200, json.dumps(next(answered)).encode()
            return super().get(key, default)

    say(image, f"/images/{ID}/json", {"Id": ID, "RepoTags": TAGS[:1]})
    image.answers = Lists(image.answers)
    assert (await removed(image)).detail == "the image is gone"


async def test_an_image_that_was_pulled_by_its_digest_is_not_without_a_name(image: PreparedDaemon) -> None:
    say(image, "/system/df", {})
    say(image, "/networks/json", [])
    say(image, "/volumes/json", [])
    say(image, "/images/json", [{"Id": ID, "Names": [DIGEST]}, {"Id": OTHER}, {"Id": "c" * 64}])
    found = await image.do(prune.FindUnused(engine=image.engine.ref))
    assert [one.ref.id for one in prune.choose(found.rows, (Kind.IMAGE,))] == ["c" * 64]
    every = prune.choose(found.rows, (Kind.IMAGE,), everything=(Kind.IMAGE,))
    assert [(one.ref.name, one.names) for one in every if one.ref.id == ID] == [(ID[:12], (DIGEST,))]
