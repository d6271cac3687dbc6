"""Defines the errors that Quarterdeck raises on purpose, in one tree.

    QuarterdeckError
    ├─ UserError      BadUsage (SeveralEngines) · UnknownCommand · NotFound · Ambiguous · Unsupported · Expired
    ├─ Refused        NotPermitted · RateLimited · Busy · Frozen · Disallowed · Protected
    ├─ EngineError    Unreachable · TimedOut · Rejected · InvalidResponse · DuplicateEngine · EventsUnsupported
    ├─ StoreError     StoreDown · StoreFull · LeaseLost
    ├─ DeliveryError  Undeliverable · MessageNotFound
    └─ ConfigError    all mistakes of a configuration at once

A class's docstring is its default message. `full_message()` is what people read: the message, then the hint. It
contains no secret that Quarterdeck recognises (replies are redacted again). Any other
exception is a bug in Quarterdeck: the log gets its traceback, the requester gets a short reference.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Self

from core.lazy_dataclass import dataclass


class QuarterdeckError(Exception):
    """Something went wrong."""

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "").split("\n\n")[0]
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.full_message()

    def full_message(self) -> str:
        """Returns one or two sentences for people: what happened, then what to do."""
        return f"{self.message} {self.hint}".strip()


# The request cannot be understood, or names something that does not exist.
class UserError(QuarterdeckError):
    """The command cannot be run as written."""


class BadUsage(UserError):
    """The command was not understood."""


class SeveralEngines(BadUsage):
    """Several engines can do this, and the command chose none of them.

    `what`: the end of a sentence about such engines, `create networks`. `everywhere`: whether all can be chosen.
    """

    def __init__(self, what: str, engines: Sequence[str], *, everywhere: bool = False) -> None:
        self.engines, self.everywhere = tuple(engines), everywhere
        shown = ", ".join(self.engines[:8]) + (f" and {len(engines) - 8} more" if len(engines) > 8 else "")
        cure = f"Add one of them: --engine {engines[0]}"
        super().__init__(
            f"The command names no engine, and {len(engines)} engines can {what}: {shown}.",
            hint=f"{cure}, or all: --engine '*'" if everywhere else cure,
        )


class UnknownCommand(UserError):
    """This command does not exist."""


class NotFound(UserError):
    """Nothing matches that name."""


class Ambiguous(UserError):
    """That name matches more than one resource.

    `group`: the service or project that all candidates belong to; empty if there is none.
    """

    def __init__(
        self, name: str, candidates: Sequence[str], group: str = "", *, hint: str = "Write one of these names."
    ) -> None:
        self.name, self.candidates, self.group = name, tuple(candidates), group
        shown = ", ".join(self.candidates[:8]) + (f" and {len(candidates) - 8} more" if len(candidates) > 8 else "")
        super().__init__(f"“{name}” matches {len(candidates)} names: {shown}.", hint=hint)


class Unsupported(UserError):
    """This engine does not support that action.

    `alternative` becomes the hint: one sentence about what the engine can do instead.
    """

    def __init__(self, verb: str, engine: str, alternative: str = "") -> None:
        self.verb, self.engine = verb, engine
        super().__init__(f"{engine} does not support {verb}.", hint=alternative)


class Expired(UserError):
    """This question has expired or was already answered."""


# The request was understood; Quarterdeck does not carry it out.
class Refused(QuarterdeckError):
    """Quarterdeck refused this command."""


class NotPermitted(Refused):
    """You are not allowed to do that.

    `rule`: the id of the grant or guard that decided.
    """

    def __init__(self, message: str = "", *, rule: str = "", hint: str = "") -> None:
        self.rule = rule
        super().__init__(message, hint=hint)


class RateLimited(Refused):
    """You gave too many commands in a short time.

    `retry_after`: when the next command of this `risk` is accepted.
    """

    def __init__(self, retry_after: timedelta, *, risk: str) -> None:
        self.retry_after, self.risk = retry_after, risk
        seconds = max(1, -(-int(retry_after.total_seconds() * 1000) // 1000))
        super().__init__(
            f"The command was not run: your rate limit for {risk} commands is reached.",
            hint=f"Try again in {seconds} s.",
        )


class Busy(Refused):
    """Somebody else is changing this target.

    `doing`: the verb of the running change, such as `container.restart`; `ago`: how long it has been running.
    """

    def __init__(self, target: str, who: str, doing: str, ago: timedelta) -> None:
        self.target, self.who, self.doing, self.ago = target, who, doing, ago
        super().__init__(
            f"Nothing was changed: {who} started {doing} on {target} {max(0, int(ago.total_seconds()))} s ago, and it"
            " has not finished.",
            hint="Give your command again when that has finished.",
        )


class Frozen(Refused):
    """All changes are frozen.

    `freeze`: a sentence about who froze them, since when, until when and why.
    """

    def __init__(self, freeze: str) -> None:
        super().__init__(
            f"Nothing was changed: {freeze}",
            hint="Commands that only read still work. Whoever set the freeze can end it with: unfreeze",
        )


class Disallowed(Refused):
    """The configuration of this engine does not allow that action.

    `needed_for`: the verb that was given, if it needs `verb` as one of its steps.
    """

    def __init__(self, verb: str, engine: str, needed_for: str = "") -> None:
        self.verb, self.engine = verb, engine
        needed = f", which {needed_for} needs" if needed_for not in ("", verb) else ""
        super().__init__(
            f"The configuration of {engine} does not allow {verb}{needed}.",
            hint="Add the verb to the engine's `allow` list in quarterdeck.yaml.",
        )


class Protected(Refused):
    """Quarterdeck does not stop, change or remove its own container or its store."""


# The engine failed, or its answer is missing.
class EngineError(QuarterdeckError):
    """The container engine failed.

    `sent`: the request had left, so it is not known whether a change happened: its outcome is UNKNOWN. It is set where
    the error is made, and never changes.
    """

    def __init__(self, message: str = "", *, sent: bool = False, hint: str = "") -> None:
        self.sent: Final = sent
        super().__init__(message, hint=hint)

    def with_sent(self, sent: bool) -> Self:
        """Returns this error with another `sent`: for a caller that knows what else was sent, or what was not."""
        other = type(self).__new__(type(self), *self.args)
        vars(other).update(vars(self) | {"sent": sent})
        return other


class Unreachable(EngineError):
    """The container engine cannot be reached."""


class TimedOut(EngineError):
    """The container engine did not answer in time."""

    def __init__(self, message: str = "", *, sent: bool, hint: str = "") -> None:
        super().__init__(message, sent=sent, hint=hint)


class Rejected(EngineError):
    """The container engine rejected the request.

    `code`: HTTP or gRPC status, or exit code; `text`: the engine's own message, at most 1,024 characters of it. The
    error's message has 256 of them.
    """

    def __init__(self, code: int, text: str, *, hint: str = "") -> None:
        self.code, self.text = code, text[:1024]
        super().__init__(self.text[:256] or f"The engine answered with status {code}.", hint=hint)


class InvalidResponse(EngineError):
    """The container engine sent an invalid response.

    `sent` is True unless the request is known to have changed nothing: what is answered was sent.
    """

    def __init__(self, message: str = "", *, sent: bool = True, hint: str = "") -> None:
        super().__init__(message, sent=sent, hint=hint)


class EventsUnsupported(EngineError):
    """The container engine records no events; changes show only in its lists."""


class DuplicateEngine(EngineError):
    """This engine is already listed under another address."""


class StoreError(QuarterdeckError):
    """The store failed."""


class StoreDown(StoreError):
    """The store does not answer."""


class StoreFull(StoreError):
    """The store has no memory left for this."""


class LeaseLost(StoreError):
    """This lease has expired, and another process may hold it now."""


class DeliveryError(QuarterdeckError):
    """The chat service failed."""


class Undeliverable(DeliveryError):
    """The reply could not be delivered."""

    def __init__(
        self,
        message: str = "",
        *,
        code: str = "",
        hint: str = "",
        maybe_sent: bool = False,
        reasons: Sequence[str] = (),
    ) -> None:
        self.reasons = tuple(reasons)
        """The chat service's own words about the parts that it refused."""
        self.code = code
        """The chat service's own error code, such as `not_in_channel`."""
        self.maybe_sent = maybe_sent
        """The answer was lost, so the chat service may have accepted the message."""
        super().__init__(message, hint=hint)


class MessageNotFound(Undeliverable):
    """A message cannot be changed or answered any more, because it was deleted or is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in the configuration.

    `path`: the setting, dotted (`engines.0.url`); `what`: the end of a sentence about it; `source`: the file or the
    environment variable that contains it; `line`: 1-based, 0 if there is no line.
    """

    path: str
    what: str
    hint: str = ""
    source: str = ""
    line: int = 0

    def full_message(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        head = f"{where}: {self.path}" if where and self.path else where or self.path
        return f"{head}: {self.what}" + (f"\n    hint: {self.hint}" if self.hint else "")


class ConfigError(QuarterdeckError):
    """The configuration has mistakes."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(
            f"The configuration has {count} mistake{'s' if count != 1 else ''}:\n"
            + "\n".join(f"  {problem.full_message()}" for problem in self.problems)
        )
