"""Connects to the store's server. Sets one deadline for each call, and translates the redis library's errors.

The server is Redis 6.2 or later, or Valkey. A failed call is not repeated: the first try may have taken effect, so a
second try could drop a command as a duplicate or use up a one-time code. Only the broken connection is replaced. A call
that raises StoreDown may or may not have taken effect.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
import urllib.parse
import zlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Self

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from core import errors
from core.store import keys, redis_errors
from core.store.records import AuditLimits, EventLimits, StoreUsage

LUA = Path(__file__).parent / "lua"
# The functions that a script begins with, by what it calls.
SHARED = {
    re.compile(r"\b(?:append_rows?|trim_rows|drop_rows)\("): LUA / "shared/audit_rows.lua",
    re.compile(r"\badd_event\("): LUA / "shared/event_rows.lua",
}
MAX_CONNECTIONS = 16


class StoreConnection:
    """Holds a pool of connections to one server. Create it with `open`. Methods raise errors.StoreDown or
    errors.StoreError."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        *,
        address: str,
        timeout: float,
        namespace: str,
        audit: AuditLimits,
        events: EventLimits,
    ) -> None:
        self.address = address
        self._client: Any = client
        self._timeout = timeout
        self._prefix = f"{{{namespace}}}:"
        self._audit_limits = audit
        self._event_limits = events
        self._usage = StoreUsage(audit_limits=audit)  # as last read
        self._scripts = {path.stem: self._client.register_script(_script(path)) for path in LUA.glob("*.lua")}

    @classmethod
    def open(
        cls,
        url: str,
        *,
        timeout: float = 2.0,
        namespace: str = keys.NAMESPACE,
        audit: AuditLimits | None = None,
        events: EventLimits | None = None,
    ) -> Self:
        """Returns a store at `redis://`, `rediss://` or `unix://`. It connects on first use.

        `timeout`: seconds one call may take, connecting included. `audit`, `events`: how much of the audit and of
        the history of events is stored. Raises
        BadUsage for an invalid address.
        """
        address = _without_secrets(url)
        try:
            pool = redis.asyncio.BlockingConnectionPool.from_url(
                url,
                max_connections=MAX_CONNECTIONS,
                timeout=timeout,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
                # Python 3.13 checks more by default, and then rejects the CAs that `openssl req -x509` makes.
                **({"ssl_exclude_verify_flags": [ssl.VERIFY_X509_STRICT]} if url.startswith("rediss:") else {}),
            )
        except (ValueError, TypeError, redis.exceptions.RedisError):
            # The library's message may quote the password.
            raise _invalid_address() from None
        client = redis.asyncio.Redis.from_pool(pool)
        return cls(
            client,
            address=address,
            timeout=timeout,
            namespace=namespace,
            audit=audit or AuditLimits(),
            events=events or EventLimits(),
        )

    async def aclose(self) -> None:
        async with self._call():
            await self._client.aclose()

    async def ping(self) -> float:
        """Returns the seconds that the server took to answer."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with self._call():
            await self._client.ping()
        return clock() - began

    def _key(self, name: str) -> str:
        return self._prefix + name

    async def _run(self, script: str, *, names: Sequence[str], args: Sequence[str | bytes | int | float]) -> Any:
        """Runs one Lua script on the keys `names` and returns its result. The script is one round trip, and other
        clients see all of its effects or none.

        The script is called by its hash. A server that does not have it yet (new, restarted) gets the text first.
        """
        async with self._call():
            return await self._scripts[script](keys=[self._key(name) for name in names], args=args)

    async def _each(self, command: str, names: Sequence[str]) -> Sequence[Any]:
        """Returns the results of one read command on several keys, in one round trip."""
        if not names:
            return ()
        async with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                getattr(pipe, command)(self._key(name))
            answers: Sequence[Any] = await pipe.execute()
        return answers

    @contextlib.asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        """Wraps each call to the server: sets one deadline for connecting and answering, and translates errors.

        redis-py loses a cancellation that arrives while it connects (8.1). The task would then live on, so the
        cancellation is raised again here.
        """
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except redis_errors.FOREIGN as error:
            if task and task.cancelling() > before:
                raise asyncio.CancelledError from error
            raise redis_errors.translate_error(error, address=self.address) from error
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


def _script(path: Path) -> str:
    """Returns the text of a script. One that writes or removes audit rows or events begins with the functions for
    them."""
    script = path.read_text("utf-8")
    return "".join(shared.read_text("utf-8") for calls, shared in SHARED.items() if calls.search(script)) + script


def milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def version_number(value: bytes | str | None) -> int:
    """The version of the policy as a number. For a stored value that is none, it is a negative number that changes with
    the value, so that the grants are read again."""
    try:
        return int(value or 0)
    except ValueError:
        return -1 - zlib.crc32(text(value or "").encode("utf-8", "replace"))


def text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _without_secrets(url: str) -> str:
    """The address without user, password and options."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _invalid_address() from None
    if parts.scheme not in ("redis", "rediss", "unix") or not (parts.path if parts.scheme == "unix" else host):
        raise _invalid_address()
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path}"


def _invalid_address() -> errors.BadUsage:
    # The address is not quoted: it may hold a password.
    return errors.BadUsage(
        "`store.url` is not a valid store address.",
        hint="Write it as redis://host:6379/0, rediss://user:password@host:6379/0 or unix:///path/to.sock. "
        "Percent-encode special characters in the password.",
    )
