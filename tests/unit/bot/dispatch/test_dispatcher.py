"""The dispatcher on a real store and a scripted engine: each promise about permission, limits, one execution, audit."""

import asyncio
import dataclasses

import pytest

from bot.access import first_admin, policy_in_force
from bot.dispatch import change_record, unfinished_commands
from core import errors
from core.model.actions import Risk
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending
from core.store.records import RateLimitRule
from tests.unit.bot.dispatch.world import ANN, BOB, EVE, OPS, VIEWER, World, words


@pytest.fixture
async def world(valkey):
    made = World(valkey)
    yield made
    await made.aclose()


async def test_a_read_answers_and_is_in_the_audit(world):
    dispatcher = await world.replica()
    reply = await dispatcher.answer(world.line("ps", BOB))
    assert reply.ending is Ending.OK
    assert "web-2" in words(reply)
    (row,) = await world.rows()
    assert (row["phase"], row["who"], row["verb"], row["line"], row["place"]) == (
        "read",
        BOB.id,
        "container.list",
        "ps",
        "#ops",
    )


async def test_a_change_is_audited_before_and_after_it_happens(world):
    dispatcher = await world.replica()
    seen = []
    world.engine.gate = asyncio.Event()
    task = asyncio.create_task(dispatcher.answer(world.line("restart web")))
    while not seen:
        seen = await world.rows() if world.stores else []
        await asyncio.sleep(0.01)
    assert [row["phase"] for row in seen] == ["intent"]
    assert not world.engine.done
    world.engine.gate.set()
    reply = await task
    assert reply.ending is Ending.OK
    assert world.engine.done == [("container.restart", "web")]
    assert [(row["phase"], row["status"]) for row in await world.rows()] == [("intent", ""), ("outcome", "done")]


async def test_a_refusal_names_the_missing_grant_and_who_can_give_it_and_is_folded_in_the_audit(world):
    dispatcher = await world.replica()
    for _ in range(3):
        reply = await dispatcher.answer(world.line("restart web", BOB))
        assert reply.ending is Ending.REFUSED
        assert "container.restart to slack:T1/BOB" in words(reply)
        assert ANN.id in words(reply)
    assert not world.engine.done
    (row,) = await world.rows()
    assert (row["phase"], row["rule"], row["count"]) == ("refused", "default-deny", 3)


async def test_one_forbidden_target_refuses_the_whole_plan(valkey):
    world = World(valkey, grants=[VIEWER, Grant(id="w", who="everyone", can=("operator",), on=Selector(name="web*"))])
    dispatcher = await world.replica()
    reply = await dispatcher.answer(world.line("restart web db"))
    assert reply.ending is Ending.REFUSED
    assert "db" in words(reply)
    assert not world.engine.done
    assert (await dispatcher.answer(world.line("restart web web-2"))).ending is Ending.OK
    await world.aclose()


async def test_what_one_may_not_list_does_not_exist(valkey):
    world = World(valkey, grants=[Grant(id="w", who="everyone", can=("*",), on=Selector(labels=(("env", "prod"),)))])
    dispatcher = await world.replica()
    assert "web" in words(await dispatcher.answer(world.line("ps")))
    assert "db" not in words(await dispatcher.answer(world.line("ps")))
    hidden, absent = await dispatcher.answer(world.line("logs db")), await dispatcher.answer(world.line("logs dx"))
    assert hidden.ending is absent.ending is Ending.NOTHING
    assert words(hidden).replace("db", "dx") == words(absent)
    await world.aclose()


async def test_removal_waits_for_a_yes_and_happens_once(world):
    first, second = await world.replica("r1"), await world.replica("r2")
    asked = await first.answer(world.line("rm -f web"))
    assert asked.ending is Ending.ASKED
    assert "cannot be undone" in words(asked)
    assert not world.engine.done
    yes = asked.buttons[0].line
    stranger = await second.answer(world.line(yes, BOB))
    assert stranger.ending is Ending.REFUSED
    replies = await asyncio.gather(first.answer(world.line(yes)), second.answer(world.line(yes)))
    assert sorted(reply.ending for reply in replies) == [Ending.OK, Ending.USAGE]
    assert world.engine.done == [("container.remove", "web")]
    assert [(row["phase"], row["line"]) for row in await world.rows() if row["phase"] != "refused"] == [
        ("asked", "rm -f web"),
        ("intent", "rm -f web"),
        ("outcome", "rm -f web"),
    ]


async def test_no_is_no(world):
    dispatcher = await world.replica()
    asked = await dispatcher.answer(world.line("rm -f web"))
    assert "nothing was done" in words(await dispatcher.answer(world.line(asked.buttons[1].line)))
    again = await dispatcher.answer(world.line(asked.buttons[0].line))
    assert "expired" in words(again)
    assert not world.engine.done


async def test_a_yes_is_for_the_thing_that_was_asked_about_not_for_its_name(world):
    dispatcher = await world.replica()
    asked = await dispatcher.answer(world.line("rm -f web"))
    del world.engine.rows[world.engine.id("web")]
    world.engine.add("web", {})
    reply = await dispatcher.answer(world.line(asked.buttons[0].line))
    assert reply.ending is not Ending.OK
    assert "was removed" in words(reply)
    assert not world.engine.done


async def test_a_yes_is_decided_again(world):
    dispatcher = await world.replica()
    asked = await dispatcher.answer(world.line("rm -f web"))
    dispatcher._policies.replace_configured(Policy(grants=(VIEWER,)))
    assert (await dispatcher.answer(world.line(asked.buttons[0].line))).ending is Ending.REFUSED
    assert not world.engine.done


async def test_many_changes_at_once_are_asked_back(world):
    dispatcher = await world.replica()
    assert (await dispatcher.answer(world.line("restart web web-2 db"))).ending is Ending.OK
    asked = await dispatcher.answer(world.line("restart web web-2 db api"))
    assert asked.ending is Ending.ASKED
    assert len(world.engine.done) == 3
    assert (await dispatcher.answer(world.line(asked.buttons[0].line))).ending is Ending.OK
    assert len(world.engine.done) == 7


@pytest.mark.parametrize("line", ["restart *", "stop '**'", "rm -f *@docker", "kill ?*"])
async def test_a_bare_star_never_means_everything_for_a_change(world, line):
    dispatcher = await world.replica()
    reply = await dispatcher.answer(world.line(line))
    assert reply.ending is Ending.USAGE
    assert "everything" in words(reply)
    assert not world.engine.done


async def test_approval_needs_another_person_who_may(valkey):
    guard = Guard(id="guards.0", can=("container.stop",), ask=Ask.APPROVE, approvers=("group:sre",))
    world = World(valkey, grants=[VIEWER, Grant(id="all", who="everyone", can=("operator",))], guards=[guard])
    dispatcher = await world.replica()
    asked = await dispatcher.answer(world.line("stop web", EVE))
    assert "group:sre" in words(asked)
    yes = asked.buttons[0].line
    assert (await dispatcher.answer(world.line(yes, EVE))).ending is Ending.REFUSED
    assert (await dispatcher.answer(world.line(yes, BOB))).ending is Ending.REFUSED
    assert (await dispatcher.answer(world.line(yes, ANN))).ending is Ending.OK
    assert world.engine.done == [("container.stop", "web")]
    outcome = (await world.rows())[-1]
    assert (outcome["who"], outcome["line"]) == (ANN.id, f"stop web (asked by {EVE.id})")
    await world.aclose()


async def test_one_invocation_delivered_twice_runs_once(world):
    first, second = await world.replica("r1"), await world.replica("r2")
    replies = await asyncio.gather(
        *(dispatcher.answer(world.line("restart web", id_="same")) for dispatcher in (first, second, first))
    )
    assert sum(reply is not None for reply in replies) == 1
    assert world.engine.done == [("container.restart", "web")]


async def test_limits_hold_per_person_and_risk(valkey):
    world = World(valkey, rate=RateLimitRule(count=2, period=60.0))
    dispatcher = await world.replica()
    endings = [(await dispatcher.answer(world.line("restart web"))).ending for _ in range(3)]
    assert endings == [Ending.OK, Ending.OK, Ending.REFUSED]
    limited = await dispatcher.answer(world.line("restart web"))
    assert "Try again in" in words(limited)
    assert (await dispatcher.answer(world.line("ps"))).ending is Ending.OK
    assert (
        await dispatcher.answer(world.line("restart web", dataclasses.replace(ANN, id="slack:T1/SUE")))
    ).ending is Ending.OK
    assert len(world.engine.done) == 3
    assert any(row["rule"] == "ratelimited" for row in await world.rows())
    await world.aclose()


async def test_refused_commands_spend_too(valkey):
    world = World(valkey, rate=RateLimitRule(count=2, period=60.0))
    dispatcher = await world.replica()
    replies = [await dispatcher.answer(world.line("restart web", BOB)) for _ in range(3)]
    assert "Try again" in words(replies[2])
    await world.aclose()


@pytest.mark.parametrize(
    "error",
    [errors.TimedOut("no answer within 30 s.", sent=True), errors.Unreachable("the connection was lost.", sent=True)],
)
async def test_a_change_whose_fate_is_unknown_is_said_to_be_unknown_and_not_repeated(world, error):
    dispatcher = await world.replica()
    calls = []
    world.engine.fails = error
    original = world.engine.change

    async def counting(action):
        calls.append(action)
        return await original(action)

    world.engine.change = counting
    reply = await dispatcher.answer(world.line("restart web"))
    assert reply.ending is Ending.UNKNOWN
    assert len(calls) == 1
    assert (await world.rows())[-1]["status"] == "unknown"


async def test_a_change_that_surely_did_not_happen_failed(world):
    dispatcher = await world.replica()
    world.engine.fails = errors.Rejected(409, "is restarting")
    reply = await dispatcher.answer(world.line("restart web"))
    assert reply.ending is Ending.FAILED
    assert (await world.rows())[-1]["status"] == "failed"


async def test_a_question_about_what_was_meant_is_recorded_once_and_changes_nothing(world):
    dispatcher = await world.replica()
    readings = ("restart *web* -e token=hunter2hunter2", "restart web")
    asked = world.line(readings[0], id_="twice")
    reply = await dispatcher.answer(asked, readings=readings)
    assert reply.ending is Ending.ASKED
    assert [button.line for button in reply.buttons] == list(readings)
    assert "hunter2" not in words(reply) and "hunter2" not in reply.buttons[0].label
    assert await dispatcher.answer(asked, readings=readings) is None
    (row,) = await world.rows()
    assert (row["phase"], row["who"], row["rule"]) == ("asked", ANN.id, "formatting")
    assert "or restart web" in row["detail"] and "hunter2" not in row["detail"] + row["line"]
    assert world.engine.done == []


async def test_questions_about_what_was_meant_are_limited_like_commands(world):
    world.rates = dict.fromkeys(Risk, RateLimitRule(count=3, period=60.0))
    dispatcher = await world.replica()
    replies = [await dispatcher.answer(world.line("stop *a*"), readings=("stop *a*", "stop a")) for _ in range(6)]
    assert [reply.ending for reply in replies] == [Ending.ASKED] * 3 + [Ending.REFUSED] * 3
    assert [row["phase"] for row in await world.rows()].count("asked") == 3


async def test_two_people_do_not_change_one_thing_at_once(world):
    dispatcher = await world.replica()
    world.engine.gate = asyncio.Event()
    task = asyncio.create_task(dispatcher.answer(world.line("restart web")))
    while not any(row["phase"] == "intent" for row in await world.rows()):
        await asyncio.sleep(0.01)
    busy = await dispatcher.answer(world.line("stop web", dataclasses.replace(ANN, id="slack:T1/SUE", name="sue")))
    assert busy.ending is Ending.REFUSED
    assert "ann started container.restart on web" in words(busy)
    world.engine.gate.set()
    assert (await task).ending is Ending.OK
    assert (await dispatcher.answer(world.line("stop web"))).ending is Ending.OK


async def test_without_the_store_reads_work_and_changes_are_refused(world, valkey):
    dispatcher = await world.replica()
    valkey.stop()
    assert "web" in words(await dispatcher.answer(world.line("ps")))
    refused = await dispatcher.answer(world.line("restart web"))
    assert refused.ending is Ending.FAILED
    assert "Nothing was done" in words(refused)
    assert not world.engine.done
    valkey.start()
    assert (await dispatcher.answer(world.line("restart web"))).ending is Ending.OK


async def test_the_store_lost_after_the_intent_hides_nothing(world, valkey):
    dispatcher = await world.replica()
    world.engine.gate = asyncio.Event()
    task = asyncio.create_task(dispatcher.answer(world.line("restart web")))
    await world.engine.arrived.wait()
    assert any(row["phase"] == "intent" for row in await world.rows())
    valkey.stop()
    world.engine.gate.set()
    reply = await task
    assert reply.ending is Ending.OK
    assert world.engine.done == [("container.restart", "web")]
    valkey.start()


async def test_what_a_dead_process_left_is_told_once_and_truthfully(world, monkeypatch):
    dead = await world.replica("dead")
    world.engine.gate = asyncio.Event()
    task = asyncio.create_task(dead.answer(world.line("restart web", id_="mid")))
    await world.engine.arrived.wait()
    assert any(row["phase"] == "intent" for row in await world.rows())
    assert not await world.recover()
    # The process is gone between two lines: nothing it holds is released.
    monkeypatch.setattr(change_record.ChangeRecord, "close", lambda self: asyncio.sleep(0))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    rate = world.rates[Risk.CHANGE]
    early = unfinished_commands.record(world.line("stop db", id_="early"))
    await world.stores[0].enter(id="early", who="w", risk="change", rate=rate, record=early, replica="dead")
    await world.stores[0].remove_replica("dead")
    assert not await world.recover("console")
    told = [*await world.recover(), *await world.recover()]
    assert [(one.line, "not known" in one.text, "Nothing was done" in one.text) for one in told] == [
        ("restart web", True, False),
        ("stop db", False, True),
    ]
    assert [[button.line for button in one.reply.buttons] for one in told] == [["ps -a"], ["stop db"]]
    assert [(row["phase"], row.get("status")) for row in await world.rows()][-1] == ("outcome", "unknown")


class Heard:
    """A talk that keeps what it is told; `fails` is raised instead of delivering."""

    def __init__(self, fails=None):
        self.told = []
        self.fails = fails

    def started(self, beginning):
        self.told.append((beginning.doing, list(beginning.names)))

    async def finish(self, reply):
        if self.fails is not None:
            raise self.fails
        self.told.append(words(reply))


async def test_a_talk_hears_of_a_change_before_it_runs_and_of_its_end(world):
    dispatcher, talk = await world.replica(), Heard()
    world.engine.gate = asyncio.Event()
    task = asyncio.create_task(dispatcher.answer(world.line("restart web"), talk))
    while not talk.told:
        await asyncio.sleep(0.01)
    assert talk.told == [("restarting", ["web"])]
    assert not world.engine.done
    world.engine.gate.set()
    await task
    assert talk.told[1] == "web restarted in 0.1 s."


async def test_reads_refusals_and_questions_begin_nothing(world):
    dispatcher, talk = await world.replica(), Heard()
    for line in ("ps", "rm web", "restart nothing", "grant console:x viewer"):
        await dispatcher.answer(world.line(line), talk)
    await dispatcher.answer(world.line("restart web", BOB), talk)
    assert len(talk.told) == 5
    assert not [told for told in talk.told if isinstance(told, tuple)]


async def test_killed_between_outcome_and_telling_the_outcome_is_told_by_the_next(world):
    dispatcher = await world.replica("dead")
    task = asyncio.create_task(dispatcher.answer(world.line("restart web", id_="mid"), Heard(asyncio.CancelledError())))
    await asyncio.gather(task, return_exceptions=True)
    assert await world.stores[0].set_posted("mid", b"here")
    assert not await world.recover()
    await world.stores[0].remove_replica("dead")
    (told,) = await world.recover()
    assert told.text == "Quarterdeck was restarted before it could reply. web restarted in 0.1 s."
    assert (told.posted, told.place, told.who) == (b"here", OPS, ANN.id)
    assert not told.reply.buttons
    assert world.engine.done == [("container.restart", "web")]
    assert not await world.stores[0].set_posted("mid", b"here")


async def test_a_drain_cut_short_leaves_a_change_to_be_told_as_unknown(world):
    dispatcher = await world.replica("dead")
    world.engine.gate = asyncio.Event()
    task = asyncio.create_task(dispatcher.answer(world.line("restart web"), Heard()))
    await world.engine.arrived.wait()
    assert any(row["phase"] == "intent" for row in await world.rows())
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await world.stores[0].remove_replica("dead")
    (told,) = await world.recover()
    assert "not known" in told.text


async def test_a_reply_that_reaches_nobody_is_not_told_again(world):
    dispatcher = await world.replica("dead")
    assert await dispatcher.answer(world.line("restart web"), Heard(errors.Undeliverable())) is not None
    await world.stores[0].remove_replica("dead")
    assert not await world.recover()


async def test_what_was_answered_while_the_store_was_away_is_not_told_again(world, valkey):
    dispatcher = await world.replica("dead")
    world.engine.gate = asyncio.Event()
    task = asyncio.create_task(dispatcher.answer(world.line("restart web"), Heard()))
    await world.engine.arrived.wait()
    assert any(row["phase"] == "intent" for row in await world.rows())
    valkey.stop()
    world.engine.gate.set()
    assert (await task).ending is Ending.OK
    valkey.start()
    await world.stores[0].remove_replica("dead")
    assert len(await world.stores[0].unfinished()) == 1
    await dispatcher.flush_spool()
    assert not await world.recover()


async def test_a_phase_of_a_newer_version_is_left_to_it(world):
    await world.replica("dead")
    store = world.stores[0]
    record = unfinished_commands.record(world.line("ps", id_="new"))
    await store.enter(id="new", who="w", risk="read", rate=world.rates[Risk.READ], record=record, replica="dead")
    await store._run("note", names=("inv:new",), args=("phase", "thinking"))
    await store.remove_replica("dead")
    assert not await world.recover()


async def test_a_line_with_a_secret_in_it_is_not_offered_again(world):
    await world.replica("dead")
    inv = world.line("logs web --since password=hunter2", id_="secret")
    rate = world.rates[Risk.READ]
    store = world.stores[0]
    for name, record in (("secret", unfinished_commands.record(inv)), ("old", b'{"from": "another version"}')):
        await store.enter(id=name, who=ANN.id, risk="read", rate=rate, record=record, replica="dead")
    await store.remove_replica("dead")
    told = {one.id: one for one in await world.recover("slack", "console")}
    assert (told["old"].line, told["old"].reply.buttons) == ("a command", ())
    assert "hunter2" not in told["secret"].line
    assert told["secret"].reply.buttons == ()


async def test_the_first_admin_claims_the_code_once(world):
    dispatcher = await world.replica()
    store = world.stores[0]
    kept = policy_in_force.PolicyInForce(
        store, Policy(grants=(VIEWER, Grant(id="all", who="everyone", can=("policy.claim",))))
    )
    world.policy = kept.configured
    dispatcher = await world.replica("r2")
    assert (await dispatcher.answer(world.line("claim 123", BOB))).ending is Ending.REFUSED
    old = await first_admin.issue_code(store, kept, "slack")
    code = await first_admin.issue_code(store, kept, "slack")
    assert len(code) == 32
    assert old != code
    assert "code is wrong" in words(await dispatcher.answer(world.line(f"claim {old}", BOB)))
    won = await asyncio.gather(*(dispatcher.answer(world.line(f"claim {code.upper()}", who)) for who in (BOB, EVE)))
    assert sorted(reply.ending for reply in won) == [Ending.OK, Ending.REFUSED]
    winner = BOB if won[0].ending is Ending.OK else EVE
    assert (await dispatcher.answer(world.line("grant console:x viewer", winner))).ending is Ending.OK
    assert await first_admin.issue_code(store, kept, "slack") is None
    assert not [row for row in await world.rows() if code in str(row).lower()]
    assert (await dispatcher.answer(world.line(f"claim {code}", ANN))).ending is Ending.REFUSED


async def test_a_viewer_cannot_read_the_claim_code_back_from_our_own_log(world):
    dispatcher = await world.replica()
    code = await first_admin.issue_code(
        world.stores[0], policy_in_force.PolicyInForce(world.stores[0], Policy()), "slack"
    )
    world.engine.log_line = f"type in Slack within 15 minutes: /deck claim {code}; Code {code.upper()}"
    line = words(await dispatcher.answer(world.line("logs web", BOB)))
    assert code not in line.lower() and "within 15 minutes" in line
    world.policy = dataclasses.replace(world.policy, self_ids=frozenset({world.engine.id("web")}))
    dispatcher = await world.replica("r2")
    for command in ("logs web", "logs -f web", "inspect web", "inspect -f '{{json .}}' web", "logs w*"):
        refused = await dispatcher.answer(world.line(command, BOB))
        assert (refused.ending, "only admins" in words(refused).lower()) == (Ending.REFUSED, True), command
        assert (await dispatcher.answer(world.line("ps web", BOB))).ending is Ending.OK
    assert (await dispatcher.answer(world.line("inspect web", ANN))).ending is Ending.OK
    assert "within 15 minutes" in words(await dispatcher.answer(world.line("logs web", ANN)))


async def test_a_code_ends_after_five_wrong_tries(world):
    world.policy = Policy(grants=(Grant(id="all", who="everyone", can=("policy.claim",)),))
    dispatcher = await world.replica()
    code = await first_admin.issue_code(
        world.stores[0], policy_in_force.PolicyInForce(world.stores[0], Policy()), "slack"
    )
    for _ in range(first_admin.MAX_TRIES):
        assert "code is wrong" in words(await dispatcher.answer(world.line("claim 00", BOB)))
    assert "No claim code is valid now" in words(await dispatcher.answer(world.line(f"claim {code}", BOB)))


async def test_an_answer_is_shared_only_where_there_is_one(world):
    dispatcher = await world.replica()
    assert (await dispatcher.answer(world.line("ps --share"))).everyone
    assert not (await dispatcher.answer(world.line("ps"))).everyone
    assert not (await dispatcher.answer(world.line("logs nothing --share"))).everyone


async def test_who_may_not_speak_to_us_at_all_is_in_the_audit(world):
    dispatcher = await world.replica()
    stranger = Identity(id="slack:T9/U9", name="mallory")
    no = errors.NotPermitted("Not of this workspace.", rule="stranger")
    assert (await dispatcher.reject(stranger, OPS, "restart web", no)).ending is Ending.REFUSED
    (row,) = await world.rows()
    assert (row["who"], row["line"], row["rule"], row["phase"]) == (stranger.id, "restart web", "stranger", "refused")


async def test_a_revoke_holds_from_the_next_command_on_every_replica(world):
    first, second = await world.replica("r1"), await world.replica("r2")
    granted = await first.answer(world.line("grant slack:T1/BOB operator --name web"))
    assert granted.ending is Ending.OK
    assert (await second.answer(world.line("restart web", BOB))).ending is Ending.OK
    assert (await second.answer(world.line("restart db", BOB))).ending is Ending.REFUSED
    listed = words(await first.answer(world.line("grants")))
    grant = next(word for word in listed.split() if word.startswith("g-"))
    assert (await first.answer(world.line(f"revoke {grant}"))).ending is Ending.OK
    assert (await second.answer(world.line("restart web", BOB))).ending is Ending.REFUSED


async def test_nobody_grants_what_they_lack(valkey):
    lead = Grant(id="lead", who=EVE.id, can=("policy.grant", "container.restart"), on=Selector(name="web*"))
    desk_too = Grant(id="lead2", who=EVE.id, can=("policy.grant", "policy.revoke"))
    world = World(valkey, grants=[VIEWER, lead, desk_too])
    dispatcher = await world.replica()
    assert (await dispatcher.answer(world.line("grant slack:T1/BOB container.restart", EVE))).ending is Ending.REFUSED
    assert (
        await dispatcher.answer(world.line("grant slack:T1/BOB container.stop --name web*", EVE))
    ).ending is Ending.REFUSED
    assert (await dispatcher.answer(world.line("grant slack:T1/BOB admin", EVE))).ending is Ending.REFUSED
    assert (
        await dispatcher.answer(world.line("grant slack:T1/BOB container.restart --name web*", EVE))
    ).ending is Ending.OK
    assert (await dispatcher.answer(world.line("revoke lead", EVE))).ending is Ending.REFUSED
    await world.aclose()


async def test_can_explains_and_changes_nothing(world):
    dispatcher = await world.replica()
    text = words(await dispatcher.answer(world.line("can web restart", BOB)))
    assert "no grant" in text
    assert not world.engine.done


async def test_secrets_are_hidden_in_replies_and_in_the_audit(world):
    dispatcher = await world.replica()
    reply = await dispatcher.answer(world.line("logs web"))
    assert "hunter2" not in words(reply)
    assert "login" in words(reply)
    await dispatcher.answer(world.line("logs web --since password=hunter2"))
    await dispatcher.answer(world.line("restart web-password=hunter2", BOB))
    assert "hunter2" not in repr(await world.rows())


async def test_an_engine_that_is_away_is_a_sentence(world):
    dispatcher = await world.replica()
    world.engine.fails = errors.Unreachable("There is no engine socket.", hint="Start it.")
    reply = await dispatcher.answer(world.line("restart web"))
    assert reply.ending is Ending.FAILED
    assert "no engine socket" in words(reply)
    assert "no engine socket" in words(await dispatcher.answer(world.line("ps")))


async def test_a_bug_gives_a_reference_and_no_detail(world, monkeypatch):
    dispatcher = await world.replica()

    async def broken(action, seconds):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(world.engine, "list", broken)
    reply = await dispatcher.answer(world.line("ps"))
    assert reply.ending is Ending.FAILED
    assert "docker/h1 failed because of a bug in Quarterdeck, reference" in words(reply)
    assert "secret" not in words(reply)


@pytest.mark.parametrize("line", ["", "frobnicate", "ps --nope", "logs", "restart", "x" * 5000, "ps \x00", "logs 'web"])
async def test_bad_words_get_a_sentence(world, line):
    dispatcher = await world.replica()
    reply = await dispatcher.answer(world.line(line))
    assert reply.ending in (Ending.USAGE, Ending.OK, Ending.NOTHING)
    assert words(reply)
    assert not world.engine.done
