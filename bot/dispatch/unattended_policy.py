"""Adjusts the policy and its decision for command lines that no person gives, such as those of self-healing.

Nobody can be asked, so a decision that needs a confirmation or an approval becomes a refusal. Some guards that ask for
a confirmation are an exception: their question was answered when the rule behind the command line was saved. The rule
stores a digest of each such guard, so a changed guard counts as unanswered. A guard that asks for an approval always
needs another person.
"""

from __future__ import annotations

from dataclasses import replace

from core.model.healing import guard_digest
from core.model.invocation import Invocation
from core.model.policy import Ask, Decision, Policy, Verdict

HINT = "A person may give this command."
OF_A_GUARD = (
    " If you accept the guard, change this healing rule in quarterdeck.yaml. A changed rule accepts all guards that"
    " exist then."
)


def remove_answered_guards(policy: Policy, inv: Invocation) -> Policy:
    """Returns the policy without the guards whose question is answered."""
    if not inv.answered_guards:
        return policy
    left = tuple(
        guard
        for guard in policy.guards
        if guard.ask is not Ask.CONFIRM or guard_digest(guard) not in inv.answered_guards
    )
    return replace(policy, guards=left)


def final(decision: Decision, inv: Invocation) -> Decision:
    """Returns the decision, or a refusal if it asks and nobody is there."""
    if inv.answered_guards is None or decision.verdict in (Verdict.ALLOW, Verdict.DENY):
        return decision
    reason = f"{decision.reason}, and nobody is there to answer"
    by_guard = decision.verdict is Verdict.CONFIRM and not decision.rule.startswith("brake:")
    return replace(decision, verdict=Verdict.DENY, reason=reason, hint=f"{HINT}{OF_A_GUARD if by_guard else ''}")
