"""Which format and compression a scrape gets, by the headers that clients really send."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies as st

from bot.content_negotiation import OFFERS, choose_format, wants_gzip

TEXT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS_1 = "application/openmetrics-text; version=1.0.0; charset=utf-8"
OPENMETRICS_0 = "application/openmetrics-text; version=0.0.1; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        # Prometheus in several versions, the older ones first (the third is that of 2.42), and with native histograms.
        ("text/plain;version=0.0.4;q=1,*/*;q=0.1", TEXT_TYPE),
        ("application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", OPENMETRICS_0),
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPENMETRICS_1,
        ),
        (
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
            "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
            "text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            OPENMETRICS_1,
        ),
        (
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,"
            "application/openmetrics-text;version=0.0.1;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OPENMETRICS_0,
        ),
        # curl, a browser, and a client that sends no header.
        ("*/*", TEXT_TYPE),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", TEXT_TYPE),
        ("", TEXT_TYPE),
        # The weight decides, whatever comes first.
        ("application/openmetrics-text;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.4", TEXT_TYPE),
        ("text/plain;version=0.0.4;q=0.3,application/openmetrics-text;version=1.0.0;q=0.4", OPENMETRICS_1),
        # The most exact range has the weight; of equal weights, the more exact one wins, then the text format.
        ("application/openmetrics-text", OPENMETRICS_1),
        ("application/*;q=0.9,text/*;q=0.8", OPENMETRICS_1),
        ("application/openmetrics-text;version=1.0.0,*/*", OPENMETRICS_1),
        ("application/openmetrics-text,text/plain", TEXT_TYPE),
        ("application/openmetrics-text;q=0,*/*", TEXT_TYPE),
        ("text/plain;q=0,*/*;q=0.5", OPENMETRICS_1),
        ('APPLICATION/OpenMetrics-Text ; version="1.0.0" ; Q=0.9 , text/plain ; q=0.1', OPENMETRICS_1),
        # Nothing that we have: the text format, as a scrape without a page helps nobody.
        ("application/openmetrics-text;version=2.0.0", TEXT_TYPE),
        ("text/html", TEXT_TYPE),
        ("*/*;q=0", TEXT_TYPE),
        # An invalid part counts as not sent.
        ("application/openmetrics-text;q=high,text/plain;q=0.1", TEXT_TYPE),
        ("application/openmetrics-text;q=1.5,text/plain;q=0.1", TEXT_TYPE),
        ("application/openmetrics-text;q=nan,text/plain;q=0.1", TEXT_TYPE),
        (",;,;q=1,=", TEXT_TYPE),
    ],
)
def test_the_format(accept: str, wanted: str) -> None:
    assert choose_format(accept).content_type == wanted


@pytest.mark.parametrize(
    ("accepted", "wanted"),
    [
        ("gzip", True),
        ("x-gzip", True),
        ("GZIP;q=1.0", True),
        ("*", True),
        ("br, gzip ; q=0.5", True),
        ("gzip, deflate, br, zstd", True),
        ("gzip;q=0.5, identity;q=0.4", True),
        ("gzip;q=0.4, identity;q=0.5", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*, gzip;q=0", False),
        ("*;q=0", False),
        ("gzip;q=often", False),
        ("identity", False),
        ("x-gzip-not", False),
        ("", False),
    ],
)
def test_the_compression(accepted: str, wanted: bool) -> None:
    assert wants_gzip(accepted) is wanted


@hypothesis.given(st.text(st.sampled_from('*/;,=q."01 \tgzipaet-n'), max_size=60) | st.text(max_size=60))
def test_any_header_has_an_answer(header: str) -> None:
    assert choose_format(header) in OFFERS
    assert wants_gzip(header) in (True, False)
