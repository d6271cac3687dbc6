"""Runs one command line from its text to its reply. Slash commands, mentions, buttons and the console all use it.

    parse → register the invocation → plan → check permission → check the freeze → leave out what an engine does not
    support and what needs no change → ask for confirmation
    → lock the targets and write the intent to the audit → run, and write each outcome to the audit → render
    → leave out buttons that the requester may not use → hide secrets → write the end to the audit
    → watch what was started → reply → forget the invocation

These steps are plain code and cannot be configured, because the security of Quarterdeck depends on their order. Reads
work while the store cannot be reached. A change does not run unless its intent was stored. A change is sent to an
engine at most once. If it is not known whether a change happened, the reply and the audit say UNKNOWN, and the change
is not repeated.
"""

from __future__ import annotations

import asyncio
import functools
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

from bot.access import policy_in_force
from bot.dispatch import (
    announcement,
    audit,
    change_record,
    change_verification,
    command_registration,
    current_rights,
    decision,
    engine_refusals,
    execution,
    group_and_name_lookup,
    name_choices,
    offered_buttons,
    partial_plan,
    pending_questions,
    plan_decision,
    question_answers,
    question_text,
    questions,
    rate_limits,
    redaction,
    rendering,
    reply_formatting,
    safe_responder,
    write_retry,
)
from bot.dispatch.command_state import CommandState
from bot.dispatch.visible_fleet import VisibleFleet
from bot.parsing import parser
from commands.spec import Command, Context, Result
from core import errors, unexpected_errors
from core.model import bot_actions, typed_times
from core.model.actions import Action, Risk
from core.model.invocation import Identity, Invocation, Place
from core.model.policy import Policy, Verdict
from core.model.replies import Ending, Reply
from core.ports import Call, Responder
from core.store.client import Store
from core.text import redact
from runtimes.inventory.fleet import Fleet

if TYPE_CHECKING:
    from core.metrics import Metrics

log = structlog.get_logger(__name__)


class Dispatcher:
    """Runs command lines. There is one per process. It does not store conversations."""

    def __init__(
        self,
        *,
        catalogue: Any,
        fleet: Fleet,
        store: Store,
        policies: policy_in_force.PolicyInForce,
        limits: rate_limits.RateLimits,
        pending_questions: pending_questions.PendingQuestions,
        audit: audit.Audit,
        metrics: Metrics,
        clock: Callable[[], datetime],
        replica: str,
        max_unconfirmed: int = 3,
        stopping: asyncio.Event | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._fleet = fleet
        self._store = store
        self._policies = policies
        self._limits = limits
        self._pending = pending_questions
        self._audit = audit
        self._metrics = metrics
        self._clock = clock
        self._replica = replica
        self._max_unconfirmed = max_unconfirmed
        self._stopping = stopping or asyncio.Event()
        self._bugs = fleet.bugs
        self.people = group_and_name_lookup.CurrentPeople(store)
        self._rights = current_rights.CurrentRights(policies, store, self.people)
        self._watch_tools = change_verification.VerificationTools(
            fleet=fleet, store=store, policies=policies, rights=self._rights, audit=audit, stopping=self._stopping
        )

    def parse(self, line: str) -> parser.Parsed | None:
        """Returns the command of a line without running it; None if the line is invalid."""
        try:
            return parser.parse(line, self._catalogue)
        except errors.UserError:
            return None

    async def answer(
        self, inv: Invocation, responder: Responder | None = None, *, readings: Sequence[str] = ()
    ) -> Reply | None:
        """Returns the reply to one invocation, with secrets hidden. Returns None for a second delivery, which gets no
        reply. `readings`: the command lines that the invocation may mean, if that has to be asked; then nothing runs.

        Calls `responder` when a change starts, and with the reply. Only then is the invocation's record deleted: if
        this process dies before, another process reports the invocation.
        """
        began = time.monotonic()
        state = CommandState(
            responder=safe_responder.SafeResponder(responder, self._bugs, who=inv.who.id) if responder else None
        )
        try:
            reply = await self._run(inv, state, readings)
            if reply is None:
                return None
            reply = await self._complete(reply, state)
            if state.change is not None:
                with self._bugs.logged("end", command=state.command):
                    await state.change.end(reply)
        finally:
            if state.change is not None:
                with self._bugs.logged("close", command=state.command):
                    await state.change.close()
        took = time.monotonic() - began
        if state.watch is not None:
            reply = await state.watch.run(reply)
        reply = replace(reply, took=timedelta(seconds=took))
        self._metrics.commands_total.labels(state.command, state.verdict, reply.ending).inc()
        self._metrics.command_duration_seconds.labels(state.command).observe(took)
        if state.responder is not None:
            await state.responder.finish(reply)
        if state.recorded and (state.responder is None or state.responder.finished):
            await self.forget(inv)
        return reply

    async def _complete(self, reply: Reply, state: CommandState) -> Reply:
        """Returns a reply without the buttons that its requester may not use, with its secrets hidden, and with the
        names of the people in it."""
        reply = await offered_buttons.keep_allowed_buttons(reply, state, self._catalogue, self._fleet)
        return await self.people.named(await redaction.redact_reply(reply, state.plan, self._bugs))

    async def _run(self, inv: Invocation, state: CommandState, readings: Sequence[str]) -> Reply | None:
        """Returns a reply in every case. An error becomes a sentence, and a bug becomes a reference to the log."""
        before = unexpected_errors.cancellations()
        try:
            return await (self._ask_reading(inv, state, readings) if readings else self._run_line(inv, state))
        except errors.QuarterdeckError as error:
            if isinstance(error, errors.Refused) and state.decision is None:
                state.verdict = "refused"
                await self._audit.refusal(inv, state.command, "", decision.denial(error))
            return name_choices.reply_with_choices(error, inv.line, self._catalogue)
        except BaseException as error:
            if not unexpected_errors.is_unexpected(error, before):
                raise
            return reply_formatting.make_internal_error_reply(self._bugs.report(error, "answer", command=state.command))

    async def _run_line(self, inv: Invocation, state: CommandState) -> Reply | None:
        parsed = parser.parse(inv.line, self._catalogue)
        command = parsed.command
        state.command = command.name
        policy = await self._enter(inv, command.risk, state)
        if policy is None:
            return None
        state.share = bool(parsed.args.get("share"))
        now = self._clock().astimezone(typed_times.find_zone(inv.who.zone))
        call = Call(id=secrets.token_hex(8), who=inv.who.id, deadline=inv.deadline, invocation=inv.id)
        view = VisibleFleet(engines=self._fleet, in_force=policy, who=inv.who, place=inv.place, call=call, now=now)
        context = Context(who=inv.who, place=inv.place, args=parsed.args, find=view, now=now)
        state.view, state.context = view, context

        if command.risk is not Risk.READ:
            decision.refuse_bare_wildcard(parsed.args)
        plan = await view.with_effects(await engine_refusals.make_plan(command, context, view, self._fleet))
        answered, question = Verdict.ALLOW, None
        if plan and isinstance(plan[0], bot_actions.AnswerQuestion):
            # `confirm` and `cancel`: the plan that was asked about, its ids pinned, is decided again as things are now.
            question = await self._pending.peek(plan[0].token)
            state.command = question.command
            if not plan[0].yes:
                return await questions.cancel_question(self._pending, self._audit, inv, question)
            questions.check_may_answer(question, inv.who)
            plan, answered = await view.with_effects(await view.refresh(question.actions())), question.verdict
            parsed = parser.parse(question.line, self._catalogue)
            command, context = parsed.command, replace(context, args=parsed.args)
            inv = replace(inv, line=question.shown_line(inv.who))
        if not plan:
            return command.render(context, ())
        plan, left_out = partial_plan.split_plan(command, plan, view)
        hit = await plan_decision.decide_plan(
            *(plan, question, view, inv, state, self._audit, self._fleet),
            people=self.people,
            every=bool(parsed.args.get("all")),
            max_unconfirmed=self._max_unconfirmed,
        )
        if not hit.plan or state.decision is None:
            return hit.reply() or rendering.render(command, context, hit.unable, self._bugs, inv)
        plan, decided = hit.plan, state.decision
        if decided.verdict > answered:
            text = await question_text.describe_question(
                command, context, plan, decided, hit.all_notes(), view=view, fleet=self._fleet
            )
            return await questions.ask_question(
                self._pending, self._audit, inv, command, plan, decided, text, answered=question
            )
        if question is not None and decided.approvers:
            return await question_answers.add_approval(self._pending, self._audit, inv, question, plan, decided)

        if all(action.risk is Risk.READ for action in plan):
            if question is not None:
                await self._pending.claim(question.token)
            return await self._read(inv, command, context, left_out, state)

        change = state.change = change_record.ChangeRecord(
            inv, plan, decided, store=self._store, records=self._audit, clock=self._clock
        )
        await change.begin(question.token if question is not None else "")
        announced = announcement.ChangeAnnouncer(inv, command, plan, state.responder)
        announced.before(self._fleet)
        results = [*await self._execute(plan, view, state, change.record), *hit.unable]
        announced.after(results)
        if inv.verify and command.starts:
            state.watch = change_verification.ChangeVerification(
                *(self._watch_tools, inv, command, context, results),
                view=view,
                responder=state.responder,
                finish=lambda reply: self._complete(announced.addressed(hit.noted(reply)), state),
            )
        return announced.addressed(hit.noted(rendering.render(command, context, results, self._bugs, inv)))

    async def _read(
        self, inv: Invocation, command: Command, context: Context, left_out: Sequence[Result], state: CommandState
    ) -> Reply:
        """Runs the actions of a plan that only reads. `left_out`: the results of its optional parts that do not run."""
        assert state.view is not None and state.decision is not None
        try:
            results = await self._execute(state.plan, state.view, state, optional=command.optional)
        except asyncio.CancelledError:
            # What was read before the cancellation may have been shown.
            await self._audit.read(inv, [(action, "", "cancelled") for action in state.plan], state.decision)
            raise
        await self._audit.read(inv, reply_formatting.format_endings(results), state.decision)
        results = [*results, *left_out]
        return reply_formatting.make_public(context, rendering.render(command, context, results, self._bugs, inv))

    async def _ask_reading(self, inv: Invocation, state: CommandState, readings: Sequence[str]) -> Reply | None:
        if await self._enter(inv, Risk.READ, state) is None:
            return None
        return await questions.ask_reading(self._audit, inv, readings)

    async def _enter(self, inv: Invocation, risk: Risk, state: CommandState) -> Policy | None:
        """Registers the invocation and returns the policy in force. Returns None for a second delivery. Raises
        RateLimited."""
        return await command_registration.register_command(
            *(inv, risk, state), store=self._store, limits=self._limits, policies=self._policies, replica=self._replica
        )

    async def _execute(
        self,
        plan: Sequence[Action[Any]],
        view: VisibleFleet,
        state: CommandState,
        record: execution.Recorder | None = None,
        *,
        optional: Sequence[str] = (),
    ) -> Sequence[Any]:
        results = await execution.run_plan(
            plan,
            fleet=self._fleet,
            store=self._store,
            view=view,
            responder=state.responder,
            everyone=state.share,
            stopping=self._stopping,
            refusal=functools.partial(self._rights.refusal, view),
            freeze=self._rights.freeze,
            view_now=functools.partial(self._rights.view, view),
            record=record,
            optional=optional,
        )
        return await redaction.redact_documents(results, self._bugs)

    async def forget(self, inv: Invocation) -> None:
        """Deletes the record of an invocation that was answered, or whose reply is not wanted any more."""
        await self._audit.deferred.write(
            write_retry.DeferredWrite(write=lambda: self._store.forget(inv.id), invocation=inv.id)
        )

    async def flush_spool(self) -> None:
        """Writes the records that wait for the store: ends of commands and audit rows. Raises StoreDown."""
        await self._audit.flush()

    async def reject(self, who: Identity, place: Place, line: str, error: errors.Refused) -> Reply:
        """Returns the reply to somebody who may not use this bot at all, and audits it like any refusal."""
        now = self._clock()
        inv = Invocation(id="", who=who, line=line, place=place, at=now, deadline=now)
        await self._audit.refusal(inv, "", "", decision.denial(error))
        self._metrics.commands_total.labels("none", "deny", Ending.REFUSED).inc()
        return redact.redact_reply(reply_formatting.make_error_reply(error))
