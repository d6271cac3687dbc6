"""Queries a Prometheus server by its HTTP API. Times are seconds since the epoch."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from charts.pictures.dashboard_queries import Times

PATIENCE = 30  # seconds for one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One series of an answer: its labels, and its values by time."""

    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


class PrometheusServer:
    """The server at `url`, without a slash at the end. A refused query raises ValueError with the reason."""

    def __init__(self, url: str) -> None:
        self.url = url

    def at(self, expr: str, time: float) -> Sequence[Series]:
        """The series of an instant query."""
        found = self._ask("query", query=expr, time=str(time))
        assert isinstance(found, dict)
        if found["resultType"] == "scalar":
            return [Series(labels={}, points=(_point(found["result"]),))]
        return [Series(labels=one["metric"], points=(_point(one["value"]),)) for one in found["result"]]

    def over(self, expr: str, times: Times) -> Sequence[Series]:
        """The series of a range query."""
        found = self._ask("query_range", query=expr, start=str(times.begin), end=str(times.end), step=str(times.step))
        assert isinstance(found, dict)
        return [Series(labels=one["metric"], points=tuple(map(_point, one["values"]))) for one in found["result"]]

    def values(self, series: str, label: str, times: Times) -> Sequence[str]:
        """The values of a label of some series, as a variable offers them."""
        found = self._ask(
            f"label/{label}/values", **{"match[]": series, "start": str(times.begin), "end": str(times.end)}
        )
        assert isinstance(found, list)
        return [str(each) for each in found]

    def _ask(self, path: str, **parameters: str) -> object:
        query = urllib.parse.urlencode(parameters)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=PATIENCE) as answer:  # noqa: S310 - the caller's address
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{parameters}: {error.read().decode(errors='replace')}") from error


def _point(pair: Sequence[object]) -> tuple[float, float]:
    return float(str(pair[0])), float(str(pair[1]))
