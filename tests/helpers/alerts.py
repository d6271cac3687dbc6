"""Makes alerts for tests."""

from __future__ import annotations

from typing import Any

from core.model.alerts import Alert, AlertState, Severity
from core.model.refs import EngineRef, Kind, Ref

WEB = Ref(engine=EngineRef(host="h1", kind="docker"), kind=Kind.CONTAINER, id="1" * 64, name="web")


def alert(
    rule: str = "crash", *, at: int = 1, state: AlertState = AlertState.FIRING, count: int = 1, **more: Any
) -> Alert:
    """Returns an alert about the container `web`. `at`: nanoseconds."""
    settings: dict[str, Any] = {
        "fingerprint": rule,
        "rule": rule,
        "topic": "end",
        "severity": Severity.MEDIUM,
        "state": state,
        "subject": WEB,
        "owner": "shop/web",
        "since_ns": 1,
        "at_ns": at,
        "text": "crashed",
        "count": count,
    }
    return Alert(**(settings | more))
