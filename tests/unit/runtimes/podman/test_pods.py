"""Which containers of a stopped pod used up their time, as Podman's answers show it."""

import json
import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from core import errors
from core.model.pods import RestartPod, StopPod
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
        (2.5, {"web": 137, "db": 137}, "2 did not end in time and were killed: db, web"),
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
        if path.startswith("/events"):
            raise errors.EventsUnsupported("it records none")
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
    assert all(name in detail for name in outcome.killed) and bool(outcome.killed) == bool(detail)
    await engine.aclose()


async def test_a_restart_says_what_was_killed_as_the_events_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the restart, all containers run again, and only the events of their ends have the codes."""
    engine: Any = engine_registry.open_engine(
        engine_registry.EngineAddress(kind="podman", url="unix:///nowhere/podman.sock")
    )
    codes = {"web": ("137", "0"), "db": ("0", "137"), "log": ("137",)}
    graces = {"web": 2, "db": 2, "log": 60}  # the log's time was not over: somebody else killed it

    async def request(method: str, path: str, seconds: float, **more: Any) -> Any:
        if path.startswith("/events"):
            at = time.time_ns()
            rows = [
                {
                    "Type": "container",
                    "Action": "died",
                    "timeNano": at + number,
                    "Actor": {"ID": name, "Attributes": {"containerExitCode": code}},
                }
                for name, ends in codes.items()
                for number, code in enumerate(ends)
            ]
            return SimpleNamespace(body="".join(f"{json.dumps(row)}\n" for row in rows).encode())
        if path.startswith("/pods/"):
            return SimpleNamespace(body=json.dumps({"Containers": [{"Id": name} for name in codes]}).encode())
        name = path.split("/")[2]
        body = {"Id": name, "Name": name, "State": {"Status": "running"}, "Config": {"StopTimeout": graces[name]}}
        return SimpleNamespace(body=json.dumps(body).encode())

    async def change(target: Ref, path: str, seconds: float, **more: Any) -> Outcome:
        return Outcome(status=Status.DONE, took=2.5)

    monkeypatch.setattr(engine, "_request", request)
    monkeypatch.setattr(engine, "_change", change)
    pod = Ref(engine=engine.ref, kind=Kind.POD, id="p" * 64, name="shop")
    outcome = await engine.run(RestartPod(engine=engine.ref, target=pod), CALL)
    assert (outcome.detail, outcome.killed) == ("web did not end in time and was killed", ("web",))
    await engine.aclose()
