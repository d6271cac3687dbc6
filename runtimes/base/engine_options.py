"""Defines the options of one engine's adapter: its name, its allowed verbs, TLS and ssh, and the identity check.

The address of the engine is not an option: an adapter receives it as its first argument.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from core.lazy_dataclass import dataclass
from core.model.registry_reads import PUBLIC_REGISTRIES
from runtimes.base.duplicate_engines import EngineIdentity
from runtimes.transport.endpoint import Ssh, Tls


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineOptions:
    """Holds the options of one engine. The defaults suit a local engine that is alone in its process.

    `name` distinguishes two engines of one kind on one host. `allow` holds patterns of verbs; without any, all verbs
    are allowed. `identity` rejects an engine that is configured under two addresses; without it, nothing is checked.
    `watched_kinds` are the kinds of the other engines watched on the same host, which come and go: an engine that
    also lists their containers leaves them out, because every container belongs to one engine only. `registries`:
    globs of the registries that Quarterdeck itself may ask about images.
    """

    name: str = "default"
    allow: Sequence[str] = ()
    tls: Tls | None = None
    ssh: Ssh | None = None
    identity: EngineIdentity | None = None
    watched_kinds: Collection[str] = frozenset()
    registries: Sequence[str] = PUBLIC_REGISTRIES
