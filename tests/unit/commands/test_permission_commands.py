"""whoami, can, grant, revoke, grants, audit: what they ask the desk and how they show its answer."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot import plain_text
from bot.parsing import parser
from core import errors
from core.model import bot_actions
from core.model.policy import Decision, Grant, Verdict
from core.model.policy_selectors import Selector
from core.model.replies import Ending

GRANT = Grant(
    id="g-1", who="group:sre", can=("operator",), on=Selector(name="web-*"), source="store", by="console:root"
)
YES = Decision(verdict=Verdict.ALLOW, rule="g-1", reason="group:sre may.")
NO = Decision(verdict=Verdict.DENY, rule="default", reason="No grant covers it.", hint="Ask console:root.")


async def test_whoami(world):
    (action,) = await world.plan("whoami")
    assert (action.who.id, action.place.channel) == ("console:alice", "#ops")
    standing = bot_actions.RequesterInfo(
        id="console:alice", name="alice", groups=("sre",), admin=False, grants=(GRANT,)
    )
    text = plain_text.render(await world.say("whoami", lambda _: standing))
    assert "id      console:alice" in text
    assert "g-1" in text
    assert "name web-*" in text


@pytest.mark.parametrize(
    ("line", "word", "target"),
    [
        ("can web restart", "restart", "web"),
        ("can restart web", "restart", "web"),
        ("can restart", "restart", None),
        ("can web container.logs", "container.logs", "web"),
        ("can web network inspect", "network inspect", "web"),
        ("can network ls", "network ls", None),
    ],
)
async def test_can_takes_either_order(world, line, word, target):
    (action,) = await world.plan(line)
    assert (action.word, action.target and action.target.name) == (word, target)


async def test_can_names_the_first_word_where_neither_is_a_target(world):
    with pytest.raises(errors.NotFound, match="nosuch"):
        await world.plan("can nosuch restart")
    with pytest.raises(errors.BadUsage):
        await world.plan("can a b c")


async def test_can_says_why(world):
    reply = await world.say(
        "can web restart", lambda _: bot_actions.PermissionReport(decisions=(("container.restart on web", NO),))
    )
    assert reply.ending is Ending.REFUSED
    assert plain_text.render(reply) == (
        "container.restart on web: no. No grant covers it (rule default). Ask console:root."
    )
    reply = await world.say(
        "can 'web*' restart",
        lambda action: bot_actions.PermissionReport(decisions=((f"restart {action.target.name}", YES),)),
    )
    assert reply.ending is Ending.OK
    assert [row[0] for row in reply.blocks[0].rows] == ["restart web", "restart web-2"]


async def test_grant_says_it_all(world):
    (action,) = await world.plan("grant group:sre operator container.logs --name 'web-*' -l app=shop -l db --in C0OPS")
    assert (action.who, action.can, action.places) == ("group:sre", ("operator", "container.logs"), ("C0OPS",))
    assert action.on == Selector(name="web-*", labels=(("app", "shop"), ("db", "*")))
    assert action.by.id == "console:alice"
    (mention,) = await world.plan('grant "&lt;@U123|bob&gt;" viewer')
    assert mention.who == "<@U123|bob>"


@pytest.mark.parametrize("line", ["grant alice viewer", "grant everyone", "grant '' viewer"])
async def test_grant_refuses_what_is_nobody(world, line):
    with pytest.raises(errors.BadUsage):
        await world.plan(line)


async def test_grant_offers_to_take_it_back(world):
    reply = await world.say("grant group:sre operator", lambda _: bot_actions.GrantAdded(grant=GRANT))
    assert "group:sre is now operator on name web-*" in plain_text.render(reply)
    parsed = parser.parse(reply.buttons[0].line, world.words)
    assert (parsed.command.name, parsed.args["id"]) == ("revoke", "g-1")
    again = await world.say("grant group:sre operator", lambda _: bot_actions.GrantAdded(grant=GRANT, new=False))
    assert (again.buttons, again.everyone) == ((), False)


async def test_revoke_and_grants(world):
    assert (await world.plan("revoke g-1"))[0].id == "g-1"
    assert "Revoked g-1" in plain_text.render(
        await world.say("revoke g-1", lambda _: bot_actions.GrantRemoved(grant=GRANT))
    )
    reply = await world.say("revoke g-2", lambda _: errors.NotFound("There is no grant “g-2”."))
    assert reply.ending is Ending.NOTHING
    assert (await world.say("grants", lambda _: (GRANT,))).blocks[0].rows == [
        ("g-1", "group:sre", "operator", "name web-*", "everywhere", "console:root (store)")
    ]
    assert "only admins" in plain_text.render(await world.say("grants", lambda _: ()))


async def test_a_long_list_of_verbs_leaves_out_no_column(world):
    long = Grant(id="g-2", who="everyone", can=tuple(f"container.verb{number}" for number in range(8)), source="store")
    reply = await world.say("grants", lambda _: (GRANT, long))
    head, *lines = plain_text.render(reply, 100).splitlines()
    assert head.split() == ["ID", "WHO", "MAY", "ON", "IN", "FROM"]
    assert "operator" in lines[0] and "name web-*" in lines[0]
    assert "container.verb7" in "".join(lines)


def entry(**more):
    fields = {"at": "2026-11-24T02:00:00.000+00:00", "who": "console:bob", "place": "c", "line": "restart web"}
    return bot_actions.AuditEntry(**fields | {"verb": "container.restart", "target": "web@docker/h#1"} | more)


async def test_audit(world):
    (action,) = await world.plan("audit --who 'console:*' --target web --limit 5 --refused --since 1h")
    assert (action.who, action.target, action.limit, action.refused) == ("console:*", "web", 5, True)
    assert action.since_ns > 0
    rows = (
        entry(phase="intent"),
        entry(phase="outcome", status="done"),
        entry(phase="refused", verdict="deny", reason="No grant covers it.", count=3),
        entry(phase="intent"),
        entry(at="never", phase="read", status="done"),
    )
    reply = await world.say("audit", lambda _: bot_actions.AuditPage(entries=rows))
    assert len(reply.blocks) == 1
    assert reply.blocks[0].rows == [
        ("2026-11-24T02:00:00Z", "console:bob", "restart web", "done", ""),
        ("2026-11-24T02:00:00Z", "console:bob", "restart web", "refused", "No grant covers it. (3 times)"),
        ("2026-11-24T02:00:00Z", "console:bob", "restart web", "started, outcome unknown", ""),
        ("never", "console:bob", "restart web", "done", ""),
    ]


async def test_an_audit_without_a_match_says_what_was_searched(world):
    began = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
    reply = await world.say("audit --who ann", lambda _: bot_actions.AuditPage(begins=began))
    assert plain_text.render(reply) == (
        "No audit row matches. The audit trail has changes and refusals since 2026-11-23T12:00:00Z. To search also"
        " commands that only read, add: --reads"
    )
    reply = await world.say("audit --reads", lambda _: bot_actions.AuditPage(reads_begin=began))
    assert (
        "The audit trail has no changes and refusals yet. The audit trail has commands that only read since"
        in plain_text.render(reply)
    )


async def test_audit_says_what_it_does_not_reach(world):
    oldest = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
    page = bot_actions.AuditPage(reaches_back_to=oldest, removed=2_000, complete=False)
    shown = plain_text.render(await world.say("audit --target web", lambda _: page))
    assert "No audit row matches." in shown
    assert "The audit reaches back to 2026-11-23T12:00:00Z. Removed so far: 2,000 older rows" in shown
    assert "Name the person or the target more exactly." in shown
