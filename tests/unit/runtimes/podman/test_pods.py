"""Which containers of a stopped pod used up their time, as Podman's answers show it."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from core.model.pods import StopPod
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Outcome
from core.ports import Call
from runtimes import engine_registry

CALL = Call(id="c", who="ann", deadline=datetime.now(UTC) + timedelta(hours=1), invocation="i")


@pytest.mark.parametrize(
    ("took", "codes", "detail"),
    [
        (2.5, {"web": 137, "db": 0}, "web did not end in time and was killed"),
        (2.5, {"web": 137, "db": 137}, "db, web did not end in time and were killed"),
        (0.5, {"web": 137, "db": 0}, ""),  # a kill by somebody else: nothing took its whole time
        (2.5, {"web": 0, "db": 143}, ""),
    ],
)
async def test_a_stop_says_what_was_killed(
    monkeypatch: pytest.MonkeyPatch, took: float, codes: dict[str, int], detail: str
) -> None:
    engine: Any = engine_registry.open_engine(
        engine_registry.EngineAddress(kind="podman", url="unix:///nowhere/podman.sock")
    )
    stopped = False

    async def request(method: str, path: str, seconds: float, **more: Any) -> Any:
        if path.startswith("/pods/"):
            return SimpleNamespace(body=json.dumps({"Containers": [{"Id": name} for name in codes]}).encode())
        name = path.split("/")[2]
        state = {"Status": "exited", "ExitCode": codes[name]} if stopped else {"Status": "running"}
        body = {"Id": name, "Name": name, "State": state, "Config": {"StopTimeout": 2}}
        return SimpleNamespace(body=json.dumps(body).encode())

    async def change(target: Ref, path: str, seconds: float, **more: Any) -> Outcome:
        nonlocal stopped
        stopped = True
        return Outcome(status=Status.DONE, took=took)

    monkeypatch.setattr(engine, "_request", request)
    monkeypatch.setattr(engine, "_change", change)
    pod = Ref(engine=engine.ref, kind=Kind.POD, id="p" * 64, name="shop")
    outcome = await engine.run(StopPod(engine=engine.ref, target=pod), CALL)
    assert (outcome.status, outcome.detail) == (Status.DONE, detail)
    await engine.aclose()
