"""Checks a new grant: its subject, its patterns, and whether the person who gives it has these permissions.

Nobody can grant a permission that they do not have. `bot.builtin_runtime` calls these checks before it stores a grant.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Mapping, Sequence

from bot.access import policy
from core import errors
from core.model import actions, effects
from core.model.invocation import Identity, Place
from core.model.policy import ENDS, Grant, Policy
from core.model.policy_selectors import EVERYTHING, Selector

GRANT_SUBJECT = re.compile(r"everyone|group:[\w.@/+-]{1,80}|[a-z]+:[\w.@/+-]{1,80}")


def check_may_grant(current: Policy, by: Identity, place: Place, wanted: Grant) -> None:
    """Raises NotPermitted unless `by` may give this grant.

    `by` must have each verb of the grant, on at least the same resources and in at least the same places. Every guard
    on `by` must also hold for the receiver. Admins may give every grant.
    """
    if by.admin:
        return
    for kind in actions.all_actions():
        if not policy.covers(wanted.can, kind.verb, kind.risk, current.roles):
            continue
        for verb, risk, ends in effects.aspects(kind.verb, kind.risk):
            resolved = policy.resolve(current, by, place, verb, risk, ends)
            _check_guards(resolved, kind.verb, wanted, current)
            # What the receiver may also destroy with the verb, the giver must be able to destroy.
            if verb == kind.verb and policy.covers(wanted.can, verb, risk, current.roles):
                _check_grants(resolved, wanted, current)


def _check_guards(resolved: policy.ResolvedPolicy, verb: str, wanted: Grant, current: Policy) -> None:
    if guard := next((one for one in resolved.guards if one.who not in ("everyone", wanted.who)), None):
        raise errors.NotPermitted(
            f"You may not grant {verb} to {wanted.who}: the guard {guard.id} limits you, but"
            f" would not limit {wanted.who}.",
            rule="grant-only-what-you-have",
            hint=f"Ask one of these people for the grant: {', '.join(policy.who_can_grant(current)[:4])}.",
        )


def _check_grants(resolved: policy.ResolvedPolicy, wanted: Grant, current: Policy) -> None:
    if not any(_includes(own.on, wanted.on) and _includes_places(own.places, wanted.places) for own in resolved.grants):
        raise errors.NotPermitted(
            f"You may not grant {resolved.verb} on {wanted.on}: you do not have that grant yourself.",
            rule="grant-only-what-you-have",
            hint=f"Ask one of these people for the grant: {', '.join(policy.who_can_grant(current)[:4])}.",
        )


def check_subject(who: str) -> None:
    """Raises BadUsage unless a grant can name this subject."""
    if not GRANT_SUBJECT.fullmatch(who):
        raise errors.BadUsage(
            f"“{who}” is not a person or group that can be given a grant.",
            hint="Write everyone, group:NAME, console:NAME or slack:TEAM/USER. To see your own identity, give: whoami",
        )


def check_pattern(pattern: str, roles: Mapping[str, Sequence[str]]) -> None:
    """Raises BadUsage unless the pattern matches a verb or names a role or a risk class."""
    verbs = sorted(kind.verb for kind in actions.all_actions())
    valid = [*verbs, *roles, "risk:read", "risk:change", "risk:destroy"]
    if pattern in valid or any(fnmatch.fnmatchcase(verb, pattern) for verb in verbs):
        return
    if pattern == ENDS:
        raise errors.BadUsage(
            "A grant cannot contain “ends”: only guards can contain this word.",
            hint="Write a verb such as container.stop, or a role such as operator.",
        )
    close = difflib.get_close_matches(pattern, valid, n=2)
    raise errors.BadUsage(
        f"“{pattern}” is not a verb, a role or a risk class.",
        hint=f"Did you mean {' or '.join(close)}?"
        if close
        else f"Write a role ({', '.join(roles)}) or a verb such as container.restart.",
    )


def _includes(own: Selector, wanted: Selector) -> bool:
    """Whether `own` surely matches all that `wanted` matches: each field that `own` sets has the same value there."""
    if own == EVERYTHING:
        return True
    parts = ("engine", "host", "name", "project", "service")
    return all(getattr(own, part) in ("", getattr(wanted, part)) for part in parts) and set(own.labels) <= set(
        wanted.labels
    )


def _includes_places(own: Sequence[str], wanted: Sequence[str]) -> bool:
    return not own or (bool(wanted) and set(wanted) <= set(own))
