"""Reads images from registries: the digest of a tag, and everything that `skopeo inspect` shows.

Digests are cached for CACHE_SECONDS, so that many containers of one image cost one request. A registry that cannot be
reached is not requested again for BROKEN_SECONDS. After a rate limit (429), it is not requested again before the time
in its `Retry-After` header.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from core import errors
from core.model.registry_reads import MAX_TAGS, PUBLIC_REGISTRIES, RemoteImage
from core.text import sanitize
from runtimes.base.registry_auth import RegistryLogins
from runtimes.formats import json_decoder, timestamps
from runtimes.registry import registry_address, remote_manifest
from runtimes.registry.registry_address import RemoteName

if TYPE_CHECKING:
    from runtimes.registry.registry_session import RegistrySession

CACHE_SECONDS, MAX_CACHED = 600.0, 2_000
BROKEN_SECONDS = 30.0
MAX_TEXT = 200  # characters of one label, argument or tag


class TagDigests(msgspec.Struct, frozen=True):
    """`digest`: of the image that a tag points to; `platform_digests`: those of its platforms, None if they were not
    read.
    """

    digest: str
    platform_digests: frozenset[str] | None = None


class RegistryClient:
    """Reads from all registries that one engine may use. `listed`: the registries of the configuration."""

    def __init__(
        self,
        logins: RegistryLogins,
        listed: Sequence[str] = PUBLIC_REGISTRIES,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logins, self._listed, self._clock = logins, tuple(listed), clock
        self._digests: OrderedDict[str, tuple[float, TagDigests]] = OrderedDict()
        self._closed: dict[str, tuple[float, errors.EngineError]] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def digests(self, image: str, *, members: bool = False) -> TagDigests:
        """Returns the digest that the tag of an image points to now; with `members` also those of its platforms. Raises
        BadUsage, NotFound, Refused and EngineError."""
        name = registry_address.parse(image, self._listed)
        lock = self._asking.setdefault(str(name), asyncio.Lock())
        try:
            async with lock:  # many containers may have this image
                cached = self._cached(str(name))
                if cached is not None and not (members and cached.platform_digests is None):
                    return cached
                async with self._session(name, image) as session:
                    found = await _read_digests(session, name, members=members)
                self._digests[str(name)] = (self._clock(), found)
                if len(self._digests) > MAX_CACHED:
                    self._digests.popitem(last=False)
                return found
        finally:
            if not lock.locked():
                self._asking.pop(str(name), None)

    async def inspect(self, image: str, platform: str = "") -> RemoteImage:
        """Returns what the registry says of an image. Raises as `digests`."""
        name = registry_address.parse(image, self._listed)
        async with self._session(name, image) as session:
            digest, media_type, body = await session.manifest(name.reference)
            manifest, own = remote_manifest.decode_manifest(body, str(name)), digest
            platforms: tuple[str, ...] = ()
            if manifest.manifests is not None:
                part, platforms = remote_manifest.choose_platform(manifest.manifests, platform, str(name))
                own, _, body = await session.manifest(part.digest)
                manifest = remote_manifest.decode_manifest(body, str(name))
            blob = await session.blob(manifest.config.digest) if manifest.config is not None else b"{}"
            try:
                tags, more = await session.tags(MAX_TAGS)
            except errors.QuarterdeckError:  # some registries do not list tags
                tags, more = [], False
        configuration = json_decoder.decode_json(remote_manifest.Configuration, blob)
        if platform and not platforms and not remote_manifest.fits(configuration.platform, platform):
            raise errors.NotFound(
                f"{name} has no image for {platform}.",
                hint=f"Choose the platform that it has: --platform {configuration.platform}",
            )
        config = configuration.config or remote_manifest.ContainerConfig()
        return RemoteImage(
            name=str(name),
            digest=digest,
            media_type=_shown(media_type),
            platforms=tuple(map(_shown, platforms or (configuration.platform,))),
            platform=_shown(configuration.platform),
            platform_digest=own,
            layers=tuple(
                (_shown(one.digest), max(0, one.size)) for one in (manifest.layers or ())[: remote_manifest.MAX_LAYERS]
            ),
            created_at=timestamps.parse_seconds(configuration.created) or 0.0,
            labels=tuple((_shown(key), _shown(value)) for key, value in remote_manifest.labels_of(configuration)),
            entrypoint=tuple(map(_shown, (config.entrypoint or ())[:20])),
            command=tuple(map(_shown, (config.command or ())[:20])),
            ports=tuple(map(_shown, list(config.ports or ())[:20])),
            tags=tuple(map(_shown, tags)),
            more_tags=more,
        )

    def _cached(self, name: str) -> TagDigests | None:
        found = self._digests.get(name)
        return found[1] if found is not None and self._clock() - found[0] < CACHE_SECONDS else None

    @contextlib.asynccontextmanager
    async def _session(self, name: RemoteName, image: str) -> AsyncIterator[RegistrySession]:
        """Opens a session with the registry of an image. Raises the last error of a registry that is closed for now."""
        until, last = self._closed.get(name.registry, (0.0, None))
        if last is not None and self._clock() < until:
            raise last.with_sent(False)
        found = await self._logins.find(image, to_engine=False)
        registry_address.check_allowed(name, self._listed, has_login=found.login is not None)
        loaded = await asyncio.to_thread(_load)
        try:
            async with loaded.RegistrySession(name, found) as session:
                yield session
        except errors.EngineError as error:
            if isinstance(error, loaded.TooManyRequests):
                self._close(name.registry, error.seconds, error)
            elif isinstance(error, errors.Unreachable | errors.TimedOut):
                self._close(name.registry, BROKEN_SECONDS, error)
            raise

    def _close(self, registry: str, seconds: float, error: errors.EngineError) -> None:
        self._closed = {key: each for key, each in self._closed.items() if self._clock() < each[0]}
        self._closed[registry] = (self._clock() + seconds, error)


async def _read_digests(session: RegistrySession, name: RemoteName, *, members: bool) -> TagDigests:
    if not members:
        return TagDigests(digest=await session.digest(name.reference))
    digest, _, body = await session.manifest(name.reference)
    parts = remote_manifest.decode_manifest(body, str(name)).manifests or ()
    return TagDigests(digest=digest, platform_digests=frozenset(part.digest for part in parts))


def _load() -> Any:
    from runtimes.registry import registry_session  # noqa: PLC0415 (it loads aiohttp)

    return registry_session


def _shown(text: str) -> str:
    return sanitize.single_line(text, MAX_TEXT)
