"""What goes with a prune, in which order, and what is kept by the time."""

import dataclasses

import msgspec
import pytest

from core.model import action_codec, effects, prune
from core.model.actions import Risk
from core.model.prune import UnusedResource, choose, why_kept
from core.model.refs import EngineRef, Kind, Ref
from core.model.target_facts import TargetFacts

DOCKER = EngineRef(host="h1", kind="docker")


def unused(kind, name, *users, **more):
    return UnusedResource(ref=Ref(engine=DOCKER, kind=kind, id=f"id-{name}", name=name), users=users, **more)


OLD, LAST = unused(Kind.CONTAINER, "old"), unused(Kind.CONTAINER, "last")
ROWS = (
    unused(Kind.IMAGE, "tagged", spare=False),
    unused(Kind.IMAGE, "of-old", "id-old"),
    unused(Kind.IMAGE, "left"),
    unused(Kind.VOLUME, "named", spare=False),
    unused(Kind.VOLUME, "anonymous", "id-old", "id-last"),
    unused(Kind.NETWORK, "net", "id-last"),
    OLD,
    LAST,
)


@pytest.mark.parametrize(
    ("kinds", "everything", "going"),
    [
        ((Kind.CONTAINER,), (), "last old"),
        ((Kind.IMAGE,), (), "left"),
        ((Kind.IMAGE,), (Kind.IMAGE,), "left tagged"),
        ((Kind.VOLUME,), (Kind.VOLUME,), "named"),
        ((Kind.NETWORK,), (), ""),
        (prune.ORDER, (), "last old net anonymous left of-old"),
        (prune.ORDER, (Kind.IMAGE, Kind.VOLUME), "last old net anonymous named left of-old tagged"),
        ((Kind.CONTAINER, Kind.IMAGE), (), "last old left of-old"),
    ],
)
def test_what_a_stopped_container_uses_goes_only_with_it(kinds, everything, going):
    assert " ".join(one.ref.name for one in choose(ROWS, kinds, everything=everything)) == going


def test_what_only_a_kept_container_uses_stays():
    rows = [row for row in ROWS if row is not LAST]  # the requester may not remove it
    assert [one.ref.name for one in choose(rows, prune.ORDER)] == ["old", "left", "of-old"]


def test_what_changed_meanwhile_is_kept_with_the_reason():
    image = unused(Kind.IMAGE, "left", names=())
    assert why_kept(image, image) == ""
    assert "used now" in why_kept(image, None)
    assert "stopped container" in why_kept(image, msgspec.structs.replace(image, users=("new",)))
    assert "other names" in why_kept(image, msgspec.structs.replace(image, names=("shop/web:2",)))
    volume = unused(Kind.VOLUME, "data", created_at=5.0)
    assert "created again" in why_kept(volume, msgspec.structs.replace(volume, created_at=6.0))
    # The users that it had at the question are gone by now.
    assert why_kept(unused(Kind.VOLUME, "data", "id-old"), unused(Kind.VOLUME, "data")) == ""


@pytest.mark.parametrize("kind", [kind for kind in prune.PRUNES if kind.kinds])
def test_a_prune_acts_on_each_thing_and_guards_see_each_removal(kind):
    pinned = tuple(row for row in ROWS if row.ref.kind in kind.kinds)
    action = effects.with_effects(kind(engine=DOCKER, pinned=pinned, note="1 more"), TargetFacts())
    assert [ref.name for ref in action.targets()] == [row.ref.name for row in pinned]
    assert {(one.verb, one.risk) for one in action.effects} == {
        (prune.REMOVALS[each], Risk.DESTROY) for each in kind.kinds
    }
    assert {one.ref for one in action.effects} == set(action.targets())
    assert action.confirm_reason() == "cannot be undone"
    assert action_codec.decode_action(action_codec.encode_action(action)) == action
    assert [ref.kind for ref in kind(engine=DOCKER).targets()] == [Kind.ENGINE]


def test_a_build_cache_belongs_to_the_whole_engine():
    for kind in (prune.PruneBuildCache, prune.PruneSystem):
        action = kind(engine=DOCKER, cache_size=5, cache_used_before=1.0)
        assert [ref.kind for ref in action.targets()] == [Kind.ENGINE]
        beside = dataclasses.replace(action, pinned=ROWS[:1])
        assert [ref.kind for ref in beside.targets()] == [ROWS[0].ref.kind, Kind.ENGINE]
        assert action_codec.decode_action(action_codec.encode_action(beside)) == beside
        assert beside.confirm_reason() == "cannot be undone"


def test_what_is_gone_is_left_out_and_the_rest_stays_pinned():
    action = prune.PruneContainers(engine=DOCKER, pinned=(OLD, LAST))
    assert action.without({OLD.ref}).pinned == (LAST,)
