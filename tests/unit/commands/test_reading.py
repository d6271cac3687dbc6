"""ps, logs, inspect and events: what they ask for and how they show it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bot import plain_text
from commands._shared import container_logs, format_option
from core import errors
from core.model.actions import InspectContainer, ListContainers, ReadLogs
from core.model.containers import Containers
from core.model.event_actions import ListEvents
from core.model.events import Event, EventKind, Origin
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Ending, Lines, Table, Text, Tone
from core.model.results import Document, LogLine, LogPage
from tests.unit.commands.conftest import container

NOW_NS = 1_795_489_200 * 1_000_000_000  # 2026-11-24T03:00:00Z


def names(reply: Any) -> list[Any]:
    table = next((block for block in reply.blocks if isinstance(block, Table)), Table(columns=("NAME",), rows=()))
    assert all(len(row) == len(table.columns) for row in table.rows)
    return [row[0] for row in table.rows]


def shown(reply: Any) -> str:
    return plain_text.render(reply)


# ── ps ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_ps_says_what_is_wrong_and_shows_it_first(world):
    reply = await world.say("ps")
    assert reply.blocks[0] == Text(text="2 up: 1 unhealthy; 1 not running (1 failed), see ps -a", tone=Tone.WARN)
    table = reply.blocks[1]
    assert table.columns == ["NAME", "STATUS", "SERVICE", "IMAGE", "PORTS", "ID"]
    assert table.rows[0] == ["web-2", "unhealthy · 1h", "", "nginx:1.27", "", "5a5a5a5a5a5a"]
    assert table.rows[1] == ["web", "healthy · 3h", "shop/front", "nginx:1.27", "8080->80, 443", "4f4f4f4f4f4f"]
    assert table.tones == [Tone.BAD, Tone.GOOD]
    assert reply.ending is Ending.OK
    assert len(reply.blocks) == 2, "a list from a live mirror says nothing about where it came from"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ps -a", ["web-2", "batch", "web"]),
        ("ls --all", ["web-2", "batch", "web"]),
        ("status", ["web-2", "web"]),
        ("status web", ["web"]),
        ("ps batch", ["batch"]),
        ("ps 'web*'", ["web-2", "web"]),
        ("ps we", ["web-2", "web"]),
        ("ps front", ["web"]),
        ("ps 5a5a5a", ["web-2"]),
        ("ps web@host7#4f4f", ["web"]),
        ("ps --state exited", ["batch"]),
        ("ps -s exited -s running", ["web-2", "batch", "web"]),
        ("ps --filter status=exited", ["batch"]),
        ("ps -f status=exited -f status=running", ["web-2", "batch", "web"]),
        ("ps -f exited=137", ["batch"]),
        ("ps -f name=b", ["web-2", "batch", "web"]),
        ("ps -f name=^web$", ["web"]),
        ("ps -f id=5a5a", ["web-2"]),
        ("ps -f ancestor=nginx", ["web-2", "web"]),
        ("ps -f ancestor=docker.io/library/nginx:1.27 -f publish=8000-9000", ["web"]),
        ("ps -f expose=443", ["web"]),
        ("ps -f label=app -f label=com.docker.compose.project=shop", ["web"]),
        ("ps -f health=none -a", ["batch"]),
        ("ps -f since=web", []),
        ("ps -n 5", ["web-2", "batch", "web"]),
        ("ps --last 1", ["web-2"]),
        ("ps --latest", ["web-2"]),
        ("ps --health unhealthy", ["web-2"]),
        ("ps --label app=sh*", ["web-2", "web"]),
        ("ps -l app -l com.docker.compose.project=shop", ["web"]),
    ],
)
async def test_ps_selects(world, line, expected):
    assert names(await world.say(line)) == expected


async def test_ps_asks_each_engine_and_passes_fresh_and_host_on(two_hosts):
    plan = await two_hosts.plan("ps --fresh")
    assert [(type(action), action.engine.host, action.fresh) for action in plan] == [
        (ListContainers, "host7", True),
        (ListContainers, "host8", True),
    ]
    assert [action.engine.host for action in await two_hosts.plan("ps --host '*8'")] == ["host8"]


async def test_ps_shows_the_host_only_where_there_are_several(two_hosts):
    table = (await two_hosts.say("ps web")).blocks[1]
    assert table.columns[-2:] == ["HOST", "ID"]
    assert {row[-2] for row in table.rows} == {"host7", "host8"}
    assert "HOST" in (await two_hosts.say("ps web-2")).blocks[1].columns
    assert "HOST" not in (await two_hosts.say("ps web --host host7")).blocks[1].columns


async def test_ps_tells_engines_of_one_host_apart(words, world):
    podman = EngineRef(host="host7", kind="podman")
    other = world.rows[0].__class__(**{name: getattr(world.rows[0], name) for name in world.rows[0].__struct_fields__})
    ref = Ref(engine=podman, kind=Kind.CONTAINER, id="77" * 32, name="pod")
    rows = (*world.rows, type(other)(**{**{n: getattr(other, n) for n in other.__struct_fields__}, "ref": ref}))
    reply = await type(world)(words, rows).say("ps")
    assert reply.blocks[1].columns[-2:] == ["ENGINE", "ID"]


async def test_ps_quiet_is_ids_alone(world):
    assert shown(await world.say("ps -q")) == "5a5a5a5a5a5a\n4f4f4f4f4f4f"


async def test_ps_of_nothing_helps(world):
    reply = await world.say("ps wbe")
    assert (reply.ending, shown(reply)) == (
        Ending.NOTHING,
        "There is no container “wbe”. Did you mean web?",
    )
    reply = await world.say("ps web nosuch")
    assert reply.ending is Ending.OK
    assert "“nosuch”" in shown(reply)


async def test_ps_says_what_is_down_when_nothing_runs(words, world):
    reply = await type(world)(words, (world.rows[2],)).say("ps")
    assert (reply.ending, shown(reply)) == (
        Ending.OK,
        "No container is running. Show stopped containers (1, 1 of them failed) with: ps -a",
    )


async def test_ps_shows_what_answered_and_what_did_not(two_hosts):
    def answer(action):
        return errors.Unreachable("Nobody answers.") if action.engine.host == "host8" else two_hosts.rows_of(action)

    reply = await two_hosts.say("ps", answer)
    assert names(reply) == ["web-2", "web"]
    assert reply.ending is Ending.OK
    assert "No result from docker/host8: Nobody answers." in shown(reply)
    everything = await two_hosts.say("ps", lambda _: errors.Unreachable("Nobody answers."))
    assert everything.ending is Ending.FAILED


async def test_ps_tells_the_age_of_an_old_list(world):
    reply = await world.say("ps", lambda _: Containers(rows=world.rows, source="mirror", age=300.0))
    assert "docker/host7: This list is 5 min old." in shown(reply)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("ps --format '{{.Names}}: {{.Status}}'", "web-2: Up 1 hour (unhealthy)\nweb: Up 3 hours (healthy)"),
        ("ps --format 'table {{.Names}}\\t{{.ID}}' web", "NAMES  CONTAINER ID\nweb    4f4f4f4f4f4f"),
        (
            "ps web --no-trunc --format '{{.ID}} {{.Ports}}'",
            f"{'4f' * 32} 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 443/tcp",
        ),
        ('ps web --format \'{{.Label "app"}}/{{.Label "none"}}\'', "shop/"),
        ("ps web --format json", '"Service": "front"'),
        ("ps web --format '{{json .}}'", '"Names": "web"'),
        ("ps --no-trunc web", "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 443/tcp"),
        ("ps --no-trunc -q web", "4f" * 32),
    ],
)
async def test_ps_takes_the_options_of_docker(world, line, text):
    assert text in shown(await world.say(line))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("ps --filter status=gone", "--filter status cannot be “gone”. Write one of these: created, running"),
        ("ps --filter web", "--filter “web” is not KEY=VALUE."),
        (
            "ps --filter network=shop",
            "ps cannot filter by “network”. List the containers of a network with: network inspect",
        ),
        ("ps --filter frob=1", "ps cannot filter by “frob”. Use one of these keys: status, health, name"),
        ("ps --filter exited=bad", "--filter exited takes an exit code, not “bad”."),
        ("ps --filter publish=http", "--filter publish takes a port, not “http”."),
        ("ps --format '{{.Command}}'", "This list has no field “.Command”. Show this value with: inspect NAME"),
        ("ps --format '{{.names}}'", "This list has no field “.names”. Did you mean .Names?"),
        ("ps --format '{{upper .Names}}'", "is not supported in a format"),
        ("ps --format names", "The format “names” has no field. Write a field, such as --format '{{.Names}}'."),
    ],
)
async def test_what_a_list_cannot_do_is_refused_before_an_engine_is_asked(world, line, sentence):
    with pytest.raises(errors.BadUsage) as caught:
        await world.plan(line)
    assert sentence in caught.value.full_message()


async def test_a_format_shows_no_secret_of_a_label(words, world):
    row = container("db", 0x31, labels={"db.password": "hunter2hunter2"})
    for form in ('{{.Label "db.password"}}', "json", "{{.Labels}}"):
        reply = await type(world)(words, (row,)).say(f"ps --format '{form}'")
        assert "hunter2" not in shown(reply)
        assert "••••" in shown(reply)


# ── logs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def page(*lines: tuple[str, str], stream: str = "stdout", dropped: int = 0) -> LogPage:
    return LogPage(lines=tuple(LogLine(at=at, stream=stream, text=text) for at, text in lines), dropped=dropped)


async def test_logs_asks_for_what_was_wanted(world):
    (action,) = await world.plan("logs web")
    assert (type(action), action.tail, action.since_ns) == (ReadLogs, 100, 0)
    (action,) = await world.plan("logs web -n 7 --since 10m")
    assert (action.tail, action.since_ns) == (7, NOW_NS - 600 * 1_000_000_000)
    (action,) = await world.plan("logs web --since 2026-11-24T02:00 --until 02:30")
    assert (action.since_ns, action.until_ns) == (NOW_NS - 3_600 * 1_000_000_000, NOW_NS - 1_800 * 1_000_000_000)
    for line in ("logs web -f --until 1h", "logs web --since 1h --until 2h"):
        with pytest.raises(errors.BadUsage):
            await world.plan(line)
    (action,) = await world.plan("logs web -S 1h")
    assert action.tail == 1_000
    (action,) = await world.plan("logs web --tail all")
    assert action.tail == 10_000


async def test_logs_wants_a_target(world):
    with pytest.raises(errors.BadUsage, match="logs web"):
        await world.plan("logs")


async def test_logs_of_one_is_its_lines(world):
    read = page(("2026-11-24T02:59:58.1Z", "one"), ("2026-11-24T02:59:59Z", "two"), dropped=12)
    reply = await world.say("logs web", lambda _: read)
    assert reply.blocks[0] == Lines(lines=["one", "two"])
    assert "12 older lines left out" in shown(reply)
    stamped = await world.say("logs web -t", lambda _: read)
    assert stamped.blocks[0].lines[0] == "2026-11-24T02:59:58.1Z one"


async def test_the_containers_of_one_reply_share_its_characters(world):
    assert (await world.plan("logs web"))[0].max_characters == container_logs.MAX_CHARACTERS
    actions = await world.plan("logs 'web*' --tail 10000")
    assert len(actions) > 1
    assert sum(action.max_characters for action in actions) <= container_logs.MAX_CHARACTERS
    reply = await world.say("logs web --tail 10000", lambda _: page(("2026-11-24T02:59:58.1Z", "one"), dropped=12))
    assert "12 older lines left out, because a reply shows at most 2 MiB of this log." in shown(reply)


async def test_logs_of_several_are_merged_by_time_and_named(world):
    pages = {
        "web": page(("2026-11-24T02:00:01.000000009Z", "a1"), ("not a time", "a2"), ("2026-11-24T02:00:05Z", "a3")),
        "web-2": page(("2026-11-24T02:00:03+00:00", "b1")),
    }
    reply = await world.say("logs 'web*'", lambda action: pages[action.target.name])
    assert list(reply.blocks[0].lines) == ["web   | a1", "web   | a2", "web-2 | b1", "web   | a3"]


async def test_logs_of_one_name_on_two_hosts_say_which(two_hosts):
    reply = await two_hosts.say("logs web", lambda action: page(("2026-11-24T02:00:00Z", action.engine.host)))
    assert list(reply.blocks[0].lines) == ["web@docker/host7 | host7", "web@docker/host8 | host8"]


async def test_logs_keeps_stderr_only_and_says_when_there_is_none(world):
    reply = await world.say("logs web --stderr", lambda _: page(("2026-11-24T02:00:00Z", "x")))
    assert shown(reply) == "The only line of web is not from stderr."
    reply = await world.say("logs web --since 10m", lambda _: page())
    assert shown(reply) == "The log of web has no lines of the last 10 min."


async def test_logs_of_a_failing_engine(world):
    reply = await world.say("logs web", lambda _: errors.Rejected(500, "no log driver"))
    assert (reply.ending, shown(reply)) == (Ending.FAILED, "web: no log driver")


# ── inspect ──────────────────────────────────────────────────────────────────────────────────────────────────────────

DATA = {
    "Name": "/web",
    "State": {"Running": True, "Status": "running", "ExitCode": 0, "Health": None},
    "Mounts": [{"Source": "/data"}],
    "Config": {"Labels": {"com.docker.compose.project": "shop"}},
}


def document(action: InspectContainer) -> Document:
    return Document(ref=action.target, data=DATA)


async def test_inspect_is_json(world):
    reply = await world.say("inspect web", document)
    assert json.loads("\n".join(reply.blocks[0].lines)) == DATA
    reply = await world.say("inspect 'web*'", document)
    assert json.loads("\n".join(reply.blocks[0].lines)) == [DATA, DATA]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{.State.Running}}", "true"),
        ("{{ .State.Status }} / {{.State.ExitCode}}", "running / 0"),
        ("{{.State.Health}}", "null"),
        ("{{.Mounts.0.Source}}", "/data"),
        ("{{json .Mounts}}", '[{"Source": "/data"}]'),
        ("{{json .Name}}", '"/web"'),
        ('{{index .Config.Labels "com.docker.compose.project"}}', "shop"),
        ("{{index .Mounts 0}}", '{"Source": "/data"}'),
        ("{{.Config.Labels}}", '{"com.docker.compose.project": "shop"}'),
    ],
)
def test_format_fills_fields_in(template, expected):
    assert format_option.fill_format(format_option.parse_format(template), DATA) == expected


@pytest.mark.parametrize("template", ["{{range .Mounts}}", "{{.State", "plain", "{{}}", "{{.A}} {{", "{{index .A}}"])
def test_format_refuses_what_it_does_not_know(template):
    with pytest.raises(errors.BadUsage):
        format_option.parse_format(template)


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{.State.running}}", "Did you mean Running? Use one of its fields: ExitCode, Health, Running, Status."),
        ("{{.Mounts.3}}", "Use an index from 0 to 0."),
        ("{{.Name.X}}", ".Name is a single value"),
        ("{{.Nope}}", "Use one of its fields: Config, Mounts, Name, State."),
    ],
)
async def test_an_unknown_field_names_those_there_are(world, template, sentence):
    reply = await world.say(f"inspect web --format '{template}'", document)
    assert reply.ending is Ending.USAGE
    assert sentence in shown(reply)


async def test_a_wrong_format_is_refused_before_anything_is_asked(world):
    with pytest.raises(errors.BadUsage):
        await world.plan("inspect web -f '{{range .X}}'")
    assert world.find.asked == []


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def event(world, seconds_ago: int, kind: EventKind, action: str, row: int = 0, type_: str = "container", **attrs: str):
    return Event(
        at_ns=NOW_NS - seconds_ago * 1_000_000_000,
        kind=kind,
        subject=world.rows[row].ref,
        origin=Origin.LIVE,
        type=type_,
        action=action,
        attrs=attrs,
    )


def history(world) -> tuple[Event, ...]:
    return (
        event(world, 5, EventKind.OTHER, "exec_start"),
        event(world, 20, EventKind.DIED, "die", exit_code="137"),
        event(world, 30, EventKind.KILLED, "kill", signal="9"),
        event(world, 90_000, EventKind.STARTED, "start", 1, image="nginx"),
        event(world, 10, EventKind.HEALTH, "health_status: unhealthy", 1, health="unhealthy"),
        event(world, 15, EventKind.OTHER, "disconnect", type_="network"),
    )


async def test_events_newest_last_with_what_tells_why(world):
    reply = await world.say("events --since 2d", lambda action: action.select(history(world)))
    assert [tuple(row) for row in reply.blocks[0].rows] == [
        ("2026-11-23T02:00:00Z", "started", "web-2", "nginx"),
        ("2026-11-24T02:59:30Z", "killed", "web", "signal KILL"),
        ("2026-11-24T02:59:40Z", "died", "web", "exit code 137"),
        ("2026-11-24T02:59:50Z", "health", "web-2", "unhealthy"),
    ]


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("events web-2 --since 2d", 2),
        ("events --all", 5),
        ("events --type network", 1),
        ("events --action 'disc*'", 1),
        ("events --action died --action health", 2),
        ("events --until 12s", 2),
        ("events --limit 2", 2),
        ("events batch", 0),
    ],
)
async def test_events_selects(world, line, count):
    reply = await world.say(line, lambda action: action.select(history(world)))
    assert len(reply.blocks[0].rows) == count
    assert reply.ending is (Ending.OK if count else Ending.NOTHING)


async def test_events_keeps_the_newest_and_counts_the_rest(world):
    reply = await world.say("events --limit 2 --since 2d", lambda action: action.select(history(world)))
    assert [row[0] for row in reply.blocks[0].rows] == ["2026-11-24T02:59:40Z", "2026-11-24T02:59:50Z"]
    assert "2 older events are left out" in shown(reply)


async def test_events_asks_since(world):
    (action,) = await world.plan("events --since 10m")
    assert isinstance(action, ListEvents)
    assert action.since_ns == NOW_NS - int(timedelta(minutes=10).total_seconds()) * 1_000_000_000
