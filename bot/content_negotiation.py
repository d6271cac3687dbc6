"""Chooses the format and the compression of the metrics page from the headers `Accept` and `Accept-Encoding`.

The offer with the highest weight `q` (0 = not acceptable, 1 = best) is chosen. If two offers have the same weight, the
more specific media type wins. If that is equal too, or if the client accepts no offer, the Prometheus text format is
sent. A part with an invalid weight is ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from core.lazy_dataclass import dataclass
from core.metric_families import Format


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One way to send the page: a format, and the media type that announces it."""

    form: Format
    media_type: str
    version: str

    @property
    def content_type(self) -> str:
        return f"{self.media_type}; version={self.version}; charset=utf-8"


TEXT = Offer(form=Format.TEXT, media_type="text/plain", version="0.0.4")
OPENMETRICS = "application/openmetrics-text"
OFFERS = (
    TEXT,
    Offer(form=Format.OPENMETRICS, media_type=OPENMETRICS, version="1.0.0"),
    Offer(form=Format.OPENMETRICS, media_type=OPENMETRICS, version="0.0.1"),  # older Prometheus; the same page
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Accepted:
    name: str
    parameters: Mapping[str, str]
    weight: float


def choose_format(accept: str) -> Offer:
    """Chooses by the value of the header Accept; empty: the client did not send it."""
    ranges = _parse(accept)
    best, best_rank = TEXT, (0.0, 0)
    for offer in OFFERS:
        exactness, weight = max(((_exactness(one, offer), one.weight) for one in ranges), default=(0, 0.0))
        if exactness and weight and (weight, exactness) > best_rank:
            best, best_rank = offer, (weight, exactness)
    return best


def wants_gzip(accept_encoding: str) -> bool:
    """Whether the header Accept-Encoding prefers gzip to an uncompressed page."""
    weights = {one.name: one.weight for one in _parse(accept_encoding)}
    gzip = weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0)))
    return gzip > 0 and gzip >= weights.get("identity", 0.0)


def _exactness(accepted: _Accepted, offer: Offer) -> int:
    """How exactly a client's media range names the offer; 0: it does not."""
    if accepted.name == offer.media_type:
        version = accepted.parameters.get("version")
        return 3 if version is None else 4 if version == offer.version else 0
    if accepted.name == f"{offer.media_type.partition('/')[0]}/*":
        return 2
    return int(accepted.name == "*/*")


def _parse(header: str) -> Sequence[_Accepted]:
    found = []
    for part in header.lower().split(","):
        name, *rest = (word.strip() for word in part.split(";"))
        pairs = (word.partition("=") for word in rest)
        parameters = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
        weight = _weight(parameters.pop("q", "1"))
        if name and weight is not None:
            found.append(_Accepted(name=name, parameters=parameters, weight=weight))
    return found


def _weight(text: str) -> float | None:
    try:
        weight = float(text)
    except ValueError:
        return None
    return weight if 0 <= weight <= 1 else None
