"""The matrix of what reaches a host: each verb that can, with each of its options, by each way a line can come. It is
closed to an operator, and to whoever has everything but `host.reach`; and no verb, option or field is left out."""

from __future__ import annotations

import dataclasses
import re

import pytest

from bot import plain_text
from bot.healing.command_runner import HEALING_CHANNEL as HEALING
from core.model import effects
from core.model.actions import Action, all_actions
from core.model.host_access import HostAccess
from core.model.invocation import Identity, Place
from core.model.policy import Grant, Policy
from core.model.refs import Kind, Ref
from core.model.replies import Ending
from core.model.services import Service
from tests.fake_engine.engine import FakeRuntime
from tests.helpers.deck import AT_CONSOLE, CONSOLE, WORDS, Deck
from tests.unit.bot.dispatch.test_inside_containers import REACHES as OF_CONTAINERS
from tests.unit.bot.dispatch.test_new_containers import EVERYTHING_ELSE
from tests.unit.bot.dispatch.test_new_containers import ROADS as OF_RUN
from tests.unit.bot.dispatch.test_services import ADDED as OF_UPDATE
from tests.unit.bot.dispatch.test_services import ROADS as OF_SERVICE

# Who gives the line, and where. A scheduled line has no place of its own.
WAYS = (
    ("slack, a channel", Identity(id="slack:T1/U1", name="bob"), Place(team="T1", channel="C1")),
    ("slack, a thread", Identity(id="slack:T1/U1", name="bob"), Place(team="T1", channel="C1", thread="1.0")),
    ("slack, a direct message", Identity(id="slack:T1/U1", name="bob"), Place(team="T1", channel="D1", kind="im")),
    ("the console", Identity(id="console:bob", name="bob"), AT_CONSOLE),
    ("`quarterdeck do`", Identity(id="console:bob", name="bob"), CONSOLE),
    ("self-healing", Identity(id="rule:restart", name="healing rule restart"), HEALING),
    ("a schedule", Identity(id="job:nightly", name="nightly"), Place(channel="")),
)
# What each kind of person has: an operator may not even create; the other one may do all that is not named `host.`.
GRANTS = (("operator",), (*EVERYTHING_ELSE, "service.*", "pod.*"))
ROADS = (
    *(("docker", f"run --name new {road} busybox") for road in OF_RUN),
    *(("docker", f"create --name new {road} busybox") for road in OF_RUN),
    ("podman", "run --name new --pod shop busybox"),
    ("podman", "create --name new --pod shop busybox"),
    *(("swarm", f"service create --name new {road} nginx") for road in OF_SERVICE),
    *(("swarm", f"service update {road} web") for road in OF_UPDATE),
    ("swarm reaching", "service update --image evil:1 web"),
    ("swarm reaching", "service update --env-add A=1 web"),
    ("swarm back", "service rollback web"),
    ("swarm back", "service update --rollback web"),
    *((at, line) for at in range(len(OF_CONTAINERS)) for line in ("exec web ls /", "cp web:/etc/hosts")),
)


def engine(kind: str | int) -> FakeRuntime:
    if isinstance(kind, int):
        made = FakeRuntime("host7", kind="docker", allow=("*", "host.reach"))
        ref = made.add("web")
        made.host_configs[ref.id], made.mounts[ref.id] = OF_CONTAINERS[kind]
        return made
    name, _, more = kind.partition(" ")
    made = FakeRuntime("host7", kind=name, allow=("*", "host.reach"))
    if name != "swarm":
        web = made.add("web")
        if name == "podman":
            made.add_pod("shop", web)
        return made
    reach = ("mounts / of the host",)
    made.swarm.append(
        Service(
            ref=Ref(engine=made.ref, kind=Kind.SERVICE, id="id-web", name="web"),
            mode="replicated",
            image="nginx:1",
            running=1,
            desired=1,
            labels=({},),
            service="web",
            reaches=reach if more == "reaching" else (),
            earlier_reaches=reach if more == "back" else (),
        )
    )
    return made


def changes(made: FakeRuntime) -> list[str]:
    return [asked for asked in made.asked if asked in ("change", "exec", "copy")]


@pytest.mark.parametrize(("kind", "line"), ROADS, ids=[f"{kind}: {line}" for kind, line in ROADS])
async def test_no_way_leads_to_the_host(valkey, kind, line):
    """And to the owner of the engine and of the bot, the same line does: so what was refused was the reach."""
    made = engine(kind)
    grants = tuple(Grant(id=f"g{number}", who=f"group:{number}", can=can) for number, can in enumerate(GRANTS))
    async with Deck(valkey.url, (made,), policy=Policy(grants=grants)) as deck:
        for number, _ in enumerate(GRANTS):
            for way, who, place in WAYS:
                reply = await deck.say(line, dataclasses.replace(who, groups=frozenset({str(number)})), place)
                text = plain_text.render(reply, width=200)
                assert reply.ending is Ending.REFUSED, (way, text)
                assert number == 0 or "host.reach" in text, (way, text)
        assert not changes(made)
        asked = await deck.say(line)
        if asked.ending is Ending.ASKED:
            # The button of the owner's question is not for others, whatever they have.
            for _, who, place in WAYS:
                other = dataclasses.replace(who, groups=frozenset({"1"}))
                assert (await deck.say(asked.buttons[0].line, other, place)).ending is not Ending.OK
            assert not changes(made)
            asked = await deck.say(asked.buttons[0].line)
        assert asked.ending is Ending.OK, plain_text.render(asked, width=200)
        assert changes(made)


def reaching_verbs() -> set[str]:
    """The verbs that can need `host.reach`: those whose actions hold an access or its phrases."""
    return {kind.verb for kind in all_actions() if kind.needs is not Action.needs and kind.verb != "project.restart"}


def commands_with(verb: str) -> set[str]:
    return {command.name for command in WORDS if verb in command.verbs}


def test_every_verb_that_can_reach_a_host_is_in_the_matrix():
    in_matrix = {command.name for command in WORDS for _, line in ROADS if line.startswith(f"{command.name} ")}
    assert reaching_verbs() == {
        *("container.create", "container.exec", "container.copy"),
        *("service.create", "service.update", "service.rollback"),
    }
    assert set().union(*map(commands_with, reaching_verbs())) <= in_matrix
    assert reaching_verbs() <= effects.TABLE.keys() | {"container.copy"}


def test_every_option_that_says_so_is_in_the_matrix():
    for command in WORDS:
        given = " ".join(f"{line} " for _, line in ROADS if line.startswith(f"{command.name} "))
        for arg in command.args:
            if "host.reach" in arg.help:
                names = [arg.name, *arg.hidden_names, *([f"-{arg.short}"] if arg.short else [])]
                found = any(re.search(rf" {name}[ =]", given) for name in names) if arg.option else given
                assert found, (command.name, arg.name)


def test_every_field_of_an_access_is_in_the_matrix():
    """Each has an option of `run` or `service create`, by which a line above sets it."""
    options = {
        "mounts": "-v",
        "namespaces": "--pid",
        "volumes_from": "--volumes-from",
        "devices": "--device",
        "capabilities": "--cap-add",
        "security_options": "--security-opt",
        "privileged": "--privileged",
        "pod": "--pod",
        "log_driver": "--log-driver",
    }
    assert options.keys() == {field.name for field in dataclasses.fields(HostAccess)}
    for option in options.values():
        assert any(f" {option} " in line or f" {option}=" in line for _, line in ROADS), option
