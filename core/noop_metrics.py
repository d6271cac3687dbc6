"""Provides no-op metrics for a process without a metrics page: every call is accepted and nothing is counted.

The Prometheus library is not imported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

if TYPE_CHECKING:
    from core.metrics import Metrics


def noop_metrics() -> Metrics:
    """Returns an object that accepts every call of Metrics and counts nothing."""
    return cast("Metrics", _Uncounted())


class _Uncounted:
    def __getattr__(self, name: str) -> _Family:
        return _FAMILY


class _Family:
    """A counter, gauge or histogram, and each of its series."""

    def labels(self, *values: object, **named: object) -> Self:
        return self

    def inc(self, amount: float = 1, **more: Any) -> None:
        """Forgets the amount."""

    def observe(self, amount: float, **more: Any) -> None:
        """Forgets the amount."""

    def set(self, value: float) -> None:
        """Forgets the value."""

    def __call__(self, *arguments: object, **named: object) -> None:
        """A method of the metrics, such as the one that removes series."""


_FAMILY = _Family()
