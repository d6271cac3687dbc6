"""How long after its start the health check of a container should have answered, from real inspections."""

from pathlib import Path

import pytest

from core.model.refs import EngineRef
from runtimes.docker import decode as docker_decode
from runtimes.docker_like import decode, json_models
from runtimes.podman import decode as podman_decode
from tests.helpers.paths import ROOT

INSPECTIONS = Path(ROOT) / "tests/captures/inspections"
SECOND = 10**9


@pytest.mark.parametrize(
    ("name", "seconds"), [("compose-web-1", 1.0), ("podman-4.3-web", 10.0), ("podman-4.3-sec", None)]
)
def test_inspections(name: str, seconds: float | None) -> None:
    kind = "podman" if name.startswith("podman") else "docker"
    decoder = {"docker": docker_decode, "podman": podman_decode}[kind].Decoder(EngineRef(host="h", kind=kind))
    body = (INSPECTIONS / f"{name}.json").read_bytes().strip().removeprefix(b"[").removesuffix(b"]")
    assert decoder.container(body).health_seconds == seconds


def test_settings() -> None:
    check = json_models.HealthCheck(test=["CMD", "true"], interval=5 * SECOND, start_period=20 * SECOND)
    assert decode.health_seconds(check) == 25.0
    # An interval of 0 is the engine's own; a test of NONE switches the check of the image off.
    assert decode.health_seconds(json_models.HealthCheck(test=["CMD", "true"])) == 30.0
    assert decode.health_seconds(json_models.HealthCheck(test=["NONE"], interval=SECOND)) is None
    assert decode.health_seconds(json_models.HealthCheck()) is None
