"""One engine after the other, as the field of the same name in grounds.py describes it."""

import pytest

from runtimes import engine_registry
from runtimes.transport import endpoint
from tests.contract.grounds import FIELDS, Ground
from tests.daemons.sshd import private_sshd
from tests.helpers.private_root import private_root


@pytest.fixture(scope="module")
def sshd():
    # Below a private root, so that the server ends with a killed run.
    with private_root() as root, private_sshd(root) as made:
        yield made


@pytest.fixture
async def ground(request):
    field = FIELDS[request.param]
    daemon = request.getfixturevalue(field.fixture)
    door = engine_registry.EngineAddress(kind=field.kind, url=daemon.url)
    if field.ssh:
        far = request.getfixturevalue("sshd")
        door = engine_registry.EngineAddress(kind=field.kind, url=far.url(daemon.socket), ssh=endpoint.Ssh(**far.files))
    runtime = engine_registry.open_engine(door)
    yield Ground(runtime, daemon, field.lacks)
    await runtime.aclose()
