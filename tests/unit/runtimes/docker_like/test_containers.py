"""What becomes of a container that was killed, as the inspections after the signal show it."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from core import errors
from core.model.actions import Kill
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.ports import Call
from runtimes import engine_registry
from runtimes.base import stop_grace
from runtimes.docker_like import containers

CALL = Call(id="c", who="ann", deadline=datetime.now(UTC) + timedelta(hours=1), invocation="i")


@pytest.fixture(params=["docker", "podman"])
async def engine(request: pytest.FixtureRequest) -> Any:
    address = engine_registry.EngineAddress(kind=request.param, url="unix:///nowhere/engine.sock")
    made = engine_registry.open_engine(address)
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    ("signal", "states", "inspected", "detail"),
    [
        ("KILL", ["running", "running", "exited"], 3, ""),
        ("KILL", ["gone"], 1, ""),  # it removes itself
        ("KILL", ["silent"], 1, ""),  # the engine does not say more: the signal was sent
        ("KILL", ["running"] * 5, None, "it still runs after 0 s"),
        ("HUP", [], 0, ""),  # other signals are not meant to end it
    ],
)
async def test_the_end_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, engine: Any, signal: str, states: list[str], inspected: int | None, detail: str
) -> None:
    looks = 0

    async def request(method: str, path: str, seconds: float, **more: Any) -> Any:
        nonlocal looks
        if method == "POST":
            return SimpleNamespace(status=204, body=b"")
        state = states[min(looks, len(states) - 1)]
        looks += 1
        if state == "gone":
            raise errors.NotFound("it is gone")
        if state == "silent":
            raise errors.TimedOut("no answer", sent=False)
        return SimpleNamespace(
            body=json.dumps({"Id": "w", "Name": "web", "State": {"Status": state}, "Config": {}}).encode()
        )

    monkeypatch.setattr(engine, "_request", request)
    monkeypatch.setattr(containers, "POLL_SECONDS", 0.0)
    if detail:
        monkeypatch.setattr(stop_grace, "KILL_SECONDS", 0.0)
    web = Ref(engine=engine.ref, kind=Kind.CONTAINER, id="w" * 64, name="web")
    outcome = await engine.run(Kill(engine=engine.ref, target=web, signal=signal), CALL)
    assert (outcome.status, outcome.detail) == (Status.DONE, detail)
    assert inspected is None or looks == inspected
