"""Deadlines that pass after a request has left, also on a machine that takes its time to send it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from core import errors


async def sent_in_vain(ask: Callable[[float], Awaitable[Any]], seconds: float = 0.05) -> errors.TimedOut:
    """The error of a request that is sent and not answered within its deadline, in seconds. If it was not even sent,
    asks again with a longer deadline."""
    for factor in (1, 20, 200):
        with pytest.raises(errors.TimedOut) as caught:
            await ask(factor * seconds)
        if caught.value.sent:
            break
    assert caught.value.sent
    return caught.value
