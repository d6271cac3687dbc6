"""Registers a command in one request to the store: records it, counts it against its rate limit and reads the version
of the policy.
"""

from __future__ import annotations

from datetime import timedelta

from bot.access import policy_in_force
from bot.dispatch import rate_limits, reply_formatting, unattended_policy, unfinished_commands
from bot.dispatch.command_state import CommandState
from core import errors
from core.model.actions import Risk
from core.model.invocation import Invocation
from core.model.policy import Policy
from core.store.client import Store


async def register_command(
    inv: Invocation,
    risk: Risk,
    state: CommandState,
    *,
    store: Store,
    limits: rate_limits.RateLimits,
    policies: policy_in_force.PolicyInForce,
    replica: str,
) -> Policy | None:
    """Returns the policy in force. Returns None for a second delivery. Without the store, a read goes on under the
    configured policy and limits of this process. Raises RateLimited, and StoreDown for a change."""
    try:
        entered = await store.enter(
            id=inv.id,
            who=inv.who.id,
            risk=risk,
            rate=limits.rates[risk],
            record=unfinished_commands.record(inv),
            replica=replica,
            name="" if inv.who.id.endswith(f":{inv.who.name}") else inv.who.name,
        )
        if not entered.first:
            return None
        wait, state.frozen = entered.retry_after, entered.frozen
        state.recorded = wait <= 0
        policy = await policies.refresh(entered.policy_version)
    except errors.StoreError as error:
        if risk is not Risk.READ:
            raise reply_formatting.make_store_failure_error(error) from error
        wait, policy = limits.spend_locally(inv.who.id, risk), policies.configured
    if wait > 0:
        raise errors.RateLimited(timedelta(seconds=wait), risk=risk)
    return unattended_policy.remove_answered_guards(policy, inv)
