"""Messages about incidents, as the reporter really makes them, for the golden messages. They have no command line."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bot.notify import crash_card, incident_message, maintenance_announcer
from core.model.alerts import Alert, AlertState, Severity
from core.model.end_causes import Cause, CauseKind
from core.model.incidents import Incident, IncidentNote, acknowledge, merge_alert
from core.model.maintenance import Maintenance
from core.model.past_run_settings import settings_of
from core.model.refs import EngineRef, Kind, Ref
from core.model.replies import Reply
from core.model.resource_usage import Point

SECOND = 1_000_000_000
START = 1_795_402_800 * SECOND  # 2026-11-23 03:00:00 UTC
PROD = EngineRef(host="prod-eu-1", kind="docker")
CRASHED = Cause(kind=CauseKind.CRASHED, text="crashed: it failed (exit code 2)")


def alert(name: str, owner: str, rule: str, severity: Severity, text: str, *, at: int = 0, **more: object) -> Alert:
    subject = Ref(engine=PROD, kind=Kind.CONTAINER, id=name.encode().hex().ljust(64, "0"), name=name)
    settings = {"state": AlertState.FIRING, "cause": CRASHED, "count": 1, "topic": "end"} | more
    return Alert(
        fingerprint=f"{rule} {owner}",
        rule=rule,
        severity=severity,
        subject=subject,
        owner=owner,
        since_ns=START,
        at_ns=START + at * SECOND,
        text=text,
        **settings,  # type: ignore[arg-type]
    )


def incident(*alerts: Alert) -> Incident:
    made: Incident | None = None
    for each in alerts:
        made = merge_alert(made, each) or made
    assert made is not None
    return made


LOOP = "crash loop: 5 ends in 10 minutes, the last one crashed: it failed (exit code 2)"
WEB = alert("shop-web-1", "shop/web", "crash", Severity.MEDIUM, CRASHED.text, at=0)
WEB_LOOP = alert("shop-web-1", "shop/web", "crash-loop", Severity.HIGH, LOOP, at=95, count=5, team="payments")
FIRING = incident(WEB, WEB_LOOP)
OVER = [
    msgspec.structs.replace(each, state=AlertState.RESOLVED, text="no trouble since", at_ns=START + 900 * SECOND)
    for each in (WEB, WEB_LOOP)
]
RESOLVED = incident(WEB, WEB_LOOP, *OVER)
HOSTILE = incident(
    alert("<!channel>", "<!here>/@everyone", "crash", Severity.HIGH, "crashed: <@U1> *bold* `code` \u202e", at=0)
)
STORM = [
    incident(alert(f"shop-{name}-1", f"shop/{name}", "crash", Severity.MEDIUM, CRASHED.text))
    for name in ("api", "cart", "db", "mail", "search", "web")
] + [RESOLVED]

WINDOW = Maintenance(
    id="m-3fa92c",
    by="slack:T1/U1",
    by_name="alice",
    target="shop/*",
    reason="new disks for <!here>",
    end=START / SECOND,
)

SNOOZED = "snoozed by alice <!here> until 2026-11-23T05:00:00Z"
MEBIBYTE = 1 << 20
GOOD = {"Image": "shop/web:41", "Image ID": "sha256:41", "Limits": "memory 512 MiB", "Environment": "PATH, DB_URL"}
EVIDENCE = crash_card.Evidence(
    ended_ns=START,
    exit_code=2,
    points=[
        Point(START // SECOND - 15 * (9 - at), 20.0 + at, (200 + 30 * at) * MEBIBYTE, None, None, None, None)
        for at in range(9)
    ],
    memory_limit=512 * MEBIBYTE,
    now=settings_of("b", 0.0, GOOD | {"Image": "shop/web:42", "Image ID": "sha256:42", "Environment": "PATH, DB_DSN"}),
    good=settings_of("a", START / SECOND - 86_400, GOOD),
    ends=[crash_card.PastContainerEnd(at_ns=START - at * 60 * SECOND, why=CRASHED.text) for at in range(3)],
    log=["connecting to the database", "Error: DB_URL is not set", "exit status 2"],
)
NOTES = [
    IncidentNote(START + 40 * SECOND, "crash-loop: crash loop: 3 ends in 10 minutes, the last one crashed"),
    IncidentNote(
        START + 70 * SECOND, "Healing rule restart-web: try 1 of 3: shop-web-1 was restarted (next try in 0:01:00)"
    ),
]


def shared(snoozed: Incident | None = None) -> incident_message.IncidentTable:
    """The table of STORM."""
    table = incident_message.IncidentTable()
    for each in STORM:
        table.add(each, SNOOZED if each is snoozed else "")
    return table


SAMPLES: Mapping[str, tuple[str, Reply]] = {
    "incident-firing": ("", incident_message.make_incident_reply(FIRING)),
    "incident-snoozed": ("", incident_message.make_incident_reply(FIRING, held=SNOOZED)),
    "incident-acknowledged": ("", incident_message.make_incident_reply(acknowledge(FIRING, "slack:T1/U1", "alice"))),
    "incident-resolved": ("", incident_message.make_incident_reply(RESOLVED)),
    "incident-thread": ("", crash_card.crash_card(FIRING, EVIDENCE)),
    "incident-note": ("", incident_message.note_entry(NOTES)),
    "incident-thread-end": ("", incident_message.thread_entry(RESOLVED)),
    "incident-storm": ("", shared(snoozed=STORM[1]).reply(storm="in shop")),
    "incident-mention": ("", incident_message.make_incident_reply(FIRING, ("S0ONCALL", "U0ADA", "<!channel>"))),
    "incident-group": ("", shared().reply("of project shop", ("S0ONCALL",))),
    "incident-group-entry": ("", incident_message.group_entry(STORM[-2:], 2)),
    "incident-reminder": ("", incident_message.reminder([FIRING], "after 4 h 0 min", ("S0ONCALL",))),
    "maintenance-begin": ("", maintenance_announcer.begin_text(WINDOW, START / SECOND + 7200)),
    "maintenance-end": ("", maintenance_announcer.end_text(WINDOW, 2)),
    "incident-hostile": ("", incident_message.make_incident_reply(HOSTILE)),
}
