"""What the store's library raises, as our own errors: StoreDown where waiting or the owner can help, else StoreError.

Every class of the library is listed by name; a test fails when a new release brings one that is not. No message holds
the store's password: the caller gives the address as it may be shown, and the library quotes host or path only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import redis.exceptions

from core import errors


def translate(error: Exception, *, where: str) -> errors.StoreError:
    """What a foreign error means to us: a sentence and its cure. `where`: the store's address as it may be shown."""
    while error.args and isinstance(error.args[0], FOREIGN):
        error = error.args[0]  # the library wraps what a unix socket's login came to
    names = [each.__name__ for each in type(error).__mro__]
    known = next((name for name in names if name in DOWN or name in FAILED), "")
    said = DOWN.get(known)
    if said is None and (code := _CODE.search(str(error))):
        said = CODES[code[1]]
    why = " ".join(str(error).split())[:200].rstrip(".")
    if said is None:
        return errors.StoreError(
            f"The store at {where} answered with an error: {why or names[0]}.",
            hint="It must be Redis 6.2 or later, or Valkey.",
        )
    what, cure = said
    return errors.StoreDown(f"The store at {where} {what}" + (f" ({why})." if why else "."), hint=cure)


FOREIGN: tuple[type[Exception], ...] = (
    *(each for each in vars(redis.exceptions).values() if isinstance(each, type) and issubclass(each, Exception)),
    OSError,  # includes the built-in TimeoutError
    EOFError,
)

_DOWN = ("does not answer", "Check that it runs and that `store.url` is its address.")
_LOGIN = ("refuses our login", "Check user and password in `store.url`, and what the server's ACL allows that user.")
_CLUSTER = ("is a cluster that cannot serve our keys now", "Look at `CLUSTER INFO` on it.")
_MOVED = ("is a cluster node that does not hold our keys", "Point `store.url` at the node that `CLUSTER SHARDS` names.")
_LOADING = ("is still loading its data", "Try again in a few seconds.")
_REPLICA = ("is a replica that takes no writes", "Point `store.url` at the primary.")
_FULL = ("is out of memory and takes no more writes", "Raise its `maxmemory`.")
_DISK = ("cannot write to its disk and takes no more writes", "Look at the server's log and its free disk space.")
_ALONE = ("has too few replicas connected to take writes", "Look at its `min-replicas-to-write`.")
_STUCK = ("is busy with a script that does not end", "Look at the server's log; `SCRIPT KILL` ends the script.")

# By name, so that one table fits every release of the library; a class is looked up by its nearest base that is listed.
DOWN: Mapping[str, tuple[str, str]] = {
    "ConnectionError": _DOWN,
    "TimeoutError": ("did not answer in time", "Check its load and the network between."),
    "OSError": _DOWN,
    "EOFError": _DOWN,
    "MaxConnectionsError": ("has no connection free for us", "Try again in a moment."),
    "BusyLoadingError": _LOADING,
    "ReadOnlyError": _REPLICA,
    "OutOfMemoryError": _FULL,
    "AuthenticationError": _LOGIN,
    "AuthenticationWrongNumberOfArgsError": _LOGIN,
    "AuthorizationError": _LOGIN,
    "ExternalAuthProviderError": _LOGIN,
    "NoPermissionError": _LOGIN,
    "ClusterDownError": _CLUSTER,
    "ClusterError": _CLUSTER,
    "MasterDownError": ("has lost its primary", "Look at `INFO replication` on it."),
    "SlotNotCoveredError": _CLUSTER,
    "TryAgainError": _CLUSTER,
    "MovedError": _MOVED,
    "AskError": _MOVED,
}
# The server answered, but not as we expect: a bug of ours or a server that is not what it says.
FAILED = frozenset(
    (
        "RedisError",
        "ResponseError",
        "DataError",
        "InvalidResponse",
        "ExecAbortError",
        "NoScriptError",
        "NoSuchFieldsetError",
        "ModuleError",
        "PubSubError",
        "WatchError",
        "LockError",
        "LockNotOwnedError",
        "ChildDeadlockedError",
        "RedisClusterException",
        "ClusterCrossSlotError",
        "CrossSlotTransactionError",
        "IncorrectPolicyType",
        "InvalidPipelineStack",
    )
)
# An error met inside a script or a transaction arrives as a plain ResponseError that quotes the server's code.
CODES: Mapping[str, tuple[str, str]] = {
    "OOM": _FULL,
    "READONLY": _REPLICA,
    "MISCONF": _DISK,
    "NOREPLICAS": _ALONE,
    "NOPERM": _LOGIN,
    "NOAUTH": _LOGIN,
    "LOADING": _LOADING,
    "BUSY": _STUCK,
    "MASTERDOWN": DOWN["MasterDownError"],
    "CLUSTERDOWN": _CLUSTER,
}
_CODE = re.compile(rf"\b({'|'.join(CODES)})\b")
