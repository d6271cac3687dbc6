"""Fixtures every tier shares; the engines themselves are in support.py."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.oci import OciHost, private_oci
from tests.podman import Podman, private_podman, rootless_podman
from tests.containerd import Containerd, private_containerd
from tests.registry import Registry, private_registry
from tests.cri import Crid, private_crid
from tests.podman import Podman, private_podman, rootless_podman
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
def _shared_ocid() -> Iterator[OciHost]:
    with private_oci() as host:
        yield host


@pytest.fixture
def ocid(_shared_ocid: OciHost) -> Iterator[OciHost]:
    """This worker's state directory of runc, empty before and after."""
    _shared_ocid.clear()
    yield _shared_ocid
    _shared_ocid.clear()


@pytest.fixture(scope="session")
def _shared_crund() -> Iterator[OciHost]:
    with private_oci("crun") as host:
        yield host


@pytest.fixture
def crund(_shared_crund: OciHost) -> Iterator[OciHost]:
    """This worker's state directory of crun, empty before and after."""
    _shared_crund.clear()
    yield _shared_crund
    _shared_crund.clear()


@pytest.fixture(scope="session")


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


@pytest.fixture(scope="session")
def _shared_podmand() -> Iterator[Podman]:
    with private_podman() as daemon:


@pytest.fixture(scope="session")
def _shared_containerd() -> Iterator[Containerd]:
    with private_containerd() as daemon:
        yield daemon


@pytest.fixture
def podmand(_shared_podmand: Podman) -> Iterator[Podman]:
    """This worker's Podman service of root, empty of containers before and after."""
    _shared_podmand.clear()
    yield _shared_podmand
    _shared_podmand.clear()


@pytest.fixture(scope="session")
def _shared_rootless_podmand() -> Iterator[Podman]:
    with rootless_podman() as daemon:
        yield daemon


@pytest.fixture
def rootless_podmand(_shared_rootless_podmand: Podman) -> Iterator[Podman]:
    """This worker's Podman service of an ordinary user, empty of containers before and after."""
    _shared_rootless_podmand.clear()
    yield _shared_rootless_podmand
    _shared_rootless_podmand.clear()


@pytest.fixture
def own_podmand() -> Iterator[Podman]:
    """A Podman service of this test alone, to kill and start again."""
    with private_podman() as daemon:


@pytest.fixture
def containerdd(_shared_containerd: Containerd) -> Iterator[Containerd]:
    """This worker's containerd, empty of containers before and after."""
    _shared_containerd.clear()
    yield _shared_containerd
    _shared_containerd.clear()


@pytest.fixture
def own_containerd() -> Iterator[Containerd]:
    """A containerd of this test alone, to stop, kill and start again."""
    with private_containerd() as daemon:
        yield daemon


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A temporary folder with a short path, for unix sockets."""
    root = Path(tempfile.mkdtemp(prefix="qd-"))
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def _shared_crid() -> Iterator[Crid]:
    with private_crid() as daemon:
        yield daemon


@pytest.fixture
def crid(_shared_crid: Crid) -> Iterator[Crid]:
    """This worker's containerd as the kubelet sees it, without pods before and after."""
    _shared_crid.clear()
    yield _shared_crid
    _shared_crid.clear()


@pytest.fixture
def own_crid() -> Iterator[Crid]:
    """One of this test alone, to stop, kill and start again."""
    with private_crid() as daemon:
        yield daemon


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
