"""The one road from words to action. Slash commands, mentions, buttons, schedules and the console all enter at its
first line.

    parse → enter → plan → decide → ask → hold → record the intent → run → record the outcome → render → redact → tell

Straight code on purpose, with no stages to configure: the order is the security of this product. Reads survive a store
that is away; changes do not run unless their intent was recorded. A change is sent to an engine at most once; where we
cannot know whether it happened the reply and the audit say UNKNOWN, and nothing is repeated.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog

from bot.access import policy, policy_store
from bot.dispatch import approvals, audit, job_follower, messages, rate_limits, recovery
from bot.dispatch.access_view import AccessView
from bot.parsing import parser
from commands.spec import Command, Context, Result
from core import errors
from core.metrics import Metrics
from core.model import builtin, jobs
from core.model.actions import Action, Risk
from core.model.identity import Identity, Invocation, Place
from core.model.policy import Decision, Verdict
from core.model.refs import Kind
from core.model.replies import Button, Ending, Reply, Status, Text, Tone, text_reply
from core.model.results import Outcome
from core.ports import ActionStarted, Call, Responder
from core.store.client import Store
from core.store.records import Held, Lease, Phase
from core.text import redact
from runtimes.inventory.fleet import Fleet

log = structlog.get_logger(__name__)
AT_ONCE = 8  # actions of one plan that run side by side
STAR = frozenset("*?/")
MOST_ANSWERED = 10_000  # invocations remembered that the store could not be told of


@dataclass(slots=True, kw_only=True)
class Trail:
    """What one walk has come to know, for metrics, audit and the sentence of an unexpected end."""

    command: str = "none"
    verdict: str = "none"
    entered: bool = False
    changing: bool = False
    share: bool = False
    decision: Decision | None = None
    leases: list[Lease] = field(default_factory=list)
    talk: Responder | None = None


class Dispatcher:
    """All that a line of words meets on its way. One per process; holds no state of a conversation."""

    def __init__(
        self,
        *,
        catalogue: Any,
        fleet: Fleet,
        store: Store,
        book: policy_store.PolicyStore,
        limits: rate_limits.Limits,
        approvals: approvals.Approvals,
        audit: audit.Audit,
        metrics: Metrics,
        clock: Callable[[], datetime],
        replica: str,
        many: int = 3,
        stopping: asyncio.Event | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._fleet = fleet
        self._store = store
        self._book = book
        self._limits = limits
        self._approvals = approvals
        self._audit = audit
        self._metrics = metrics
        self._clock = clock
        self._replica = replica
        self._many = many
        self._answered: deque[str] = deque(maxlen=MOST_ANSWERED)
        self._stopping = stopping or asyncio.Event()

    async def answer(self, inv: Invocation, talk: Responder | None = None) -> Reply | None:
        """The reply to one invocation, made safe to show; None when it was delivered before and is not to be
        answered. `talk` is told of a change that begins, and the reply; only then is the invocation forgotten, so that
        one whose process dies on the way is told by the next."""
        began, trail = time.monotonic(), Trail(talk=talk)
        try:
            reply = await self._walk(inv, trail)
        except errors.QuarterdeckError as error:
            reply = messages.sorry(error)
            if isinstance(error, errors.Refused) and trail.decision is None:
                await self._refused_on_the_way(inv, trail, error)
        except Exception:
            reference = secrets.token_hex(4)
            log.exception("a command failed because of a bug", action="answer", command=trail.command, ref=reference)
            reply = text_reply(
                f"Internal error, reference {reference}; the log has the details.", Tone.BAD, ending=Ending.ERROR
            )
        finally:
            await self._let_go(trail)
        if reply is None:
            return None
        took = time.monotonic() - began
        self._metrics.commands_total.labels(trail.command, trail.verdict, reply.ending).inc()
        self._metrics.command_duration_seconds.labels(trail.command).observe(took)
        reply = redact.redact_reply(replace(reply, took=timedelta(seconds=took)))
        if talk is not None:
            await self._tell(inv, trail, reply, talk)
        await self._leave(inv, trail)
        return reply

    async def forget(self, inv: Invocation) -> None:
        """The asker does not want the answer any more; nothing is to be told about it later."""
        await self._leave(inv, Trail(entered=True))

    async def catch_up(self) -> None:
        """Forgets what was answered while the store was away, so that nobody is told again. Raises StoreDown."""
        while self._answered:
            await self._store.phase(self._answered[0], Phase.DONE)
            self._answered.popleft()

    async def reject(self, who: Identity, place: Place, line: str, error: errors.Refused) -> Reply:
        """The reply to somebody who may not speak to us at all; audited like any refusal."""
        now = self._clock()
        inv = Invocation(id="", who=who, line=line, place=place, at=now, deadline=now)
        rule = getattr(error, "rule", "") or type(error).__name__.lower()
        await self._audit.refusal(inv, "", "", Decision(verdict=Verdict.DENY, rule=rule, reason=error.message))
        self._metrics.commands_total.labels("none", "deny", Ending.REFUSED).inc()
        return redact.redact_reply(messages.sorry(error))

    async def _walk(self, inv: Invocation, trail: Trail) -> Reply | None:
        parsed = parser.parse(inv.line, self._catalogue)
        trail.command = parsed.command.name
        in_force = await self._enter(inv, parsed.command.risk, trail)
        if in_force is None:
            return None
        trail.share = bool(parsed.args.get("share"))
        now = self._clock()
        call = Call(id=secrets.token_hex(8), who=inv.who.id, deadline=inv.deadline, invocation=inv.id)
        sight = AccessView(engines=self._fleet, in_force=in_force, who=inv.who, place=inv.place, call=call, now=now)
        context = Context(who=inv.who, place=inv.place, args=parsed.args, find=sight, now=now)
        if parsed.command.risk is not Risk.READ:
            _refuse_bare_star(parsed.args)
        plan = tuple(await parsed.command.plan(context))
        if plan and isinstance(plan[0], builtin.AnswerQuestion):
            return await self._take_up(inv, plan[0], sight, context, trail)
        return await self._carry_out(inv, parsed.command, context, plan, sight, trail=trail)

    async def _enter(self, inv: Invocation, risk: Risk, trail: Trail) -> Any:
        """Once, within limits, and under the newest policy: one round trip. None: this was delivered before."""
        record = recovery.record(inv)
        try:
            entered = await self._store.enter(
                id=inv.id,
                who=inv.who.id,
                risk=risk,
                rate=self._limits.rates[risk],
                record=record,
                replica=self._replica,
            )
            if not entered.first:
                return None
            trail.entered = True
            wait = entered.retry_after
            in_force = await self._book.catch_up(entered.policy_version)
        except errors.StoreError as error:
            if risk is not Risk.READ:
                raise errors.StoreDown(
                    f"Nothing was done: changes are refused while they cannot be recorded. {error.message}",
                    hint=error.hint,
                ) from error
            wait, in_force = self._limits.spend_here(inv.who.id, risk), self._book.base
        if wait > 0:
            raise errors.RateLimited(timedelta(seconds=wait), risk=risk)
        return in_force

    async def _take_up(
        self, inv: Invocation, answer: builtin.AnswerQuestion, sight: AccessView, context: Context, trail: Trail
    ) -> Reply:
        """A yes or no to a question asked earlier: the same plan, its ids pinned, decided again as things are now."""
        question = await self._approvals.peek(answer.token)
        own = question.asker == inv.who.id
        trail.command = question.command
        if not answer.yes:
            if not own and not any(policy.is_subject(inv.who, who) for who in question.approvers):
                raise errors.NotPermitted(f"Only {question.asker_name} can cancel this.")
            await self._approvals.claim(answer.token)
            return text_reply(f"Cancelled, nothing was done: {question.line}")
        if question.verdict is Verdict.CONFIRM and not own:
            raise errors.NotPermitted(
                f"Only {question.asker_name} can confirm this.", hint="Give the command yourself."
            )
        if question.verdict is Verdict.APPROVE:
            if own:
                raise errors.NotPermitted(
                    "Somebody else has to approve this.", hint=messages.approvers(question.approvers)
                )
            if question.approvers and not any(policy.is_subject(inv.who, who) for who in question.approvers):
                raise errors.NotPermitted(
                    "You are not one of its approvers.", hint=messages.approvers(question.approvers)
                )
        plan = question.actions()
        await sight.look_again(plan)
        question = await self._approvals.claim(answer.token)
        parsed = parser.parse(question.line, self._catalogue)
        asked = question.line if own else f"{question.line} (asked by {question.asker})"
        return await self._carry_out(
            replace(inv, line=asked),
            parsed.command,
            replace(context, args=parsed.args),
            plan,
            sight,
            trail=trail,
            answered=question.verdict,
        )

    async def _carry_out(
        self,
        inv: Invocation,
        command: Command,
        context: Context,
        plan: Sequence[Action[Any]],
        sight: AccessView,
        *,
        trail: Trail,
        answered: Verdict = Verdict.ALLOW,
    ) -> Reply:
        if not plan:
            return command.render(context, ())
        decision = self._decide(inv, plan, sight)
        trail.decision, trail.verdict = decision, decision.verdict.name.lower()
        if decision.verdict is Verdict.DENY:
            await self._audit.refusal(inv, plan[0].verb, messages.targets(plan), decision)
            raise errors.NotPermitted(decision.reason, rule=decision.rule, hint=decision.hint)
        if decision.verdict > answered:
            return await self._ask(inv, command, plan, decision)
        if all(action.risk is Risk.READ for action in plan):
            try:
                results = await self._run(plan, sight, trail)
            except asyncio.CancelledError:
                # What was read until then was read.
                await self._audit.outcomes(inv, "read", [(action, "", "broken off") for action in plan], decision)
                raise
            await self._audit.outcomes(inv, "read", messages.ends(results), decision)
            return messages.shared(context, command.render(context, results))
        await self._hold(inv, plan, trail)
        await self._audit.intent(inv, plan, decision)
        await self._store.phase(inv.id, Phase.INTENT, msgspec.json.encode(audit.told(plan)))
        trail.changing = True
        if trail.talk is not None and any(map(_is_told, plan)):
            doing = command.doing or command.name
            trail.talk.started(ActionStarted(line=redact.redact(inv.line), doing=doing, names=messages.names(plan)))
        results = await self._run(plan, sight, trail)
        await self._audit.outcomes(inv, "outcome", messages.ends(results), decision)
        return command.render(context, results)

    def _decide(self, inv: Invocation, plan: Sequence[Action[Any]], sight: AccessView) -> Decision:
        decisions = [sight.decide(action, ref) for action in plan for ref in action.targets()]
        changes = [action for action in plan if action.risk is not Risk.READ and action.engine != builtin.BOT]
        if grave := next(filter(None, (action.confirm_reason() for action in changes)), ""):
            decisions.append(messages.brake("brake:destroy", f"{inv.line.strip()} {grave}"))
        elif len(changes) > self._many:
            decisions.append(messages.brake("brake:many", f"this changes {len(changes)} things at once"))
        return policy.strictest(decisions)

    async def _ask(self, inv: Invocation, command: Command, plan: Sequence[Action[Any]], decision: Decision) -> Reply:
        question = await self._approvals.put(
            asker=inv.who.id,
            asker_name=inv.who.name,
            command=command.name,
            line=inv.line,
            plan=plan,
            verdict=decision.verdict,
            reason=decision.reason,
            approvers=decision.approvers,
        )
        await self._audit.outcomes(inv, "asked", [(action, "", question.token) for action in plan], decision)
        names = messages.names(plan)
        shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
        minutes = max(1, round(self._approvals.ttl.total_seconds() / 60))
        if decision.verdict is Verdict.APPROVE:
            text = f"{command.name} {shown}: {decision.reason}. Somebody else has to approve it within {minutes} min."
            text += f" {messages.approvers(decision.approvers)}"
        else:
            text = f"{command.name} {shown}? Please confirm within {minutes} min: {decision.reason}."
        yes = "Approve" if decision.verdict is Verdict.APPROVE else f"Yes, {command.name} {messages.few(names)}"
        return Reply(
            blocks=(Text(text=text, tone=Tone.WARN),),
            buttons=(
                Button(label=yes, line=f"confirm {question.token}", danger=True),
                Button(label="Cancel", line=f"cancel {question.token}"),
            ),
            ending=Ending.ASKED,
            everyone=decision.verdict is Verdict.APPROVE,  # those who may approve have to see it
        )

    async def _hold(self, inv: Invocation, plan: Sequence[Action[Any]], trail: Trail) -> None:
        """One change at a time per target, across replicas. In one order for everybody, so no two wait for each
        other."""
        for action in sorted(plan, key=lambda one: str(one.targets()[0])):
            for ref in action.targets():
                if ref.kind is Kind.BOT:
                    continue
                record = {"who": inv.who.name, "doing": action.verb, "at": self._clock().timestamp()}
                held = await self._store.hold(
                    f"{ref.engine}/{ref.id}", msgspec.json.encode(record), action.timeout_seconds() + 30
                )
                if isinstance(held, Held):
                    other = msgspec.json.decode(held.record)
                    ago = timedelta(seconds=self._clock().timestamp() - other["at"])
                    busy = errors.Busy(ref.name, other["who"], other["doing"], ago)
                    refused = Decision(verdict=Verdict.DENY, rule="busy", reason=busy.message)
                    await self._audit.refusal(inv, action.verb, str(ref), refused)
                    raise busy
                trail.leases.append(held)

    async def _run(self, plan: Sequence[Action[Any]], sight: AccessView, trail: Trail) -> Sequence[Result]:
        gate = asyncio.Semaphore(AT_ONCE)
        call = sight.call

        async def one(action: Action[Any]) -> Result:
            async with gate:
                try:
                    if isinstance(action, job_follower.STOPS):
                        value: Any = await job_follower.stop(self._fleet, self._store, action, call)
                    else:
                        value = await self._fleet.run(action, call)
                    if isinstance(value, jobs.JobStarted):
                        value = await job_follower.follow(
                            self._fleet,
                            self._store,
                            action,
                            value,
                            call=call,
                            talk=trail.talk,
                            everyone=trail.share,
                            stopping=self._stopping,
                            several=len(plan) > 1,
                        )
                except errors.QuarterdeckError as error:
                    if action.risk is not Risk.READ and getattr(error, "sent", False):
                        return Result(action=action, value=Outcome(status=Status.UNKNOWN, detail=error.full_message()))
                    return Result(action=action, error=error)
                return Result(action=action, value=await sight.filter(action, value))

        return await asyncio.gather(*(one(action) for action in plan))

    async def _let_go(self, trail: Trail) -> None:
        try:
            for lease in trail.leases:
                await self._store.release(lease)
        except errors.StoreError as error:
            log.warning("the store was lost while a command ended", action="let-go", reason=error.message)

    async def _tell(self, inv: Invocation, trail: Trail, reply: Reply, talk: Responder) -> None:
        if trail.changing:
            # Whoever finds this invocation left behind from now on knows how it ended.
            try:
                await self._store.phase(inv.id, Phase.ENDED, recovery.ended(reply))
            except errors.StoreError as error:
                log.warning("the store was lost while a command ended", action="tell", reason=error.message)
        try:
            await talk.finish(reply)
        except errors.DeliveryError as error:
            log.error(
                "a reply reached nobody", action="tell", who=inv.who.id, command=trail.command, reason=error.message
            )

    async def _leave(self, inv: Invocation, trail: Trail) -> None:
        try:
            if trail.entered:
                await self._store.phase(inv.id, Phase.DONE)
        except errors.StoreError as error:
            log.warning("the store was lost while a command ended", action="leave", reason=error.message)
            self._answered.append(inv.id)

    async def _refused_on_the_way(self, inv: Invocation, trail: Trail, error: errors.Refused) -> None:
        trail.verdict = "refused"
        rule = type(error).__name__.lower()
        await self._audit.refusal(
            inv, trail.command, "", Decision(verdict=Verdict.DENY, rule=rule, reason=error.message)
        )


def _refuse_bare_star(args: Mapping[str, Any]) -> None:
    targets = args.get("target") or ()
    for word in (targets,) if isinstance(targets, str) else targets:
        name = word.partition("@")[0].partition("#")[0]
        if name and set(name) <= STAR:
            raise errors.BadUsage(
                f"“{word}” for a change would mean everything.",
                hint="Name them, or use a pattern such as web-* or --label.",
            )


def _is_told(action: Action[Any]) -> bool:
    """Whether all should see it begin. What is stopped says so itself, where it was shown."""
    return action.engine != builtin.BOT and not isinstance(action, job_follower.STOPS) and not action.secret
