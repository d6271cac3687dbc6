"""Runs the built-in commands, as one more runtime: help, whoami, can, grant, revoke, grants, claim and audit.

The answers come from the policy in force and from the store. A changed grant moves the store's policy version, so every
replica reads it before its next command.
"""

from __future__ import annotations

import difflib
import fnmatch
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from bot.access import first_admin, policy, protection
from bot.access.policy_store import PolicyStore
from bot.parsing import usage
from core import errors
from core.model import actions, builtin
from core.model.actions import Risk
from core.model.facts import Facts
from core.model.identity import Identity, Place
from core.model.policy import Decision, Grant, Verdict
from core.model.refs import Kind, Ref
from core.model.selectors import EVERYTHING, Selector
from core.ports import Call, Query
from core.store.client import Store
from core.store.records import Claim
from runtimes.base.adapter import Adapter, does
from runtimes.inventory import fleet

GRANT_SUBJECT = re.compile(r"everyone|group:[\w.@/+-]{1,80}|[a-z]+:[\w.@/+-]{1,80}")
MAX_AUDIT_SCAN = 5_000  # rows read in search of matching ones


class BuiltinRuntime(Adapter):
    def __init__(
        self,
        *,
        policies: PolicyStore,
        store: Store,
        catalogue: Any,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(builtin.BOT)
        self._policies = policies
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self.fleet: fleet.Fleet | None = None

    @does(builtin.ShowHelp)
    async def help(self, action: builtin.ShowHelp, seconds: float) -> builtin.HelpPage:
        commands = [self._catalogue.find(action.topic)] if action.topic else list(self._catalogue)
        return builtin.HelpPage(commands=tuple(usage.command_help(command) for command in commands), topic=action.topic)

    @does(builtin.WhoAmI)
    async def whoami(self, action: builtin.WhoAmI, seconds: float) -> builtin.RequesterInfo:
        who, place = action.who, action.place
        grants = tuple(
            grant
            for grant in self._policies.policy.grants
            if policy.matches_subject(who, grant.who) and (not grant.places or place.channel in grant.places)
        )
        return builtin.RequesterInfo(
            id=who.id,
            name=who.name,
            groups=tuple(sorted(who.groups)),
            admin=who.admin or any("admin" in grant.can and grant.on.matches_all() for grant in grants),
            grants=((policy.OWNER_GRANT,) if who.admin else ()) + grants,
        )

    @does(builtin.CheckPermission)
    async def explain(self, action: builtin.CheckPermission, seconds: float) -> builtin.PermissionReport:
        target_facts = await self._target_facts(action.target, seconds) if action.target else []
        decisions = []
        verbs = self._verbs(action.word)
        if not verbs:
            free = "It needs no grant of its own. The action that it confirms or cancels is decided again."
            decisions.append((action.word, Decision(verdict=Verdict.ALLOW, rule="answers", reason=free)))
        for verb, risk in verbs:
            resolved = policy.resolve(self._policies.policy, action.who, action.place, verb, risk)
            target = action.target or Ref(engine=builtin.BOT, kind=Kind.ENGINE, id=verb, name=verb)
            decision = (
                policy.combine_decisions(
                    policy.evaluate(resolved, ref, facts, self._clock()) for ref, facts in target_facts
                )
                if action.target is not None
                else policy.evaluate_list(resolved, target)
            )
            subject = f"{verb} on {action.target.name}" if action.target else verb
            decisions.append((subject, decision))
        return builtin.PermissionReport(decisions=tuple(decisions))

    @does(builtin.AddGrant)
    async def grant(self, action: builtin.AddGrant, seconds: float) -> builtin.GrantAdded:
        if not GRANT_SUBJECT.fullmatch(action.who):
            raise errors.BadUsage(
                f"“{action.who}” is not a person or group that can be given a grant.",
                hint="Write everyone, group:NAME, or an identity such as console:alice or slack:T0123/U0456.",
            )
        for pattern in action.can:
            self._check_pattern(pattern)
        wanted = Grant(
            id=f"g-{secrets.token_hex(3)}",
            who=action.who,
            can=action.can,
            on=action.on,
            places=action.places,
            source="store",
            by=action.by.id,
        )
        self._check_grantable(action.by, action.place, wanted)
        for grant in self._policies.policy.grants:
            if replace(grant, id="", by="", source="") == replace(wanted, id="", by="", source=""):
                return builtin.GrantAdded(grant=grant, new=False)
        await self._policies.refresh(await self._store.add_grant(wanted.id, msgspec.json.encode(wanted)))
        return builtin.GrantAdded(grant=wanted)

    @does(builtin.ClaimAdmin)
    async def claim(self, action: builtin.ClaimAdmin, seconds: float) -> builtin.GrantAdded:
        match await self._store.try_claim(first_admin.code_digest(action.code)):
            case Claim.WRONG:
                raise errors.NotPermitted(
                    "The claim code is wrong.", rule="claim", hint="Use the newest code in Quarterdeck's own log."
                )
            case Claim.NONE:
                raise errors.NotPermitted(
                    "No claim code is valid now.",
                    rule="claim",
                    hint="A code works once, for 15 minutes and 5 tries. Restart Quarterdeck to get a new one.",
                )
        made = Grant(id=f"g-{secrets.token_hex(3)}", who=action.by.id, can=("admin",), source="store", by="claim")
        await self._policies.refresh(await self._store.add_grant(made.id, msgspec.json.encode(made)))
        return builtin.GrantAdded(grant=made)

    @does(builtin.RemoveGrant)
    async def revoke(self, action: builtin.RemoveGrant, seconds: float) -> builtin.GrantRemoved:
        grant = next((grant for grant in self._policies.policy.grants if grant.id == action.id), None)
        if grant is None:
            revocable = [grant.id for grant in self._policies.policy.grants if grant.source == "store"]
            close = difflib.get_close_matches(action.id, revocable, n=1)
            raise errors.NotFound(
                f"There is no grant “{action.id}”.",
                hint=f"Did you mean {close[0]}?" if close else "List them with: grants",
            )
        if grant.source != "store":
            raise errors.NotPermitted(
                f"{grant.id} is in the configuration and cannot be revoked by a command.",
                rule="config-grant",
                hint="Remove it from quarterdeck.yaml, then reload with SIGHUP." if grant.source == "config" else "",
            )
        await self._store.remove_grant(grant.id)
        await self._policies.refresh(await self._store.policy_version())
        return builtin.GrantRemoved(grant=grant)

    @does(builtin.ListGrants)
    async def grants(self, action: builtin.ListGrants, seconds: float) -> tuple[Grant, ...]:
        return self._policies.policy.grants

    @does(builtin.ReadAudit)
    async def audit(self, action: builtin.ReadAudit, seconds: float) -> tuple[builtin.AuditEntry, ...]:
        since = ""
        if action.since_ns:
            since = datetime.fromtimestamp(action.since_ns / 1e9, UTC).isoformat(timespec="milliseconds")
        found: list[builtin.AuditEntry] = []
        before, scanned = None, 0
        while len(found) < action.limit and scanned < MAX_AUDIT_SCAN:
            rows = await self._store.read_audit(count=500, before=before)
            if not rows:
                break
            before, scanned = rows[-1].id, scanned + len(rows)
            for row in rows:
                entry = _entry(row.fields, row.count)
                if entry.at < since:
                    # A row that waited for the store was written later than it happened: newer rows may precede it.
                    if _written_ns(row.id) < action.since_ns:
                        scanned = MAX_AUDIT_SCAN
                        break
                elif _matches(action, entry):
                    found.append(entry)
        return tuple(reversed(found[: action.limit]))

    def _verbs(self, word: str) -> Sequence[tuple[str, Risk]]:
        """The verbs, with their risk, that a command's name or alias or a verb means."""
        risks = {kind.verb: kind.risk for kind in actions.all_actions()}
        if word in risks:
            return ((word, risks[word]),)
        command = self._catalogue.find(word)
        return tuple((verb, risks[verb]) for verb in command.verbs)

    def _check_pattern(self, pattern: str) -> None:
        verbs = sorted(kind.verb for kind in actions.all_actions())
        roles = self._policies.policy.roles
        valid = [*verbs, *roles, "risk:read", "risk:change", "risk:destroy"]
        if pattern in valid or any(fnmatch.fnmatchcase(verb, pattern) for verb in verbs):
            return
        close = difflib.get_close_matches(pattern, valid, n=2)
        raise errors.BadUsage(
            f"“{pattern}” matches no verb, role or risk class.",
            hint=f"Did you mean {' or '.join(close)}?"
            if close
            else f"Roles: {', '.join(roles)}; verbs such as container.restart.",
        )

    def _check_grantable(self, by: Identity, place: Place, wanted: Grant) -> None:
        """Raises NotPermitted unless `by` may pass the grant on.

        Nobody grants what they lack: `by` must have each verb, on at least the same resources and in at least the same
        places, and every guard on `by` must also hold for the receiver.
        """
        if by.admin:
            return
        current = self._policies.policy
        for kind in actions.all_actions():
            if not policy.covers(wanted.can, kind.verb, kind.risk, current.roles):
                continue
            resolved = policy.resolve(current, by, place, kind.verb, kind.risk)
            if guard := next((one for one in resolved.guards if one.who not in ("everyone", wanted.who)), None):
                raise errors.NotPermitted(
                    f"You may not grant {kind.verb}: the guard {guard.id} limits {guard.who} and might not limit "
                    f"{wanted.who}.",
                    rule="grant-only-what-you-have",
                    hint=f"It can be granted by {', '.join(policy.who_can_grant(current)[:4])}.",
                )
            if not any(
                _includes(own.on, wanted.on) and _includes_places(own.places, wanted.places) for own in resolved.grants
            ):
                raise errors.NotPermitted(
                    f"You may not grant {kind.verb} on {wanted.on}: you do not have that grant yourself.",
                    rule="grant-only-what-you-have",
                    hint=f"It can be granted by {', '.join(policy.who_can_grant(current)[:4])}.",
                )

    async def _target_facts(self, target: Ref, seconds: float) -> Sequence[tuple[Ref, Facts | None]]:
        """A target's facts, as a command would have them."""
        assert self.fleet is not None
        now = self._clock()
        call = Call(id="explain", who="", deadline=now + timedelta(seconds=seconds), invocation="")
        protected = protection.ProtectedSet(self._policies.policy)
        listing = await self.fleet.list_rows(Query(), call)
        protected.add_listing(listing)
        if target.kind is not Kind.CONTAINER:
            listing = await self.fleet.list_rows(Query(kind=target.kind), call)
        key = (target.engine, target.id)
        row = next((row for row in listing.rows if (row.ref.engine, row.ref.id) == key), None)
        return [(target, None)] if row is None else protected.with_protection(row, target.engine, now)


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


def _entry(fields: dict[str, str] | Any, count: int) -> builtin.AuditEntry:
    values = {name: fields.get(name, "") for name in builtin.AuditEntry.__struct_fields__ if name != "count"}
    return builtin.AuditEntry(**values, count=count)


def _written_ns(row_id: str) -> int:
    """When the store wrote a row, by the server's clock: the ids of a stream start with the time in milliseconds."""
    return int(row_id.partition("-")[0]) * 1_000_000


def _matches(action: builtin.ReadAudit, entry: builtin.AuditEntry) -> bool:
    if action.who and not fnmatch.fnmatchcase(entry.who, action.who) and action.who not in entry.who.split(":", 1):
        return False
    if action.target and not any(
        fnmatch.fnmatchcase(word, action.target)
        for ref in entry.target.split(", ")
        for word in (ref, ref.partition("@")[0])
    ):
        return False
    return not action.refused or entry.phase == "refused"
