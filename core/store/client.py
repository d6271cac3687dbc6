"""Stores everything that must survive a restart or be shared between processes, in Redis or Valkey.

Store is one class. Its methods are named after what the callers need, not after Redis commands. Callers encode their
records to bytes and get the same bytes back; this module does not know commands, policy or chat. Each method is one
round trip, which takes effect completely or not at all. A method that uses several keys is one Lua script or one
transaction, and uses the server's clock. Some data is not kept: audit rows beyond the limits, records of commands older
than a day, and, after a crash of the server, the writes that were not on disk yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from core import errors
from core.store import keys
from core.store.alert_settings import AlertSettingsStore
from core.store.command_progress import RECORD_TTL, CommandProgressStore
from core.store.connection import milliseconds, text, version_number
from core.store.event_history import EventHistoryStore
from core.store.freezes import FreezeStore
from core.store.good_container_runs import GoodContainerRunsStore
from core.store.healing import HealingStore
from core.store.leases_and_disk_use import LeaseAndDiskUseStore
from core.store.names import NameStore
from core.store.outlets import OutletStore
from core.store.records import Claim, WatchRecord, WatchSpan, WatchUpdate

MAX_QUESTION_BYTES = 256 << 10
MAX_REMOVAL_PASSES = 1_000  # of one call of remove_expired; each pass removes a few dozen rows
WATCH_TTL_SECONDS = 30 * 86_400  # after which an engine that nobody watches is forgotten


class Store(
    CommandProgressStore,
    AlertSettingsStore,
    OutletStore,
    GoodContainerRunsStore,
    HealingStore,
    LeaseAndDiskUseStore,
    EventHistoryStore,
    FreezeStore,
    NameStore,
):
    """Stores data for all tasks of a process. Create it with `open`. Methods raise errors.StoreDown or
    errors.StoreError.

    core.store.command_progress has the methods that the life of one command needs, core.store.audit_trail those of the
    audit, core.store.event_history those of events, core.store.freezes those of the freeze, core.store.incidents those
    of incidents, core.store.alert_settings those of what people decide about alerts,
    core.store.good_container_runs those of good runs, core.store.healing those of self-healing,
    core.store.leases_and_disk_use those of leases and disk use, core.store.names those of names; core.store.keys has
    the keys.
    """

    # Questions: plans that wait for a confirmation or an approval.

    async def put_question(self, token: str, value: bytes, ttl: float) -> None:
        """Raises StoreFull if the rest of the server's memory is reserved for changes, BadUsage for a question that is
        too large."""
        self.check_reserve()
        if len(value) > MAX_QUESTION_BYTES:
            raise errors.BadUsage(
                f"This command has too many targets: its plan needs {len(value) >> 10} KiB in the store, and the"
                f" maximum is {MAX_QUESTION_BYTES >> 10} KiB.",
                hint="Name fewer targets in one command.",
            )
        async with self._call():
            await self._client.set(self._key(keys.question(token)), value, px=milliseconds(ttl))

    async def peek_question(self, token: str) -> bytes | None:
        async with self._call():
            value: bytes | None = await self._client.get(self._key(keys.question(token)))
        return value

    async def replace_question(self, token: str, before: bytes, value: bytes) -> bool:
        """Replaces a question by another text, if it is still `before`; it expires as it would have. Returns whether it
        did."""
        return bool(await self._run("replace", names=(keys.question(token),), args=(before, value)))

    async def claim_question(self, token: str) -> bytes | None:
        """Reads and removes a question. If several people answer it, only one call gets the value."""
        async with self._call():
            value: bytes | None = await self._client.getdel(self._key(keys.question(token)))
        return value

    # Jobs that a process reads: any process may be asked to stop them.

    async def renew_job(self, job: str, who: str, ttl: float) -> bool:
        """Records for another `ttl` seconds that this process follows the job for `who`. Returns True once for each
        `request_stop`."""
        async with self._call(), self._client.pipeline(transaction=False) as pipe:
            pipe.set(self._key(keys.job(job)), who, px=milliseconds(ttl)).getdel(self._key(keys.job_stop(job)))
            _, requested = await pipe.execute()
        return requested is not None

    async def forget_job(self, job: str) -> None:
        async with self._call():
            await self._client.delete(self._key(keys.job(job)), self._key(keys.job_stop(job)))

    async def job_owner(self, job: str) -> str | None:
        """Returns who started the job; None if no process follows it."""
        async with self._call():
            who = await self._client.get(self._key(keys.job(job)))
        return None if who is None else text(who)

    async def request_stop(self, job: str, ttl: float) -> None:
        async with self._call():
            await self._client.set(self._key(keys.job_stop(job)), b"1", px=milliseconds(ttl))

    # Grants given in chat. Compare versions with `!=`: they grow, but a store restored from a backup may go back.

    async def policy_version(self) -> int:
        async with self._call():
            return version_number(await self._client.get(self._key(keys.POLICY_VERSION)))

    async def grants(self) -> tuple[int, dict[str, bytes]]:
        """Returns the version and every grant by id, read in one transaction."""
        async with self._call(), self._client.pipeline(transaction=True) as pipe:
            version, rows = await pipe.get(self._key(keys.POLICY_VERSION)).hgetall(self._key(keys.GRANTS)).execute()
        return version_number(version), {text(each): value for each, value in rows.items()}

    async def add_grant(self, id: str, value: bytes) -> int:  # noqa: A002
        """Returns the new version."""
        _, version = await self._run("grant", names=(keys.GRANTS, keys.POLICY_VERSION), args=(id, value))
        return version_number(version)

    async def remove_grant(self, id: str) -> bool:  # noqa: A002
        """Returns False if there is no such grant."""
        changed, _ = await self._run("grant", names=(keys.GRANTS, keys.POLICY_VERSION), args=(id,))
        return bool(changed)

    # The first admin's one-time code: shown on the process' own terminal, stored as a digest.

    async def offer_claim(self, digest: str, *, ttl: float, tries: int) -> None:
        """Makes a code valid for `ttl` seconds and `tries` tries. It replaces an older code."""
        await self._run("claim", names=(keys.CLAIM,), args=("offer", digest, milliseconds(ttl), tries))

    async def try_claim(self, digest: str) -> Claim:
        """Uses up one try. If several people know the code, only one call gets RIGHT."""
        result = await self._run("claim", names=(keys.CLAIM,), args=("try", digest))
        return {1: Claim.RIGHT, 0: Claim.WRONG}.get(result, Claim.NONE)

    # Which message layout a Slack workspace accepts: found out by trying, stored so that it is tried once.

    async def shape(self, team: str) -> int | None:
        async with self._call():
            value = await self._client.get(self._key(keys.slack_shape(team)))
        return None if value is None else int(value)

    async def put_shape(self, team: str, shape: int, ttl: float) -> None:
        async with self._call():
            await self._client.set(self._key(keys.slack_shape(team)), shape, px=milliseconds(ttl))

    # In which containers the processes run that share this store: their logs and details are shown only to admins.

    async def share_containers(self, ids: Iterable[str], *, at: float, ttl: float) -> frozenset[str]:
        """Records that a process runs in these containers at this time (unix seconds). Returns the containers of all
        processes of the last `ttl` seconds."""
        key = self._key(keys.CONTAINERS)
        async with self._call(), self._client.pipeline(transaction=True) as pipe:
            if scores := dict.fromkeys(ids, milliseconds(at)):
                pipe.zadd(key, dict(scores))
            pipe.zremrangebyscore(key, "-inf", f"({milliseconds(at - ttl)}")
            pipe.zrange(key, 0, -1)
            *_, found = await pipe.execute()
        return frozenset(map(text, found))

    # Up to which time an engine's events were read, when it was last watched, and which containers it had then.

    async def watch_record(self, engine: str) -> WatchRecord:
        async with self._call(), self._client.pipeline(transaction=True) as pipe:
            pipe.get(self._key(keys.cursor(engine))).get(self._key(keys.recent_events(engine)))
            pipe.hgetall(self._key(keys.watched(engine))).hgetall(self._key(keys.known_containers(engine)))
            cursor, recent, watched, containers = await pipe.execute()
        return WatchRecord(
            cursor=None if cursor is None else int(cursor),
            recent=recent or b"",
            watched={text(watcher): int(at) for watcher, at in watched.items()},
            containers={text(each): value for each, value in containers.items()},
        )

    async def watch_spans(self, engines: Sequence[str]) -> Sequence[WatchSpan]:
        """Returns for each engine when it was watched."""
        async with self._call(), self._client.pipeline(transaction=False) as pipe:
            for engine in engines:
                pipe.get(self._key(keys.watch_began(engine))).hvals(self._key(keys.watched(engine)))
            found = await pipe.execute()
        return [
            WatchSpan(began_ns=int(began or 0), until_ns=abs(newest), running=newest > 0)
            for began, watched in zip(found[::2], found[1::2], strict=True)
            for newest in [max(map(int, watched), key=abs, default=0)]
        ]

    async def update_watch(self, engine: str, update: WatchUpdate) -> None:
        """Raises StoreFull for containers that have changed, if the rest of the server's memory is reserved."""
        if update.changed:
            self.check_reserve()
        watched, known = self._key(keys.watched(engine)), self._key(keys.known_containers(engine))
        async with self._call(), self._client.pipeline(transaction=True) as pipe:
            if update.cursor is not None:
                pipe.set(self._key(keys.cursor(engine)), update.cursor, ex=WATCH_TTL_SECONDS)
                pipe.set(self._key(keys.recent_events(engine)), update.recent, ex=WATCH_TTL_SECONDS)
            if update.forgotten:
                pipe.hdel(watched, *update.forgotten)
            if update.watched is not None:
                pipe.hset(watched, update.watcher, update.watched)
                began = self._key(keys.watch_began(engine))
                if update.began:
                    pipe.set(began, update.began, nx=True)
                cursor, recent = self._key(keys.cursor(engine)), self._key(keys.recent_events(engine))
                for key in (watched, known, cursor, recent, began):
                    pipe.expire(key, WATCH_TTL_SECONDS)
            if update.removed:
                pipe.hdel(known, *update.removed)
            if update.changed:
                pipe.hset(known, mapping=dict(update.changed))
            await pipe.execute()

    # Old data.

    async def remove_expired(self) -> int:
        """Removes audit rows and events beyond the limits of their age, number and size, and entries of commands whose
        records have expired. Returns how many. Writers remove them too, but only while they write."""
        removed = await self.remove_old_events(MAX_REMOVAL_PASSES)
        for _ in range(MAX_REMOVAL_PASSES):
            names, args = (keys.UNFINISHED,), (milliseconds(RECORD_TTL),)
            found = int(await self._run_audited("expire", names=names, args=args))
            found += int(await self._run_audited("expire", names=names, args=args, audit=keys.READS))
            if not found:
                break
            removed += found
        return removed
