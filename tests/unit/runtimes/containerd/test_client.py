"""containerd's client: lists that are too large for one message, and images that many containers use."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from core import errors
from core.model.refs import EngineRef
from runtimes.containerd import client, image_reader
from runtimes.proto import containerd_containers_pb2, containerd_images_pb2, containerd_types_pb2
from runtimes.transport import bounded_protobuf_decoder

Container = containerd_containers_pb2.Container


class Channel:
    """Answers that the list is too large, and then streams it."""

    engine = "containerd@here"

    def __init__(self, containers: list[Any]) -> None:
        self.containers, self.taken = containers, 0

    async def call(self, *args: Any, **kwargs: Any) -> Any:
        raise errors.Rejected(client.RESOURCE_EXHAUSTED, "message larger than max")

    async def stream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        while True:
            for container in self.containers:
                self.taken += 1
                yield containerd_containers_pb2.ListContainerMessage(container=container)
            if len(self.containers) != 1:
                return


async def test_a_streamed_list_is_read_whole() -> None:
    channel = Channel([Container(id=f"c{number}") for number in range(3)])
    found = await client.Client(channel).containers("default", 5.0)  # type: ignore[arg-type]
    assert [container.id for container in found] == ["c0", "c1", "c2"]


@pytest.mark.parametrize("size", [0, 60 << 20])
async def test_a_streamed_list_without_end_is_rejected(size: int) -> None:
    container = Container(id="c")
    container.spec.value = bytes(size)
    channel = Channel([container])
    with pytest.raises(
        errors.InvalidResponse,
        match="containerd@here sent a list that is too large: it has more than 10,000 containers",
    ):
        await client.Client(channel).containers("default", 5.0)  # type: ignore[arg-type]
    assert channel.taken == (bounded_protobuf_decoder.MAX_ROWS + 1 if not size else 5)


async def test_each_image_counts_its_containers_by_any_of_its_names() -> None:
    def image(name: str, digest: str) -> Any:
        return containerd_images_pb2.Image(name=name, target=containerd_types_pb2.Descriptor(digest=digest))

    class Calls:
        async def images(self, namespace: str, seconds: float) -> list[Any]:
            return [image("web:1", "sha256:a"), image("web:2", "sha256:a"), image("db:1", "sha256:b")]

        async def containers(self, namespace: str, seconds: float) -> list[Any]:
            return [
                Container(id=str(number), image=name) for number, name in enumerate(("web:1", "web:2", "web:1", ""))
            ]

        async def blob(self, namespace: str, digest: str, seconds: float) -> bytes:
            raise errors.NotFound("no blob")

    reader = image_reader.ImageReader(Calls(), EngineRef(host="here", kind="containerd"))  # type: ignore[arg-type]
    rows = await reader.rows("default", 5.0)
    assert {row.ref.id: row.containers for row in rows} == {"default/sha256:a": 3, "default/sha256:b": 0}
