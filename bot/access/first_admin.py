"""Issues a one-time code that makes a person in chat the first admin. Only the owner of the process can read the code.

A code has 128 random bits. It is valid for 15 minutes and 5 tries, and it works once. The store holds only its SHA-256
digest. The code is printed to stderr, which chat could show as the log of Quarterdeck's own container. So the code is
masked in every reply, and only admins may read that log (`bot.access.policy.ADMIN_READ_VERBS`). As long as nobody in
chat has the right to give grants, each start issues a new code. The person types the code after `claim`, and
`bot.builtin_runtime` checks it.
"""

from __future__ import annotations

import hashlib
import secrets

from bot.access import policy
from bot.access.policy_in_force import PolicyInForce
from core.model.actions import Risk
from core.store.client import Store
from core.text import known_secrets

CODE_TTL_SECONDS = 900.0
MAX_TRIES = 5


async def issue_code(store: Store, policies: PolicyInForce, via: str) -> str | None:
    """Returns a new code, or None if somebody in `via` (such as `slack`) may give grants already. Raises StoreDown."""
    current = await policies.refresh(await store.policy_version())
    for grant in current.grants:
        reachable = grant.who.startswith((f"{via}:", "group:")) or grant.who == "everyone"
        if reachable and policy.covers(grant.can, "policy.grant", Risk.CHANGE, current.roles):
            return None
    code = secrets.token_hex(16)
    known_secrets.add_known_secrets([code, code.upper()])
    await store.offer_claim(code_digest(code), ttl=CODE_TTL_SECONDS, tries=MAX_TRIES)
    return code


def code_digest(code: str) -> str:
    return hashlib.sha256(code.strip().lower().encode()).hexdigest()
