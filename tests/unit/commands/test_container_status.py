"""How a container is, in two words; what is wrong with many; and how ports and images are shortened."""

from __future__ import annotations

import pytest

from commands._shared import container_status, formatting
from core.model.containers import Port
from core.model.replies import Tone
from tests.unit.commands.conftest import NOW, container

RUNNING = {"state": "running", "status": "Up 2 minutes"}


@pytest.mark.parametrize(
    ("row", "phrase", "tone"),
    [
        (RUNNING, "up · 2m", Tone.GOOD),
        (RUNNING | {"health": "healthy"}, "healthy · 2m", Tone.GOOD),
        (RUNNING | {"health": "unhealthy"}, "unhealthy · 2m", Tone.BAD),
        (RUNNING | {"health": "starting"}, "starting · 2m", Tone.WARN),
        ({"state": "running", "status": "Up"}, "up", Tone.GOOD),
        ({"state": "paused", "status": "Up 3 hours (Paused)"}, "paused · 3h", Tone.WARN),
        ({"state": "restarting", "status": "Restarting (1) 5 seconds ago"}, "restarting (1) · 5s", Tone.BAD),
        ({"state": "exited", "status": "Exited (0) 2 years ago"}, "exited (0) · 2y", Tone.PLAIN),
        ({"state": "exited", "status": "Exited (137) 5 weeks ago"}, "exited (137) · 5w", Tone.BAD),
        ({"state": "exited", "status": "Exited (143) 3 days ago"}, "exited (143) · 3d", Tone.PLAIN),
        (
            {"state": "exited", "status": "Exited (137) 3 days ago", "exit_code": 137, "oom_killed": True},
            "exited (137, out of memory) · 3d",
            Tone.BAD,
        ),
        (
            {"state": "exited", "status": "Exited (1) 3 days ago", "stopped_by_client": True},
            "exited (1) · 3d",
            Tone.PLAIN,
        ),
        ({"state": "created", "status": "Created", "created_at": NOW.timestamp() - 7200}, "created · 2h", Tone.PLAIN),
        ({"state": "dead", "status": "Dead"}, "dead", Tone.BAD),
    ],
)
def test_a_status_is_a_state_and_an_age(row, phrase, tone):
    found = container("web", 1, **row)
    assert container_status.phrase(found, NOW) == phrase
    assert container_status.tone(found) is tone


def test_the_summary_counts_the_worst_first():
    def rows(number, **more):
        return [container(f"c{at}", at, **more) for at in range(number)]

    up = rows(6) + rows(1, health="unhealthy") + rows(1, state="restarting") + rows(1, state="paused")
    down = rows(2, state="exited", status="Exited (0) 2 hours ago") + rows(1, state="exited", exit_code=2)
    assert container_status.summary(up) == "9 up: 1 restarting, 1 unhealthy, 1 paused"
    assert container_status.summary(up, down) == (
        "9 up: 1 restarting, 1 unhealthy, 1 paused; 3 not running (1 failed), see ps -a"
    )
    assert container_status.summary(rows(2)) == "2 up"
    assert container_status.summary(down) == "3 not running (1 failed)"


def published(*ports, ip="0.0.0.0", proto="tcp"):
    return [Port(private=private, public=public, ip=ip if public else "", proto=proto) for public, private in ports]


@pytest.mark.parametrize(
    ("ports", "text"),
    [
        (published((None, 8888), (None, 4318), (None, 4317)), "4317-4318, 8888"),
        (published((8080, 80)) + published((8080, 80), ip="::"), "8080->80"),
        (published((8001, 8001), (8000, 8000), (8002, 8002), (None, 443)), "8000-8002->8000-8002, 443"),
        (published((8000, 80), (8001, 90)), "8000->80, 8001->90"),
        (published((9000, 9000), (9001, 9001), ip="127.0.0.1"), "127.0.0.1:9000-9001->9000-9001"),
        (published((53, 53), proto="udp") + published((53, 53)), "53->53, 53->53/udp"),
        (published((8080, 80), ip="::"), "[::]:8080->80"),
        ([], ""),
    ],
)
def test_ports_are_sorted_and_ranges_are_joined(ports, text):
    assert formatting.ports(ports) == text


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("docker.io/library/nginx:1.27@sha256:" + "ab" * 32, "nginx:1.27"),
        ("docker.io/grafana/grafana:11", "grafana/grafana:11"),
        ("index.docker.io/library/redis", "redis"),
        ("registry.example:5000/library/web:7", "registry.example:5000/library/web:7"),
        ("ghcr.io/acme/web@sha256:" + "ab" * 32, "ghcr.io/acme/web"),
        ("localhost/app:dev", "localhost/app:dev"),
        ("sha256:" + "ab" * 32, "ab" * 6),
        ("nginx", "nginx"),
    ],
)
def test_an_image_is_shown_without_dockers_registry_and_digest(image, text):
    assert formatting.image(image) == text
