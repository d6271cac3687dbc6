"""No engine is in the fleet twice, and no two go by one name."""

from __future__ import annotations

import pytest
import structlog

from core import errors
from core.model.refs import EngineRef
from runtimes.base.duplicate_engines import DuplicateEngineCheck

ONE, TWO = EngineRef(host="h1", kind="docker"), EngineRef(host="h2", kind="docker")


def test_the_second_way_to_an_engine_is_refused_and_says_which_is_the_first() -> None:
    identities = DuplicateEngineCheck()
    identities.enter("unix:///a", "id-1", ONE)
    identities.enter("unix:///a", "id-1", ONE)  # met again
    with pytest.raises(errors.DuplicateEngine, match="tcp://b:1 and unix:///a lead to the same engine, docker/h1"):
        identities.enter("tcp://b:1", "id-1", TWO)
    identities.enter("tcp://c:1", "id-2", TWO)


def test_two_engines_of_one_name_cannot_both_be_in() -> None:
    identities = DuplicateEngineCheck()
    identities.enter("tcp://a:1", "id-1", ONE)
    with pytest.raises(
        errors.DuplicateEngine, match="tcp://b:1 and tcp://a:1 both call themselves docker/h1"
    ) as caught:
        identities.enter("tcp://b:1", "id-2", ONE)
    assert "`name`" in caught.value.hint


def test_an_address_behind_which_another_daemon_came_is_entered_anew() -> None:
    identities = DuplicateEngineCheck()
    identities.enter("tcp://a:1", "id-1", ONE)
    identities.enter("tcp://a:1", "id-2", TWO)
    identities.enter("tcp://b:1", "id-1", ONE)
    with pytest.raises(errors.DuplicateEngine):
        identities.enter("tcp://a:1", "id-1", ONE)


def test_engines_that_tell_no_id_are_told_apart_by_name_alone() -> None:
    identities = DuplicateEngineCheck()
    identities.enter("tcp://a:1", "", ONE)
    identities.enter("tcp://b:1", "", TWO)


def test_an_engine_that_is_left_or_closed_makes_room_and_one_that_is_closed_does_not_come_back() -> None:
    identities = DuplicateEngineCheck()
    first, second = identities.identity(), identities.identity()
    first.enter("unix:///a", "id-1", ONE)
    with pytest.raises(errors.DuplicateEngine):
        second.enter("tcp://b:1", "id-1", ONE)
    first.leave()
    second.enter("tcp://b:1", "id-1", ONE)
    with pytest.raises(errors.DuplicateEngine):
        first.enter("unix:///a", "id-1", ONE)
    second.close()
    first.enter("unix:///a", "id-1", ONE)
    with pytest.raises(errors.NotFound, match="Quarterdeck does not watch docker/h1 any more"):
        second.enter("tcp://b:1", "id-1", ONE)


def test_a_refusal_is_logged_once() -> None:
    identities = DuplicateEngineCheck()
    first, second = identities.identity(), identities.identity()
    first.enter("unix:///a", "id-1", ONE)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(errors.DuplicateEngine):
                second.enter("tcp://b:1", "id-1", ONE)
    assert len(logs) == 1
