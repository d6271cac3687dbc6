"""Whether the bot that runs here answers: what a container's health check asks, so that an image needs no client of its
own for it. In goes where the page listens, out come a verdict and its reason; one request, with a deadline.

It asks /healthz (the process lives), not /readyz: an engine or a store that is away is no reason to start us anew.
"""

from __future__ import annotations

import http.client
from dataclasses import dataclass

from core.config.field_types import ListenAddress

WITHIN = 3.0  # seconds
LOOPBACK = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (asked at loopback where all are served)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    good: bool
    reason: str


def ask(listen: ListenAddress | None) -> Health:
    if listen is None:
        return Health(good=False, reason="metrics.listen is off, so there is nobody to ask.")
    place = ListenAddress(LOOPBACK.get(listen.host, listen.host), listen.port)
    # Not urllib: it would send this through a proxy that the environment names.
    talk = http.client.HTTPConnection(place.host, place.port, timeout=WITHIN)
    try:
        talk.request("GET", "/healthz")
        status = talk.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return Health(good=False, reason=f"Nobody answers at {place}: {why}.")
    finally:
        talk.close()
    return Health(good=status == 200, reason=f"{place} answers" + ("." if status == 200 else f" with status {status}."))
