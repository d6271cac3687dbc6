"""Pulls an image with containerd's transfer service, and reports the progress to a job.

Only containerd 1.7 and newer can pull images by itself. With an older containerd, a client such as nerdctl must pull.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any

from google.protobuf import any_pb2, empty_pb2
from google.protobuf.message import DecodeError

from core import errors, tasks
from core.model.results import Outcome
from runtimes.base.jobs import Job
from runtimes.base.multi_request_change import MultiRequestChange
from runtimes.base.registry_auth import RegistryLogins
from runtimes.containerd import client, decode_info, image_names, pull_login
from runtimes.containerd.image_reader import architecture
from runtimes.containerd.pull_login import STREAM, packed
from runtimes.formats import pull_push_errors
from runtimes.proto import (
    containerd_daemon_pb2,
    containerd_streaming_pb2,
    containerd_transfer_pb2,
    containerd_transfer_types_pb2,
    containerd_types_pb2,
)

MAX_PARTS = 2000  # whose progress is added up
NAMESPACE = "default"  # images are pulled into it
TRANSFER = "/containerd.services.transfer.v1.Transfer/Transfer"
REGISTRY_CONFIG = "/etc/containerd/certs.d"
NOT_SUPPORTED = (
    "Only containerd 1.7 and newer can pull images. With an older one, use nerdctl pull, ctr images pull, or the"
    " kubelet (through CRI)."
)


async def make_pull_job(
    calls: client.Client, logins: RegistryLogins, engine: str, name: str, seconds: float
) -> Callable[[Job, float], Awaitable[Outcome]]:
    """Checks that the daemon can pull images, and returns the job that pulls this one. Raises Unsupported if the daemon
    cannot pull images, and BadUsage for an invalid name."""
    asked, name = name, image_names.expand_image_name(name)
    plugins = await calls.plugins(seconds)
    if not is_supported(plugins):
        raise errors.Unsupported("image.pull", engine, NOT_SUPPORTED)
    snapshotter = decode_info.snapshotter(plugins)
    return lambda job, timeout: _pull(calls, logins, job, timeout, asked=asked, name=name, snapshotter=snapshotter)


def is_supported(plugins: Iterable[containerd_daemon_pb2.Plugin]) -> bool:
    """Returns whether the daemon can pull images."""
    return any(plugin.type == "io.containerd.grpc.v1" and plugin.id == "transfer" for plugin in plugins)


async def _pull(
    calls: client.Client, logins: RegistryLogins, job: Job, timeout: float, *, asked: str, name: str, snapshotter: str
) -> Outcome:
    """`asked`: the image's name as it was written; `name`: its full name."""
    steps = MultiRequestChange(timeout)
    found = await logins.find(name)
    platform = containerd_types_pb2.Platform(os="linux", architecture=architecture())
    resolver = containerd_transfer_types_pb2.RegistryResolver(host_dir=REGISTRY_CONFIG)
    if image_names.is_loopback_registry(name):
        resolver.default_scheme = "http"  # Docker and nerdctl use HTTP for a registry on this machine too
    stream_id, auth_stream_id = f"quarterdeck-{job.id}", f"quarterdeck-{job.id}-auth"
    if found.login is not None:
        resolver.auth_stream = auth_stream_id
    source = containerd_transfer_types_pb2.OCIRegistry(reference=name, resolver=resolver)
    store = containerd_transfer_types_pb2.ImageStore(name=name, platforms=[platform])
    store.unpacks.add(platform=platform, snapshotter=snapshotter)
    request = containerd_transfer_pb2.TransferRequest(source=packed(source), destination=packed(store))
    request.options.progress_stream = stream_id
    before = await _digest(calls, name)
    streams = [_open_stream(lambda opened: _report_progress(calls, stream_id, job, timeout, opened))]
    if (login := found.login) is not None:
        streams.append(
            _open_stream(
                lambda opened: pull_login.answer_login_requests(
                    calls, opened, login, stream_id=auth_stream_id, namespace=NAMESPACE, seconds=timeout
                )
            )
        )
    try:
        job.progress(f"pulling {name}")
        # containerd refuses the transfer if one of its streams does not exist yet.
        for _, opened in streams:
            await opened.wait()
        metadata = client.namespace_metadata(NAMESPACE)
        await calls.channel.call(TRANSFER, request, empty_pb2.Empty, seconds=timeout, metadata=metadata)
    except errors.NotFound as error:
        raise pull_push_errors.make_pull_push_error(name, error.message, login=found.hint, code=404) from error
    except errors.Rejected as error:
        raise pull_push_errors.make_pull_push_error(name, error.text, login=found.hint) from error
    finally:
        for task, _ in streams:
            task.cancel()
        await asyncio.wait([task for task, _ in streams])
    digest = await _digest(calls, name)
    if digest and digest == before:
        return steps.noop(pull_push_errors.unchanged_detail(digest))
    return steps.done(pull_push_errors.done_detail(asked, name, digest))


def _open_stream(run: Callable[[asyncio.Event], Coroutine[Any, Any, None]]) -> tuple[asyncio.Task[None], asyncio.Event]:
    """Starts a stream beside the transfer. Returns its task, and an event that is set when it is open or has failed."""
    opened = asyncio.Event()
    task = tasks.start_awaited("pull_stream", run(opened))
    task.add_done_callback(lambda _: opened.set())
    return task, opened


async def _digest(calls: client.Client, name: str) -> str:
    images = await calls.images(NAMESPACE, 10.0)
    return next((image.target.digest for image in images if image.name == name), "")


async def _report_progress(
    calls: client.Client, stream_id: str, job: Job, timeout: float, stream_opened: asyncio.Event
) -> None:
    init = packed(containerd_streaming_pb2.StreamInit(id=stream_id))
    parts: dict[str, tuple[int, int]] = {}
    metadata = client.namespace_metadata(NAMESPACE)
    messages = calls.channel.stream(STREAM, (init,), any_pb2.Any, metadata=metadata, seconds=timeout)
    async for message in messages:
        stream_opened.set()  # the first message only confirms the stream
        if message.type_url.rpartition(".")[2] == "Progress":
            try:
                progress = containerd_transfer_types_pb2.Progress.FromString(message.value)
            except DecodeError:
                continue
            if progress.total and (progress.name in parts or len(parts) < MAX_PARTS):
                parts[progress.name] = (progress.progress, progress.total)
            if parts:
                job.progress(progress_text(parts))


def progress_text(parts: Mapping[str, tuple[int, int]]) -> str:
    """Returns such as `1 of 2 layers, 12.1 of 40.0 MB`. `parts`: the transferred bytes and the size, by the name of a
    part: `layer-sha256:…`, `config-sha256:…`."""
    layers = [size for name, size in parts.items() if name.startswith("layer-")]
    done, total = (sum(numbers) for numbers in zip(*parts.values(), strict=True))
    size = f"{done / 1e6:.1f} of {total / 1e6:.1f} MB"
    if not layers:
        return size
    finished = sum(done >= total for done, total in layers)
    return f"{finished} of {len(layers)} layer{'s' * (len(layers) != 1)}, {size}"
