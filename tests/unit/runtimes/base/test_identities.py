"""No engine is in the fleet twice, and no two go by one name."""

from __future__ import annotations

import pytest

from core import errors
from core.model.refs import EngineRef
from runtimes.base.identities import EngineIdentities

ONE, TWO = EngineRef(host="h1", kind="docker"), EngineRef(host="h2", kind="docker")


def test_the_second_way_to_an_engine_is_refused_and_says_which_is_the_first() -> None:
    roll = EngineIdentities()
    roll.enter("unix:///a", "id-1", ONE)
    roll.enter("unix:///a", "id-1", ONE)  # met again
    with pytest.raises(errors.DuplicateEngine, match="tcp://b:1 is the engine that unix:///a is already: docker/h1"):
        roll.enter("tcp://b:1", "id-1", TWO)
    roll.enter("tcp://c:1", "id-2", TWO)


def test_two_engines_of_one_name_cannot_both_be_in() -> None:
    roll = EngineIdentities()
    roll.enter("tcp://a:1", "id-1", ONE)
    with pytest.raises(errors.DuplicateEngine, match="calls itself docker/h1, as tcp://a:1 does") as caught:
        roll.enter("tcp://b:1", "id-2", ONE)
    assert "`name`" in caught.value.hint


def test_an_address_behind_which_another_daemon_came_is_entered_anew() -> None:
    roll = EngineIdentities()
    roll.enter("tcp://a:1", "id-1", ONE)
    roll.enter("tcp://a:1", "id-2", TWO)
    roll.enter("tcp://b:1", "id-1", ONE)
    with pytest.raises(errors.DuplicateEngine):
        roll.enter("tcp://a:1", "id-1", ONE)


def test_engines_that_tell_no_id_are_told_apart_by_name_alone() -> None:
    roll = EngineIdentities()
    roll.enter("tcp://a:1", "", ONE)
    roll.enter("tcp://b:1", "", TWO)
