"""Translates the redis library's exceptions into StoreDown or StoreError.

StoreDown means that the call may succeed later, or after the operator has removed the cause. Every exception class of
the library is listed by name; a test fails when a new release adds one. No message contains the store's password: the
caller passes the address without secrets, and the library quotes only host or path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import redis.exceptions

from core import errors


def translate_error(error: Exception, *, address: str) -> errors.StoreError:
    """Returns Quarterdeck's error for an exception of the library, with a sentence and a hint. `address`: the store's
    address, without secrets."""
    while error.args and isinstance(error.args[0], FOREIGN):
        error = error.args[0]  # the library wraps the failed login on a unix socket
    names = [each.__name__ for each in type(error).__mro__]
    known = next((name for name in names if name in DOWN or name in FAILED), "")
    said = DOWN.get(known)
    why = _without_command(str(error))
    if said is None and (code := _CODE.search(why)):
        said = CODES[code[1]]
    why = " ".join(_PLACE.sub(" ", why).split())[:200].rstrip(".,:;'\" ")
    if said is None:
        return errors.StoreError(
            f"The store at {address} answered with an error: {why or names[0]}.",
            hint="Read the log of that server. It must be Redis 6.2 or later, or Valkey.",
        )
    what, cure = said
    return errors.StoreDown(f"The store at {address} {what}" + (f" ({why})." if why else "."), hint=cure)


def _without_command(text: str) -> str:
    """Returns what the server or the library said, without the command that it quotes: the command's arguments are ids,
    records and names of people."""
    text = _COMMAND_BEFORE.sub("", " ".join(text.split()))
    text = text.partition(" with args beginning with")[0]
    return text.removeprefix("('").removeprefix('("').removesuffix(",)")


# `Command # 2 (EVALSHA …) of pipeline caused error: ('ERR …',)`. The command's arguments may contain anything.
_COMMAND_BEFORE = re.compile(r"Command # [0-9]+ \(.*\) of (?:pipeline|transaction) caused error: ", re.DOTALL)
# Where in a script an error was raised.
_PLACE = re.compile(r",? script: \S+|,? on @user_script:?\s?\d*:?|:? ?\(call to f_[0-9a-f]+\):?|@user_script:?\s?\d*:?")
FOREIGN: tuple[type[Exception], ...] = (
    *(each for each in vars(redis.exceptions).values() if isinstance(each, type) and issubclass(each, Exception)),
    OSError,  # includes the built-in TimeoutError
    EOFError,
)

_DOWN = ("does not answer", "Check that the store's server runs. If `store.url` is set, check its address.")
_LOGIN = ("refuses the login", "Check user and password in `store.url`, and what the server's ACL allows that user.")
_CLUSTER = ("is a cluster that cannot serve Quarterdeck's keys now", "Run `CLUSTER INFO` on that server.")
_MOVED = (
    "is a cluster node that does not have Quarterdeck's keys",
    "Point `store.url` at the node that `CLUSTER SHARDS` names.",
)
_LOADING = ("is still loading its data", "Try again in a few seconds.")
_REPLICA = ("is a replica and refuses writes", "Point `store.url` at the primary.")
_FULL = (
    "has reached its maxmemory and refuses writes",
    "Raise `store.max_megabytes`, or the `maxmemory` of your own Redis or Valkey.",
)
_DISK = ("cannot write to its disk and refuses writes", "Free space on its disk. The server's log has the reason.")
_ALONE = ("has too few replicas and refuses writes", "Start its replicas, or lower `min-replicas-to-write`.")
_STUCK = ("is busy with a script that does not end", "Run `SCRIPT KILL` on that server.")

# By name, so that one table fits every release of the library. A class that is not listed counts as its nearest base.
DOWN: Mapping[str, tuple[str, str]] = {
    "ConnectionError": _DOWN,
    "TimeoutError": ("did not answer in time", "Check the load of that server, and the network."),
    "OSError": _DOWN,
    "EOFError": _DOWN,
    "MaxConnectionsError": ("has no free connection", "Try again in a moment."),
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
    "MasterDownError": ("has lost its primary", "Run `INFO replication` on that server, and start its primary."),
    "SlotNotCoveredError": _CLUSTER,
    "TryAgainError": _CLUSTER,
    "MovedError": _MOVED,
    "AskError": _MOVED,
}
# The server answered in an unexpected way: a bug of Quarterdeck, or a server that is neither Redis nor Valkey.
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
# An error inside a script or a transaction arrives as a plain ResponseError that quotes the server's error code.
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
