"""Replies as the commands really make them, for the golden messages."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.parsing import parser, usage
from commands.catalogue import load_catalogue
from commands.spec import Context, Result
from core import errors
from core.model.actions import InspectContainer, ListContainers, ListServices, ReadLogs, Restart, Scale
from core.model.bot_actions import BOT, AuditEntry, AuditPage, HelpPage, ReadAudit, ShowHelp
from core.model.containers import Container, Containers, Port
from core.model.event_actions import ListEvents
from core.model.events import Event, EventKind, Origin
from core.model.invocation import Identity, Place
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Button, Ending, Reply, Text, Tone, text_reply
from core.model.results import Document, LogLine, LogPage, Outcome
from core.model.services import Service, Services
from core.ports import Query

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
HOST7 = EngineRef(host="host7", kind="docker")
WHO = Identity(id="slack:T1/U1", name="alice")
WORDS = load_catalogue()


def ref(name: str) -> Ref:
    identity = hashlib.sha256(name.encode()).hexdigest()
    return Ref(engine=HOST7, kind=Kind.CONTAINER, id=identity, name=name)


def container(name: str, **more: Any) -> Container:
    given: dict[str, Any] = {
        "image": "nginx:1.27",
        "image_id": "sha256:aa",
        "command": "nginx",
        "state": "running",
        "status": "Up 3 hours",
        "created_at": 0.0,
        "labels": {},
    } | more
    return Container(ref=ref(name), **given)


def shop(service: str, **more: Any) -> Container:
    """A container of the Compose project `shop`."""
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": service}
    return container(f"shop-{service}-1", labels=labels, **more)


FIVE = (
    shop("web", ports=(Port(private=80, public=8080, ip="0.0.0.0"),), status="Up 3 hours (healthy)", health="healthy"),
    shop(
        "api",
        image="registry.example.com/shop/api:2.14.1@sha256:" + "5c" * 32,
        status="Up 3 hours (unhealthy)",
        health="unhealthy",
    ),
    shop("db", image="docker.io/library/postgres:17", ports=(Port(private=5432),), status="Up 12 days"),
    container(
        "cache", image="valkey/valkey:9", ports=(Port(private=6379),), status="Up 12 days (Paused)", state="paused"
    ),
    container("mailer", image="shop/mailer:1.3", status="Restarting (1) 4 seconds ago", state="restarting"),
)
OTEL = tuple(Port(private=private) for private in (8888, 4318, 4317, 55679))
TWELVE = (
    *FIVE,
    container(
        "otel-collector", image="docker.io/otel/opentelemetry-collector:0.141.0", ports=OTEL, status="Up 5 weeks"
    ),
    shop(
        "worker",
        image="registry.example.com/shop/worker:5.0.3",
        status="Up 2 minutes (health: starting)",
        health="starting",
    ),
    container(
        "registry", image="registry:3", ports=(Port(private=5000, public=5000, ip="127.0.0.1"),), status="Up 7 months"
    ),
    container(
        "grafana",
        image="grafana/grafana:12.3",
        ports=(Port(private=3000, public=3000, ip="0.0.0.0"),),
        status="Up 2 years",
    ),
    shop("migrate", image="registry.example.com/shop/api:2.14.1", status="Exited (0) 3 hours ago", state="exited"),
    shop("report", image="registry.example.com/shop/report:9", status="Exited (137) 2 minutes ago", state="exited"),
    container("old-cache", image="redis:6", status="Created", state="created"),
)
MANY = tuple(
    container(f"worker-{at:03}", image="registry.example.com/shop/worker:5.0.3", status=f"Up {at} minutes")
    for at in range(1, 251)
)
# Names no engine of today allows and one of tomorrow might.
NAMES = (
    "<!channel>",
    "<@U0SECRET> please",
    "<http://evil.example|web>",
    "```\n*done* :white_check_mark:",
    "_web_ ~gone~ `x`",
    "web\u202egpj.exe",
    "we\u200bb\x07\x1b[31m",
    "@here &lt;!here&gt;",
)
HOSTILE = tuple(container(name, image="<!here>", status=f"Up {name}") for name in NAMES)


class OneEngine:
    """All that rendering asks of a Finder."""

    def engines(self, query: Query) -> Sequence[EngineRef]:
        return (HOST7,)


def made(line: str, results: Sequence[Result]) -> Reply:
    parsed = parser.parse(line, WORDS)
    find: Any = OneEngine()
    context = Context(who=WHO, place=Place(channel="C1"), args=parsed.args, find=find, now=NOW)
    return parsed.command.render(context, results)


def ps(rows: tuple[Container, ...]) -> Reply:
    return made("ps", [Result(action=ListContainers(engine=HOST7), value=Containers(rows=rows))])


def served() -> Reply:
    rows = [
        Service(
            ref=Ref(engine=HOST7, kind=Kind.SERVICE, id=name, name=name),
            mode=mode,
            image="nginx:1.27",
            running=running,
            desired=3,
            labels=({},),
            health=health,
        )
        for name, mode, running, health in (
            ("shop/web", "compose", 3, "1 starting, 2 healthy"),
            ("mail_smtp", "replicated", 2, "1 pending: no suitable node (<!here>)"),
        )
    ]
    return made("services", [Result(action=ListServices(engine=HOST7), value=Services(rows=tuple(rows)))])


def scaled(outcome: Outcome) -> Reply:
    target = Ref(engine=HOST7, kind=Kind.SERVICE, id="shop/web", name="shop/web")
    action = Scale(engine=HOST7, target=target, replicas=3)
    return made("scale shop/web=3", [Result(action=action, value=outcome)])


def logs(number: int) -> Reply:
    paths = ("/", "/cart", "/static/app.css", "/cart/checkout", "/healthz")
    lines = []
    for at in range(1, number + 1):
        when = NOW - timedelta(seconds=7 * (number - at))
        code = 502 if at % 6 == 0 else 200
        text = f'10.0.4.{at * 37 % 250} [{when:%H:%M:%S}] "GET {paths[at % 5]} HTTP/1.1" {code} {at * 7_919 % 9_000}'
        lines.append(LogLine(at="", stream="stdout", text=text))
    page = LogPage(lines=tuple(lines))
    return made("logs web", [Result(action=ReadLogs(engine=HOST7, target=ref("web")), value=page)])


def events() -> Reply:
    """An evening: a stop through Quarterdeck, a crash loop, a container that was too large, a pulled image."""

    def event(ago: int, kind: EventKind, action: str, name: str, *, type_: str = "container", **attrs: str) -> Event:
        subject = ref(name) if type_ == "container" else Ref(engine=HOST7, kind=Kind.IMAGE, id=name, name=name)
        at = int((NOW - timedelta(seconds=ago)).timestamp() * 1e9)
        return Event(at, kind, subject, Origin.LIVE, type_, action, attrs)

    def died(ago: int, name: str, code: str, cause: str, text: str, **more: str) -> Event:
        return event(
            ago,
            EventKind.DIED,
            "die",
            name,
            exit_code=code,
            cause=cause,
            cause_text=f"{text} (exit code {code})",
            **more,
        )

    loop = [
        died(1200 - 60 * number, "mailer", "1", "crashed", "crashed: it failed")
        if half
        else event(1195 - 60 * number, EventKind.STARTED, "start", "mailer", image="shop/mailer:1.3")
        for number in range(15)
        for half in (True, False)
    ]
    happened = (
        event(2400, EventKind.OTHER, "pull", "registry.example.com/shop/api:2.14.1", type_="image"),
        died(2300, "shop-api", "143", "requested", "stop through Quarterdeck", cause_by="slack:T1/U1"),
        event(2290, EventKind.STARTED, "start", "shop-api", image="registry.example.com/shop/api:2.14.1"),
        *loop,
        event(900, EventKind.OOM, "oom", "cache"),
        died(900, "cache", "137", "out_of_memory", "out of memory"),
        died(300, "shop-db", "137", "killed", "killed by SIGKILL from outside the engine, or out of memory"),
        event(60, EventKind.HEALTH, "health_status", "shop-web", health="unhealthy"),
    )
    action = ListEvents(engine=HOST7, since_ns=1, lifecycle=True)
    return made("events", [Result(action=action, value=action.select(happened))])


def audit() -> Reply:
    def row(minute: int, line: str, phase: str, **more: str) -> AuditEntry:
        at = (NOW - timedelta(minutes=minute)).isoformat()
        return AuditEntry(at=at, who="slack:T1/U1", place="C1", line=line, phase=phase, **more)

    entries = (
        row(42, "restart shop-web", "outcome", status="done", verb="container.restart", target="shop-web"),
        row(30, "rm shop-db", "refused", reason="no grant lets you container.remove on shop-db", rule="no grant"),
        row(9, "stop --label app=shop", "asked", reason="this changes 5 resources at once", rule="brake:many"),
        row(2, "kill cache", "outcome", status="unknown", detail="The engine did not answer in time."),
    )
    return made("audit", [Result(action=ReadAudit(engine=BOT), value=AuditPage(entries=entries))])


def helped(topic: str = "") -> Reply:
    page = HelpPage(
        topic=topic,
        commands=tuple(usage.command_help(one) for one in WORDS if topic in ("", one.name)),
    )
    return made(f"help {topic}", [Result(action=ShowHelp(engine=BOT), value=page)])


def inspect() -> Reply:
    data = {
        "Id": "4f" * 32,
        "State": {"Status": "running", "ExitCode": 0, "OOMKilled": False},
        "Config": {"Image": "nginx:1.27", "Env": ["PATH=••••"], "Labels": {"app": "shop", "note": "<!here> *x*"}},
    }
    return made(
        "inspect web",
        [Result(action=InspectContainer(engine=HOST7, target=ref("web")), value=Document(ref=ref("web"), data=data))],
    )


def refusal() -> Reply:
    error = errors.NotPermitted(
        "Nobody granted you container.restart on shop-db.", rule="no grant", hint="Ask an admin: grant @alice restart"
    )
    return text_reply(error.full_message(), Tone.BAD, ending=Ending.REFUSED)


def question() -> Reply:
    """As the road asks it."""
    what = "Remove shop-db on prod-1 (exited 2 hours ago, 3 volumes are kept)?"
    text = f"{what} This cannot be undone. Please confirm within 5 min."
    return Reply(
        blocks=(Text(text=text, tone=Tone.WARN),),
        buttons=(
            Button(label="Yes, rm shop-db", line="confirm 7f3a9c", danger=True),
            Button(label="Cancel", line="cancel 7f3a9c"),
        ),
        ending=Ending.ASKED,
    )


def restarted(*outcomes: tuple[str, Outcome | errors.QuarterdeckError]) -> Reply:
    results = [
        Result(action=Restart(engine=HOST7, target=ref(name)), error=end)
        if isinstance(end, errors.QuarterdeckError)
        else Result(action=Restart(engine=HOST7, target=ref(name)), value=end)
        for name, end in outcomes
    ]
    return made("restart --label app=shop", results)


DONE = Outcome(status="done", took=1.24)
FAILED = errors.Rejected(500, "driver failed programming external connectivity: port is already allocated")
LATE = Outcome(status="unknown", detail="The engine did not answer in time.")

SAMPLES: Mapping[str, tuple[str, Reply]] = {
    "ps-5": ("ps", ps(FIVE)),
    "ps-12": ("ps", ps(TWELVE)),
    "events": ("events", events()),
    "ps-250": ("ps", ps(MANY)),
    "services": ("services", served()),
    "scaled": ("scale shop/web=3", scaled(Outcome(status="done", detail="from 1 to 3", took=4.2))),
    "scale-failed": (
        "scale shop/web=3",
        scaled(Outcome(status="failed", detail="created shop-web-2, then shop-web-2 ended with code 3.")),
    ),
    "logs": ("logs web", logs(8)),
    "logs-2000": ("logs web", logs(2_000)),
    "audit": ("audit", audit()),
    "help": ("help", helped()),
    "help-logs": ("help logs", helped("logs")),
    "inspect": ("inspect web", inspect()),
    "refusal": ("restart shop-db", refusal()),
    "question": ("rm shop-db", question()),
    "restarted": ("restart shop-web", restarted(("shop-web", DONE))),
    "restart-failed": ("restart shop-web", restarted(("shop-web", FAILED))),
    "restart-several": ("restart shop-*", restarted(("shop-web", DONE), ("shop-api", FAILED), ("shop-db", LATE))),
    "hostile": ("ps", ps(HOSTILE)),
    "hostile-outcomes": ("restart *", restarted(*((name, DONE) for name in NAMES))),
    "hostile-outcome": ("restart x", restarted((NAMES[3], FAILED))),
}
