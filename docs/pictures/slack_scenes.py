"""Records messages of a real bot on a private Docker daemon, which is connected to the stand-in for Slack.

A message is a dict as the stand-in shows it to a person: `blocks` are those that the bot sent, `ts` is when.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import samples
from samples import serve

from tests.daemons.docker import Dockerd, private_dockerd
from tests.helpers.bot_process import Deck
from tests.helpers.private_root import private_root
from tests.helpers.waiting import wait_for
from tests.standins.slack import client

MACHINE = "prod-eu-1"
OPS = "C0OPS"
CONFIGURATION = f"""
alerts: {{to: {OPS}}}
grants: [{{who: everyone, can: viewer}}, {{who: "slack:T0001/U0BOB", can: operator}}]
routes: [{{to: {OPS}, logs: true}}]
rules: {{change: {{out-of-memory: {{settle: 30s}}}}}}
healing:
  - {{name: restart-api, rules: [out-of-memory], on: {{label.heal: restart}}, do: restart, wait: 10s, tries: 3}}
"""
FIRES = 240.0  # seconds: what leaks needs its time
SERVICES_OF_STORM = ("cart", "checkout", "invoices", "mail", "search", "stock", "users")
Message = Mapping[str, Any]


def record_slack_messages() -> Iterator[tuple[str, Sequence[Message]]]:
    """Yields the name of a picture and its messages: one message, or the first of a thread and its entries."""
    with private_dockerd(host=MACHINE) as docker, private_root() as folder, client.start(folder) as slack:
        deck = Deck(folder, docker.url, slack)
        deck.configure(CONFIGURATION)
        try:
            deck.up()
            _run_the_shop(docker, deck)
            yield from _commands(deck, slack)
            yield from _incident(deck, docker)
            yield from _storm(deck, docker)
        except BaseException:
            deck.stop()
            raise
        deck.close()


def _run_the_shop(docker: Dockerd, deck: Deck) -> None:
    """Runs it with a release of api that was good, and then with one that leaks memory."""
    samples.make_network(docker)
    serve(docker, "web", "echo 'listening on :80'; echo 'GET / 200'; " + samples.WAIT, ports={80: 80}, health="true")
    serve(docker, "db", exposed=(5432,), volume="shop_data")
    serve(docker, "mailer", health="false", image="shop/mailer:1.3")
    serve(docker, "worker", samples.CRASHING, restarts=True, image="shop/worker:1.4")
    good = serve(docker, "api", "exit 0", memory_mb=64, environment={"DB_URL": "db"}, image="shop/api:2.1")
    docker.wait(good)
    ended = time.time() + 1
    wait_for(
        "the good run to be recorded",
        lambda: (deck.series("job_last_success_timestamp_seconds", job_name="good_runs") or 0.0) > ended,
        120,
        pause=1.0,
    )
    docker.remove(good)
    serve(
        docker,
        "api",
        samples.LEAKING,
        memory_mb=64,
        environment={"DB_DSN": "db"},
        image="shop/api:2.2",
        labels={"heal": "restart", "quarterdeck.team": "payments"},
        ports={8080: 8080},
    )


def _commands(deck: Deck, slack: client.Client) -> Iterator[tuple[str, Sequence[Message]]]:
    def ask(line: str, answer: str, who: str = "bob") -> Message:
        deck.deck(who, line)
        message: Message = deck.last(who, answer, seconds=60)
        return message

    everything = ask("ps -a", "unhealthy")
    yield "ps", [everything]
    yield "ps-phone", [everything]
    yield "logs", [ask("logs worker", "── run ")]
    yield "restart", [ask("restart web", "healthy after")]
    yield "card", [ask("worker", "Last end")]
    question = ask("rm -f db", "cannot be undone", "ada")
    yield "question", [question]
    slack.click("ada", question, "Cancel")


def _incident(deck: Deck, docker: Dockerd) -> Iterator[tuple[str, Sequence[Message]]]:
    first = deck.last("ada", "Firing: shop/api", seconds=FIRES)
    deck.last("ada", "try 1 of 3", seconds=60, thread_ts=first["ts"])
    firing = deck.said("ada", thread_ts=first["ts"])
    yield "incident", firing
    deck.last("ada", "Resolved: shop/api", seconds=120)
    over = deck.said("ada", thread_ts=first["ts"])
    yield "incident-resolved", [over[0], *over[len(firing) :]]
    docker.remove("shop-api-1")


def _storm(deck: Deck, docker: Dockerd) -> Iterator[tuple[str, Sequence[Message]]]:
    go = deck.root / "go"
    go.mkdir()
    for service in SERVICES_OF_STORM:
        script = "until [ -e /data/now ]; do sleep 0.2; done; echo 'no route to the database'; exit 2"
        serve(docker, service, script, project="store", volume=str(go))
    wait_for("all to be seen", lambda: deck.do("ps -a").count("store-") == len(SERVICES_OF_STORM), pause=1.0)
    (go / "now").touch()
    yield "storm", [deck.last("ada", f"{len(SERVICES_OF_STORM)} incidents at once", seconds=90)]
