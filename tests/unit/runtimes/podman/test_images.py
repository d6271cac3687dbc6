"""How a failed pull is told, as Podman 5 and Podman 6 report it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.model.background_jobs import ReadJob
from core.model.images import PullImage
from core.model.replies import Status
from core.model.results import Outcome
from runtimes.podman.engine import Podman
from tests.helpers.prepared_daemon import PreparedDaemon, prepared_daemon

NAME = "127.0.0.1:5000/shop/nope:1"
REASON = f"initializing source docker://{NAME}: reading manifest 1 in 127.0.0.1:5000/shop/nope: manifest unknown"
INFO = {"host": {"hostname": "host7", "security": {"rootless": False}}, "store": {"graphRoot": "/r"}}


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[PreparedDaemon]:
    async with prepared_daemon(Podman, tmp_path / "p.sock", Libpod_API_Version="6.1.0") as made:
        made.answers["/info"] = (200, json.dumps({**INFO, "version": {"Version": "6.1.0"}}).encode())
        yield made


async def pulled(daemon: PreparedDaemon) -> Outcome:
    started = await daemon.do(PullImage(engine=daemon.engine.ref, image=NAME, timeout=10))
    async with asyncio.timeout(10):
        while True:
            page = await daemon.do(ReadJob(engine=daemon.engine.ref, job=started.job, cursor="", wait=1.0))
            if page.outcome is not None:
                found: Outcome = page.outcome
                return found


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, json.dumps({"error": REASON}).encode() + b"\n"),
        (200, json.dumps({"error": REASON}).encode()),  # without the last newline
        (404, json.dumps({"cause": "manifest unknown", "message": REASON, "response": 404}).encode()),
        (500, json.dumps({"cause": "manifest unknown", "message": REASON, "response": 500}).encode()),
    ],
)
async def test_a_failed_pull_is_told_in_the_registrys_words(daemon: PreparedDaemon, status: int, body: bytes) -> None:
    daemon.answers["/images/pull"] = (status, body)
    outcome = await pulled(daemon)
    assert (outcome.status, outcome.detail) == (Status.FAILED, "manifest unknown. Check the spelling of the tag.")


async def test_a_registry_that_wants_a_login_says_so(daemon: PreparedDaemon) -> None:
    reason = f"initializing source docker://{NAME}: reading manifest 1 in 127.0.0.1:5000/shop/nope: unauthorized"
    daemon.answers["/images/pull"] = (401, json.dumps({"message": reason}).encode())
    outcome = await pulled(daemon)
    assert outcome.status == Status.FAILED
    assert outcome.detail.startswith("unauthorized. Log in on Quarterdeck's host as its user")
