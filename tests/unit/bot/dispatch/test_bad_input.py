"""What people mistype and paste, for every command there is: always a sentence with its cure, never an exception, and
nothing is done."""

import shlex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot import plain_text
from bot.parsing import parser, usage
from commands.spec import ArgType
from core import errors
from core.model.replies import Ending
from core.text import command_line
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import WORDS, Deck

COMMANDS = tuple(WORDS)
LONG = "x" * 100_000
HUGE = "x" * (2 << 20)
OPTIONS = [
    (command, name)
    for command in COMMANDS
    for arg in command.args
    if arg.option and arg.type is not ArgType.FLAG
    for name in (arg.name, *arg.hidden_names, *([f"-{arg.short}"] if arg.short else []))
]


def right(command):
    """An example of a command that is right as it stands; of `exec` without the program, whose words are its own."""
    line = next(line for line in command.examples if "--help" not in line and not line.startswith("/"))
    positional = [arg for arg in command.args if not arg.option]
    words = command.name.split()
    if any(arg.remainder and arg.required for arg in positional):
        return " ".join(line.split()[: len(words) + len(positional) - 1])
    return line


MISTAKES = {
    "unknown option": "{right} --frobnicate",
    "unknown option with a value": "{right} --frobnicate=3",
    "unknown letter": "{right} -Z",
    "an argument of 100,000 characters": f"{{right}} {LONG}",
    "an option of 100,000 characters": f"{{right}} --{LONG}",
    "ANSI": "{right} \x1b[31mred\x1b[0m",
    "NUL": "{right} \x00",
    "bell": "{right}\a",
    "lone surrogate": "{right} \udcff",
    "two lines": "{right}\nrm -f web",
    "carriage return": "{right}\rrm -f web",
    "a quote left open": "{right} 'web",
    "a double quote left open": '{right} "web',
    "a smart quote left open": "{right} “web",
    "a backslash at the end": "{right} \\",
    "10,000 words": "{right} " + "w " * 10_000,
    "1,900 words": "{right}" + " w" * 1_900,
    "an option of 3,000 characters": f"{{right}} --{'x' * 3_000}",
    "letters of 3,000 characters": f"{{right}} -{'Z' * 3_000}",
}


def refusal(line):
    with pytest.raises(errors.UserError) as caught:
        parser.parse(line, WORDS)
    return caught.value


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_mistake_is_told_in_a_sentence_with_its_cure(command, mistake):
    error = refusal(MISTAKES[mistake].format(right=right(command)))
    assert error.message.rstrip()[-1] in ".”" or ": " in error.message
    assert error.hint or "one command at a time" in error.message
    assert error.full_message().isprintable()
    assert len(error.full_message()) < 1_000


@pytest.mark.parametrize(("command", "option"), OPTIONS, ids=[f"{command.name} {name}" for command, name in OPTIONS])
def test_an_option_without_its_value_says_how_it_is_written(command, option):
    for line in (
        f"{right(command)} {option}",
        f"{right(command)} {option} --frobnicate",
        f"{right(command)} {option} --",
    ):
        error = refusal(line)
        assert option in error.message or "twice" in error.message
        assert error.hint
    for line in (f"{right(command)} {option}=", f"{right(command)} {option} ''"):
        error = refusal(line)
        assert error.hint


@pytest.mark.parametrize(
    "line",
    [
        "{long}",
        "{long} ps",
        "logs web -n {long}",
        "logs web --since {long}",
        "stop web -t {long}",
        "ps --health {long}",
        "whoami {long}",
        "logs web -n --{long}",
        "help {long}",
    ],
)
def test_what_is_repeated_of_a_long_word_is_its_beginning(line):
    error = refusal(line.format(long="x" * 1_000))
    assert len(error.message) < 300


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_alone_is_right_or_says_what_it_needs(command):
    try:
        assert parser.parse(command.name, WORDS).command is command
    except errors.BadUsage as error:
        assert command.name in error.message
        assert error.hint


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
async def test_on_the_road_a_mistake_is_usage_and_nothing_is_done(valkey, command):
    engine = FakeRuntime("prod-1", kind="docker")
    engine.add("web")
    async with Deck(valkey.url, [engine]) as deck:
        for mistake in MISTAKES.values():
            reply = await deck.say(mistake.format(right=right(command)))
            assert reply.ending is Ending.USAGE
            assert plain_text.render(reply).strip()
            assert plain_text.to_json(reply).isascii()
        assert await deck.store.read_audit(count=10) == []
    assert engine.asked == []


async def test_an_argument_of_two_megabytes_is_a_sentence_at_once(valkey):
    """Whatever command it is given to: the line is refused before it is split, and nothing repeats it."""
    engine = FakeRuntime("prod-1", kind="docker")
    engine.add("web")
    async with Deck(valkey.url, [engine]) as deck:
        for line in (f"logs {HUGE}", f"run -e A={HUGE} busybox", f"exec web echo {HUGE}", f"ps '{HUGE}'", HUGE):
            reply = await deck.say(line)
            text = plain_text.render(reply)
            assert reply.ending is Ending.USAGE and len(text) < 1_000
            assert "the maximum is 4,000" in text
        assert await deck.store.read_audit(count=10) == []
    assert engine.asked == []


@pytest.mark.parametrize(
    "line",
    [
        "run --name=-f busybox",
        "create --name=--privileged busybox",
        "rename web -- -f",
        "network create --engine docker -- -f",
        "volume create --engine docker -- -v",
        "pod create --name=-f --engine podman",
        "service create --name=-f busybox",
        "tag busybox -- -x",
        "pull -- --all",
    ],
)
async def test_a_name_that_looks_like_a_flag_is_a_sentence(valkey, line):
    engines = [FakeRuntime("h1", kind="docker"), FakeRuntime("c1", kind="swarm", lacks=("container.*", "image.*"))]
    engines.append(FakeRuntime("h2", kind="podman", lacks=("container.create", "network.create", "image.*")))
    engines[0].add("web")
    engines[0].add_image("busybox:latest")
    async with Deck(valkey.url, engines) as deck:
        reply = await deck.say(line)
    assert reply.ending in (Ending.USAGE, Ending.NOTHING), plain_text.render(reply)
    text = plain_text.render(reply).strip()
    assert "\n" not in text and (text.endswith(".") or "For example: " in text)
    assert "change" not in [asked for engine in engines for asked in engine.asked]


WORD = st.one_of(
    st.text(max_size=8),
    st.sampled_from(sorted({name for command in COMMANDS for name in usage.options_by_name(command)})),
    st.sampled_from(sorted(WORDS.names)),
    st.sampled_from(
        ["web", "--", "-", "'", '"', "\\", "=", "--help", "10m", "-1", "9" * 400, "１２", "²", "#", "@", "&amp;"]
    ),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(WORD, st.sampled_from([" ", "", "=", "\t", "\u00a0"])), max_size=8))
@example([("logs", " "), ("-n", " "), ("²", "")])
def test_whatever_is_typed_is_understood_or_refused_in_our_own_words(parts):
    line = "".join(word + gap for word, gap in parts)
    try:
        parsed = parser.parse(line, WORDS)
    except errors.UserError as error:
        assert error.full_message()
    else:
        assert set(parsed.args) - {"unknown_command"} == {arg.key for arg in parsed.command.args}
        assert parser.parse(parsed.line, WORDS) == parsed


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(COMMANDS), st.lists(st.text(max_size=40), max_size=6))
def test_any_words_behind_any_command(command, rest):
    for line in (
        f"{command.name} {' '.join(rest)}",
        f"{command.name} {command_line.quote(rest)}",
        shlex.join([command.name, *rest]),
    ):
        try:
            parsed = parser.parse(line, WORDS)
        except errors.UserError as error:
            assert error.full_message()
        else:
            assert parser.parse(parsed.line, WORDS) == parsed
