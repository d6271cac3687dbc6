"""Detects one daemon that is configured under two addresses, and two engines with the same name.

Two addresses may lead to one daemon, such as a socket and a TCP port. Only the daemon's answer shows this, and a daemon
may claim the identity of another one. If two addresses have one identity, one of them is preferred:

1. the address whose identity never changed,
2. of two such addresses, the one that is trusted more,
3. of two that are trusted equally, the one that was added first.

The order of the answers does not matter. The other address is refused while the preferred one is in use.
"""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable
from typing import NoReturn

import structlog

from core import errors
from core.lazy_dataclass import dataclass
from core.model.refs import EngineRef

log = structlog.get_logger(__name__)


class IdentityTrust(enum.IntEnum):
    """How much the identity that an address answers with is worth, from least to most."""

    OTHER_USER = 0  # a socket that an ordinary user serves
    PLAIN = 1  # TCP without encryption
    AUTHENTICATED = 2  # TLS or ssh
    OWN_HOST = 3  # a socket of root or of Quarterdeck's user


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The identity with which the engine at one address answered. `rank`: the greater of two is believed.
    `displace`: called if a greater one takes the place of this one."""

    engine_id: str
    ref: EngineRef
    rank: tuple[int, ...] = ()
    displace: Callable[[], object] = bool


class DuplicateEngineCheck:
    """Stores which engine answered at which address, for all engines of this process."""

    def __init__(self) -> None:
        self._entered: dict[str, Claim] = {}
        self._logged: set[str] = set()
        self._numbers = itertools.count()

    def identity(
        self,
        trust: Callable[[], IdentityTrust] = lambda: IdentityTrust.OWN_HOST,
        on_displaced: Callable[[], object] = bool,
    ) -> EngineIdentity:
        """Returns the check for one engine. `trust` is called at each answer of the engine. `on_displaced` is called if
        a more trusted address has the same identity."""
        return EngineIdentity(self, trust, on_displaced)

    def next_number(self) -> int:
        return next(self._numbers)

    def enter(self, address: str, claim: Claim) -> None:
        """Records which engine answered at an address, and replaces the previous record of that address. Raises
        DuplicateEngine if an address of the same or a greater rank leads to that engine, or has an engine with that
        name."""
        self._entered.pop(address, None)
        conflicts = {other: why for other, known in self._entered.items() if (why := _conflict(claim, known))}
        for other, why in conflicts.items():
            if self._entered[other].rank >= claim.rank:
                self._refuse(address, other, claim.ref, why)
        for other, why in conflicts.items():
            log.error(
                f"{_sentence(other, address, claim.ref, why)} Quarterdeck uses"
                f" {address}, because {_why_preferred(claim.rank, self._entered[other].rank)}.",
                action="enter",
                hint=_hint(claim.ref.kind, why),
            )
            self._entered.pop(other).displace()
        self._entered[address] = claim
        self._logged.discard(address)

    def leave(self, address: str) -> None:
        self._entered.pop(address, None)
        self._logged.discard(address)

    def _refuse(self, address: str, other: str, ref: EngineRef, why: str) -> NoReturn:
        message, hint = _sentence(address, other, ref, why), _hint(ref.kind, why)
        if address not in self._logged:
            self._logged.add(address)
            log.error(message, action="enter", hint=hint)
        raise errors.DuplicateEngine(message, hint=hint)


class EngineIdentity:
    """Adds the identity of one engine to the check, and removes it."""

    def __init__(
        self,
        identities: DuplicateEngineCheck,
        trust: Callable[[], IdentityTrust],
        on_displaced: Callable[[], object],
    ) -> None:
        self._identities = identities
        self._trust = trust
        self._on_displaced = on_displaced
        self._number = identities.next_number()
        self._address = self._first_id = ""
        self._closed = False

    def enter(self, address: str, engine_id: str, ref: EngineRef) -> None:
        """Does the same as `DuplicateEngineCheck.enter`. Raises NotFound after `close`, because a late answer of a
        removed engine must not exclude other engines."""
        if self._closed:
            raise errors.NotFound(f"Quarterdeck does not watch {ref} now.", hint="List the engines with: engines")
        self._remove()
        self._first_id = self._first_id or engine_id
        # An engine that takes another identity is believed less than all that did not.
        rank = (engine_id == self._first_id, self._trust(), -self._number)
        claim = Claim(engine_id=engine_id, ref=ref, rank=rank, displace=self._displace)
        self._identities.enter(address, claim)
        self._address = address

    def leave(self) -> None:
        """Allows another address to lead to this engine. The next answer of this engine records it again, as the one
        that was added last."""
        self._remove()
        self._number = self._identities.next_number()

    def close(self) -> None:
        self._remove()
        self._closed = True

    def _remove(self) -> None:
        if self._address:
            self._identities.leave(self._address)
            self._address = ""

    def _displace(self) -> None:
        self._address = ""
        self._on_displaced()


def _conflict(claim: Claim, known: Claim) -> str:
    """Returns what two engines have in common that must differ: `id` or `name`; empty if nothing."""
    if claim.engine_id and known.engine_id == claim.engine_id:
        return "id"
    return "name" if known.ref == claim.ref else ""


def _sentence(address: str, other: str, ref: EngineRef, why: str) -> str:
    if why == "id":
        return (
            f"{address} and {other} are the same engine, {ref}. {address} is left out, because"
            " every event would count twice."
        )
    return (
        f"{address} and {other} have the same name, {ref}. {address} is left out, because"
        " their containers could not be distinguished."
    )


def _why_preferred(greater: tuple[int, ...], lesser: tuple[int, ...]) -> str:
    """Returns the first part in which two ranks differ, as the end of a sentence about the preferred address."""
    reasons = (
        "the engine at the other address has changed",
        "its connection is more trusted",
        "it was added first",
    )
    return next((why for why, one, other in zip(reasons, greater, lesser, strict=False) if one != other), reasons[-1])


def _hint(kind: str, why: str) -> str:
    if why == "name":
        return "Give one of them another `name` under `engines` in quarterdeck.yaml."
    if kind != "docker":
        return "List only one of the two addresses under `engines` in quarterdeck.yaml."
    return (
        "List only one of the two addresses under `engines` in quarterdeck.yaml. If they belong to two hosts, one"
        " host is a copy of the other. On the copy: stop docker, remove /var/lib/docker/engine-id and"
        " /etc/docker/key.json, and start docker."
    )
