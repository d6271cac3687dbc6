"""Every error Quarterdeck raises on purpose, in one tree.

    QuarterdeckError
    ├─ UserError      BadUsage · UnknownCommand · NotFound · Ambiguous · Unsupported · Expired
    ├─ Refused        NotPermitted · RateLimited · Busy · Disallowed · Protected
    ├─ EngineError    Unreachable · TimedOut · Rejected · InvalidResponse · Duplicate · EventsUnsupported
    ├─ StoreError     StoreDown · LeaseLost
    ├─ DeliveryError   Undeliverable
    └─ ConfigError    every problem of a configuration at once

A class's docstring is its default message. `full_message()` is what people read: the message, then the hint. It
contains no secret that Quarterdeck recognises (replies are redacted again). Anything that is not a
QuarterdeckError is a bug of ours: its traceback goes to the log, a short reference to the person.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta


class QuarterdeckError(Exception):
    """Something went wrong."""

    def __init__(self, message: str = "", *, hint: str = "") -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "").split("\n\n")[0]
        self.hint = hint
        super().__init__(self.message)

    def __str__(self) -> str:
        return self.full_message()

    def full_message(self) -> str:
        """One or two sentences for a person: what happened, then the cure."""
        return f"{self.message} {self.hint}".strip()


# What the person asked for cannot be understood or found.
class UserError(QuarterdeckError):
    """The request cannot be carried out as written."""


class BadUsage(UserError):
    """The command was not understood."""


class UnknownCommand(UserError):
    """There is no such command."""


class NotFound(UserError):
    """Nothing matches that name."""


class Ambiguous(UserError):
    """That name matches more than one thing."""

    def __init__(self, word: str, candidates: Sequence[str]) -> None:
        self.word, self.candidates = word, tuple(candidates)
        shown = ", ".join(self.candidates[:8]) + (f" and {len(candidates) - 8} more" if len(candidates) > 8 else "")
        super().__init__(f"“{word}” matches {len(candidates)}: {shown}.", hint="Name one of them.")


class Unsupported(UserError):
    """This engine has no such operation. `nearest`: a sentence with what it can do instead."""

    def __init__(self, verb: str, engine: str, nearest: str = "") -> None:
        self.verb, self.engine = verb, engine
        super().__init__(f"{engine} cannot do {verb}.", hint=nearest)


class Expired(UserError):
    """That question has expired or was already answered."""


# We understood and will not do it.
class Refused(QuarterdeckError):
    """Refused."""


class NotPermitted(Refused):
    """You may not do that."""

    def __init__(self, message: str = "", *, rule: str = "", hint: str = "") -> None:
        self.rule = rule
        super().__init__(message, hint=hint)


class RateLimited(Refused):
    """Too many commands in a short time."""

    def __init__(self, retry_after: timedelta, *, risk: str) -> None:
        self.retry_after, self.risk = retry_after, risk
        seconds = max(1, -(-int(retry_after.total_seconds() * 1000) // 1000))
        super().__init__(f"That is more {risk} commands than your limit allows.", hint=f"Try again in {seconds} s.")


class Busy(Refused):
    """Somebody else is working on that."""

    def __init__(self, target: str, who: str, doing: str, ago: timedelta) -> None:
        self.target, self.who, self.doing, self.ago = target, who, doing, ago
        super().__init__(
            f"{who} began {doing} on {target} {max(0, int(ago.total_seconds()))} s ago and it has not ended.",
            hint="Wait for it, or look with ps.",
        )


class Disallowed(Refused):
    """The owner of that host does not allow this."""

    def __init__(self, verb: str, engine: str) -> None:
        self.verb, self.engine = verb, engine
        super().__init__(
            f"{engine} is configured not to allow {verb}.", hint="Its `allow` list in quarterdeck.yaml decides."
        )


class Protected(Refused):
    """Quarterdeck does not stop itself or its store."""


# The engine did not do it, or did not say.
class EngineError(QuarterdeckError):
    """The container engine failed."""


class Unreachable(EngineError):
    """The container engine cannot be reached.

    `sent`: the connection was lost after the request had left, so a change may or may not have happened (UNKNOWN).
    """

    def __init__(self, message: str = "", *, sent: bool = False, hint: str = "") -> None:
        self.sent = sent
        super().__init__(message, hint=hint)


class TimedOut(EngineError):
    """The container engine did not answer in time.

    `sent` tells whether the request had left for the engine: if so a change may or may not have happened (UNKNOWN).
    """

    def __init__(self, message: str = "", *, sent: bool, hint: str = "") -> None:
        self.sent = sent
        super().__init__(message, hint=hint)


class Rejected(EngineError):
    """The container engine refused the request."""

    def __init__(self, code: int, text: str) -> None:
        self.code, self.text = code, text[:256]
        super().__init__(self.text or f"the engine answered with status {code}")


class InvalidResponse(EngineError):
    """The container engine answered something that cannot be understood.

    `sent`: it was the answer to a change, which may or may not have happened (UNKNOWN).
    """

    sent = False


class EventsUnsupported(EngineError):
    """The container engine keeps no events; what happens shows only in its lists."""


class DuplicateEngine(EngineError):
    """That engine is here already, under another address."""


class StoreError(QuarterdeckError):
    """The store failed."""


class StoreDown(StoreError):
    """The store does not answer."""


class LeaseLost(StoreError):
    """Another process holds this lease now."""


class DeliveryError(QuarterdeckError):
    """The reply could not be delivered."""


class Undeliverable(DeliveryError):
    """The reply could not be delivered."""

    def __init__(self, message: str = "", *, code: str = "", hint: str = "") -> None:
        self.code = code
        """The chat service's own word for it, such as `not_in_channel`."""
        super().__init__(message, hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake in the configuration: `path` is dotted (`engines.0.url`), `line` is 1-based, 0 where there is
    none."""

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
