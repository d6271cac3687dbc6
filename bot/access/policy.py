"""Decides from grants and guards whether a person may use a verb on a target. Returns a Decision with its reason.

Without a matching grant, the decision is no. If several guards match, the strictest one decides, so a new guard can
never allow more. If a fact is unknown or too old, a grant that needs it does not match, but a guard that needs it does.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from core import errors
from core.lazy_dataclass import dataclass
from core.model import effects, host_access
from core.model.actions import Risk
from core.model.invocation import Identity, Place
from core.model.policy import ENDS, INSIDE, NAMED_ONLY, VERDICT_OF, Ask, Decision, Grant, Guard, Policy, Verdict
from core.model.refs import Ref
from core.model.resource_facts import ResourceFacts

FACTS_MAX_AGE = timedelta(seconds=60)
# Refused on Quarterdeck's own containers, on everything with the protection label, and on whatever holds one of these:
# otherwise a command could stop the bot that runs it. `exec` is here because a program can end its container.
PROTECTED_VERBS = frozenset(
    f"{kind}.{word}"
    for kind, words in {
        "container": ("stop", "kill", "pause", "remove", "restart", "exec", "rename", "update", "prune"),
        "service": ("scale", "update", "rollback", "remove"),
        "project": ("restart",),
        "pod": ("stop", "restart", "pause", "remove", "join"),
        "node": ("drain",),
        "unit": ("stop", "restart", "install"),
        # Without its networks, the bot loses its store and its engines.
        "network": ("connect", "disconnect", "remove", "prune"),
        "volume": ("remove", "prune"),
        "image": ("remove", "prune"),
        "engine": ("prune",),
    }.items()
    for word in words
)
# Refused to everybody on each part of Quarterdeck: they give away the files in which its secrets are.
OWN_REFUSED_VERBS = frozenset({"container.exec", "container.copy", "container.export", "container.commit"})
# Only admins may use these on a part of Quarterdeck: its log contains the first admin's claim code, and its
# environment, command line and mounts lead to its tokens.
ADMIN_READ_VERBS = frozenset(
    {
        *("container.logs", "container.inspect", "container.top", "container.diff"),
        *("container.healthcheck", "unit.draft", "unit.inspect"),
        *("service.logs", "service.inspect", "pod.inspect"),
    }
)
SELF_PROTECTION = "self-protection"  # the rule of its decisions
# What the owner of the state directory has at the console, without any configured grant.
OWNER_GRANT = Grant(
    id="console-owner", who="the owner of the state directory", can=("*", "policy.*", "host.*"), source="builtin"
)


def decide(  # noqa: PLR0917 (the whole question, in its natural order)
    policy: Policy,
    who: Identity,
    place: Place,
    verb: str,
    risk: Risk,
    ref: Ref,
    facts: ResourceFacts | None,
    now: datetime,
) -> Decision:
    """Returns the decision on one target. For many targets of one verb, call `resolve` once and `evaluate` for each."""
    return evaluate(resolve(policy, who, place, verb, risk), ref, facts, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPolicy:
    """Holds the part of a policy that applies to one person, place and verb. Evaluating a target with it is cheap."""

    who: Identity
    verb: str
    grants: tuple[Grant, ...]
    guards: tuple[Guard, ...]
    policy: Policy
    allows_all: bool
    """Every target is allowed: there is an unconditional grant and no guard."""
    admin: bool
    """The person may do everything everywhere, so nothing of Quarterdeck's own is hidden from them."""


def resolve(  # noqa: PLR0917 (as `decide`)
    policy: Policy, who: Identity, place: Place, verb: str, risk: Risk, ends: bool | None = None
) -> ResolvedPolicy:
    """Returns the part of the policy for one person, place and verb. `ends`: whether running processes end; None: as
    core.model.effects says of the verb."""
    ends = verb in effects.ENDS if ends is None else ends
    grants = tuple(
        grant
        for grant in policy.grants
        if matches_subject(who, grant.who)
        and (not grant.places or place.channel in grant.places)
        and covers(grant.can, verb, risk, policy.roles)
    )
    if who.admin:
        grants = (OWNER_GRANT, *grants)
    admin = is_admin(policy, who, place)
    guards = tuple(
        guard
        for guard in policy.guards
        if matches_subject(who, guard.who) and guard_covers(guard.can, verb, risk, policy.roles, ends=ends)
    )
    return ResolvedPolicy(
        who=who,
        verb=verb,
        grants=grants,
        guards=guards,
        policy=policy,
        allows_all=not guards
        and verb not in PROTECTED_VERBS | OWN_REFUSED_VERBS
        and (admin or verb not in ADMIN_READ_VERBS)
        and any(grant.on.matches_all() for grant in grants),
        admin=admin,
    )


def is_admin(policy: Policy, who: Identity, place: Place) -> bool:
    """Whether this person may do everything, including giving grants, on every target in this place."""
    for grant in policy.grants:
        if not matches_subject(who, grant.who) or (grant.places and place.channel not in grant.places):
            continue
        can = {pattern for word in grant.can for pattern in policy.roles.get(word, (word,))}
        if grant.on.matches_all() and "*" in can and can & {"policy.*", "policy.grant"}:
            return True
    return who.admin


def evaluate(resolved: ResolvedPolicy, ref: Ref, facts: ResourceFacts | None, now: datetime) -> Decision:
    """Returns the decision on one target."""
    if _is_protected(resolved, ref, facts):
        return _protected(ref)
    if resolved.verb in ADMIN_READ_VERBS and not resolved.admin and _is_own(resolved, ref, facts):
        return Decision(
            verdict=Verdict.DENY,
            rule="own-container",
            reason=f"{ref.name} is part of Quarterdeck. Only admins may use {resolved.verb} on it.",
            hint=f"Ask an admin: {', '.join(who_can_grant(resolved.policy)[:4])}.",
        )
    facts = _current(facts, now)
    grant = next((grant for grant in resolved.grants if grant.on.matches(ref, facts)), None)
    if grant is None:
        return _denied(resolved, ref)
    decision = Decision(
        verdict=Verdict.ALLOW, rule=grant.id, reason=f"{grant.subject} has the permission {resolved.verb}"
    )
    return _apply_guards(decision, resolved, _matching_guards(resolved, ref, facts))


def evaluate_effect(resolved: ResolvedPolicy, ref: Ref, facts: ResourceFacts | None, now: datetime) -> Decision:
    """Returns the decision on an effect of an action on `ref`. It needs no grant of its own: a grant of the action's
    verb allows what that verb does. The protection and all guards apply as to an action with the effect's verb."""
    if _is_protected(resolved, ref, facts):
        return _protected(ref)
    decision = Decision(verdict=Verdict.ALLOW, rule="effect", reason=f"The command also does {resolved.verb}")
    return _apply_guards(decision, resolved, _matching_guards(resolved, ref, _current(facts, now)))


def evaluate_list(resolved: ResolvedPolicy, ref: Ref) -> Decision:
    """Returns the decision on a list as a whole: it is allowed if any target could be allowed. Only guards that match
    every target apply to the list; narrower guards apply to each row."""
    if not resolved.grants:
        return _denied(resolved, ref)
    grant = resolved.grants[0]
    decision = Decision(
        verdict=Verdict.ALLOW, rule=grant.id, reason=f"{grant.subject} has the permission {resolved.verb}"
    )
    return _apply_guards(decision, resolved, [guard for guard in resolved.guards if guard.on.matches_all()])


def combine_decisions(decisions: Iterable[Decision]) -> Decision:
    """Returns the strictest decision. If several ask for an approval, all of them must be satisfied, so the result has
    the approvers of each."""
    ranked = sorted(decisions, key=lambda decision: -decision.verdict)
    strictest = ranked[0]
    if strictest.verdict is not Verdict.APPROVE:
        return strictest
    asking = [decision for decision in ranked if decision.verdict is Verdict.APPROVE]
    return replace(
        strictest,
        rule=", ".join(dict.fromkeys(decision.rule for decision in asking)),
        reason=". ".join(dict.fromkeys(decision.reason for decision in asking)),
        approvers=tuple(dict.fromkeys(approvers for decision in asking for approvers in decision.approvers)),
    )


def guard_covers(
    patterns: Sequence[str], verb: str, risk: Risk, roles: Mapping[str, Sequence[str]], *, ends: bool
) -> bool:
    """Whether the `can` list of a guard covers this verb. `ends`: whether running processes end, which the word `ends`
    covers."""
    return (ends and ENDS in patterns) or covers(patterns, verb, risk, roles, guard=True)


def covers(
    patterns: Sequence[str], verb: str, risk: Risk, roles: Mapping[str, Sequence[str]], *, guard: bool = False
) -> bool:
    """Whether a `can` list covers this verb: by pattern, by role or by risk class. The list of a `guard` covers the
    verbs of NAMED_ONLY by `*` and by risk too; the list of a grant must name them. In a grant, a risk class does not
    cover INSIDE."""
    prefix = "" if guard else next((one for one in NAMED_ONLY if verb.startswith(one)), "")
    for pattern in patterns:
        if pattern in roles:
            if covers(roles[pattern], verb, risk, {}, guard=guard):
                return True
        elif pattern.startswith("risk:"):
            if pattern == f"risk:{risk}" and not prefix and (guard or verb not in INSIDE):
                return True
        elif fnmatch.fnmatchcase(verb, pattern) and pattern.startswith(prefix):
            return True
    return False


def matches_subject(who: Identity, subject: str) -> bool:
    """Whether a grant's or guard's `who` means this person."""
    if subject == "everyone":
        return True
    kind, _, name = subject.partition(":")
    return name in who.groups if kind == "group" else subject == who.id


_GUARD_SAYS = {
    Ask.CONFIRM: "The guard {} asks for a confirmation of",
    Ask.APPROVE: "The guard {} asks for an approval of",
    Ask.DENY: "The guard {} denies",
}


def protected_reason(name: str) -> str:
    return f"{name} is part of Quarterdeck or marked as protected."


def refusal(resolved: ResolvedPolicy, ref: Ref) -> errors.NotPermitted:
    """Returns the error for somebody whom no grant allows this."""
    denied = _denied(resolved, ref)
    return errors.NotPermitted(denied.reason, rule=denied.rule, hint=denied.hint)


def who_can_grant(policy: Policy) -> Sequence[str]:
    """The subjects that may grant, for the hint of a refusal."""
    who = [grant.who for grant in policy.grants if covers(grant.can, "policy.grant", Risk.CHANGE, policy.roles)]
    return tuple(dict.fromkeys(who)) or ("the owner of the state directory, at the console",)


def _apply_guards(decision: Decision, resolved: ResolvedPolicy, guards: Sequence[Guard]) -> Decision:
    """Returns the verdict of the strictest guard, or `decision` if that is as strict. If several guards ask for an
    approval, all of them apply."""
    verdict = max((VERDICT_OF[guard.ask] for guard in guards), default=Verdict.ALLOW)
    if verdict <= decision.verdict:
        return decision
    deciding = [
        Decision(
            verdict=verdict,
            rule=guard.id,
            reason=f"{_GUARD_SAYS[guard.ask].format(guard.id)} {resolved.verb} on {guard.on}",
            hint="If this is wrong, change that guard in quarterdeck.yaml." if verdict is Verdict.DENY else "",
            approvers=(guard.approvers,) if guard.approvers else (),
        )
        for guard in guards
        if VERDICT_OF[guard.ask] is verdict
    ]
    return combine_decisions(deciding)


def _is_protected(resolved: ResolvedPolicy, ref: Ref, facts: ResourceFacts | None) -> bool:
    """Not by `_current` facts: a target that was protected once counts as protected, however old its facts are."""
    if resolved.verb in OWN_REFUSED_VERBS and _is_own(resolved, ref, facts):
        return True
    return resolved.verb in PROTECTED_VERBS and (
        ref.bare_id in resolved.policy.self_ids or (facts is not None and facts.protected)
    )


def _is_own(resolved: ResolvedPolicy, ref: Ref, facts: ResourceFacts | None) -> bool:
    """Whether it is a part of Quarterdeck."""
    own = ref.bare_id in resolved.policy.self_ids or resolved.policy.runs_replica(ref.bare_id)
    return own or (facts is not None and facts.own)


def _protected(ref: Ref) -> Decision:
    return Decision(
        verdict=Verdict.DENY,
        rule=SELF_PROTECTION,
        reason=protected_reason(ref.name),
        hint="Use the engine's own tools, on the host itself.",
    )


def _current(facts: ResourceFacts | None, now: datetime) -> ResourceFacts | None:
    return None if facts is None or facts.at is None or now - facts.at > FACTS_MAX_AGE else facts


def _matching_guards(resolved: ResolvedPolicy, ref: Ref, facts: ResourceFacts | None) -> Sequence[Guard]:
    """A guard is left out only if it surely does not match: an unknown match counts as a match."""
    return [guard for guard in resolved.guards if guard.on.matches(ref, facts) is not False]


def _denied(resolved: ResolvedPolicy, ref: Ref) -> Decision:
    target = f" on {ref.name}" if ref.name and "." not in ref.name else ""
    if resolved.grants:
        why = "; ".join(f"the grant {grant.id} covers only {grant.on}" for grant in resolved.grants[:3])
    else:
        why = "no grant gives it"
    reason = f"{resolved.who.name} does not have the permission {resolved.verb}{target}: {why}."
    if resolved.verb == host_access.VERB:
        hint = (
            f"No role includes {host_access.VERB}. Name it in a grant in quarterdeck.yaml, or let"
            " the owner grant it at the console."
        )
    else:
        granters = ", ".join(who_can_grant(resolved.policy)[:4])
        hint = f"Ask one of these to grant {resolved.verb} to {resolved.who.id}: {granters}."
    return Decision(verdict=Verdict.DENY, rule="default-deny", reason=reason, hint=hint)
