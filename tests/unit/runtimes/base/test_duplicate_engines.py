"""No engine is in the fleet twice, and no two go by one name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import structlog

from core import errors
from core.model.refs import EngineRef
from runtimes import engine_registry
from runtimes.base.duplicate_engines import Claim, DuplicateEngineCheck, IdentityTrust

ONE, TWO = EngineRef(host="h1", kind="docker"), EngineRef(host="h2", kind="docker")


def enter(identities: DuplicateEngineCheck, address: str, engine_id: str, ref: EngineRef) -> None:
    identities.enter(address, Claim(engine_id=engine_id, ref=ref))


def test_the_second_way_to_an_engine_is_refused_and_says_which_is_the_first() -> None:
    identities = DuplicateEngineCheck()
    enter(identities, "unix:///a", "id-1", ONE)
    enter(identities, "unix:///a", "id-1", ONE)  # met again
    with pytest.raises(errors.DuplicateEngine, match="tcp://b:1 and unix:///a are the same engine, docker/h2"):
        enter(identities, "tcp://b:1", "id-1", TWO)
    enter(identities, "tcp://c:1", "id-2", TWO)


def test_two_engines_of_one_name_cannot_both_be_in() -> None:
    identities = DuplicateEngineCheck()
    enter(identities, "tcp://a:1", "id-1", ONE)
    with pytest.raises(errors.DuplicateEngine, match="tcp://b:1 and tcp://a:1 have the same name, docker/h1") as caught:
        enter(identities, "tcp://b:1", "id-2", ONE)
    assert "`name`" in caught.value.hint


def test_an_address_behind_which_another_daemon_came_is_entered_anew() -> None:
    identities = DuplicateEngineCheck()
    enter(identities, "tcp://a:1", "id-1", ONE)
    enter(identities, "tcp://a:1", "id-2", TWO)
    enter(identities, "tcp://b:1", "id-1", ONE)
    with pytest.raises(errors.DuplicateEngine):
        enter(identities, "tcp://a:1", "id-1", ONE)


def test_engines_that_tell_no_id_are_told_apart_by_name_alone() -> None:
    identities = DuplicateEngineCheck()
    enter(identities, "tcp://a:1", "", ONE)
    enter(identities, "tcp://b:1", "", TWO)


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
    with pytest.raises(errors.NotFound, match="Quarterdeck does not watch docker/h1 now"):
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


# ── a daemon that lies ───────────────────────────────────────────────────────────────────────────────────────────────

LIES = [("id-1", ONE), ("id-1", TWO), ("id-9", ONE)]  # the other's id and name, its id alone, its name alone


@pytest.mark.parametrize(("engine_id", "ref"), LIES)
@pytest.mark.parametrize("liar", [IdentityTrust.OTHER_USER, IdentityTrust.PLAIN, IdentityTrust.AUTHENTICATED])
def test_a_liar_that_answers_first_is_displaced_by_an_engine_that_is_trusted_more(
    engine_id: str, ref: EngineRef, liar: IdentityTrust
) -> None:
    identities, displaced = DuplicateEngineCheck(), []
    false = identities.identity(lambda: liar, lambda: displaced.append("liar"))
    true = identities.identity(lambda: IdentityTrust.OWN_HOST, lambda: displaced.append("true"))
    false.enter("tcp://liar:1", engine_id, ref)
    with structlog.testing.capture_logs() as logs:
        true.enter("unix:///a", "id-1", ONE)
    assert displaced == ["liar"]
    assert "tcp://liar:1 is left out" in logs[0]["event"] and "Quarterdeck uses unix:///a," in logs[0]["event"]
    for _ in range(3):
        with pytest.raises(errors.DuplicateEngine):
            false.enter("tcp://liar:1", engine_id, ref)
    true.enter("unix:///a", "id-1", ONE)
    assert displaced == ["liar"]
    false.enter("tcp://liar:1", "id-5", EngineRef(host="liar", kind="docker"))  # its own name is welcome


@pytest.mark.parametrize(("engine_id", "ref"), LIES)
def test_of_two_that_are_trusted_equally_the_first_added_is_believed_whoever_answers_first(
    engine_id: str, ref: EngineRef
) -> None:
    identities, displaced = DuplicateEngineCheck(), []
    true = identities.identity(lambda: IdentityTrust.AUTHENTICATED, lambda: displaced.append("true"))
    false = identities.identity(lambda: IdentityTrust.AUTHENTICATED, lambda: displaced.append("liar"))
    false.enter("tcp://liar:1", engine_id, ref)
    true.enter("ssh://a", "id-1", ONE)
    with pytest.raises(errors.DuplicateEngine):
        false.enter("tcp://liar:1", engine_id, ref)
    assert displaced == ["liar"]


@pytest.mark.parametrize(("engine_id", "ref"), LIES)
def test_an_engine_that_takes_the_identity_of_another_later_is_refused_although_it_is_trusted_more(
    engine_id: str, ref: EngineRef
) -> None:
    identities, displaced = DuplicateEngineCheck(), []
    false = identities.identity(lambda: IdentityTrust.OWN_HOST, lambda: displaced.append("liar"))
    true = identities.identity(lambda: IdentityTrust.PLAIN, lambda: displaced.append("true"))
    false.enter("unix:///liar", "id-7", EngineRef(host="h7", kind="docker"))
    true.enter("tcp://a:1", "id-1", ONE)
    if engine_id == "id-9":
        engine_id = "id-8"
    with pytest.raises(errors.DuplicateEngine):
        false.enter("unix:///liar", engine_id, ref)
    assert not displaced


def test_a_socket_of_an_ordinary_user_is_believed_least(short_tmp: Path) -> None:
    def trust(url: str, **options: Any) -> IdentityTrust:
        return engine_registry._trust(engine_registry.EngineAddress(kind="docker", url=url, **options))

    own, other = short_tmp / "own.sock", short_tmp / "other.sock"
    own.touch()
    other.touch()
    if os.geteuid() == 0:
        os.chown(other, 12345, -1)
        assert trust(f"unix://{other}") is IdentityTrust.OTHER_USER
    assert trust(f"unix://{own}") is IdentityTrust.OWN_HOST
    assert trust(f"unix://{short_tmp}/missing") is IdentityTrust.OTHER_USER
    assert trust("tcp://h:2375") is IdentityTrust.PLAIN
    assert trust("tcp://h:2376", tls=engine_registry.Tls()) is IdentityTrust.AUTHENTICATED
    assert trust("ssh://me@h") is IdentityTrust.AUTHENTICATED
