"""What an engine cannot do in any state is refused at once, with what it can do instead: nobody is asked before."""

import dataclasses
import shlex

import pytest

from bot import plain_text
from core import errors
from core.model import actions
from core.model.actions import Risk
from core.model.invocation import Identity
from core.model.policy import Ask, Grant, Guard, Policy
from core.model.refs import Kind, Ref
from core.model.replies import Ending
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import Deck
from tests.unit import test_command_table

ENGINES = ("docker", "podman", "containerd", "cri", "oci", "swarm")
ALL_MUST_BE_APPROVED = Policy(guards=(Guard(id="two", can=("*",), ask=Ask.APPROVE),))
CHANGES = [
    command
    for command in test_command_table.commands()
    if command.risk is not Risk.READ and command.name not in ("job", "confirm")
]


def sample(action, engine):
    """One action of this type, with valid arguments."""
    ref = Ref(engine=engine, kind=Kind.CONTAINER, id="a" * 64, name="it")
    given = {"image": "i:1", "name": "n", "command": ("c",), "tag": "t:1", "replicas": 1, "resources": (ref,)}
    given |= {
        "path": "/etc/hosts",
        "term": "nginx",
        "user": "ann",
        "job": "j1",
        "project": "shop",
        "containers": (ref,),
    }
    return action(
        engine=engine,
        **{
            field.name: ref if field.type == "Ref" else given[field.name]
            for field in dataclasses.fields(action)
            if field.type == "Ref" or field.name in given
        },
    )


def engine_actions():
    """Every action that an engine may run."""
    for action in actions.all_actions():
        noun = action.verb.partition(".")[0]
        if noun in test_command_table.OWN or action.verb.startswith(("host.", "secret.use", "config.use", "pod.join")):
            continue
        yield action


async def test_every_adapter_knows_of_every_verb_whether_it_has_it_without_asking_its_engine():
    opened = test_command_table.engines()
    for kind, engine in opened.items():
        for action in engine_actions():
            made = sample(action, engine.ref)
            refused = engine.refusal(made)
            if action in engine._table:
                assert refused is None, (kind, action.verb, refused)
            else:
                assert isinstance(refused, errors.Unsupported), (kind, action.verb)
                assert refused.hint == engine.alternative(action.verb)
                assert refused.hint
                assert action.verb not in engine.verbs
        await engine.aclose()


def furnished(kind, lacks=(), alternatives=None):
    """An engine with something of each kind, under the names of the help texts."""
    engine = FakeRuntime("prod-1", kind=kind, lacks=lacks)
    if alternatives is not None:
        engine.alternatives = alternatives
    labels = {"app": "shop", "com.docker.compose.project": "shop", "com.docker.compose.service": "front"}
    for name in ("web", "api", "batch-1"):
        engine.add(name, labels=labels)
    member = engine.add("pod-front")
    engine.add_pod("shop", member)
    engine.add_unit(member)
    engine.add_network("shop_default")
    engine.add_volume("shop_data")
    engine.add_image("registry.example/shop/web:1")
    engine.add_image("nginx:1.27")
    for name in ("worker-1", "worker-2"):
        engine.add_node(name)
    engine.add_task("shop_front", engine.add_node("worker-3"))
    return engine


async def lacks_of(kind):
    """What the adapter of this kind does not have, and its sentences."""
    opened = test_command_table.engines()
    adapter = opened[kind]
    lacking = tuple(action.verb for action in engine_actions() if action not in adapter._table)
    for engine in opened.values():
        await engine.aclose()
    return lacking, adapter


def line_for(command, kind):
    """The first example of a command, for the one engine."""
    words = shlex.split(command.examples[0])
    for option in ("--engine", "--host"):
        if option in words:
            at = words.index(option)
            del words[at : at + 2]
    if any(arg.name == "--engine" for arg in command.args):
        words[len(command.name.split()) : len(command.name.split())] = ["--engine", kind]
    return shlex.join(words)


@pytest.mark.parametrize("kind", ENGINES)
async def test_no_question_is_asked_about_what_an_engine_does_not_have(valkey, kind):
    """Each change that an adapter lacks, by its command, where everything has to be approved by somebody else."""
    lacking, adapter = await lacks_of(kind)
    engine, wrong = furnished(kind, lacking, adapter.alternatives), []
    async with Deck(valkey.url, [engine], policy=ALL_MUST_BE_APPROVED) as deck:
        for command in CHANGES:
            if set(command.verbs) <= set(lacking):
                reply = await deck.say(line_for(command, kind))
                text = plain_text.render(reply, width=400)
                said = any(f"{kind}/prod-1 does not support {verb}. " in text for verb in command.verbs)
                if reply.ending is not Ending.USAGE or not said:
                    wrong.append((line_for(command, kind), reply.ending, text))
    assert "change" not in engine.asked
    assert not wrong, "\n".join(map(str, wrong))


async def test_the_reply_is_the_adapters_sentence_and_nothing_is_locked_or_begun(valkey):
    lacking, adapter = await lacks_of("cri")
    engine = furnished("cri", lacking, adapter.alternatives)
    async with Deck(valkey.url, [engine], policy=ALL_MUST_BE_APPROVED) as deck:
        reply = await deck.say("swarm init --engine cri")
        assert reply.ending is Ending.USAGE and not [each for each in reply.buttons if "confirm" in each.line]
        assert "cri/prod-1 does not support swarm.init. Only Docker has Swarm." in plain_text.render(reply)
        rows = [row for row in await rows_of(deck) if "swarm init" in row["line"]]
        assert [(row["phase"], row["verb"], row["verdict"], row["rule"]) for row in rows] == [
            ("refused", "swarm.init", "deny", "unsupported")
        ]
        assert engine.asked == []


async def test_a_question_covers_those_that_can_and_says_what_is_left_out(valkey):
    lacking, adapter = await lacks_of("cri")
    kubernetes = furnished("cri", lacking, adapter.alternatives)
    docker = FakeRuntime("prod-2", kind="docker", lacks=("pod.*", "node.*"))
    for name in ("web", "cart"):
        docker.add(name)
    guard = Guard(id="asks", can=("container.pause",), ask=Ask.CONFIRM)
    async with Deck(valkey.url, [kubernetes, docker], policy=Policy(guards=(guard,))) as deck:
        asked = await deck.say("pause web@cri/prod-1 web@docker/prod-2 cart")
        text = plain_text.render(asked)
        assert asked.ending is Ending.ASKED
        assert text.startswith("Pause 2 containers on prod-2: cart") and "and web" in text
        assert "web is left out: cri/prod-1 does not support container.pause. CRI cannot pause containers." in text
        done = await deck.say(asked.buttons[0].line)
        assert done.ending is Ending.OK
        assert {row.ref.name for row in docker.containers.values() if row.state == "paused"} == {"web", "cart"}
        assert "change" not in kubernetes.asked


async def test_without_a_question_the_rest_is_done_and_the_refusal_is_a_row(valkey):
    lacking, adapter = await lacks_of("cri")
    kubernetes, docker = furnished("cri", lacking, adapter.alternatives), FakeRuntime("prod-2", kind="docker")
    docker.add("cart")
    async with Deck(valkey.url, [kubernetes, docker]) as deck:
        reply = await deck.say("pause api cart")
        text = plain_text.render(reply)
        assert reply.ending is Ending.USAGE and "1 paused" in text
        assert "cri/prod-1 does not support container.pause" in text
        assert {row["target"].partition("@")[0] for row in await rows_of(deck)} == {"cart"}


async def test_what_is_left_over_is_decided_again(valkey):
    """Four changes at once are asked about, three are not."""
    lacking, adapter = await lacks_of("cri")
    kubernetes, docker = furnished("cri", lacking, adapter.alternatives), FakeRuntime("prod-2", kind="docker")
    for name in ("a", "b", "c", "d"):
        docker.add(name)
    async with Deck(valkey.url, [kubernetes, docker]) as deck:
        reply = await deck.say("pause api a b c")
        assert reply.ending is Ending.USAGE
        assert "3 paused" in plain_text.render(reply) and "does not support container.pause" in plain_text.render(reply)


async def test_a_command_that_says_what_it_looked_for_keeps_its_sentence(valkey):
    lacking, adapter = await lacks_of("docker")
    async with Deck(valkey.url, [furnished("docker", lacking, adapter.alternatives)]) as deck:
        shown = plain_text.render(await deck.say("swarm join-token worker"))
        assert "None of the watched engines manages a Swarm" in shown


async def test_who_may_not_do_it_hears_that_first(valkey):
    lacking, adapter = await lacks_of("cri")
    engine = furnished("cri", lacking, adapter.alternatives)
    bob = Identity(id="console:bob", name="bob")
    rules = Policy(grants=(Grant(id="g", who=bob.id, can=("viewer",)),))
    async with Deck(valkey.url, [engine], policy=rules) as deck:
        reply = await deck.say("swarm init --engine cri", bob)
        assert reply.ending is Ending.REFUSED and "does not support" not in plain_text.render(reply)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("rm -f batch-1", "does not allow container.remove"),
        ("run -v /srv:/srv nginx:1.27 --engine docker", "does not allow"),
    ],
)
async def test_what_the_owner_of_an_engine_does_not_allow_is_not_asked_about(valkey, line, said):
    engine = FakeRuntime("prod-1", kind="docker", allow=("container.[!r]*", "*.list"))
    engine.add("batch-1")
    async with Deck(valkey.url, [engine], policy=ALL_MUST_BE_APPROVED) as deck:
        reply = await deck.say(line)
        assert reply.ending is Ending.REFUSED and said in plain_text.render(reply)
        assert "change" not in engine.asked


async def test_an_invalid_argument_is_not_asked_about(valkey):
    engine = furnished("docker")
    async with Deck(valkey.url, [engine], policy=ALL_MUST_BE_APPROVED) as deck:
        reply = await deck.say("rename web 'a b'")
        assert reply.ending is not Ending.ASKED and "cannot be the name of a container" in plain_text.render(reply)


async def test_a_read_that_no_engine_has_is_not_approved_first_and_one_of_several_is(valkey):
    lacking, adapter = await lacks_of("oci")
    oci, docker = furnished("oci", lacking, adapter.alternatives), FakeRuntime("prod-2", kind="docker")
    docker.add("cart")
    async with Deck(valkey.url, [oci, docker], policy=ALL_MUST_BE_APPROVED) as deck:
        reply = await deck.say("logs web")
        assert reply.ending is not Ending.ASKED and adapter.alternative("container.logs") in plain_text.render(reply)
        assert (await deck.say("logs cart")).ending is Ending.ASKED


async def rows_of(deck):
    await deck._dispatcher.flush_spool()
    return [row.fields for row in reversed(await deck.store.read_audit(count=50))]
