"""containerd's services, call by call: arguments in, messages of its protocol out. Nothing is understood here.

Every call but the daemon's own names its namespace, which travels beside it. `seconds` is each call's deadline.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from typing import TypeVar

from google.protobuf import any_pb2, empty_pb2, field_mask_pb2

from core import errors
from runtimes.proto import (
    containerd_containers_pb2,
    containerd_content_pb2,
    containerd_daemon_pb2,
    containerd_images_pb2,
    containerd_namespaces_pb2,
    containerd_snapshots_pb2,
    containerd_subscribe_pb2,
    containerd_task_types_pb2,
    containerd_tasks_pb2,
    containerd_types_pb2,
    containerd_version_pb2,
)
from runtimes.transport import grpc_channel

R = TypeVar("R")
AT_ONCE = 8
CONTAINERS = "/containerd.services.containers.v1.Containers/"
CONTENT = "/containerd.services.content.v1.Content/"
DAEMON = "/containerd.services.introspection.v1.Introspection/"
IMAGES = "/containerd.services.images.v1.Images/"
SNAPSHOTS = "/containerd.services.snapshots.v1.Snapshots/"
TASKS = "/containerd.services.tasks.v1.Tasks/"
RESOURCE_EXHAUSTED = 8
LARGEST_BLOB = 8 << 20  # of manifests and configurations, which are a few kilobytes

Container = containerd_containers_pb2.Container
Process = containerd_task_types_pb2.Process
Image = containerd_images_pb2.Image


class Calls:
    def __init__(self, line: grpc_channel.GrpcChannel) -> None:
        self.line = line

    async def _ask(
        self, method: str, request: grpc_channel.Message, answer: type[grpc_channel.M], seconds: float, space: str = ""
    ) -> grpc_channel.M:
        return await self.line.call(method, request, answer, seconds=seconds, metadata=within(space))

    # ── the daemon ───────────────────────────────────────────────────────────────────────────────────────────────

    async def version(self, seconds: float) -> str:
        method = "/containerd.services.version.v1.Version/Version"
        return (await self._ask(method, empty_pb2.Empty(), containerd_version_pb2.VersionResponse, seconds)).version

    async def server(self, seconds: float) -> containerd_daemon_pb2.ServerResponse:
        return await self._ask(f"{DAEMON}Server", empty_pb2.Empty(), containerd_daemon_pb2.ServerResponse, seconds)

    async def plugins(self, seconds: float) -> Sequence[containerd_daemon_pb2.Plugin]:
        request = containerd_daemon_pb2.PluginsRequest()
        return (await self._ask(f"{DAEMON}Plugins", request, containerd_daemon_pb2.PluginsResponse, seconds)).plugins

    async def namespaces(self, seconds: float) -> Sequence[containerd_namespaces_pb2.Namespace]:
        method = "/containerd.services.namespaces.v1.Namespaces/List"
        request = containerd_namespaces_pb2.ListNamespacesRequest()
        return (await self._ask(method, request, containerd_namespaces_pb2.ListNamespacesResponse, seconds)).namespaces

    def events(self) -> AsyncIterator[containerd_types_pb2.Envelope]:
        """Of every namespace, from now on."""
        method = "/containerd.services.events.v1.Events/Subscribe"
        return self.line.stream(method, containerd_subscribe_pb2.SubscribeRequest(), containerd_types_pb2.Envelope)

    # ── containers ───────────────────────────────────────────────────────────────────────────────────────────────

    async def containers(self, space: str, seconds: float) -> Sequence[containerd_containers_pb2.Container]:
        request = containerd_containers_pb2.ListContainersRequest()
        try:
            answer = containerd_containers_pb2.ListContainersResponse
            return (await self._ask(f"{CONTAINERS}List", request, answer, seconds, space)).containers
        except errors.Rejected as error:
            if error.code != RESOURCE_EXHAUSTED:
                raise
        # Too many for one message, since each brings its whole specification: one by one.
        told = self.line.stream(
            f"{CONTAINERS}ListStream",
            request,
            containerd_containers_pb2.ListContainerMessage,
            metadata=within(space),
            seconds=seconds,
        )
        return [message.container async for message in told]

    async def container(self, space: str, name: str, seconds: float) -> containerd_containers_pb2.Container:
        request = containerd_containers_pb2.GetContainerRequest(id=name)
        answer = containerd_containers_pb2.GetContainerResponse
        return (await self._ask(f"{CONTAINERS}Get", request, answer, seconds, space)).container

    async def label_container(self, space: str, name: str, labels: Mapping[str, str], seconds: float) -> None:
        """Sets these labels; an empty value takes one away. The others stay."""
        request = containerd_containers_pb2.UpdateContainerRequest(
            container=containerd_containers_pb2.Container(id=name, labels=labels),
            update_mask=field_mask_pb2.FieldMask(paths=[f"labels.{label}" for label in labels]),
        )
        answer = containerd_containers_pb2.UpdateContainerResponse
        await self._ask(f"{CONTAINERS}Update", request, answer, seconds, space)

    async def delete_container(self, space: str, name: str, seconds: float) -> None:
        request = containerd_containers_pb2.DeleteContainerRequest(id=name)
        await self._ask(f"{CONTAINERS}Delete", request, empty_pb2.Empty, seconds, space)

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def tasks(self, space: str, seconds: float) -> Mapping[str, containerd_task_types_pb2.Process]:
        """By the container's id."""
        request, answer = containerd_tasks_pb2.ListTasksRequest(), containerd_tasks_pb2.ListTasksResponse
        found = (await self._ask(f"{TASKS}List", request, answer, seconds, space)).tasks
        # Which of the two ids names the container differs between versions.
        return {task.container_id or task.id: task for task in found}

    async def task(self, space: str, name: str, seconds: float) -> containerd_task_types_pb2.Process | None:
        """None where the container has none."""
        request, answer = containerd_tasks_pb2.GetRequest(container_id=name), containerd_tasks_pb2.GetResponse
        try:
            return (await self._ask(f"{TASKS}Get", request, answer, seconds, space)).process
        except errors.NotFound:
            return None

    async def create_task(self, space: str, request: containerd_tasks_pb2.CreateTaskRequest, seconds: float) -> None:
        await self._ask(f"{TASKS}Create", request, containerd_tasks_pb2.CreateTaskResponse, seconds, space)

    async def start(self, space: str, name: str, seconds: float, execution: str = "") -> None:
        request = containerd_tasks_pb2.StartRequest(container_id=name, exec_id=execution)
        await self._ask(f"{TASKS}Start", request, containerd_tasks_pb2.StartResponse, seconds, space)

    async def kill(
        self, space: str, name: str, signal: int, seconds: float, *, execution: str = "", everyone: bool = False
    ) -> None:
        request = containerd_tasks_pb2.KillRequest(container_id=name, exec_id=execution, signal=signal, all=everyone)
        await self._ask(f"{TASKS}Kill", request, empty_pb2.Empty, seconds, space)

    async def wait(self, space: str, name: str, seconds: float, execution: str = "") -> int:
        """Its exit code, once it has ended. Raises TimedOut."""
        request = containerd_tasks_pb2.WaitRequest(container_id=name, exec_id=execution)
        answer = await self._ask(f"{TASKS}Wait", request, containerd_tasks_pb2.WaitResponse, seconds, space)
        return answer.exit_status

    async def pause(self, space: str, name: str, seconds: float) -> None:
        request = containerd_tasks_pb2.PauseTaskRequest(container_id=name)
        await self._ask(f"{TASKS}Pause", request, empty_pb2.Empty, seconds, space)

    async def resume(self, space: str, name: str, seconds: float) -> None:
        request = containerd_tasks_pb2.ResumeTaskRequest(container_id=name)
        await self._ask(f"{TASKS}Resume", request, empty_pb2.Empty, seconds, space)

    async def delete_task(self, space: str, name: str, seconds: float) -> None:
        request = containerd_tasks_pb2.DeleteTaskRequest(container_id=name)
        await self._ask(f"{TASKS}Delete", request, containerd_tasks_pb2.DeleteResponse, seconds, space)

    async def execute(
        self, space: str, name: str, execution: str, process: any_pb2.Any, seconds: float, *, out: str, err: str
    ) -> None:
        request = containerd_tasks_pb2.ExecProcessRequest(
            container_id=name, exec_id=execution, spec=process, stdout=out, stderr=err
        )
        await self._ask(f"{TASKS}Exec", request, empty_pb2.Empty, seconds, space)

    async def delete_execution(self, space: str, name: str, execution: str, seconds: float) -> None:
        request = containerd_tasks_pb2.DeleteProcessRequest(container_id=name, exec_id=execution)
        await self._ask(f"{TASKS}DeleteProcess", request, containerd_tasks_pb2.DeleteResponse, seconds, space)

    async def metrics(self, space: str, seconds: float) -> Sequence[containerd_types_pb2.Metric]:
        request, answer = containerd_tasks_pb2.MetricsRequest(), containerd_tasks_pb2.MetricsResponse
        return (await self._ask(f"{TASKS}Metrics", request, answer, seconds, space)).metrics

    # ── snapshots ────────────────────────────────────────────────────────────────────────────────────────────────

    async def mounts(
        self, space: str, snapshotter: str, key: str, seconds: float
    ) -> Sequence[containerd_types_pb2.Mount]:
        request = containerd_snapshots_pb2.MountsRequest(snapshotter=snapshotter, key=key)
        answer = containerd_snapshots_pb2.MountsResponse
        return (await self._ask(f"{SNAPSHOTS}Mounts", request, answer, seconds, space)).mounts

    async def remove_snapshot(self, space: str, snapshotter: str, key: str, seconds: float) -> None:
        request = containerd_snapshots_pb2.RemoveSnapshotRequest(snapshotter=snapshotter, key=key)
        await self._ask(f"{SNAPSHOTS}Remove", request, empty_pb2.Empty, seconds, space)

    # ── images ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def images(self, space: str, seconds: float) -> Sequence[containerd_images_pb2.Image]:
        request, answer = containerd_images_pb2.ListImagesRequest(), containerd_images_pb2.ListImagesResponse
        return (await self._ask(f"{IMAGES}List", request, answer, seconds, space)).images

    async def name_image(self, space: str, image: containerd_images_pb2.Image, seconds: float) -> None:
        """A name that is there already names this image from now on."""
        try:
            made = containerd_images_pb2.CreateImageRequest(image=image)
            await self._ask(f"{IMAGES}Create", made, containerd_images_pb2.CreateImageResponse, seconds, space)
        except errors.Rejected as error:
            if error.code != grpc_channel.library().StatusCode.ALREADY_EXISTS.value[0]:
                raise
            moved = containerd_images_pb2.UpdateImageRequest(image=image)
            await self._ask(f"{IMAGES}Update", moved, containerd_images_pb2.UpdateImageResponse, seconds, space)

    async def delete_image(self, space: str, name: str, seconds: float) -> None:
        request = containerd_images_pb2.DeleteImageRequest(name=name, sync=True)
        await self._ask(f"{IMAGES}Delete", request, empty_pb2.Empty, seconds, space)

    async def blob(self, space: str, digest: str, seconds: float) -> bytes:
        """Of the content store. Raises NotFound, and InvalidResponse for one too large to be a manifest or
        configuration."""
        request = containerd_content_pb2.ReadContentRequest(digest=digest)
        parts: list[bytes] = []
        told = self.line.stream(
            f"{CONTENT}Read",
            request,
            containerd_content_pb2.ReadContentResponse,
            metadata=within(space),
            seconds=seconds,
        )
        async for part in told:
            parts.append(part.data)
            if sum(map(len, parts)) > LARGEST_BLOB:
                raise errors.InvalidResponse(f"{digest[:19]} is too large to be an image's description.")
        return b"".join(parts)


def within(space: str) -> grpc_channel.Metadata:
    return (("containerd-namespace", space),) if space else ()


async def few_at_once(*asked: Awaitable[R]) -> list[R]:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(asking: Awaitable[R]) -> R:
        async with gate:
            return await asking

    return await asyncio.gather(*(one(asking) for asking in asked))
