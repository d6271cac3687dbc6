"""Sends JSON to other systems over HTTP, and decides which failures are permanent and which must be retried.

A redirect is not followed, because a signature or a password must reach nobody else. Response bodies are not read.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping
from typing import TYPE_CHECKING

from core.lazy_dataclass import dataclass

if TYPE_CHECKING:
    import aiohttp

TIMEOUT_SECONDS = 10.0
MAX_RETRY_AFTER_SECONDS = 3600.0
# The receiver understood the request and refuses its content, now and later.
REFUSED = frozenset({400, 405, 410, 411, 413, 414, 415, 422, 431})


class SendOutcome(enum.StrEnum):
    """DELIVERED: the receiver took it. REFUSED: it never will. FAILED: it must be sent again."""

    DELIVERED = "delivered"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of one request. `reason`: a sentence, unless it was delivered. `retry_after`: the seconds that the
    receiver asks to wait; 0 if it does not ask."""

    outcome: SendOutcome
    reason: str = ""
    retry_after: float = 0.0


class HttpSender:
    """One pool of connections. Call `aclose` last."""

    def __init__(self, timeout: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def send(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Sent:
        """Sends one request. Raises nothing but CancelledError."""
        import aiohttp  # noqa: PLC0415 (takes 100 ms; only needed if there is something to send)

        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout), trust_env=True, cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.request(
                method, url, data=body or None, headers=dict(headers), allow_redirects=False
            ) as answer:
                status, asked = answer.status, answer.headers.get("Retry-After", "")
                answer.close()  # its body is not read, however long it is
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            # Not the error's own text: it may quote the address, which may hold a secret.
            return Sent(outcome=SendOutcome.FAILED, reason=f"The receiver cannot be reached ({type(error).__name__}).")
        if 200 <= status < 300:
            return Sent(outcome=SendOutcome.DELIVERED)
        if status in REFUSED:
            return Sent(outcome=SendOutcome.REFUSED, reason=f"The receiver refused the content with status {status}.")
        if 300 <= status < 400:
            reason = f"The receiver answered with a redirect ({status}), which is not followed."
        else:
            reason = f"The receiver answered with status {status}."
        return Sent(outcome=SendOutcome.FAILED, reason=reason, retry_after=_seconds(asked))

    async def aclose(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
            await asyncio.sleep(0)


def _seconds(text: str) -> float:
    return min(float(text), MAX_RETRY_AFTER_SECONDS) if text.isascii() and text.isdigit() else 0.0
