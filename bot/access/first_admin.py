"""How the first admin comes to be: a one-time code shown where only the owner of the process looks.

128 random bits, 15 minutes, 5 tries, dead once used; the store keeps its digest alone. A start shows a new one as long
as nobody in chat may grant.
"""

from __future__ import annotations

import hashlib
import secrets

from bot.access import policy
from bot.access.policy_store import PolicyStore
from core.model.actions import Risk
from core.store.client import Store

TTL = 900.0
TRIES = 5


def digest(code: str) -> str:
    return hashlib.sha256(code.strip().lower().encode()).hexdigest()


async def offer(store: Store, book: PolicyStore, door: str) -> str | None:
    """A new code, or None where somebody who comes through `door` may grant already. Raises StoreDown."""
    held = await book.catch_up(await store.policy_version())
    for grant in held.grants:
        reached = grant.who.startswith((f"{door}:", "group:")) or grant.who == "everyone"
        if reached and policy.covers(grant.can, "policy.grant", Risk.CHANGE, held.roles):
            return None
    code = secrets.token_hex(16)
    await store.offer_claim(digest(code), ttl=TTL, tries=TRIES)
    return code
