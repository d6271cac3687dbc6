"""Docker's small steps over a daemon that a test speaks for: which image a replica gets, and what is done when only
half of it could be made."""

import json

import pytest

from core import errors
from core.model.refs import EngineRef, Kind, Ref
from runtimes.docker import decode
from runtimes.docker.compose_replicas import ComposeReplicas
from runtimes.transport.http_client import Response
from tests.helpers.paths import RECORDED as RECORDED_DIR

RECORDED = json.loads((RECORDED_DIR / "compose-web-1.json").read_text())
DECODER = decode.Decoder(EngineRef(host="h1", kind="docker"))


class Daemon:
    def __init__(self):
        self.asked = []
        self.fail = {}
        self.image = RECORDED["Image"]

    async def __call__(self, method, target, seconds, *, name="", body=None):
        self.asked.append((method, target, body))
        for path, error in self.fail.items():
            if target.startswith(path) and method != "GET":
                raise error
        if target.startswith("/images/"):
            return self.said({"Id": self.image})
        if target.startswith("/containers/create"):
            return self.said({"Id": "new" + "0" * 61})
        if target.startswith("/containers/json"):
            row = {"Id": RECORDED["Id"], "Names": [RECORDED["Name"]], "Labels": RECORDED["Config"]["Labels"]}
            once = row | {"Id": "a" * 64, "Labels": row["Labels"] | {"com.docker.compose.oneoff": "True"}}
            return self.said([row, once])
        return self.said(RECORDED)

    def said(self, value):
        return Response(status=200, headers={}, body=json.dumps(value).encode())


@pytest.fixture
def daemon():
    return Daemon()


async def like(daemon):
    async def describe(ids, deadline):
        return {}

    steps = ComposeReplicas(daemon, lambda: DECODER, describe)
    replicas = await steps.replicas("shop", "web", 5.0)
    assert [row.ref.name for row in replicas] == ["shop-web-1"]
    return await steps.template(replicas, 5.0)


async def test_a_replica_is_made_then_connected_to_its_other_networks(daemon):
    made = await (await like(daemon)).create(2, 5.0)
    assert made.name == "shop-web-2"
    create, connect = daemon.asked[-2:]
    assert create[:2] == ("POST", "/containers/create?name=shop-web-2")
    assert create[2]["Image"] == "localhost/busybox:1"
    assert connect[:2] == ("POST", "/networks/shop_other/connect")
    assert connect[2]["Container"] == made.id


async def test_it_gets_the_image_of_its_siblings_where_the_name_means_another_by_now(daemon):
    daemon.image = "sha256:newer"
    await (await like(daemon)).create(2, 5.0)
    assert daemon.asked[-2][2]["Image"] == RECORDED["Image"]


async def test_what_could_not_be_connected_is_taken_back(daemon):
    daemon.fail["/networks/"] = errors.Rejected(500, "no address left")
    with pytest.raises(errors.Rejected, match="no address left"):
        await (await like(daemon)).create(2, 5.0)
    assert daemon.asked[-1][:2] == ("DELETE", "/containers/new" + "0" * 61 + "?force=1&v=1")
    daemon.fail["/containers/new"] = errors.Rejected(500, "busy")
    with pytest.raises(
        errors.EngineError,
        match="not connected to its network shop_other .no address left., and could not be removed again",
    ):
        await (await like(daemon)).create(2, 5.0)


@pytest.mark.parametrize(("grace", "code", "killed"), [(0, 137, True), (0, 0, False), (3600, 137, False)])
async def test_a_replica_that_used_up_its_grace_was_killed(daemon, monkeypatch, grace, code, killed):
    stopped = {**RECORDED, "State": {**RECORDED["State"], "Status": "exited", "ExitCode": code}}
    stopped["Config"] = {**RECORDED["Config"], "StopTimeout": grace}
    monkeypatch.setitem(globals(), "RECORDED", stopped)
    steps = ComposeReplicas(daemon, lambda: DECODER, None)
    web = Ref(engine=EngineRef(host="h1", kind="docker"), kind=Kind.CONTAINER, id=stopped["Id"], name="shop-web-1")
    assert await steps.stop(web, 5.0) is killed


GONE = errors.NotFound("There is no such container.")
REMOVING = errors.Rejected(409, "removal of container 4f is already in progress")


async def test_a_replica_that_somebody_else_removes_at_the_same_time_is_gone_as_wanted(daemon):
    steps = ComposeReplicas(daemon, lambda: DECODER, None)
    web = Ref(engine=EngineRef(host="h1", kind="docker"), kind=Kind.CONTAINER, id=RECORDED["Id"], name="shop-web-1")
    for answer in (GONE, REMOVING):
        daemon.fail["/containers/"] = answer
        await steps.remove(web, 5.0)
    daemon.fail["/containers/"] = GONE
    assert not await steps.stop(web, 5.0)
    daemon.fail["/containers/"] = errors.Rejected(409, "it is running")
    with pytest.raises(errors.Rejected):
        await steps.remove(web, 5.0)
