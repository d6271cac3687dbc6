"""The scan of the package, promises every command keeps, and the help text as people see it."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace

import msgspec
import pytest

from bot import plain_text
from bot.parsing import parser, usage
from commands.catalogue import gather, load_catalogue
from commands.spec import Arg, ArgType
from core import errors
from core.model import actions, bot_actions
from core.model.invocation import Identity, Place
from core.model.policy import Decision, Grant, Verdict
from core.model.policy_selectors import Selector
from runtimes.containerd.engine import Containerd
from runtimes.docker.engine import Docker
from runtimes.podman.engine import Podman
from tests.helpers.paths import GOLDEN as GOLDEN_DIR

GOLDEN = GOLDEN_DIR / "help"
COMMANDS = tuple(load_catalogue())


def test_the_package_is_scanned_in_order(words):
    assert list(words.commands) == sorted(words.commands)
    assert {"ps", "logs", "restart", "help"} <= set(words.commands)
    assert words.find("LS") is words.find("ps")
    with pytest.raises(errors.UnknownCommand, match="Did you mean events"):
        words.find("evnets")


@pytest.mark.parametrize("word", ["restrat", "stp", "rmm", "kil", "network rmm", "volume purge", "tpo"])
def test_a_mistyped_word_never_suggests_a_change(words, word):
    with pytest.raises(errors.UnknownCommand) as caught:
        words.find(word)
    changing = {name for name, command in words.names.items() if command.risk is not actions.Risk.READ}
    assert not changing & {part.strip() for part in re.split(r"[,.:?]| or |Did you mean", caught.value.hint)}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_each_command_keeps_its_promises(command, words):
    verbs = {kind.verb: kind.risk for kind in actions.all_actions()}
    assert set(command.verbs) <= set(verbs)
    order = list(actions.Risk)
    assert all(order.index(verbs[verb]) <= order.index(command.risk) for verb in command.verbs)
    conditional = {verb for _, verb in command.verb_conditions}
    assert conditional <= set(command.verbs)
    assert not conditional or len(set(command.verbs) - conditional) <= 1, "which of the other verbs is needed when?"
    assert len(command.examples) >= 2
    for example in command.examples:
        parsed = parser.parse(example, words)
        assert parsed.command is command or "--help" in example
        assert parser.parse(parsed.line, words) == parsed
    assert all(arg.help for arg in command.args)
    assert command.summary[0].islower()
    assert not command.summary.endswith(".")


def test_a_word_said_twice_stops_the_start(words):
    ps = words.find("ps")
    with pytest.raises(RuntimeError, match=r"“ls”.*ps\.py.*two\.py"):
        gather([("ps", ps), ("two", replace(ps, name="zz", aliases=("ls",)))])
    with pytest.raises(RuntimeError, match="is not a command name"):
        gather([("x", replace(ps, name="Two Words", aliases=()))])
    for name in ("three whole words", "two  blanks", "two -l", "", "-l"):
        with pytest.raises(RuntimeError, match="is not a command name"):
            gather([("x", replace(ps, name=name, aliases=()))])
    with pytest.raises(
        RuntimeError, match=r"“ps two” of commands/two\.py begins with “ps”, a command of commands/ps\.py"
    ):
        gather([("ps", ps), ("two", replace(ps, name="ps two", aliases=()))])


def test_a_noun_without_its_verb_lists_the_verbs(words):
    assert words.find("Service LS") is words.find("services")
    assert words.match(["service", "ls", "web"]) == (words.find("services"), 2)
    assert words.match(["ps", "service"]) == (words.find("ps"), 1)
    assert parser.parse("help service", words).line == "help service"
    assert {command.name for command in words.about("service")} > {"service create", "services"}
    for line in ("service", "service frobnicate", "help service frobnicate"):
        with pytest.raises(
            errors.UnknownCommand,
            match=r"only read: .*service ls, .*\. List all service commands with: help service",
        ):
            parser.parse(line, words)


@pytest.mark.parametrize(
    "args",
    [
        (Arg(name="--a", help="x"), Arg(name="--a", help="x")),
        (Arg(name="--a", short="h", help="x"),),
        (Arg(name="--a", help="x"), Arg(name="--b", hidden_names=("--a",), help="x")),
        (Arg(name="a", many=True, help="x"), Arg(name="b", help="x")),
        (Arg(name="a", help="x"), Arg(name="b", required=True, help="x")),
        (Arg(name="a", type=ArgType.FLAG, help="x"),),
    ],
)
def test_arguments_that_clash_stop_the_start(words, args):
    with pytest.raises(RuntimeError, match=r"x\.py"):
        gather([("x", replace(words.find("ps"), args=args))])


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The only folder of commands, as long as the test runs."""
    import commands

    monkeypatch.setattr(commands, "__path__", [str(tmp_path)])
    made = tmp_path / "things"
    made.mkdir()
    (made / "__init__.py").touch()
    yield made
    for name in [name for name in sys.modules if name.startswith("commands.things")]:
        monkeypatch.delitem(sys.modules, name)


def test_a_module_without_a_command_stops_the_start(folder):
    (folder / "forgotten.py").write_text("x = 1\n")
    with pytest.raises(RuntimeError, match=r"commands/things/forgotten\.py has no"):
        load_catalogue()
    folder.rename(folder.with_name("_shared"))
    assert list(load_catalogue()) == []


def test_a_module_in_no_folder_stops_the_start(folder):
    (folder.parent / "stray.py").write_text("x = 1\n")
    with pytest.raises(RuntimeError, match=r"commands/stray\.py is not in a folder"):
        load_catalogue()


@pytest.mark.parametrize("topic", ["", *(command.name for command in COMMANDS)])
async def test_help_reads_as_agreed(world, words, topic):
    def answer(action):
        assert isinstance(action, bot_actions.ShowHelp)
        chosen = [words.find(action.topic)] if action.topic else list(words)
        return bot_actions.HelpPage(commands=tuple(usage.command_help(one) for one in chosen), topic=action.topic)

    text = plain_text.render(await world.say(f"help {topic}", answer)) + "\n"
    golden = GOLDEN / f"{topic.replace(' ', '-') or 'overview'}.txt"
    if os.environ.get("GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
    if not topic:
        assert len(text.splitlines()) <= 120
        assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_the_engine_that_help_names_has_the_command(command):
    have = {"docker": Docker, "podman": Podman, "containerd": Containerd}
    for arg in command.args:
        example = re.search(r"such as (docker|podman|containerd)/", arg.help) if arg.name == "--engine" else None
        if example and command.name not in ("grant", "maintenance"):  # they are about any command
            assert have[example[1]]("unix:///nowhere").verbs & set(command.verbs)


def test_every_help_page_belongs_to_a_command():
    pages = {command.name.replace(" ", "-") for command in COMMANDS}
    assert {page.stem for page in GOLDEN.glob("*.txt")} == pages | {"overview"}


async def test_help_of_help_is_help(world):
    assert (await world.plan("restart --help"))[0].topic == "restart"
    assert (await world.plan("ls -h"))[0].topic == "ps"
    assert (await world.plan("restart --nonsense --help"))[0].topic == "restart"
    assert (await world.plan("help ls"))[0].topic == "ps"
    assert (await world.plan("help --help"))[0].topic == ""
    with pytest.raises(errors.UnknownCommand):
        await world.plan("help nosuch")


WHO = Identity(id="console:a", name="a", groups=frozenset({"sre"}))
PLACE = Place(channel="#ops")
GRANT = Grant(id="g", who="everyone", can=("*",), on=Selector(labels=(("a", "b"),)))


@pytest.mark.parametrize(
    "value",
    [
        bot_actions.ShowHelp(topic="ps"),
        bot_actions.WhoAmI(who=WHO, place=PLACE),
        bot_actions.CheckPermission(who=WHO, place=PLACE, word="restart"),
        bot_actions.AddGrant(by=WHO, place=PLACE, who="everyone", can=("*",), on=Selector(name="a*"), places=("#x",)),
        bot_actions.RemoveGrant(by=WHO, place=PLACE, id="g-1"),
        bot_actions.ListGrants(),
        bot_actions.ReadAudit(who="*", limit=3),
        bot_actions.RequesterInfo(id="a", name="a", groups=("x",), admin=True, grants=(GRANT,)),
        bot_actions.PermissionReport(decisions=(("x", Decision(verdict=Verdict.DENY, rule="r", reason="why")),)),
        bot_actions.GrantAdded(grant=GRANT),
        bot_actions.AuditEntry(at="2026-11-24T00:00:00Z", who="a", place="b", line="ps"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_the_desk_is_asked_and_says_survives_the_wire(value):
    assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value
    if isinstance(value, actions.Action):
        (touched,) = value.targets()
        assert (touched.name, touched.engine) == (value.verb, bot_actions.BOT)
