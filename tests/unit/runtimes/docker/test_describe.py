"""Inspections of several containers at once: one that cannot be decoded costs no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core import errors
from runtimes.docker.engine import Docker
from runtimes.transport.http_client import Response

WHOLE = {"State": {"Status": "running"}, "Config": {"Image": "nginx"}}


async def test_an_inspection_that_cannot_be_decoded_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Docker("unix:///run/nowhere.sock")

    async def request(method: str, target: str, seconds: float, **more: Any) -> Response:
        container_id = target.split("/")[2]
        if container_id == "gone":
            raise errors.NotFound("no such container")
        bodies = {"torn": b'{"Id": "torn", "Sta', "hollow": b'{"Id": "hollow"}', "null": b"null"}
        body = bodies.get(container_id, json.dumps({"Id": container_id, **WHOLE}).encode())
        return Response(status=200, headers={}, body=body)

    monkeypatch.setattr(engine, "_request", request)
    found = await engine.describe(["a", "torn", "hollow", "gone", "null", "b"], 5.0)
    assert {container_id: row and row.state for container_id, row in found.items()} == {
        "a": "running",
        "gone": None,
        "b": "running",
    }
    assert engine.skipped.counts["row"] == 3
    await engine.aclose()
