"""Which machine an engine is said to run on, if it does not report its host itself."""

import socket

import pytest

from bot import engine_addresses
from core import errors
from core.config import load
from runtimes import engine_registry
from runtimes.base import machine_name


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, socket.gethostname()),
        ({"QUARTERDECK_HOST": " "}, socket.gethostname()),
        ({"QUARTERDECK_HOST": " node7 "}, "node7"),
        ({"QUARTERDECK_HOST": "ip-10-0-0-7.eu-west-1.compute.internal"}, "ip-10-0-0-7.eu-west-1.compute.internal"),
    ],
)
def test_the_variable_names_the_machine_and_otherwise_the_host_name_does(environ, expected):
    assert machine_name.machine_name(environ) == expected


@pytest.mark.parametrize("name", ["two words", "a/b", "web@docker", "-node", "node\n7", "x" * 254, "нода"])
def test_what_is_no_name_is_refused_with_its_cure(name):
    with pytest.raises(errors.BadUsage, match="QUARTERDECK_HOST is “[^”]*”, which is not the name") as caught:
        machine_name.machine_name({"QUARTERDECK_HOST": name})
    assert "such as node7" in caught.value.hint


def test_a_check_of_the_configuration_finds_it(monkeypatch):
    monkeypatch.setenv("QUARTERDECK_HOST", "two words")
    settings = load.load(None, {"QUARTERDECK_ENGINES": '[{"url": "tcp://docker8:2376"}]'})
    with pytest.raises(errors.BadUsage, match="two words"):
        engine_addresses.read_engine_addresses(settings)


@pytest.mark.parametrize("kind", ["cri", "containerd", "oci"])
async def test_engines_that_do_not_report_their_host_have_that_name(kind, monkeypatch, tmp_path):
    monkeypatch.setenv("QUARTERDECK_HOST", "node7")
    scheme = "file" if kind == "oci" else "unix"
    engine = engine_registry.open_engine(engine_registry.EngineAddress(kind=kind, url=f"{scheme}://{tmp_path}/engine"))
    assert str(engine.ref) == f"{kind}/node7"
    await engine.aclose()


async def test_an_engine_elsewhere_keeps_the_host_of_its_address(monkeypatch):
    monkeypatch.setenv("QUARTERDECK_HOST", "node7")
    engine = engine_registry.open_engine(engine_registry.EngineAddress(kind="docker", url="tcp://docker8:2376"))
    assert engine.ref.host == "docker8"
    await engine.aclose()
