"""pull: the name as engines read it, the engine as people write it, and what went wrong with its cure."""

from __future__ import annotations

import pytest

from bot import plain_text
from core import errors
from core.model.images import PullImage
from core.model.replies import Ending, Status
from core.model.results import Outcome
from core.ports import Query
from tests.unit.commands.conftest import HOST7, HOST8

DIGEST = "sha256:" + "d" * 64


@pytest.mark.parametrize(
    ("word", "image"),
    [
        ("busybox", "busybox:latest"),
        ("busybox:1.36", "busybox:1.36"),
        ("docker.io/library/busybox", "busybox:latest"),
        ("localhost:5000/x/y_z-a:v1", "localhost:5000/x/y_z-a:v1"),
        ("[::1]:5000/x", "[::1]:5000/x:latest"),
        (f"busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"busybox:1@{DIGEST}", f"busybox:1@{DIGEST}"),
        ("Registry.example/web", "Registry.example/web:latest"),
    ],
)
async def test_a_name_is_read_as_engines_read_it(world, word, image):
    assert await world.plan(f"pull {word}") == [PullImage(engine=HOST7, image=image)]


@pytest.mark.parametrize(
    ("word", "cure"),
    [
        ("Busybox", "Did you mean busybox?"),
        ("https://docker.io/busybox", "Did you mean docker.io/busybox?"),
        ("busybox:", "Write REPOSITORY or REPOSITORY:TAG, such as busybox:1.36"),
        ("busybox:1:2", "Write REPOSITORY or REPOSITORY:TAG, such as busybox:1.36"),
        ("'busy box'", "Write REPOSITORY or REPOSITORY:TAG, such as busybox:1.36"),
        ("busybox@sha256:abc", "Write REPOSITORY or REPOSITORY:TAG, such as busybox:1.36"),
        ("-- --help-me", "Write REPOSITORY or REPOSITORY:TAG, such as busybox:1.36"),
        ("'bad;rm'", "Write REPOSITORY or REPOSITORY:TAG, such as busybox:1.36"),
        ("'\u0441at'", "Write REPOSITORY or REPOSITORY:TAG, such as busybox:1.36"),
        ("a" * 500, "Write REPOSITORY or REPOSITORY:TAG, such as busybox:1.36"),
        ("../etc", "Write REPOSITORY or REPOSITORY:TAG, such as busybox:1.36"),
        ("x?y=1", "Write REPOSITORY or REPOSITORY:TAG, such as busybox:1.36"),
    ],
)
async def test_what_is_no_name_is_refused_before_any_engine_is_asked(world, word, cure):
    with pytest.raises(errors.BadUsage) as caught:
        await world.plan(f"pull {word}")
    assert cure in caught.value.full_message()
    assert world.find.asked == []


async def test_of_several_engines_one_says_which(two_hosts):
    with pytest.raises(errors.BadUsage) as caught:
        await two_hosts.plan("pull busybox")
    assert caught.value.full_message() == (
        "The command names no engine, and 2 engines can pull busybox:latest: docker/host7, docker/host8. "
        "Add one of them: --engine docker/host7, or all: --engine '*'"
    )
    two_hosts.find.asked.clear()
    plan = await two_hosts.plan("pull busybox --host 'host*'")
    assert [action.engine for action in plan] == [HOST7, HOST8]
    assert two_hosts.find.asked == [Query(host="host*", verb="image.pull")]
    for line in ("pull busybox@docker/host8", "pull busybox --engine docker/host8"):
        await two_hosts.plan(line)
        assert two_hosts.find.asked[-1] == Query(engine="docker/host8", verb="image.pull")
    with pytest.raises(errors.BadUsage, match="The command names two engines"):
        await two_hosts.plan("pull busybox@host8 --engine docker/host7")


async def test_how_it_ended_is_said_with_its_cure(world):
    async def said(value):
        reply = await world.say("pull busybox", lambda _: value)
        return plain_text.render(reply).partition("\n")[0], reply.ending

    assert await said(Outcome(status=Status.DONE, detail=DIGEST, took=2.34)) == (
        f"busybox:latest pulled in 2.3 s; {DIGEST}.",
        Ending.OK,
    )
    same = await said(Outcome(status=Status.NOOP, detail=f"is up to date: {DIGEST}"))
    assert same == (f"busybox:latest is up to date: {DIGEST}.", Ending.OK)
    failed = errors.NotFound("manifest unknown.", hint="Check the spelling of the tag.").full_message()
    text, ending = await said(Outcome(status=Status.FAILED, detail=failed))
    assert text == "busybox:latest was not pulled: manifest unknown. Check the spelling of the tag."
    assert ending is Ending.FAILED
    text, ending = await said(
        Outcome(status=Status.UNKNOWN, detail="The job did not end in time. It may still be running.")
    )
    assert "Check with: images busybox:latest@docker/host7" in text
    assert ending is Ending.UNKNOWN
    text, ending = await said(errors.Unsupported("image.pull", "docker/host7", "Pull on its workers."))
    assert "docker/host7 does not support image.pull. Pull on its workers." in text
    assert ending is Ending.USAGE


async def test_failed_pulls_offer_a_look_at_images_and_no_logs(world):
    reply = await world.say("pull busybox", lambda _: Outcome(status=Status.FAILED, detail="x"))
    assert [button.line for button in reply.buttons] == ["images busybox:latest@docker/host7"]
