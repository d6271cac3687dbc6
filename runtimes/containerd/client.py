"""Sends requests to containerd: one method for each call of its gRPC services.

Arguments and results are messages of containerd's protocol. Every request carries the containerd namespace in its
metadata, except the requests about the daemon itself. `seconds` is the timeout of a request.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence

from google.protobuf import any_pb2, empty_pb2, field_mask_pb2

from core import errors
from core.model.refs import Ref
from core.name_matching import selection
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
from runtimes.transport import bounded_protobuf_decoder, grpc_channel

CONTAINERS = "/containerd.services.containers.v1.Containers/"
CONTENT = "/containerd.services.content.v1.Content/"
DAEMON = "/containerd.services.introspection.v1.Introspection/"
IMAGES = "/containerd.services.images.v1.Images/"
SNAPSHOTS = "/containerd.services.snapshots.v1.Snapshots/"
TASKS = "/containerd.services.tasks.v1.Tasks/"
RESOURCE_EXHAUSTED, FAILED_PRECONDITION = 8, 9  # gRPC status codes
MAX_BLOB_BYTES = 8 << 20  # manifests and configurations have a few kilobytes
MAX_SPEC_BYTES = 256 << 20  # of the specifications in one list; each has about 20 kilobytes

Container = containerd_containers_pb2.Container
Process = containerd_task_types_pb2.Process
Image = containerd_images_pb2.Image


class Client:
    """Sends requests to one containerd daemon over one gRPC channel."""

    def __init__(self, channel: grpc_channel.GrpcChannel) -> None:
        self.channel = channel

    async def _request(
        self,
        method: str,
        request: bounded_protobuf_decoder.ProtobufMessage,
        response: type[bounded_protobuf_decoder.M],
        seconds: float,
        namespace: str = "",
    ) -> bounded_protobuf_decoder.M:
        return await self.channel.call(
            method, request, response, seconds=seconds, metadata=namespace_metadata(namespace)
        )

    # ── the daemon ───────────────────────────────────────────────────────────────────────────────────────────────

    async def version(self, seconds: float) -> str:
        """Returns the version of the daemon."""
        method = "/containerd.services.version.v1.Version/Version"
        return (await self._request(method, empty_pb2.Empty(), containerd_version_pb2.VersionResponse, seconds)).version

    async def server(self, seconds: float) -> containerd_daemon_pb2.ServerResponse:
        return await self._request(f"{DAEMON}Server", empty_pb2.Empty(), containerd_daemon_pb2.ServerResponse, seconds)

    async def plugins(self, seconds: float) -> Sequence[containerd_daemon_pb2.Plugin]:
        request = containerd_daemon_pb2.PluginsRequest()
        return (
            await self._request(f"{DAEMON}Plugins", request, containerd_daemon_pb2.PluginsResponse, seconds)
        ).plugins

    async def namespaces(self, seconds: float) -> Sequence[containerd_namespaces_pb2.Namespace]:
        method = "/containerd.services.namespaces.v1.Namespaces/List"
        request = containerd_namespaces_pb2.ListNamespacesRequest()
        return (
            await self._request(method, request, containerd_namespaces_pb2.ListNamespacesResponse, seconds)
        ).namespaces

    def events(self) -> AsyncIterator[containerd_types_pb2.Envelope]:
        """Subscribes to the events of all namespaces. Events from before the call are not sent."""
        method = "/containerd.services.events.v1.Events/Subscribe"
        return self.channel.stream(method, containerd_subscribe_pb2.SubscribeRequest(), containerd_types_pb2.Envelope)

    # ── containers ───────────────────────────────────────────────────────────────────────────────────────────────

    async def containers(self, namespace: str, seconds: float) -> Sequence[containerd_containers_pb2.Container]:
        request = containerd_containers_pb2.ListContainersRequest()
        try:
            response = containerd_containers_pb2.ListContainersResponse
            return (await self._request(f"{CONTAINERS}List", request, response, seconds, namespace)).containers
        except errors.Rejected as error:
            if error.code != RESOURCE_EXHAUSTED:
                raise
        # The list is too large for one message, since each container includes its whole specification.
        messages = self.channel.stream(
            f"{CONTAINERS}ListStream",
            request,
            containerd_containers_pb2.ListContainerMessage,
            metadata=namespace_metadata(namespace),
            seconds=seconds,
        )
        found, size = [], 0
        async for message in messages:
            found.append(message.container)
            size += len(message.container.spec.value)
            if len(found) > bounded_protobuf_decoder.MAX_ROWS or size > MAX_SPEC_BYTES:
                raise errors.InvalidResponse(
                    f"{self.channel.engine} sent a list that is too large: it has more than"
                    f" {bounded_protobuf_decoder.MAX_ROWS:,} containers, or more than {MAX_SPEC_BYTES >> 20} MiB.",
                    hint=bounded_protobuf_decoder.HINT,
                )
        return found

    async def container(self, namespace: str, container_id: str, seconds: float) -> containerd_containers_pb2.Container:
        request = containerd_containers_pb2.GetContainerRequest(id=container_id)
        response = containerd_containers_pb2.GetContainerResponse
        return (await self._request(f"{CONTAINERS}Get", request, response, seconds, namespace)).container

    async def label_container(
        self, namespace: str, container_id: str, labels: Mapping[str, str], seconds: float
    ) -> None:
        """Sets these labels and leaves the other labels unchanged. An empty value removes a label."""
        request = containerd_containers_pb2.UpdateContainerRequest(
            container=containerd_containers_pb2.Container(id=container_id, labels=labels),
            update_mask=field_mask_pb2.FieldMask(paths=[f"labels.{label}" for label in labels]),
        )
        response = containerd_containers_pb2.UpdateContainerResponse
        await self._request(f"{CONTAINERS}Update", request, response, seconds, namespace)

    async def delete_container(self, namespace: str, container_id: str, seconds: float) -> None:
        request = containerd_containers_pb2.DeleteContainerRequest(id=container_id)
        await self._request(f"{CONTAINERS}Delete", request, empty_pb2.Empty, seconds, namespace)

    # ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def tasks(self, namespace: str, seconds: float) -> Mapping[str, containerd_task_types_pb2.Process]:
        """Returns all tasks of a namespace, by the id of their container."""
        request, response = containerd_tasks_pb2.ListTasksRequest(), containerd_tasks_pb2.ListTasksResponse
        found = (await self._request(f"{TASKS}List", request, response, seconds, namespace)).tasks
        # Versions differ in which of the two fields holds the container's id.
        return {task.container_id or task.id: task for task in found}

    async def task(self, namespace: str, container_id: str, seconds: float) -> containerd_task_types_pb2.Process | None:
        """Returns the task of a container, or None if it has no task."""
        request, response = containerd_tasks_pb2.GetRequest(container_id=container_id), containerd_tasks_pb2.GetResponse
        try:
            return (await self._request(f"{TASKS}Get", request, response, seconds, namespace)).process
        except errors.NotFound:
            return None

    async def create_task(
        self, namespace: str, request: containerd_tasks_pb2.CreateTaskRequest, seconds: float
    ) -> None:
        await self._request(f"{TASKS}Create", request, containerd_tasks_pb2.CreateTaskResponse, seconds, namespace)

    async def start(self, namespace: str, container_id: str, seconds: float, exec_id: str = "") -> None:
        request = containerd_tasks_pb2.StartRequest(container_id=container_id, exec_id=exec_id)
        await self._request(f"{TASKS}Start", request, containerd_tasks_pb2.StartResponse, seconds, namespace)

    async def kill(
        self,
        namespace: str,
        container_id: str,
        signal: int,
        seconds: float,
        *,
        exec_id: str = "",
        all_processes: bool = False,
    ) -> None:
        request = containerd_tasks_pb2.KillRequest(
            container_id=container_id, exec_id=exec_id, signal=signal, all=all_processes
        )
        await self._request(f"{TASKS}Kill", request, empty_pb2.Empty, seconds, namespace)

    async def wait(self, namespace: str, container_id: str, seconds: float, exec_id: str = "") -> int:
        """Waits until the process ends, and returns its exit code. Raises TimedOut."""
        request = containerd_tasks_pb2.WaitRequest(container_id=container_id, exec_id=exec_id)
        response = await self._request(f"{TASKS}Wait", request, containerd_tasks_pb2.WaitResponse, seconds, namespace)
        return response.exit_status

    async def pause(self, namespace: str, container_id: str, seconds: float) -> None:
        request = containerd_tasks_pb2.PauseTaskRequest(container_id=container_id)
        await self._request(f"{TASKS}Pause", request, empty_pb2.Empty, seconds, namespace)

    async def resume(self, namespace: str, container_id: str, seconds: float) -> None:
        request = containerd_tasks_pb2.ResumeTaskRequest(container_id=container_id)
        await self._request(f"{TASKS}Resume", request, empty_pb2.Empty, seconds, namespace)

    async def update(self, namespace: str, container_id: str, resources: any_pb2.Any, seconds: float) -> None:
        request = containerd_tasks_pb2.UpdateTaskRequest(container_id=container_id, resources=resources)
        await self._request(f"{TASKS}Update", request, empty_pb2.Empty, seconds, namespace)

    async def delete_task(self, namespace: str, container_id: str, seconds: float) -> None:
        request = containerd_tasks_pb2.DeleteTaskRequest(container_id=container_id)
        await self._request(f"{TASKS}Delete", request, containerd_tasks_pb2.DeleteResponse, seconds, namespace)

    async def create_exec(
        self,
        namespace: str,
        container_id: str,
        exec_id: str,
        process: any_pb2.Any,
        seconds: float,
        *,
        out: str,
        err: str,
    ) -> None:
        request = containerd_tasks_pb2.ExecProcessRequest(
            container_id=container_id, exec_id=exec_id, spec=process, stdout=out, stderr=err
        )
        await self._request(f"{TASKS}Exec", request, empty_pb2.Empty, seconds, namespace)

    async def delete_exec(self, namespace: str, container_id: str, exec_id: str, seconds: float) -> None:
        request = containerd_tasks_pb2.DeleteProcessRequest(container_id=container_id, exec_id=exec_id)
        await self._request(f"{TASKS}DeleteProcess", request, containerd_tasks_pb2.DeleteResponse, seconds, namespace)

    async def metrics(self, namespace: str, seconds: float) -> Sequence[containerd_types_pb2.Metric]:
        request, response = containerd_tasks_pb2.MetricsRequest(), containerd_tasks_pb2.MetricsResponse
        return (await self._request(f"{TASKS}Metrics", request, response, seconds, namespace)).metrics

    # ── snapshots ────────────────────────────────────────────────────────────────────────────────────────────────

    async def mounts(
        self, namespace: str, snapshotter: str, key: str, seconds: float
    ) -> Sequence[containerd_types_pb2.Mount]:
        request = containerd_snapshots_pb2.MountsRequest(snapshotter=snapshotter, key=key)
        response = containerd_snapshots_pb2.MountsResponse
        return (await self._request(f"{SNAPSHOTS}Mounts", request, response, seconds, namespace)).mounts

    async def remove_snapshot(self, namespace: str, snapshotter: str, key: str, seconds: float) -> None:
        request = containerd_snapshots_pb2.RemoveSnapshotRequest(snapshotter=snapshotter, key=key)
        await self._request(f"{SNAPSHOTS}Remove", request, empty_pb2.Empty, seconds, namespace)

    # ── images ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def images(self, namespace: str, seconds: float) -> Sequence[containerd_images_pb2.Image]:
        request, response = containerd_images_pb2.ListImagesRequest(), containerd_images_pb2.ListImagesResponse
        return (await self._request(f"{IMAGES}List", request, response, seconds, namespace)).images

    async def set_image_name(self, namespace: str, image: containerd_images_pb2.Image, seconds: float) -> None:
        """Creates an image name. If the name exists, it then points to this image."""
        try:
            create = containerd_images_pb2.CreateImageRequest(image=image)
            await self._request(
                f"{IMAGES}Create", create, containerd_images_pb2.CreateImageResponse, seconds, namespace
            )
        except errors.Rejected as error:
            if error.code != grpc_channel.library().StatusCode.ALREADY_EXISTS.value[0]:
                raise
            update = containerd_images_pb2.UpdateImageRequest(image=image)
            await self._request(
                f"{IMAGES}Update", update, containerd_images_pb2.UpdateImageResponse, seconds, namespace
            )

    async def delete_image(self, namespace: str, name: str, seconds: float) -> None:
        request = containerd_images_pb2.DeleteImageRequest(name=name, sync=True)
        await self._request(f"{IMAGES}Delete", request, empty_pb2.Empty, seconds, namespace)

    async def blob(self, namespace: str, digest: str, seconds: float) -> bytes:
        """Reads a blob from the content store. Raises NotFound, and InvalidResponse for more than `MAX_BLOB_BYTES`."""
        request = containerd_content_pb2.ReadContentRequest(digest=digest)
        parts: list[bytes] = []
        messages = self.channel.stream(
            f"{CONTENT}Read",
            request,
            containerd_content_pb2.ReadContentResponse,
            metadata=namespace_metadata(namespace),
            seconds=seconds,
        )
        async for part in messages:
            parts.append(part.data)
            if sum(map(len, parts)) > MAX_BLOB_BYTES:
                raise errors.InvalidResponse(
                    f"{self.channel.engine} sent a file of an image, {digest[:19]}, of more than"
                    f" {MAX_BLOB_BYTES >> 20} MiB. It cannot be a manifest or a configuration.",
                    hint="Remove the image and pull it again.",
                )
        return b"".join(parts)


def namespace_metadata(namespace: str) -> grpc_channel.Metadata:
    """Returns the gRPC metadata that names the containerd namespace of a request."""
    return (("containerd-namespace", namespace),) if namespace else ()


def gone(target: Ref) -> errors.NotFound:
    """Returns the error for a target that does not exist any more."""
    return errors.NotFound(
        f"{target.engine} has no {target.kind} {target.name}.",
        hint=selection.list_hint(target.kind),
    )
