"""restart, start, stop, kill, pause, unpause, rm: plans, and outcomes in words."""

from __future__ import annotations

import pytest

from bot import plain_text
from bot.parsing import parser
from commands.containers import kill
from core import errors
from core.model import actions
from core.model.replies import Ending, Status
from core.model.results import Outcome

CHANGES = ("start", "stop", "restart", "pause", "unpause", "kill", "rm")


def done(action, took=1.24):
    return Outcome(status=Status.DONE, took=took)


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("start web", actions.Start),
        ("stop web", actions.Stop),
        ("restart web", actions.Restart),
        ("pause web", actions.Pause),
        ("unpause web", actions.Unpause),
        ("kill web", actions.Kill),
        ("rm web", actions.Remove),
        ("remove web", actions.Remove),
    ],
)
async def test_each_plans_its_action_on_the_pinned_target(world, line, action):
    (planned,) = await world.plan(line)
    assert type(planned) is action
    assert planned.target == world.rows[0].ref
    assert planned.engine == planned.target.engine
    assert planned.risk is world.words.find(line.split()[0]).risk


@pytest.mark.parametrize("word", CHANGES)
async def test_none_acts_without_a_target(world, word):
    with pytest.raises(errors.BadUsage, match=f"{word} web"):
        await world.plan(word)
    assert world.find.asked == []


@pytest.mark.parametrize("word", CHANGES)
async def test_a_label_or_host_is_a_target(world, word):
    assert len(await world.plan(f"{word} --label app=shop")) == 2
    assert len(await world.plan(f"{word} --host host7")) == 3


async def test_options_reach_the_action(world):
    assert (await world.plan("stop web -t 30"))[0].timeout == 30
    assert (await world.plan("restart web --time=0"))[0].timeout == 0
    assert (await world.plan("restart web -t 3600"))[0].timeout == 3600
    for line in ("restart web", "stop web"):
        assert (await world.plan(line))[0].timeout is None  # the container's own setting
    with pytest.raises(errors.BadUsage, match="from 0 to 3,600"):
        await world.plan("stop web -t 3601")
    removal = (await world.plan("rm -fv web"))[0]
    assert (removal.force, removal.volumes) == (True, True)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("KILL", "KILL"), ("sigterm", "TERM"), ("15", "TERM"), ("hup", "HUP"), ("RTMIN+3", "RTMIN+3"), ("40", "40")],
)
def test_signals_as_people_write_them(typed, meant):
    assert kill.normalized_signal(typed) == meant


@pytest.mark.parametrize("typed", ["", "0", "65", "TREM", "9; rm", "²", "RTMIN+99", "SIG", "999999999999"])
def test_other_signals_are_refused(typed):
    with pytest.raises(errors.BadUsage):
        kill.normalized_signal(typed)


async def test_one_target_is_one_sentence(world):
    reply = await world.say("restart web", done)
    assert plain_text.render(reply) == "web restarted in 1.2 s."
    assert (reply.ending, reply.everyone) == (Ending.OK, True)
    reply = await world.say("start web", lambda _: Outcome(status=Status.NOOP))
    assert (reply.ending, plain_text.render(reply)) == (Ending.OK, "web was already running.")
    assert plain_text.render(await world.say("kill web -s hup", done)) == "web sent HUP in 1.2 s."


async def test_a_time_too_short_to_show_is_left_out(world):
    reply = await world.say("rm web", lambda action: done(action, took=0.04))
    assert plain_text.render(reply) == "web removed."


async def test_a_failure_has_the_engines_words_and_the_cure(world):
    reply = await world.say("rm web", lambda _: errors.Rejected(409, "cannot remove a running container"))
    assert reply.ending is Ending.FAILED
    assert "web was not removed: cannot remove a running container. Stop it first, or use -f." in plain_text.render(
        reply
    )
    reply = await world.say("stop web", lambda _: errors.Disallowed("container.stop", "docker/host7"))
    assert reply.ending is Ending.REFUSED


@pytest.mark.parametrize(
    "answer",
    [
        Outcome(status=Status.UNKNOWN, detail="The engine did not answer in time."),
        errors.TimedOut("The engine did not answer in time.", sent=True),
    ],
)
async def test_unknown_is_said_and_nothing_is_repeated(world, answer):
    reply = await world.say("restart web", lambda _: answer)
    assert reply.ending is Ending.UNKNOWN
    text = plain_text.render(reply)
    assert text.startswith(
        "It is not known whether web was restarted: The engine did not answer in time. "
        "It is not repeated. Check with: ps web@docker/host7"
    )
    for button in reply.buttons:
        assert parser.parse(button.line, world.words).args["target"] == ("web@docker/host7",)


@pytest.mark.parametrize(
    ("line", "said", "lines"),
    [
        ("run nginx", "no space left", []),
        ("run --name new nginx", "manifest unknown", []),
        (
            "run --name web nginx",
            "the name web is already in use",
            ["ps web@docker/host7", "logs web@docker/host7"],
        ),
        ("network create back", "no such driver", []),
        ("network create back", "network back already exists", ["network ls back@docker/host7"]),
        ("volume create data", "no space left", []),
        ("linger enable", "no such user", ["engines docker/host7"]),
    ],
)
async def test_the_buttons_of_a_failure_show_what_exists(world, line, said, lines):
    reply = await world.say(line, lambda _: errors.Rejected(500, said))
    assert reply.ending is Ending.FAILED
    assert [button.line for button in reply.buttons] == lines
    for typed in lines:
        parser.parse(typed, world.words)


async def test_a_timeout_before_sending_is_a_failure(world):
    assert (await world.say("restart web", lambda _: errors.TimedOut(sent=False))).ending is Ending.FAILED


async def test_several_targets_are_counted_and_the_worst_ends_it(world):
    ends = {
        "web": Outcome(status=Status.DONE, took=0.5),
        "web-2": Outcome(status=Status.UNKNOWN),
        "batch": errors.Rejected(500, "no space"),
    }
    reply = await world.say("restart '*'", lambda action: ends[action.target.name])
    assert reply.ending is Ending.UNKNOWN
    assert reply.blocks[0].text == "1 restarted, 1 unknown, 1 failed."
    assert [row[0] for row in reply.blocks[1].rows] == ["web", "web-2", "batch"]
    assert reply.buttons == ()


async def test_one_name_on_two_hosts_is_told_apart(two_hosts):
    reply = await two_hosts.say("restart web", done)
    assert [row[0] for row in reply.blocks[1].rows] == ["web@docker/host7", "web@docker/host8"]


@pytest.mark.parametrize(
    "said",
    [
        "rootlessport cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80' to"
        " /etc/sysctl.conf (currently 1024), or choose a larger port number (>= 1024)",
        "pasta failed with exit code 1: Failed to bind port 80 (Permission denied) for option '-p 80-80:8080-80'",
    ],
)
async def test_a_port_below_1024_of_an_ordinary_users_engine_has_its_cure(world, said):
    failed = Outcome(status=Status.FAILED, detail=said)
    text = plain_text.render(await world.say("run --name test_container -p 80:8080 nginx", lambda _: failed))
    assert "test_container was not started" in text
    assert text.count("choose one, such as -p 8080:80.") == 1
