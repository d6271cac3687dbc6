"""Detects one daemon that is configured under two addresses, and two engines with the same name.

Two addresses may lead to one daemon, such as a socket and a TCP port. Only the daemon's answer shows this. The first
address that gets an answer is used. The second address is refused as long as the first one is in use.
"""

from __future__ import annotations

import structlog

from core import errors
from core.model.refs import EngineRef

log = structlog.get_logger(__name__)


class DuplicateEngineCheck:
    """Stores which engine answered at which address, for all engines of this process."""

    def __init__(self) -> None:
        self._entered: dict[str, tuple[str, EngineRef]] = {}
        self._logged: set[str] = set()

    def identity(self) -> EngineIdentity:
        """Returns the check for one engine."""
        return EngineIdentity(self)

    def enter(self, address: str, engine_id: str, ref: EngineRef) -> None:
        """Records which engine answered at an address, and replaces the previous record of that address. Raises
        DuplicateEngine if another address leads to that engine, or if another engine has that name."""
        self._entered.pop(address, None)
        for other, (known_id, known_ref) in self._entered.items():
            if engine_id and known_id == engine_id:
                self._refuse(
                    address,
                    f"{address} and {other} lead to the same engine, {known_ref}. {address} is left out, since every"
                    " event would count twice.",
                    _hint(ref.kind),
                )
            if known_ref == ref:
                self._refuse(
                    address,
                    f"{address} and {other} both call themselves {ref}. {address} is left out, since the two could not"
                    " be told apart.",
                    "Give one of them a `name` under `engines` in quarterdeck.yaml.",
                )
        self._entered[address] = (engine_id, ref)
        self._logged.discard(address)

    def leave(self, address: str) -> None:
        self._entered.pop(address, None)
        self._logged.discard(address)

    def _refuse(self, address: str, message: str, hint: str) -> None:
        if address not in self._logged:
            self._logged.add(address)
            log.error(message, action="enter", hint=hint)
        raise errors.DuplicateEngine(message, hint=hint)


class EngineIdentity:
    """Adds the identity of one engine to the check, and removes it."""

    def __init__(self, identities: DuplicateEngineCheck) -> None:
        self._identities = identities
        self._address = ""
        self._closed = False

    def enter(self, address: str, engine_id: str, ref: EngineRef) -> None:
        """Does the same as `DuplicateEngineCheck.enter`. Raises NotFound after `close`, because a late answer of a
        removed engine must not exclude other engines."""
        if self._closed:
            raise errors.NotFound(f"Quarterdeck does not watch {ref} any more.", hint="List the engines with: engines")
        self.leave()
        self._identities.enter(address, engine_id, ref)
        self._address = address

    def leave(self) -> None:
        """Allows another address to lead to this engine. The next answer of this engine records it again."""
        if self._address:
            self._identities.leave(self._address)
            self._address = ""

    def close(self) -> None:
        self.leave()
        self._closed = True


def _hint(kind: str) -> str:
    if kind != "docker":
        return "Keep one of the two."
    return (
        "Keep one of the two. If these are two hosts, one is a copy of the other: stop docker there, remove"
        " /var/lib/docker/engine-id and /etc/docker/key.json, and start it."
    )
