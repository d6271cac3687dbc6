"""Fixtures every tier shares; the engines themselves are in support.py."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.registry import Registry, private_registry
from tests.support import Dockerd, Valkey, private_dockerd

# Otherwise pytest-asyncio makes a loop on the side that nobody closes, which warnings-as-errors then reports.
asyncio.set_event_loop(None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """The tests of the image go to one worker, which builds it once. (xdist 3.8 does not see its own group marks under
    pytest 9.2, where a test's name cannot be changed any more.)"""
    from xdist.scheduler import LoadGroupScheduling

    class Together(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "image" if nodeid.startswith("tests/image/") else super()._split_scope(nodeid)

    return Together(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.fixture(scope="session")
def _shared_dockerd() -> Iterator[Dockerd]:
    with private_dockerd() as daemon:
        yield daemon


@pytest.fixture
def dockerd(_shared_dockerd: Dockerd) -> Iterator[Dockerd]:
    """This worker's dockerd, empty of containers before and after."""
    _shared_dockerd.clear()
    yield _shared_dockerd
    _shared_dockerd.clear()


@pytest.fixture
def own_dockerd() -> Iterator[Dockerd]:
    """A dockerd of this test alone, to stop, kill and start again."""
    with private_dockerd() as daemon:
        yield daemon


@pytest.fixture(scope="session")
def _shared_registry() -> Iterator[Registry]:
    with private_registry() as registry:
        yield registry


@pytest.fixture
def registry(_shared_registry: Registry) -> Registry:
    """This worker's registry, up. What tests put there stays: they name their images apart."""
    if _shared_registry.process is None or _shared_registry.process.poll() is not None:
        _shared_registry.start()
    return _shared_registry


@pytest.fixture(scope="session")
def _shared_locked_registry() -> Iterator[Registry]:
    with private_registry(locked=True) as registry:
        yield registry


@pytest.fixture
def locked_registry(_shared_locked_registry: Registry) -> Registry:
    """A registry that lets in only those who know its password."""
    return _shared_locked_registry


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A temporary folder with a short path, for unix sockets."""
    root = Path(tempfile.mkdtemp(prefix="qd-"))
    yield root
    shutil.rmtree(root, ignore_errors=True)


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: Any) -> None:
    """Names what was left out, so that a green run on a bare machine does not look like a full one."""
    reasons: Sequence[Any] = terminalreporter.stats.get("skipped", [])
    engines = sorted({str(report.longrepr[2]) for report in reasons if "needs" in str(report.longrepr)})
    if engines:
        terminalreporter.section("engines and tools that were not here")
        for reason in engines:
            terminalreporter.line(reason)
    figures = [figure for report in terminalreporter.stats.get("passed", []) for figure in report.user_properties]
    if figures:
        terminalreporter.section("measured, not judged")
        for name, value in figures:
            terminalreporter.line(f"{name}: {value}")


@pytest.fixture(scope="session")
def _shared_valkey() -> Iterator[Valkey]:
    root = Path(tempfile.mkdtemp(prefix="qd-"))
    server = Valkey(root)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def valkey(_shared_valkey: Valkey) -> Valkey:
    """This worker's store, emptied."""
    if _shared_valkey.process is None or _shared_valkey.process.poll() is not None:
        _shared_valkey.start()
    assert _shared_valkey.say(b"FLUSHALL\r\n") == b"+OK\r\n"
    return _shared_valkey
