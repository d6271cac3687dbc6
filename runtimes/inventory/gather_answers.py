"""Asks several engines at once, and does not wait long for the slow ones after the others have answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from core import errors, tasks
from core.model.actions import Action, Risk
from core.model.engines import Engine
from core.model.refs import EngineRef
from core.ports import Runtime

T = TypeVar("T")
GRACE_SECONDS = 2.0  # for the slow engines, after the last answer of another one


async def gather_answers(
    questions: Sequence[Callable[[], Awaitable[T]]],
    *,
    complete: Callable[[T], bool],
    late: Callable[[int], Awaitable[T]],
    grace: float = GRACE_SECONDS,
) -> list[T]:
    """Returns the answers in the order of the questions.

    `complete` says whether an answer is one that an engine gave. After the last of those, the other questions have
    `grace` seconds; then they are cancelled, and `late` makes the answer for the question of that number. If no engine
    gives an answer, each question has its own time."""
    loop = asyncio.get_running_loop()
    asked = [tasks.start_awaited("question", _await(question)) for question in questions]
    pending, ends = set(asked), None
    try:
        while pending:
            left = None if ends is None else max(0.0, ends - loop.time())
            done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            if any(complete(task.result()) for task in done):
                ends = loop.time() + grace
    finally:
        for task in asked:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
    return [await late(number) if task in pending else task.result() for number, task in enumerate(asked)]


def is_list(action: Action[Any]) -> bool:
    """Returns whether the action lists resources or describes an engine, which takes an engine little time."""
    lists = action.risk is Risk.READ and action.listing and action.verb.endswith(".list")
    return lists and not getattr(action, "follow", False)


def is_complete(answer: Any) -> bool:
    """Returns whether an engine gave this answer to a list: it is no error, and neither old nor partial."""
    if isinstance(answer, Exception):
        return False
    return not getattr(answer, "missing", "") and not getattr(answer, "fault", "")


def late_error(engine: EngineRef, grace: float = GRACE_SECONDS) -> errors.TimedOut:
    """Returns the error of an engine that was not waited for any longer."""
    return errors.TimedOut(
        f"{engine} did not answer within {grace:.0f} s after the other engines.",
        sent=False,
        hint=f"To give this engine more time, repeat the command for it alone: --engine {engine.kind} --host"
        f" {engine.host}",
    )


def unanswered(runtime: Runtime, reason: errors.EngineError) -> Engine:
    """Returns the description of an engine that did not answer, from what is known without it."""
    # A Swarm has no address of its own.
    address = str(getattr(runtime, "address", "") or getattr(runtime, "url", ""))
    return Engine(ref=runtime.ref, address=address, verbs=tuple(sorted(runtime.verbs)), fault=reason.full_message())


async def _await(question: Callable[[], Awaitable[T]]) -> T:
    return await question()
