"""The table in docs/commands.md: every command on every kind of engine, made from the code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from commands.catalogue import load_catalogue
from commands.spec import Command
from core.model.event_actions import ListEvents
from core.model.refs import EngineRef
from runtimes import engine_registry
from runtimes.base.base_adapter import BaseAdapter
from runtimes.swarm.engine import Swarm
from tests.helpers.exercised_verbs import NOT_HERE
from tests.helpers.paths import ROOT

PAGE = ROOT / "docs/commands.md"
URLS = {
    "docker": "unix:///run/docker.sock",
    "podman": "unix:///run/podman/podman.sock",
    "containerd": "unix:///run/containerd/containerd.sock",
    "cri": "unix:///run/crio/crio.sock",
    "oci": "file:///run/runc",
}
HEAD = """# Commands and engines

`make golden` generates this page from the code. `help` shows the commands, and `help COMMAND` explains one, with the
permission that it needs. A command that is given to several engines skips those that do not support it. If no engine
supports it, the reply says what to do instead.

For each “yes”, a test ran the command on a real engine of that kind: CI records the commands of the tests and compares
them with this table. An old version of an engine may not support all of them: containerd pulls images since 1.7.
"""
# Nouns of verbs that the bot answers itself.
OWN = (
    "help",
    "policy",
    "audit",
    "question",
    "job",
    "alert",
    "incident",
    "rule",
    "schedule",
    "silence",
    "maintenance",
    "freeze",
)


def engines() -> Mapping[str, BaseAdapter]:
    """One adapter of each kind. None of them is contacted."""
    opened: dict[str, BaseAdapter] = {
        kind: engine_registry.open_engine(engine_registry.EngineAddress(kind=kind, url=url))
        for kind, url in URLS.items()
    }
    opened["swarm"] = Swarm(EngineRef(host="c1", kind="swarm"), "c1", on_refused=lambda manager: None)
    return opened


def supports(engine: BaseAdapter, command: Command) -> bool:
    """Whether the engine has the verbs of the command. Events of every engine are stored while it is watched. `inspect`
    needs only one: it takes resources of every kind."""
    enough = any if command.name == "inspect" else all
    return enough(verb in engine.verbs or verb == ListEvents.verb for verb in command.verbs)


def lacking(engine: BaseAdapter, command: Command) -> str:
    """The first verb of the command that the engine does not have."""
    return next(verb for verb in command.verbs if verb not in engine.verbs and verb != ListEvents.verb)


def commands() -> Sequence[Command]:
    """The commands that engines run."""
    return [one for one in load_catalogue() if one.verbs and not all(map(_is_own, one.verbs))]


def page(opened: Mapping[str, BaseAdapter]) -> str:
    return "".join([HEAD, *_exceptions(), *_table(opened), "\n## What to do instead\n", *_instead(opened)])


def _is_own(verb: str) -> bool:
    return verb.partition(".")[0] in OWN


def _exceptions() -> Iterator[str]:
    """What no test can run, by its engine and its reason."""
    for kind, reason in sorted({(kind, reason) for (kind, _), reason in NOT_HERE.items()}):
        verbs = sorted(f"`{verb}`" for (one, verb), why in NOT_HERE.items() if (one, why) == (kind, reason))
        yield f"\nThe exceptions on {kind} are {', '.join(verbs)}: {reason}.\n"
    yield "\n"


def _table(opened: Mapping[str, BaseAdapter]) -> Iterator[str]:
    yield f"| command | {' | '.join(opened)} |\n|---|{'---|' * len(opened)}\n"
    for command in commands():
        cells = ["yes" if supports(engine, command) else "–" for engine in opened.values()]
        yield f"| `{command.name}` | {' | '.join(cells)} |\n"


def _instead(opened: Mapping[str, BaseAdapter]) -> Iterator[str]:
    for kind, engine in opened.items():
        by_sentence: dict[str, list[str]] = {}
        for command in commands():
            if not supports(engine, command):
                by_sentence.setdefault(engine.alternative(lacking(engine, command)), []).append(f"`{command.name}`")
        if by_sentence:
            yield f"\nOn {kind}:\n\n"
        for sentence, names in by_sentence.items():
            yield f"- {', '.join(names)}: {sentence}\n"


async def test_the_table_in_the_docs_is_what_the_code_does():
    opened = engines()
    made = page(opened)
    for engine in opened.values():
        await engine.aclose()
    if os.environ.get("GOLDEN"):
        PAGE.write_text(made)
    assert made == PAGE.read_text(), "Write it again with GOLDEN=1, and read the difference."


async def test_every_command_that_engines_run_is_run_by_one():
    opened = engines()
    for command in commands():
        assert any(supports(engine, command) for engine in opened.values()), command.name
    for engine in opened.values():
        await engine.aclose()


async def test_each_engine_has_a_sentence_of_its_own_for_each_command_that_it_lacks():
    """And none that is never shown."""
    opened = engines()
    for kind, engine in opened.items():
        missing = {lacking(engine, command) for command in commands() if not supports(engine, command)}
        own = {verb for verb in missing if verb in engine.alternatives or _noun(verb) in engine.alternatives}
        assert missing == own, kind
        assert not {verb for verb in engine.alternatives if verb in engine.verbs}, kind
        for noun in (verb for verb in engine.alternatives if verb.endswith(".*")):
            assert any(_noun(verb) == noun and verb not in engine.alternatives for verb in missing), (kind, noun)
        await engine.aclose()


def _noun(verb: str) -> str:
    return f"{verb.partition('.')[0]}.*"
