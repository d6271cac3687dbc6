"""`exec`, `cp`, `export` and `commit` through the whole dispatcher: who may, on what, and what reply and audit say."""

from __future__ import annotations

import pytest

from bot import plain_text
from core import errors
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.policy_selectors import Selector
from core.model.replies import Ending, Lines
from core.store import keys
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import AT_CONSOLE, Deck

BOB = Identity(id="slack:T1/U1", name="bob")
LINES = ("exec web ls /", "cp web:/etc/hosts", "commit web", "export web -o web.tar")
BIND = {"Type": "bind", "Source": "/srv", "Destination": "/srv"}
REACHES = (
    ({"Privileged": True}, []),
    ({"NetworkMode": "host"}, []),
    ({"PidMode": "host"}, []),
    ({"CapAdd": ["SYS_ADMIN"]}, []),
    ({"Devices": [{"PathOnHost": "/dev/sda"}]}, []),
    ({"SecurityOpt": ["seccomp=unconfined"]}, []),
    ({}, [BIND]),
    ({}, [{"Type": "bind", "Source": "/var/run/docker.sock", "Destination": "/s"}]),
)


def text(reply) -> str:
    return plain_text.render(reply, width=120)


def engine(*allow: str, host: dict | None = None, mounts: list | None = None, **labels: str) -> FakeRuntime:
    made = FakeRuntime("host7", kind="docker", allow=allow)
    ref = made.add("web", labels={name.replace("__", "."): value for name, value in labels.items()})
    made.host_configs[ref.id], made.mounts[ref.id] = host or {}, mounts or []
    return made


def policy(*can: str, guards: tuple[Guard, ...] = (), on: Selector = Selector()) -> Policy:
    return Policy(grants=(Grant(id="g1", who=BOB.id, can=can, on=on),), guards=guards)


async def audited(deck: Deck) -> list[dict[str, str]]:
    changes = reversed(await deck.store.read_audit(count=100))
    reads = reversed(await deck.store.read_audit(count=100, audit=keys.READS))
    return [dict(row.fields) for row in (*changes, *reads)]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(
    ("can", "ending"),
    [
        (("viewer",), Ending.REFUSED),
        (("operator",), Ending.REFUSED),
        (("risk:read", "risk:change", "container.list"), Ending.REFUSED),
        (("admin",), Ending.OK),
        (("container.*",), Ending.OK),
    ],
)
async def test_it_is_off_until_somebody_grants_it(valkey, line, can, ending):
    opened = engine()
    async with Deck(valkey.url, (opened,), policy=policy(*can)) as deck:
        reply = await deck.say(line, BOB, AT_CONSOLE)
        assert reply.ending is ending, text(reply)
        assert "change" not in opened.asked or ending is Ending.OK


@pytest.mark.parametrize("line", ["exec web ls /", "cp web:/etc/hosts"])
@pytest.mark.parametrize(("host", "mounts"), REACHES)
async def test_what_reaches_the_host_needs_that_verb_too(valkey, line, host, mounts):
    opened = engine("*", "host.reach", host=host, mounts=mounts)
    everything_else = ("*", "container.*", "operator", "admin", "risk:change", "risk:read", "policy.*")
    async with Deck(valkey.url, (opened,), policy=policy(*everything_else)) as deck:
        reply = await deck.say(line, BOB)
        assert reply.ending is Ending.REFUSED and "bob does not have the permission host.reach on web" in text(reply), (
            text(reply)
        )
        assert not {"change", "copy"} & set(opened.asked)
        assert (await deck.say(line)).ending is Ending.OK  # the owner, at the console
    async with Deck(valkey.url, (opened,), policy=policy("container.*", "host.reach")) as deck:
        assert (await deck.say(line, BOB)).ending is Ending.OK


@pytest.mark.parametrize("line", ["exec web ls /", "cp web:/etc/hosts"])
async def test_the_owner_of_the_engine_must_allow_the_reach(valkey, line):
    closed = engine("*", mounts=[BIND])
    async with Deck(valkey.url, (closed,)) as deck:
        reply = await deck.say(line)
        assert reply.ending is Ending.REFUSED and "does not allow host.reach" in text(reply)
    assert not {"change", "copy"} & set(closed.asked)


async def test_a_container_that_may_not_be_inspected_may_reach_its_host(valkey):
    closed = engine("container.list", "container.exec", "host.reach")
    async with Deck(valkey.url, (closed,), policy=policy("container.*")) as deck:
        reply = await deck.say("exec web ls /", BOB)
        assert reply.ending is Ending.REFUSED and "does not show whether it does" in text(reply)
        assert (await deck.say("exec web ls /")).ending is Ending.OK


async def test_an_image_or_an_archive_reaches_nothing(valkey):
    opened = engine(mounts=[BIND])
    async with Deck(valkey.url, (opened,), policy=policy("container.*")) as deck:
        assert (await deck.say("commit web", BOB)).ending is Ending.OK
        assert (await deck.say("export web -o x", BOB, AT_CONSOLE)).ending is Ending.OK


@pytest.mark.parametrize("line", LINES)
async def test_nobody_looks_into_a_part_of_quarterdeck(valkey, line):
    """Nor the owner: not into its own container, a replica's, or one of its image."""
    opened = engine(**{"org__opencontainers__image__title": "quarterdeck"})
    async with Deck(valkey.url, (opened,)) as deck:
        reply = await deck.say(line, place=AT_CONSOLE)
        assert reply.ending is Ending.REFUSED and "part of Quarterdeck" in text(reply), text(reply)
    opened = engine()
    (own,) = opened.containers
    for mine in (Policy(self_ids=frozenset({own})), Policy(replica_ids=frozenset({own[:12]}))):
        async with Deck(valkey.url, (opened,), policy=mine) as deck:
            reply = await deck.say(line, place=AT_CONSOLE)
            assert reply.ending is Ending.REFUSED and "part of Quarterdeck" in text(reply), text(reply)
    assert not {"change", "copy", "export"} & set(opened.asked)


async def test_a_protected_container_is_read_but_neither_ended_nor_paused(valkey):
    opened = engine(quarterdeck__protected="true")
    async with Deck(valkey.url, (opened,)) as deck:
        for line in ("exec web ls /", "commit web"):
            assert (await deck.say(line)).ending is Ending.REFUSED
        for line in ("cp web:/etc/hosts", "commit web --no-pause", "export web -o x"):
            assert (await deck.say(line, place=AT_CONSOLE)).ending is Ending.OK


async def test_guards_see_a_program_as_an_end_and_a_commit_as_a_pause_and_a_tag(valkey):
    opened = engine()
    opened.add_image("shop/web:1")
    ends = Guard(id="keep-alive", can=("ends",), ask=Ask.DENY)
    async with Deck(valkey.url, (opened,), policy=policy("container.*", guards=(ends,))) as deck:
        for line in ("exec web ls /", "commit web"):
            assert "keep-alive" in text(await deck.say(line, BOB))
        assert (await deck.say("commit web --no-pause", BOB)).ending is Ending.OK
    tags = Guard(id="our-names", can=("image.tag",), ask=Ask.CONFIRM)
    async with Deck(valkey.url, (opened,), policy=policy("container.*", guards=(tags,))) as deck:
        assert (await deck.say("commit web shop/web:1", BOB)).ending is Ending.ASKED
        assert (await deck.say("commit web shop/web:2", BOB)).ending is Ending.OK


async def test_the_output_of_a_program_is_for_the_requester_and_shared_on_request(valkey):
    async with Deck(valkey.url, (engine(),)) as deck:
        reply = await deck.say("exec web ls /etc")
        assert (reply.private, reply.everyone) == (True, False)
        sentence, output, errors_block = reply.blocks
        assert sentence.text.startswith("ls in web ended with code 0 after")
        assert tuple(output.lines) == ("ls /etc",)
        assert errors_block.title == "stderr"
        reply = await deck.say("exec --share web ls /etc")
        assert (reply.private, reply.everyone) == (False, True)


async def test_the_words_of_a_program_are_its_own(valkey):
    opened = engine()
    async with Deck(valkey.url, (opened,)) as deck:
        reply = await deck.say("exec -u 1000:1000 -w /tmp -e A=b -e C=d=e web env --help -u x -- y")
        assert reply.ending is Ending.OK, text(reply)
        (action,) = opened.executed
        assert action.command == ("env", "--help", "-u", "x", "--", "y")
        assert (action.user, action.workdir) == ("1000:1000", "/tmp")
        assert action.environment == (("A", "b"), ("C", "d=e"))
        reply = await deck.say("exec web -- ls -la")
        assert opened.executed[1].command == ("ls", "-la")
        assert (await deck.say("exec web false")).ending is Ending.FAILED
        assert "was not found in the container" in text(await deck.say("exec web no-such-program"))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("exec web", "exec needs COMMAND"),
        ("exec web bash", "alone would wait for input"),
        ("exec web /usr/bin/zsh", "alone would wait for input"),
        ("exec -it web ls", "Chat has no terminal"),
        ("exec web ls && rm x", "“&&” belongs to a shell"),
        ("exec web ls > /tmp/x", "“>” belongs to a shell"),
        ("exec -e A web env", "has no value"),
        ("exec -e =b web env", "--env =b has no name. Write --env NAME=VALUE."),
        ("exec -w tmp web env", "is not absolute"),
        ("exec --timeout 601 web ls", "from 0 to 600"),
        ("exec * ls", "would change everything"),
        ("cp web", "names no file in a container"),
        ("cp web:", "names no file in a container"),
        ("cp :/etc/hosts", "“:/etc/hosts” has no name of a container before the colon"),
        ("cp web:/etc/../shadow", "without “..”"),
        ("cp web:/" + "a" * 3_900, "has no file"),
        ("cp a.txt web:/etc/a", "not into them"),
        ("cp web:/etc/hosts here", "cannot save here"),
        ("cp web:/etc/hosts -o here", "cannot save here"),
        ("cp nosuch:/etc/hosts", "There is no container “nosuch”"),
        ("commit web UPPER", "UPPER"),
        ("commit web a@sha256:" + "0" * 64, "cannot contain a digest"),
        ("commit web --pause --no-pause", "cannot be combined"),
        ("commit web a b", "does not take the argument"),
        ("export web", "Slack cannot receive"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_cure(valkey, line, words):
    opened = engine()
    async with Deck(valkey.url, (opened,)) as deck:
        reply = await deck.say(line)
        assert reply.ending in (Ending.USAGE, Ending.NOTHING) and words in text(reply), text(reply)
    assert "change" not in opened.asked


async def test_secrets_are_hidden_in_the_reply_and_in_the_audit(valkey):
    opened = engine()
    opened.files["/app/.env"] = b"DB_PASSWORD=hunter2hunter2\nMODE=test\n"
    async with Deck(valkey.url, (opened,)) as deck:
        await deck.say("exec -e DB_PASSWORD=hunter2hunter2 web echo password=correct-horse")
        shown = await deck.say("cp web:/app/.env")
        assert "hunter2" not in text(shown) and "MODE=test" in text(shown)
        rows = await audited(deck)
    assert "hunter2" not in repr(rows) and "correct-horse" not in repr(rows)
    assert [(row["phase"], row["verb"], row["status"]) for row in rows if row["phase"] != "intent"] == [
        ("outcome", "container.exec", "done"),
        ("read", "container.copy", "done"),
    ]
    assert "exec -e" in rows[0]["line"] and "web" in rows[0]["target"]


async def test_the_audit_says_how_a_program_ended(valkey):
    async with Deck(valkey.url, (engine(),)) as deck:
        await deck.say("exec web false")
        rows = await audited(deck)
    assert [row["detail"] for row in rows if row["phase"] == "outcome"] == ["ended with code 1"]


async def test_a_program_whose_answer_is_lost_is_unknown_and_not_repeated(valkey):
    opened = engine()

    async def lost(action, seconds):
        opened.asked.append("change")
        raise errors.TimedOut("“ls” in web did not end within 30 s; it is still running.", sent=True)

    opened.execute = lost
    async with Deck(valkey.url, (opened,)) as deck:
        reply = await deck.say("exec web ls")
        assert reply.ending is Ending.UNKNOWN and "still running" in text(reply)
        rows = await audited(deck)
    assert opened.asked.count("change") == 1
    assert [row["status"] for row in rows if row["phase"] == "outcome"] == ["unknown"]


async def test_a_file_that_is_no_text_is_described_and_only_a_console_gets_it(valkey):
    opened = engine()
    async with Deck(valkey.url, (opened,)) as deck:
        reply = await deck.say("cp web:/bin/true")
        assert reply.download is None and not any(isinstance(block, Lines) for block in reply.blocks)
        assert "it is not text" in text(reply) and "SHA-256" in text(reply)
        for line in ("cp web:/bin/true -o true", "cp web:/bin/true ./true", "cp web:bin/true -o -"):
            reply = await deck.say(line, place=AT_CONSOLE)
            assert reply.download is not None, text(reply)
            assert (reply.download.content.read(), reply.download.name) == (b"\x7fELF\0", "true")
        reply = await deck.say("cp web:/bin/true a -o b", place=AT_CONSOLE)
        assert "Two output files are given" in text(reply)


async def test_a_large_file_is_for_a_console(valkey):
    opened = engine()
    opened.files["/log"] = b"x" * (2 << 20)
    async with Deck(valkey.url, (opened,)) as deck:
        reply = await deck.say("cp web:/log")
        assert reply.ending is Ending.USAGE and "at most 1,048,576" in text(reply)
        assert (await deck.say("cp web:/log -o log", place=AT_CONSOLE)).ending is Ending.OK


async def test_a_question_that_a_chat_answers_saves_no_file(valkey):
    """A guard asks; whoever answers elsewhere does not choose a path on the machine that answers."""
    ask = Guard(id="ask", can=("container.copy",), ask=Ask.CONFIRM)
    opened = engine()
    async with Deck(valkey.url, (opened,), policy=policy("container.*", guards=(ask,))) as deck:
        asked = await deck.say("cp web:/bin/true -o /etc/cron.d/x", BOB, AT_CONSOLE)
        assert asked.ending is Ending.ASKED
        reply = await deck.say(asked.buttons[0].line, BOB)
        assert reply.download is None and "cannot save" in text(reply), text(reply)


async def test_the_id_that_a_bare_commit_shows_is_what_tag_takes(valkey):
    opened = engine()
    async with Deck(valkey.url, (opened,)) as deck:
        shown = text(await deck.say("commit web"))
        short = shown.partition("committed as ")[2][:12]
        assert f"tag {short} NAME" in shown
        assert (await deck.say(f"tag {short} shop/web:debug")).ending is Ending.OK
        assert "shop/web" in text(await deck.say("images shop/web"))
