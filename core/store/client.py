"""Everything that must survive a restart or be shared between processes, named by what we need it for.

In go small byte records of the callers' own making, out come the same bytes; no command, policy or chat is known here.
Each method is one step that either happened or raised: what needs several keys is one script or one transaction on the
server, on the server's clock. Nothing is retried here, since a second try of a lost answer could lose an invocation or
claim twice; only connections are renewed. A call that ends in StoreDown may or may not have taken effect. May be lost:
audit rows beyond the newest `audit_rows`, invocations older than a day, and what the server itself had not yet written.

Works with Redis 6.2 or later and Valkey. All keys begin with `{qd}:`, one hash tag, so scripts hold on a cluster too.
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.parse
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from core import errors
from core.store import errors as store_errors
from core.store.records import AuditRow, Claim, Entered, Held, Lease, Phase, Rate, Unfinished

LUA = Path(__file__).parent / "lua"
ONCE_TTL = 3600.0
RECORD_TTL = 24 * 3600.0
SWEEP = 1000  # unfinished invocations looked at in one call
CONNECTIONS = 16
PHASES = frozenset(Phase)


class Store:
    """One store, many tasks. Made by `open`. Methods raise errors.StoreDown or errors.StoreError, nothing foreign."""

    def __init__(
        self, client: redis.asyncio.Redis, *, where: str, timeout: float, namespace: str, audit_rows: int
    ) -> None:
        self.where = where
        self._client: Any = client
        self._timeout = timeout
        self._prefix = f"{{{namespace}}}:"
        self._audit_rows = audit_rows
        self._scripts = {path.stem: self._client.register_script(path.read_text("utf-8")) for path in LUA.glob("*.lua")}

    @classmethod
    def open(cls, url: str, *, timeout: float = 2.0, namespace: str = "qd", audit_rows: int = 100_000) -> Store:
        """A store at `redis://`, `rediss://` or `unix://`; connects on first use. `timeout`: seconds one call may take,
        connecting included. Raises BadUsage for an address that cannot be one."""
        where = _shown(url)
        try:
            pool = redis.asyncio.BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=timeout,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                protocol=2,
                retry=Retry(NoBackoff(), 0),
            )
        except (ValueError, TypeError, redis.exceptions.RedisError):
            # The library's own words may quote the password.
            raise _bad_address() from None
        client = redis.asyncio.Redis.from_pool(pool)
        return cls(client, where=where, timeout=timeout, namespace=namespace, audit_rows=audit_rows)

    async def aclose(self) -> None:
        async with self._door():
            await self._client.aclose()

    async def ping(self) -> float:
        """Seconds the store took to answer."""
        clock = asyncio.get_running_loop().time
        began = clock()
        async with self._door():
            await self._client.ping()
        return clock() - began

    # Invocations: each enters once, and none is left without an answer when its replica dies.

    async def enter(self, *, id: str, who: str, risk: str, rate: Rate, record: bytes, replica: str) -> Entered:  # noqa: A002
        """Lets one invocation in, in one round trip. `replica` must have called `beat` before.

        A duplicate spends nothing. One that is let in has spent, whatever policy says to it later. One that comes too
        early does not push the moment of `retry_after` away: who keeps trying is let in as soon as who waits.
        """
        interval = rate.period / rate.count * 1_000_000
        first, wait, version = await self._run(
            "enter",
            keys=(f"once:{id}", f"rate:{risk}:{who}", "policy:version", f"inv:{id}", "inv"),
            args=(id, _ms(ONCE_TTL), interval, rate.burst or rate.count, record, replica, _ms(RECORD_TTL)),
        )
        return Entered(first=bool(first), retry_after=wait / 1_000_000, policy_version=int(version))

    async def phase(self, id: str, phase: Phase, detail: bytes = b"") -> None:  # noqa: A002
        """Notes how far an invocation has come; DONE forgets it.

        Raises LeaseLost for INTENT when the record is gone: then another replica took this one for dead and has told
        the asker that nothing was done, so nothing may be done.
        """
        if phase is Phase.DONE:
            # Not a transaction: Redis refuses those when out of memory, and the index mends itself.
            async with self._door(), self._client.pipeline(transaction=False) as pipe:
                await pipe.delete(self._key(f"inv:{id}")).zrem(self._key("inv"), id).execute()
        elif not await self._run("note", keys=(f"inv:{id}",), args=("phase", phase.value, "detail", detail)):
            raise errors.LeaseLost("Another process has answered this command meanwhile; nothing was done.")

    async def set_posted(self, id: str, where: bytes) -> bool:  # noqa: A002
        """Notes where the surface has said something of this invocation, so that whoever ends it can say it there.
        False when it has ended."""
        return bool(await self._run("note", keys=(f"inv:{id}",), args=("posted", where)))

    async def unfinished(self, replica: str | None = None) -> Sequence[Unfinished]:
        """Invocations, oldest first, whose replica's lease has ended; if `replica` is given, of that one alone."""
        async with self._door():
            ids = [_text(each) for each in await self._client.zrange(self._key("inv"), 0, SWEEP - 1)]
            rows = await self._each("hgetall", [f"inv:{each}" for each in ids])
            # What a newer version wrote in words we do not know is left to it.
            found = [
                (each, row, _text(row[b"replica"]))
                for each, row in zip(ids, rows, strict=True)
                if row and _text(row.get(b"phase", b"")) in PHASES
            ]
            # Asked after the records were read: a replica beats before its invocations enter.
            names = sorted({name for _, _, name in found if replica in (None, name)})
            living = await self._each("exists", [f"replica:{name}" for name in names])
        dead = {name for name, alive in zip(names, living, strict=True) if not alive}
        return [
            Unfinished(
                id=each,
                record=row[b"record"],
                phase=Phase(_text(row[b"phase"])),
                detail=row[b"detail"],
                replica=name,
                posted=row.get(b"posted", b""),
            )
            for each, row, name in found
            if name in dead
        ]

    async def take_unfinished(self, id: str, *, seen: Phase | None = None) -> bool:  # noqa: A002
        """True for the one caller who shall now answer it. False if another did, if its replica lives after all, or if
        it is no longer in the phase `seen` (pass the one `unfinished` told, or a change begun since gets denied)."""
        async with self._door():
            replica = await self._client.hget(self._key(f"inv:{id}"), "replica")
        if replica is None:
            return False
        keys = (f"inv:{id}", "inv", f"replica:{_text(replica)}")
        return bool(await self._run("take", keys=keys, args=(id, seen.value if seen else "")))

    async def heartbeat(self, replica: str, ttl: float) -> None:
        """Says that `replica` lives for another `ttl` seconds. A replica's name belongs to one process start."""
        async with self._door():
            await self._client.set(self._key(f"replica:{replica}"), b"1", px=_ms(ttl))

    async def remove_replica(self, replica: str) -> None:
        async with self._door():
            await self._client.delete(self._key(f"replica:{replica}"))

    # Questions: what waits for a click.

    async def put_question(self, token: str, value: bytes, ttl: float) -> None:
        async with self._door():
            await self._client.set(self._key(f"question:{token}"), value, px=_ms(ttl))

    async def peek_question(self, token: str) -> bytes | None:
        async with self._door():
            value: bytes | None = await self._client.get(self._key(f"question:{token}"))
        return value

    async def claim_question(self, token: str) -> bytes | None:
        """Reads and removes: of all who click, one gets the value."""
        async with self._door():
            value: bytes | None = await self._client.getdel(self._key(f"question:{token}"))
        return value

    # Jobs that are read here: any process may be asked to end them.

    async def renew_job(self, job: str, who: str, ttl: float) -> bool:
        """Says that `who`'s job is looked after for another `ttl` seconds. True once for each wish to end it."""
        async with self._door(), self._client.pipeline(transaction=False) as pipe:
            _, wish = (
                await pipe.set(self._key(f"job:{job}"), who, px=_ms(ttl)).getdel(self._key(f"stop:{job}")).execute()
            )
        return wish is not None

    async def forget_job(self, job: str) -> None:
        async with self._door():
            await self._client.delete(self._key(f"job:{job}"), self._key(f"stop:{job}"))

    async def job_owner(self, job: str) -> str | None:
        """Whose job that is; None where nobody looks after it any more."""
        async with self._door():
            who = await self._client.get(self._key(f"job:{job}"))
        return None if who is None else _text(who)

    async def request_stop(self, job: str, ttl: float) -> None:
        async with self._door():
            await self._client.set(self._key(f"stop:{job}"), b"1", px=_ms(ttl))

    # Leases: one works on a thing, the others learn who.

    async def hold(self, key: str, record: bytes, ttl: float) -> Lease | Held:
        fence, *other = await self._run("hold", keys=(f"hold:{key}", "fence"), args=(record, _ms(ttl)))
        if fence:
            return Lease(key=key, fence=fence)
        return Held(key=key, record=other[0], remaining=max(0, other[1]) / 1000)

    async def release(self, lease: Lease) -> bool:
        """False if it was not ours any more; somebody else's lease is never touched."""
        return bool(await self._run("keep", keys=(f"hold:{lease.key}",), args=(lease.fence, 0)))

    async def extend(self, lease: Lease, ttl: float) -> None:
        """Raises LeaseLost if it had ended."""
        if not await self._run("keep", keys=(f"hold:{lease.key}",), args=(lease.fence, _ms(ttl))):
            raise errors.LeaseLost

    # Grants given in chat. Compare versions with `!=`: they grow, but a restored store may go back.

    async def policy_version(self) -> int:
        async with self._door():
            return int(await self._client.get(self._key("policy:version")) or 0)

    async def grants(self) -> tuple[int, dict[str, bytes]]:
        """The version and every grant by id, read as one."""
        async with self._door(), self._client.pipeline(transaction=True) as pipe:
            version, rows = await pipe.get(self._key("policy:version")).hgetall(self._key("grants")).execute()
        return int(version or 0), {_text(each): value for each, value in rows.items()}

    async def add_grant(self, id: str, value: bytes) -> int:  # noqa: A002
        """The new version."""
        _, version = await self._run("grant", keys=("grants", "policy:version"), args=(id, value))
        return int(version)

    async def remove_grant(self, id: str) -> bool:  # noqa: A002
        changed, _ = await self._run("grant", keys=("grants", "policy:version"), args=(id,))
        return bool(changed)

    # The first admin: a code shown on the process' own terminal, kept here as a digest.

    async def offer_claim(self, digest: str, *, ttl: float, tries: int) -> None:
        """Opens a code for `ttl` seconds and so many tries, in the place of an older one."""
        await self._run("claim", keys=("claim",), args=("offer", digest, _ms(ttl), tries))

    async def try_claim(self, digest: str) -> Claim:
        """One try; of all who know the code, one is RIGHT."""
        return {1: Claim.RIGHT, 0: Claim.WRONG}.get(
            await self._run("claim", keys=("claim",), args=("try", digest)), Claim.NONE
        )

    # What a workspace can show: found out by trying, kept so that not every process and start tries anew.

    async def shape(self, team: str) -> int | None:
        async with self._door():
            value = await self._client.get(self._key(f"slack:shape:{team}"))
        return None if value is None else int(value)

    async def put_shape(self, team: str, shape: int, ttl: float) -> None:
        async with self._door():
            await self._client.set(self._key(f"slack:shape:{team}"), shape, px=_ms(ttl))

    # Audit: append only, newest `audit_rows` kept.

    async def append_audit(self, fields: Mapping[str, str]) -> str:
        """The row's id, once the server has the row."""
        async with self._door():
            row = await self._client.xadd(self._key("audit"), dict(fields), maxlen=self._audit_rows, approximate=True)
        return _text(row)

    async def append_audits(self, rows: Sequence[Mapping[str, str]]) -> None:
        """All of these rows, in order, or none of them."""
        if not rows:
            return
        async with self._door(), self._client.pipeline(transaction=True) as pipe:
            for fields in rows:
                pipe.xadd(self._key("audit"), dict(fields), maxlen=self._audit_rows, approximate=True)
            await pipe.execute()

    async def fold_refusal(self, fields: Mapping[str, str], *, key: str, window: float) -> int:
        """How often a refusal of this `key` was met in its window, this one included; the first alone becomes a row.
        The window of `window` seconds begins with that row and does not move."""
        flat = [part for pair in fields.items() for part in pair]
        keys = ("audit", f"audit:fold:{key}", "audit:repeats", "audit:repeated")
        return int(await self._run("fold", keys=keys, args=(_ms(window), self._audit_rows, *flat)))

    async def read_audit(self, *, count: int, before: str | None = None) -> Sequence[AuditRow]:
        """At most `count` rows, newest first, all older than the row `before`."""
        async with self._door():
            rows = await self._client.xrevrange(self._key("audit"), f"({before}" if before else "+", "-", count=count)
            repeats = await self._client.hmget(self._key("audit:repeats"), [row for row, _ in rows]) if rows else []
        return [
            AuditRow(
                id=_text(row),
                fields={_text(name): _text(value) for name, value in fields.items()},
                count=1 + int(more or 0),
            )
            for (row, fields), more in zip(rows, repeats, strict=True)
        ]

    # How far an engine's events were read.

    async def cursor(self, engine: str) -> int | None:
        async with self._door():
            value = await self._client.get(self._key(f"cursor:{engine}"))
        return None if value is None else int(value)

    async def put_cursor(self, engine: str, at_ns: int) -> None:
        async with self._door():
            await self._client.set(self._key(f"cursor:{engine}"), at_ns)

    def _key(self, name: str) -> str:
        return self._prefix + name

    async def _run(self, script: str, *, keys: Sequence[str], args: Sequence[str | bytes | int | float]) -> Any:
        # The script goes by its hash; a server that lacks it (new, restarted) is given the text and asked anew.
        async with self._door():
            return await self._scripts[script](keys=[self._key(key) for key in keys], args=args)

    async def _each(self, command: str, names: Sequence[str]) -> Sequence[Any]:
        if not names:
            return ()
        async with self._client.pipeline(transaction=False) as pipe:
            for name in names:
                getattr(pipe, command)(self._key(name))
            answers: Sequence[Any] = await pipe.execute()
        return answers

    @contextlib.asynccontextmanager
    async def _door(self) -> AsyncIterator[None]:
        """The only way to the server: one deadline over connecting and answering, and no foreign error gets out.

        redis-py loses a cancellation that meets it while it connects (8.1): the task would live on, so it is told
        again.
        """
        task = asyncio.current_task()
        before = task.cancelling() if task else 0
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except store_errors.FOREIGN as error:
            if task and task.cancelling() > before:
                raise asyncio.CancelledError from error
            raise store_errors.translate(error, where=self.where) from error
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


def _shown(url: str) -> str:
    """The address without user, password and options."""
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _bad_address() from None
    if parts.scheme not in ("redis", "rediss", "unix") or not (parts.path if parts.scheme == "unix" else host):
        raise _bad_address()
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path}"


def _bad_address() -> errors.BadUsage:
    return errors.BadUsage(
        "The store's address cannot be understood.",
        hint="Write `store.url` as redis://host:6379/0, rediss://user:password@host:6379/0 or unix:///path/to.sock; "
        "special characters in a password are percent-encoded.",
    )


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
