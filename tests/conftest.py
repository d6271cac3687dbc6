"""Fixtures every tier shares; the engines themselves are in support.py."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from looptime._internal import plugin as looptime_plugin

from core.text import known_secrets
from tests.daemons.containerd import private_containerd
from tests.daemons.cri import private_crid
from tests.daemons.docker import private_dockerd
from tests.daemons.oci import private_oci
from tests.daemons.podman import private_podman, rootless_podman
from tests.daemons.registry import Registry, private_registry
from tests.daemons.valkey import Valkey
from tests.helpers import exercised_verbs
from tests.helpers.private_root import private_root
from tests.standins.crio import private_crio

# How long an example takes depends on what else the machine does; no test asserts a time.
hypothesis.settings.register_profile("suite", deadline=None)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=250)  # make fuzz
hypothesis.settings.load_profile("suite")
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


def pytest_configure(config: Any) -> None:
    _recognise_each_fixture_once()
    if path := os.environ.get(exercised_verbs.VARIABLE):
        exercised_verbs.begin(path)
        if hasattr(config, "workerinput"):
            # It is no setting of a Quarterdeck that a test starts. The process that starts the workers keeps it.
            del os.environ[exercised_verbs.VARIABLE]


def _recognise_each_fixture_once() -> None:
    """For each fixture of each test, looptime walks the whole module of pytest-asyncio to see whether the fixture makes
    an event loop. The answer depends on the name and the module of the fixture alone."""
    recognise, answers = looptime_plugin._should_patch, dict[tuple[str, str], bool]()

    def recognise_once(fixture: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> bool:
        key = fixture.func.__module__, fixture.argname
        if key not in answers:
            answers[key] = recognise(fixture, request)
        return answers[key]

    looptime_plugin._should_patch = recognise_once


def pytest_runtest_setup(item: Any) -> None:
    exercised_verbs.enter(item.nodeid, item.name, getattr(item, "fixturenames", ()))


_ENDED = itertools.count(1)


def pytest_collection_finish() -> None:
    _keep_what_is_loaded()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Modules are loaded while tests run. Looking for leaks after each test takes 20 ms if it walks all of them."""
    yield
    if next(_ENDED) % 50 == 0:
        _keep_what_is_loaded()


def _keep_what_is_loaded() -> None:
    """What is loaded by now stays loaded: looking for leaks need not walk it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _nothing_is_left_open() -> Iterator[None]:
    """Whatever a test opened and did not close is collected here, right after its event loop was closed. The
    ResourceWarning of it is then an error of this very test, and not of some later one."""
    yield
    gc.collect()


@pytest.fixture(autouse=True)
def _the_environment_stays_as_it_is() -> Iterator[None]:
    """A variable that a test sets or removes for good changes what the later tests of this worker do."""
    before = _environment()
    yield
    assert _environment() == before


def _environment() -> Mapping[str, str]:
    """The variables, but for those that pytest and grpc set by themselves."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GRPC_"))}


@pytest.fixture(autouse=True)
def _secrets_of_one_test_are_unknown_to_the_next() -> Iterator[None]:
    """A configuration that a test loads makes its tokens known to the whole process."""
    yield
    known_secrets.forget_all()


def _session(make: Callable[[], AbstractContextManager[Any]]) -> Any:
    """One for all the tests of this worker."""

    @pytest.fixture(scope="session")
    def shared() -> Iterator[Any]:
        with make() as daemon:
            yield daemon

    return shared


def _emptied(name: str) -> Any:
    """This worker's, empty of containers before and after."""

    @pytest.fixture
    def emptied(request: pytest.FixtureRequest) -> Iterator[Any]:
        daemon = request.getfixturevalue(name)
        daemon.clear()
        yield daemon
        daemon.clear()

    return emptied


def _own(make: Callable[[], AbstractContextManager[Any]]) -> Any:
    """One of this test alone, to stop, kill and start again."""

    @pytest.fixture
    def own() -> Iterator[Any]:
        with make() as daemon:
            yield daemon

    return own


_shared_dockerd = _session(private_dockerd)
dockerd = _emptied("_shared_dockerd")
own_dockerd = _own(private_dockerd)

_shared_podmand = _session(private_podman)
podmand = _emptied("_shared_podmand")
own_podmand = _own(private_podman)
_shared_rootless_podmand = _session(rootless_podman)
rootless_podmand = _emptied("_shared_rootless_podmand")

_shared_containerd = _session(private_containerd)
containerdd = _emptied("_shared_containerd")
own_containerd = _own(private_containerd)

_shared_crid = _session(private_crid)
crid = _emptied("_shared_crid")
own_crid = _own(private_crid)
# What stands in for CRI-O, with its stream of events on, and as CRI-O is unless told otherwise.
_shared_crio = _session(private_crio)
crio = _emptied("_shared_crio")
own_crio = _own(private_crio)
quiet_crio = _own(functools.partial(private_crio, pod_events=False))

_shared_ocid = _session(private_oci)
ocid = _emptied("_shared_ocid")
_shared_crund = _session(functools.partial(private_oci, "crun"))
crund = _emptied("_shared_crund")

_shared_registry = _session(private_registry)
_shared_locked_registry = _session(functools.partial(private_registry, locked=True))


@pytest.fixture
def registry(_shared_registry: Registry) -> Registry:
    """This worker's registry, up. What tests put there stays: they name their images apart."""
    if _shared_registry.process is None or _shared_registry.process.poll() is not None:
        _shared_registry.start()
    return _shared_registry


@pytest.fixture
def locked_registry(_shared_locked_registry: Registry) -> Registry:
    """A registry that lets in only those who know its password."""
    return _shared_locked_registry


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A temporary folder with a short path, for unix sockets."""
    with private_root() as root:
        yield root


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
    with private_root() as root:
        server = Valkey(root)
        try:
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def valkey(_shared_valkey: Valkey) -> Valkey:
    """This worker's store, emptied."""
    if _shared_valkey.process is None or _shared_valkey.process.poll() is not None:
        _shared_valkey.start()
    assert _shared_valkey.say(b"FLUSHALL\r\n") == b"+OK\r\n"
    return _shared_valkey
