"""May this person do this to that, here, now? Pure: values in, a Decision with its reason out; nothing is asked or
kept.

Default deny. Of all grants that match one is named; of all guards that match the strictest wins, whatever their order,
so adding a guard can never allow more. Facts that are unknown or old satisfy no grant that needs them and every guard.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from core.model.actions import Risk
from core.model.containers import Container
from core.model.facts import Facts
from core.model.identity import Identity, Place
from core.model.policy import VERDICT_OF, Decision, Grant, Guard, Policy, Verdict
from core.model.refs import Ref

FACTS_LAST = timedelta(seconds=60)
# What a bare `*` never covers: who may decide who may.
NEVER_BY_STAR = "policy."
# Refused on our own container, on whatever carries the protection label and on what holds one of these: nobody saws off
# the branch they sit on. A program run in our own container would read our secrets; in any other it can end it.
PROTECTED_VERBS = frozenset(
    f"{kind}.{word}"
    for kind, words in {
        "container": ("stop", "kill", "pause", "remove", "restart", "exec"),
        "service": ("scale", "update", "rollback", "remove"),
        "pod": ("stop", "restart", "pause", "remove"),
        "node": ("drain",),
        "unit": ("stop", "restart", "install"),
    }.items()
    for word in words
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedPolicy:
    """One person, place and verb held against a policy once, so that many rows are judged cheaply."""

    who: Identity
    verb: str
    grants: tuple[Grant, ...]
    guards: tuple[Guard, ...]
    policy: Policy
    open: bool  # an unconditional grant and no guard: every target is allowed


def stand(policy: Policy, who: Identity, place: Place, verb: str, risk: Risk) -> ResolvedPolicy:
    grants = tuple(
        grant
        for grant in policy.grants
        if is_subject(who, grant.who)
        and (not grant.places or place.channel in grant.places)
        and covers(grant.can, verb, risk, policy.roles)
    )
    if who.admin:
        grants = (OWNER, *grants)
    guards = tuple(
        guard
        for guard in policy.guards
        if is_subject(who, guard.who) and covers(guard.can, verb, risk, policy.roles, brake=True)
    )
    return ResolvedPolicy(
        who=who,
        verb=verb,
        grants=grants,
        guards=guards,
        policy=policy,
        open=not guards and verb not in PROTECTED_VERBS and any(grant.on.matches_all() for grant in grants),
    )


OWNER = Grant(id="console-owner", who="the owner of the state directory", can=("*", "policy.*"), source="builtin")


def evaluate(stand: ResolvedPolicy, ref: Ref, facts: Facts | None, now: datetime) -> Decision:
    """The verdict on one target."""
    # What was protected once is taken to be so still, however old the news.
    if stand.verb in PROTECTED_VERBS and (
        ref.bare_id in stand.policy.self_ids or (facts is not None and facts.protected)
    ):
        return Decision(
            verdict=Verdict.DENY,
            rule="self-protection",
            reason=f"{ref.name} is part of Quarterdeck or marked as protected.",
            hint="Do it on the host itself, with the engine's own tools.",
        )
    if facts is not None and (facts.at is None or now - facts.at > FACTS_LAST):
        facts = None
    allowed = next((grant for grant in stand.grants if grant.on.matches(ref, facts)), None)
    if allowed is None:
        return _denied(stand, ref)
    decision = Decision(verdict=Verdict.ALLOW, rule=allowed.id, reason=f"{allowed.who} may {stand.verb}")
    # Only a clear no lets one pass a guard; not knowing counts as a match.
    return _braked(decision, stand, [guard for guard in stand.guards if guard.on.matches(ref, facts) is not False])


def _braked(decision: Decision, stand: ResolvedPolicy, guards: Sequence[Guard]) -> Decision:
    """The strictest of these guards' verdicts, or the decision where none is stricter."""
    for guard in guards:
        if VERDICT_OF[guard.ask] <= decision.verdict:
            continue
        decision = Decision(
            verdict=VERDICT_OF[guard.ask],
            rule=guard.id,
            reason=f"{guard.id} asks to {guard.ask} {stand.verb} on {guard.on}",
            hint="This guard stands in quarterdeck.yaml." if VERDICT_OF[guard.ask] is Verdict.DENY else "",
            approvers=guard.approvers,
        )
    return decision


def ours(policy: Policy, rows: Iterable[Container]) -> frozenset[str]:
    """The ids among `rows` of the containers we run in, and of the one that holds our store: the service of our own
    compose project or stack that `store_host` names, else the container of that name beside us."""
    if not (policy.self_ids or policy.self_name):
        return frozenset()
    rows = tuple(rows)
    selves = [row for row in rows if _is_self(policy, row.own_id or row.ref.bare_id)]
    found = {row.ref.id for row in selves}
    for me in selves if policy.store_host else ():
        beside = [row for row in rows if row.ref.engine == me.ref.engine and row is not me]
        names = (policy.store_host, f"{me.project}_{policy.store_host}")  # a stack puts its own name before a service's
        mates = [row for row in beside if me.project is not None and row.project == me.project and row.service in names]
        found.update(row.ref.id for row in mates or [row for row in beside if row.ref.name == policy.store_host])
    return frozenset(found)


def _is_self(policy: Policy, container: str) -> bool:
    return container in policy.self_ids or bool(policy.self_name and container.startswith(policy.self_name))


def evaluate_list(stand: ResolvedPolicy, ref: Ref) -> Decision:
    """The verdict where no single target is meant, as on a list as a whole: allowed if there could be a target that is.
    Guards that hold for all targets hold here too; narrower ones are asked for each."""
    if not stand.grants:
        return _denied(stand, ref)
    grant = stand.grants[0]
    decision = Decision(verdict=Verdict.ALLOW, rule=grant.id, reason=f"{grant.who} may {stand.verb}")
    return _braked(decision, stand, [guard for guard in stand.guards if guard.on.matches_all()])


def decide(  # noqa: PLR0917 (the question in full, in the order it is asked)
    policy: Policy, who: Identity, place: Place, verb: str, risk: Risk, ref: Ref, facts: Facts | None, now: datetime
) -> Decision:
    return evaluate(stand(policy, who, place, verb, risk), ref, facts, now)


def strictest(decisions: Iterable[Decision]) -> Decision:
    """The verdict of a whole plan. Approvers of several guards must hold for each, so their lists are intersected."""
    ranked = sorted(decisions, key=lambda decision: -decision.verdict)
    first = ranked[0]
    if first.verdict is Verdict.APPROVE:
        lists = [set(d.approvers) for d in ranked if d.verdict is Verdict.APPROVE and d.approvers]
        if lists:
            return replace(first, approvers=tuple(sorted(set.intersection(*lists))) or ("nobody",))
    return first


def covers(
    patterns: Sequence[str], verb: str, risk: Risk, roles: Mapping[str, Sequence[str]], *, brake: bool = False
) -> bool:
    """Whether a `can` list names this verb: by pattern, by role or by risk class. A `brake` (a guard's list) reaches
    the `policy.*` verbs by `*` and by risk too; a grant's list must name them."""
    named_only = verb.startswith(NEVER_BY_STAR) and not brake
    for pattern in patterns:
        if pattern in roles:
            if covers(roles[pattern], verb, risk, {}, brake=brake):
                return True
        elif pattern.startswith("risk:"):
            if pattern == f"risk:{risk}" and not named_only:
                return True
        elif fnmatch.fnmatchcase(verb, pattern) and (not named_only or pattern.startswith(NEVER_BY_STAR)):
            return True
    return False


def is_subject(who: Identity, subject: str) -> bool:
    if subject == "everyone":
        return True
    kind, _, name = subject.partition(":")
    return name in who.groups if kind == "group" else subject == who.id


def granters(policy: Policy) -> Sequence[str]:
    """Who could give what is missing, for the sentence of a refusal."""
    who = [grant.who for grant in policy.grants if covers(grant.can, "policy.grant", Risk.CHANGE, policy.roles)]
    return tuple(dict.fromkeys(who)) or ("the owner of the state directory, at the console",)


def _denied(stand: ResolvedPolicy, ref: Ref) -> Decision:
    target = f" on {ref.name}" if ref.name and "." not in ref.name else ""
    if stand.grants:
        had = "; ".join(f"{grant.id} covers {grant.on}" for grant in stand.grants[:3])
        reason = f"{stand.who.name} may not {stand.verb}{target}: {had}."
    else:
        reason = f"{stand.who.name} may not {stand.verb}{target}: no grant says so."
    givers = ", ".join(granters(stand.policy)[:4])
    return Decision(
        verdict=Verdict.DENY,
        rule="default-deny",
        reason=reason,
        hint=f"Missing: a grant of {stand.verb} to {stand.who.id}. It can be given by {givers}.",
    )
