"""What an engine that is broken or hostile may put into events."""

from collectors import event_size_limits
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref

ENGINE = EngineRef(host="h", kind="docker")


def event(name="web", id_="4f2a", action="die", kind="container", **attrs):
    ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id=id_, name=name)
    return Event(1, EventKind.DIED, ref, Origin.LIVE, kind, action, attrs)


def test_a_usual_batch_is_passed_on_as_it_is():
    batch = [event(), event(exit_code="1", image="busybox")]
    assert event_size_limits.limit_sizes(batch) == (batch, 0)
    assert event_size_limits.limit_sizes(batch)[0] is batch
    assert event_size_limits.limit_sizes([]) == ([], 0)


def test_long_attributes_are_cut_and_counted():
    huge = "x" * 1_000_000
    batch, cut = event_size_limits.limit_sizes(
        [event(), event(image=huge), event(**{f"a{n}": "y" for n in range(100)})]
    )
    assert cut == 2
    assert [len(one.attrs.get("image", "")) for one in batch] == [0, event_size_limits.MAX_ATTRIBUTE, 0]
    assert len(batch[2].attrs) == event_size_limits.MAX_ATTRIBUTES
    assert batch[0] == event()


def test_an_event_of_a_name_that_no_engine_allows_is_dropped_and_counted():
    huge = "x" * (event_size_limits.MAX_NAME + 1)
    for one in (event(name=huge), event(id_=huge), event(action=huge), event(kind=huge)):
        assert event_size_limits.limit_sizes([one, event()]) == ([event()], 1)
