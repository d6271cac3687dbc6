"""What an engine tells about a container is shown without its secrets, in every form in which a person may ask for it,
and what only looks like the name of a secret stays."""

import threading

import pytest

from bot.dispatch import redaction
from commands.spec import Result
from core import unexpected_errors
from core.model.actions import InspectContainer
from core.model.replies import Ending, Fields, Lines, Reply, Table, Text
from core.model.results import Document
from core.text import redact_json
from core.text.redact import MASK
from tests.unit.bot.dispatch.world import ANN, World, words


@pytest.fixture
async def world(valkey):
    made = World(valkey)
    yield made
    await made.aclose()


DETAILS = {
    "Path": "mysql",
    "Args": ["-uroot", "-pzebra1"],
    "Config": {
        "Env": ["A=zebra2", "EMPTY="],
        "Cmd": ["redis-server", "--requirepass", "zebra3 b"],
        "Healthcheck": {"Test": ["CMD", "/usr/bin/mysqladmin", "ping", "-pzebra4"]},
        "Labels": {
            "db.password": "zebra5 b",
            "traefik.users": "bob:$$" + "apr1$$abcdefgh$$" + "zebra6" * 4,
            "team": "a",
        },
    },
    "Health": {"Test": ["CMD-SHELL", "redis-cli -a zebra7 ping || exit 1"], "Log": [{"Output": "redis://:zebra8@x"}]},
    "Spec": [{"name": "API_TOKEN", "value": "zebra9"}, {"name": "MODE", "value": "prod"}],
    "Token": "\x1b[0mzeb\u200bra0",
    "passwords": ["zebra1", "zebra2"],
    "SecretName": "web-tls",
}


@pytest.mark.parametrize(
    "line",
    [
        "inspect web",
        "inspect web web-2",
        "inspect -f '{{json .}}' web",
        "inspect -f '{{.Config.Env}}' web",
        "inspect -f '{{.Config.Env.0}}' web",
        "inspect -f '{{.Args.1}}' web",
        "inspect -f '{{.Config.Cmd.2}}' web",
        "inspect -f '{{.Config.Healthcheck.Test.3}}' web",
        "inspect -f '{{index .Config.Labels \"db.password\"}}' web",
        "inspect -f '{{index .Config.Labels \"traefik.users\"}}' web",
        "inspect -f '{{.Health.Test.1}} {{.Health.Log.0.Output}}' web",
        "inspect -f '{{.Spec.0.value}}' web",
        "inspect -f '{{.Token}}' web",
        "inspect -f '{{.passwords.1}}' web",
    ],
)
async def test_a_format_shows_no_more_than_the_plain_view(world, line):
    dispatcher = await world.replica()
    world.engine.details = DETAILS
    reply = await dispatcher.answer(world.line(line, ANN))
    assert reply.ending is Ending.OK
    assert "zeb" not in words(reply) and MASK in words(reply)


async def test_what_is_not_secret_is_shown(world):
    dispatcher = await world.replica()
    world.engine.details = DETAILS
    shown = "{{.SecretName}} {{.Config.Labels.team}} {{.Spec.1.value}} {{.Path}} {{.Config.Env.1}}"
    reply = await dispatcher.answer(world.line(f"inspect -f '{shown}' web", ANN))
    assert words(reply).strip() == "web-tls a prod mysql EMPTY="


async def test_a_target_whose_name_is_that_of_a_secret_does_not_hide_what_is_said_about_it(world):
    world.engine.add("api-token", {})
    world.engine.add("password", {})
    plan = [
        InspectContainer(engine=world.engine.ref, target=row.ref)
        for row in world.engine.rows.values()
        if row.ref.name in ("api-token", "password")
    ]
    texts = "api-token: docker/vm does not support that\npassword: docker/vm refused it: token=zebra\ntoken: zebra1"
    bugs = unexpected_errors.BugReporter()
    shown = await redaction.redact_reply(Reply(blocks=(Text(text=texts),)), plan, bugs)
    assert shown.blocks[0].text == (
        f"api-token: docker/vm does not support that\npassword: docker/vm refused it: token={MASK}\ntoken: {MASK}"
    )


@pytest.mark.parametrize(
    "block",
    [
        Text(text="password=zebra " + "word " * 20_000),
        Lines(lines=["password=zebra", *["word " * 100] * 200]),
        Table(columns=("A",), rows=[["password=zebra"], *[["word " * 100]] * 200]),
        Fields(fields={"password": "zebra", "text": "word " * 20_000}),
    ],
)
async def test_a_large_reply_is_redacted_too(block):
    shown = await redaction.redact_reply(Reply(blocks=(block,)), (), unexpected_errors.BugReporter())
    assert "zebra" not in repr(shown) and MASK in repr(shown) and "word word" in repr(shown)


async def test_a_document_that_cannot_be_searched_is_an_error_and_costs_the_others_nothing(world):
    def document(name, data):
        ref = next(row.ref for row in world.engine.rows.values() if row.ref.name == name)
        action = InspectContainer(engine=world.engine.ref, target=ref)
        return Result(action=action, value=Document(ref=ref, data=data))

    deep: dict[str, object] = {}
    for _ in range(3_000):
        deep = {"a": deep}
    results = [
        document("web", {"A": "token=zebra"}),
        document("api", {"list": ["a"] * (redact_json.MAX_TEXTS + 1)}),
        document("db", deep),
        document("web-2", {"A": Broken("x")}),
    ]
    shown = await redaction.redact_documents(results, unexpected_errors.BugReporter())
    assert shown[0].value.data == {"A": f"token={MASK}"}
    assert [result.value for result in shown[1:]] == [None] * 3
    for result, words_of in zip(shown[1:], ("which is the most", "too deeply", "because of a bug (ref"), strict=True):
        assert words_of in result.error.message


class Broken(str):
    def __deepcopy__(self, memo):
        raise KeyError("x")


async def test_a_long_reply_is_searched_in_a_thread_of_the_searches():
    threads = []

    lines = tuple(f"{number} password=hunter2 {'x' * 60}" for number in range(1_000))
    bugs = unexpected_errors.BugReporter()
    original = redaction.redact.redact_reply

    def noted(reply, names):
        threads.append(threading.current_thread().name)
        return original(reply, names)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(redaction.redact, "redact_reply", noted)
        long = await redaction.redact_reply(Reply(blocks=(Lines(lines=lines),)), (), bugs)
        await redaction.redact_reply(Reply(blocks=(Lines(lines=lines[:3]),)), (), bugs)
    assert "hunter2" not in words(long) and len(long.blocks[0].lines) == 1_000
    assert threads[0].startswith("search for secrets") and threads[1] == threading.current_thread().name
