"""Asks each engine for readings that are not urgent, and collects the failures. A failure of one engine does not
stop the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from core import errors
from core.lazy_dataclass import dataclass
from core.ports import Call
from runtimes.inventory.mirror import Mirror

log = structlog.get_logger(__name__)
MAX_CONCURRENT = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class PollingRound:
    """What one round did. `asked`: the number of engines that were asked; `faults`: a sentence for each that failed."""

    asked: int = 0
    faults: tuple[str, ...] = ()


def answering(mirrors: Sequence[Mirror], verb: str) -> list[Mirror]:
    """Returns the mirrors whose engine was contacted, is not known to be silent, and has the verb. An engine that is
    down is reported by other metrics, and is no fault of a round."""
    return [mirror for mirror in mirrors if mirror.engine_id and mirror.silence is None and verb in mirror.verbs]


async def ask_each(
    mirrors: Sequence[Mirror],
    ask: Callable[[Mirror], Awaitable[None]],
    *,
    seconds: float,
    at_once: int = MAX_CONCURRENT,
) -> PollingRound:
    """Calls `ask` for each mirror, at most `at_once` at the same time and each for at most `seconds`."""
    gate = asyncio.Semaphore(at_once)

    async def one(mirror: Mirror) -> str:
        async with gate:
            try:
                async with asyncio.timeout(seconds):
                    await ask(mirror)
            except TimeoutError:
                return f"{mirror.ref} did not answer within {seconds:.0f} s."
            except errors.QuarterdeckError as error:
                return error.full_message()
            except Exception as error:  # a bug with one engine must not stop the others
                log.exception("An engine could not be read because of a bug.", engine=str(mirror.ref))
                return f"{mirror.ref}: internal error: {type(error).__name__}."
        return ""

    results = await asyncio.gather(*map(one, mirrors))
    return PollingRound(asked=len(mirrors), faults=tuple(filter(None, results)))


def call_within(seconds: float, name: str) -> Call:
    """Returns the call of a reading that Quarterdeck makes by itself. `name`: what it is for."""
    return Call(id=name, who="schedule", deadline=datetime.now(UTC) + timedelta(seconds=seconds), invocation="")
