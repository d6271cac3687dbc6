"""Which part of a time nobody knows: from what the engine remembers and from when it was watched."""

import pytest

from core.model.event_coverage import NEVER, NOT_NOW, NOT_YET, Coverage, Missed

LOST = Missed(40, 60, "the stream was lost")


@pytest.mark.parametrize(
    ("coverage", "unknown"),
    [
        (Coverage(), [(0, 100, NEVER)]),
        (Coverage(remembered_ns=70), [(0, 70, NEVER)]),
        (Coverage(watched_ns=1, watched_until_ns=100), [(0, 1, NOT_YET)]),
        (Coverage(watched_ns=-5, watched_until_ns=200), []),
        (Coverage(watched_ns=-5, watched_until_ns=80), [(80, 100, NOT_NOW)]),
        (Coverage(watched_ns=-5, watched_until_ns=80, remembered_ns=75), []),
        (Coverage(watched_ns=-5, watched_until_ns=80, remembered_ns=90), [(80, 90, NOT_NOW)]),
        (Coverage(watched_ns=-9, watched_until_ns=-1), [(0, 100, NOT_NOW)]),
        (Coverage(watched_ns=150, watched_until_ns=200), [(0, 100, NOT_YET)]),
        (Coverage(watched_ns=-5, watched_until_ns=200, missed=(LOST,)), [(40, 60, LOST.why)]),
        (Coverage(watched_ns=-5, watched_until_ns=200, missed=(LOST,), remembered_ns=50), [(40, 50, LOST.why)]),
        (Coverage(watched_ns=-5, watched_until_ns=200, missed=(Missed(-9, 200, "x"), LOST)), [(0, 100, "x")]),
        (
            Coverage(watched_ns=-5, watched_until_ns=200, missed=(LOST, Missed(50, 70, "y"))),
            [(40, 60, LOST.why), (60, 70, "y")],
        ),
    ],
)
def test_what_is_not_known(coverage, unknown):
    assert [(each.from_ns, each.until_ns, each.why) for each in coverage.unknown(0, 100)] == unknown


def test_a_process_that_watches_knows_all_but_its_gaps():
    stopped = Coverage(watched_ns=10, watched_until_ns=40, missed=(Missed(20, 30, "a"), Missed(35, 90, "b")))
    live = stopped.live_since(50, 100, [Missed(60, 70, "c")])
    assert [(each.from_ns, each.until_ns) for each in live.unknown(10, 100)] == [(20, 30), (35, 90)]
    assert Coverage().live_since(50, 100, ()).unknown(50, 100) == ()
