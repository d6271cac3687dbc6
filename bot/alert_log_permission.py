"""Decides whether an alert may show a container's log in a channel, and writes the decision to the audit.

The configuration of the route allows it, not a person, so no grant is needed. But every guard applies as if somebody in
that channel had asked. A log of Quarterdeck's own containers is never shown.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bot.access import policy
from bot.access.policy_in_force import PolicyInForce
from bot.dispatch.audit import Audit
from core.model.actions import ReadLogs, Risk
from core.model.containers import Container
from core.model.incidents import Incident
from core.model.invocation import Identity, Invocation, Place
from core.model.policy import Decision, Verdict
from core.text import command_line

RULE = "route-logs"


class AlertLogPermission:
    """Checks the permission by the policy in force."""

    def __init__(self, policies: PolicyInForce, audit: Audit, clock: Callable[[], datetime]) -> None:
        self._policies = policies
        self._audit = audit
        self._clock = clock

    async def may_read(self, incident: Incident, row: Container, channel: str) -> bool:
        """Whether the last log lines may be shown in this channel. Audits a yes as a read."""
        now = self._clock()
        who = Identity(id=f"rule:{incident.main.rule}", name=incident.main.rule)
        place = Place(channel=channel)
        in_force = self._policies.policy
        if in_force.is_own(row.ref.bare_id):
            return False
        resolved = policy.resolve(in_force, who, place, ReadLogs.verb, Risk.READ)
        decided = policy.evaluate_effect(resolved, row.ref, row.facts(now), now)
        if decided.verdict is not Verdict.ALLOW:
            return False
        line = command_line.quote(["logs", f"{row.ref.name}@{row.ref.engine}"])
        inv = Invocation(id=f"incident-{incident.id}", who=who, line=line, place=place, at=now, deadline=now)
        action = ReadLogs(engine=row.ref.engine, target=row.ref)
        decision = Decision(verdict=Verdict.ALLOW, rule=RULE, reason="the route of this channel shows log lines")
        await self._audit.read(inv, [(action, "done", "")], decision)
        return True
