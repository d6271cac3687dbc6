"""Runs the commands that need no container engine: help, whoami, can, grant, revoke, grants, claim and audit.

The dispatcher calls BuiltinRuntime in the same way as the adapter of an engine. The answers come from the current
policy and from the store. After a grant was added or removed, every replica reads the grants again before it runs its
next command.
"""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from bot import audit_search
from bot.access import first_admin, grant_checks, policy, protected_resources
from bot.access.policy_in_force import PolicyInForce
from bot.alert_setting_action_runner import AlertSettingActionRunner
from bot.freeze_action_runner import FreezeActionRunner
from bot.parsing import usage
from core import errors
from core.model import actions, bot_actions
from core.model.actions import Risk
from core.model.policy import Decision, Grant, Verdict
from core.model.refs import Kind, Ref
from core.model.resource_facts import ResourceFacts
from core.ports import Call, Query
from core.store.client import Store
from core.store.records import Claim
from runtimes.base.base_adapter import does
from runtimes.inventory import fleet


class BuiltinRuntime(AlertSettingActionRunner, FreezeActionRunner):
    """Runs the actions of the built-in commands. Set `fleet` before the first command."""

    def __init__(
        self,
        *,
        policies: PolicyInForce,
        store: Store,
        catalogue: Any,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(bot_actions.BOT)
        self._policies = policies
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self.fleet: fleet.Fleet | None = None

    @does(bot_actions.ShowHelp)
    async def help(self, action: bot_actions.ShowHelp, seconds: float) -> bot_actions.HelpPage:
        commands = self._catalogue.about(action.topic) if action.topic else list(self._catalogue)
        return bot_actions.HelpPage(
            commands=tuple(usage.command_help(command) for command in commands), topic=action.topic
        )

    @does(bot_actions.WhoAmI)
    async def whoami(self, action: bot_actions.WhoAmI, seconds: float) -> bot_actions.RequesterInfo:
        who, place = action.who, action.place
        grants = tuple(
            grant
            for grant in self._policies.policy.grants
            if policy.matches_subject(who, grant.who) and (not grant.places or place.channel in grant.places)
        )
        return bot_actions.RequesterInfo(
            id=who.id,
            name=who.name,
            groups=tuple(sorted(who.groups)),
            admin=who.admin or any("admin" in grant.can and grant.on.matches_all() for grant in grants),
            grants=((policy.OWNER_GRANT,) if who.admin else ()) + grants,
        )

    @does(bot_actions.CheckPermission)
    async def explain(self, action: bot_actions.CheckPermission, seconds: float) -> bot_actions.PermissionReport:
        target_facts = await self._target_facts(action.target, seconds) if action.target else []
        decisions = []
        verbs = self._verbs(action.word)
        if not verbs:
            free = "This command needs no grant. The action that it confirms or cancels is checked again."
            decisions.append((action.word, Decision(verdict=Verdict.ALLOW, rule="answers", reason=free)))
        for verb, risk in verbs:
            resolved = policy.resolve(self._policies.policy, action.who, action.place, verb, risk)
            target = action.target or Ref(engine=bot_actions.BOT, kind=Kind.ENGINE, id=verb, name=verb)
            decision = (
                policy.combine_decisions(
                    policy.evaluate(resolved, ref, facts, self._clock()) for ref, facts in target_facts
                )
                if action.target is not None
                else policy.evaluate_list(resolved, target)
            )
            subject = f"{verb} on {action.target.name}" if action.target else verb
            decisions.append((subject, decision))
        return bot_actions.PermissionReport(decisions=tuple(decisions), freeze=await self.freeze_of(verbs))

    @does(bot_actions.AddGrant)
    async def grant(self, action: bot_actions.AddGrant, seconds: float) -> bot_actions.GrantAdded:
        grant_checks.check_subject(action.who)
        for pattern in action.can:
            grant_checks.check_pattern(pattern, self._policies.policy.roles)
        wanted = Grant(
            id=f"g-{secrets.token_hex(3)}",
            who=action.who,
            can=action.can,
            on=action.on,
            places=action.places,
            source="store",
            by=action.by.id,
        )
        grant_checks.check_may_grant(self._policies.policy, action.by, action.place, wanted)
        for grant in self._policies.policy.grants:
            if replace(grant, id="", by="", source="") == replace(wanted, id="", by="", source=""):
                return bot_actions.GrantAdded(grant=grant, new=False)
        await self._policies.refresh(await self._store.add_grant(wanted.id, msgspec.json.encode(wanted)))
        return bot_actions.GrantAdded(grant=wanted)

    @does(bot_actions.ClaimAdmin)
    async def claim(self, action: bot_actions.ClaimAdmin, seconds: float) -> bot_actions.GrantAdded:
        match await self._store.try_claim(first_admin.code_digest(action.code)):
            case Claim.WRONG:
                raise errors.NotPermitted(
                    "The claim code is wrong.",
                    rule="claim",
                    hint="Read the newest code in Quarterdeck's own log, and give the command again.",
                )
            case Claim.NONE:
                raise errors.NotPermitted(
                    "No claim code is valid now.",
                    rule="claim",
                    hint="Restart Quarterdeck to get a new code. A code works once. It is valid"
                    " for 15 minutes and 5 tries.",
                )
        made = Grant(id=f"g-{secrets.token_hex(3)}", who=action.by.id, can=("admin",), source="store", by="claim")
        await self._policies.refresh(await self._store.add_grant(made.id, msgspec.json.encode(made)))
        return bot_actions.GrantAdded(grant=made)

    @does(bot_actions.RemoveGrant)
    async def revoke(self, action: bot_actions.RemoveGrant, seconds: float) -> bot_actions.GrantRemoved:
        grant = next((grant for grant in self._policies.policy.grants if grant.id == action.id), None)
        if grant is None:
            revocable = [grant.id for grant in self._policies.policy.grants if grant.source == "store"]
            close = difflib.get_close_matches(action.id, revocable, n=1)
            raise errors.NotFound(
                f"There is no grant “{action.id}”.",
                hint=f"Did you mean {close[0]}?" if close else "List all grants with: grants",
            )
        if grant.source != "store":
            builtin = grant.source == "builtin"
            raise errors.NotPermitted(
                f"The grant {grant.id} is part of {'Quarterdeck' if builtin else 'the configuration'},"
                " so no command can revoke it.",
                rule="config-grant",
                hint="To limit what it permits, add a guard to `guards` in quarterdeck.yaml."
                if builtin
                else "Remove the grant from quarterdeck.yaml, then send SIGHUP to Quarterdeck.",
            )
        await self._store.remove_grant(grant.id)
        await self._policies.refresh(await self._store.policy_version())
        return bot_actions.GrantRemoved(grant=grant)

    @does(bot_actions.ListGrants)
    async def grants(self, action: bot_actions.ListGrants, seconds: float) -> tuple[Grant, ...]:
        return self._policies.policy.grants

    @does(bot_actions.ReadAudit)
    async def audit(self, action: bot_actions.ReadAudit, seconds: float) -> bot_actions.AuditPage:
        return await audit_search.search_audit(self._store, action)

    def _verbs(self, word: str) -> Sequence[tuple[str, Risk]]:
        """Returns the verbs, with their risk, that a command's name, its alias or a verb means."""
        risks = {kind.verb: kind.risk for kind in actions.all_actions()}
        if word in risks:
            return ((word, risks[word]),)
        command = self._catalogue.find(word)
        return tuple((verb, risks[verb]) for verb in command.verbs)

    async def _target_facts(self, target: Ref, seconds: float) -> Sequence[tuple[Ref, ResourceFacts | None]]:
        """Returns a target's facts in the same way as a command finds them."""
        assert self.fleet is not None
        now = self._clock()
        call = Call(id="explain", who="", deadline=now + timedelta(seconds=seconds), invocation="")
        protected = protected_resources.ProtectedSet(self._policies.policy)
        listing = await self.fleet.list_rows(Query(), call)
        protected.add_listing(listing)
        if target.kind is not Kind.CONTAINER:
            listing = await self.fleet.list_rows(Query(kind=target.kind), call)
        key = (target.engine, target.id)
        row = next((row for row in listing.rows if (row.ref.engine, row.ref.id) == key), None)
        return [(target, None)] if row is None else protected.with_protection(row, target.engine, now)
