"""Checks that the bot on this host answers. `quarterdeck health` runs it as the health check of a container.

The check sends one request, with a timeout, to the address of the metrics page, so the image does not need curl. The
request is for /healthz, which shows that the process is alive. It is not for /readyz, because an engine or a store that
cannot be reached is not a reason to restart the bot.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass

from core.config.field_types import ListenAddress

TIMEOUT_SECONDS = 3.0
# The loopback address to ask where the page listens on all addresses.
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (nothing listens here)


def check_health(listen: ListenAddress | None) -> HealthCheckResult:
    """Sends the request and returns the result with its reason."""
    if listen is None:
        return HealthCheckResult(good=False, reason="metrics.listen is off, so there is no address to ask.")
    address = ListenAddress(LOOPBACK.get(listen.host, listen.host), listen.port)
    # Not urllib: it would use a proxy that the environment names.
    connection = http.client.HTTPConnection(address.host, address.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return HealthCheckResult(good=False, reason=f"No answer from {address}: {why}.")
    finally:
        connection.close()
    ending = "." if status == 200 else f" with status {status}."
    return HealthCheckResult(good=status == 200, reason=f"{address} answers{ending}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheckResult:
    """Holds whether the bot answered, and a sentence that explains it."""

    good: bool
    reason: str
