"""Gives containerd the login for a registry when the transfer service asks for it.

containerd asks on a stream of its own: it sends an `AuthRequest` for each host that refuses a request without a login,
and waits for an `AuthResponse`. The login is sent only for the registry in the image's name. A mirror, or another host
to which the registry redirects containerd, gets no login.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message

from runtimes.base import registry_auth
from runtimes.base.registry_auth import Login
from runtimes.containerd import client
from runtimes.proto import containerd_streaming_pb2, containerd_transfer_types_pb2

STREAM = "/containerd.services.streaming.v1.Streaming/Stream"
HUB_HOST = "registry-1.docker.io"  # where containerd asks for Docker Hub's images


async def answer_login_requests(
    calls: client.Client, opened: asyncio.Event, login: Login, *, stream_id: str, namespace: str, seconds: float
) -> None:
    """Answers every request on the stream until it is cancelled. `opened` is set when the stream exists; `seconds`:
    limit of the whole stream."""
    answers: asyncio.Queue[any_pb2.Any] = asyncio.Queue()
    answers.put_nowait(packed(containerd_streaming_pb2.StreamInit(id=stream_id)))

    async def sent() -> AsyncIterator[any_pb2.Any]:
        while True:
            yield await answers.get()

    metadata = client.namespace_metadata(namespace)
    messages = calls.channel.stream(STREAM, sent(), any_pb2.Any, metadata=metadata, seconds=seconds)
    async for message in messages:
        opened.set()  # the first message only confirms the stream
        if message.type_url.rpartition(".")[2] != "AuthRequest":
            continue
        try:
            request = containerd_transfer_types_pb2.AuthRequest.FromString(message.value)
        except DecodeError:
            continue
        answers.put_nowait(packed(response_to(request.host, login)))


def response_to(host: str, login: Login) -> containerd_transfer_types_pb2.AuthResponse:
    """Returns the answer for one host: the login, or none if it belongs to another registry."""
    expected = HUB_HOST if login.registry == registry_auth.HUB else login.registry
    types = containerd_transfer_types_pb2
    if host not in (expected, login.registry):
        return types.AuthResponse(authType=types.NONE)
    if login.identity_token:
        return types.AuthResponse(authType=types.REFRESH, secret=login.identity_token)
    return types.AuthResponse(authType=types.CREDENTIALS, username=login.username, secret=login.password)


def packed(message: Message) -> any_pb2.Any:
    # Any.Pack would write a slash before the type's name, which containerd does not accept here.
    return any_pb2.Any(type_url=message.DESCRIPTOR.full_name, value=message.SerializeToString())
