"""Which engine is which: kept so that none is in the fleet twice, and no two go by one name.

Two addresses may lead to one daemon (a socket and its port, a host and its alias), which shows only when it answers.
The first to answer is in; the other one is refused with a sentence for as long as that holds.
"""

from __future__ import annotations

import structlog

from core import errors
from core.model.refs import EngineRef

log = structlog.get_logger(__name__)


class EngineIdentities:
    """One per process. An engine that answers differently later (another daemon behind its address) is entered anew."""

    def __init__(self) -> None:
        self._in: dict[str, tuple[str, EngineRef]] = {}
        self._told: set[str] = set()

    def enter(self, address: str, engine_id: str, ref: EngineRef) -> None:
        """Raises Duplicate where another address is that engine, or another engine has that name."""
        self._in.pop(address, None)
        for other, (known, named) in self._in.items():
            if engine_id and known == engine_id:
                self._refuse(
                    address,
                    f"{address} is the engine that {other} is already: {named}. It is left out, since every event would"
                    " count twice.",
                    _apart(ref.kind),
                )
            if named == ref:
                self._refuse(
                    address,
                    f"{address} calls itself {ref}, as {other} does. It is left out, since they could not be told"
                    " apart.",
                    "Give one of them a `name` under `engines` in quarterdeck.yaml.",
                )
        self._in[address] = (engine_id, ref)
        self._told.discard(address)

    def _refuse(self, address: str, message: str, hint: str) -> None:
        if address not in self._told:
            self._told.add(address)
            log.error(message, action="enter", hint=hint)
        raise errors.DuplicateEngine(message, hint=hint)


def _apart(kind: str) -> str:
    if kind != "docker":
        return "Keep one of the two."
    return (
        "Keep one of the two. If these are two hosts, one is a copy of the other: stop docker there, remove"
        " /var/lib/docker/engine-id and /etc/docker/key.json, and start it."
    )
