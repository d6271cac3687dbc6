"""Tests that a container keeps the image name that it was created with, after the name means another image."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from core import errors
from core.model.containers import Container
from core.model.refs import EngineRef, Kind, Ref
from runtimes.docker.original_image_names import OriginalImageNames

ENGINE = EngineRef(host="h1", kind="docker")
ID = "sha256:" + "a" * 64


def row(name: str, image: str) -> Container:
    return Container(
        ref=Ref(engine=ENGINE, kind=Kind.CONTAINER, id=name * 64, name=name),
        image=image,
        image_id=ID,
        command="",
        state="running",
        status="",
        created_at=0,
        labels={},
    )


class Daemon:
    def __init__(self, **images: str) -> None:
        self.images = images
        self.asked: list[Sequence[str]] = []
        self.fails = False

    async def describe(self, ids: Sequence[str], seconds: float) -> dict[str, Container | None]:
        self.asked.append(ids)
        if self.fails:
            raise errors.TimedOut(sent=False)
        return {key: row(key[0], self.images[key[0]]) if key[0] in self.images else None for key in ids}


async def test_each_container_is_inspected_once() -> None:
    daemon = Daemon(b="shop/web:1", c=ID)
    names = OriginalImageNames(daemon.describe)
    listed = (row("a", "shop/db:1"), row("b", ID), row("c", ID), row("d", ID))
    for _ in range(3):
        found = await names.with_names(listed, 5)
        assert [one.image for one in found] == ["shop/db:1", "shop/web:1", ID, ID]
    # One that was gone is asked for again; one that was made from an id has no other name.
    assert [set(ids) for ids in daemon.asked] == [{"b" * 64, "c" * 64, "d" * 64}, {"d" * 64}, {"d" * 64}]
    await names.with_names((), 5)
    assert not names._names


async def test_a_daemon_that_does_not_answer_does_not_hide_the_list() -> None:
    daemon = Daemon(b="shop/web:1")
    daemon.fails = True
    names = OriginalImageNames(daemon.describe)
    assert (await names.with_names((row("b", ID),), 5))[0].image == ID
    daemon.fails = False
    assert await names.with_names((row("b", ID),), 5) == (msgspec.structs.replace(row("b", ID), image="shop/web:1"),)
