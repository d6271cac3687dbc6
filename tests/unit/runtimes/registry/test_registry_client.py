"""What is read of a registry that answers rightly, asks for a login, lies, limits or does not answer at all."""

import asyncio
import base64

import pytest
from aiohttp import web

from core import errors
from runtimes.base.registry_auth import Login, Lookup
from runtimes.registry import registry_requests
from runtimes.registry.registry_client import BROKEN_SECONDS, CACHE_SECONDS, RegistryClient
from tests.helpers.registry_server import TOKEN, RegistryServer, digest_of
from tests.helpers.waiting import free_tcp_port

LISTED = ("127.0.0.1:*",)
MATE = Login(registry="harbour", source="a file", username="mate", password="harbour")


class Logins:
    def __init__(self, login=None):
        self.login = login

    async def find(self, image, *, to_engine=True):
        assert not to_engine
        return Lookup(login=self.login, hint="Log in on Quarterdeck's host.")


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
async def server():
    async with RegistryServer() as made:
        yield made


def client(login=None, listed=LISTED, clock=None):
    return RegistryClient(Logins(login), listed, clock=clock or Clock())


async def test_a_digest_is_read_without_a_pull_and_cached(server):
    digest = server.add("shop/web")
    clock = Clock()
    reads = client(clock=clock)
    name = f"{server.host}/shop/web:1"
    assert (await reads.digests(name)).digest == digest
    assert [(method, path) for method, path, _ in server.asked] == [("HEAD", "/v2/shop/web/manifests/1")]
    moved = server.add("shop/web", Labels={"release": "2"})
    assert (await reads.digests(name)).digest == digest
    clock.now += CACHE_SECONDS
    assert (await reads.digests(name)).digest == moved != digest


async def test_the_platforms_of_an_index_are_read_when_they_are_needed(server):
    digest = server.add("shop/web", platforms=("linux/amd64", "linux/arm64"))
    found = await client().digests(f"{server.host}/shop/web:1", members=True)
    assert found.digest == digest and len(found.platform_digests) == 2 and digest not in found.platform_digests


async def test_a_registry_that_sends_no_digest_is_read_whole(server):
    digest = server.add("shop/web")
    server.claims = ""
    assert (await client().digests(f"{server.host}/shop/web:1")).digest == digest


async def test_an_image_is_shown_with_its_platform_layers_and_tags(server):
    digest = server.add(
        "shop/web",
        platforms=("linux/amd64", "linux/arm64"),
        Labels={"made": "here\x1b[31m"},
        Cmd=["/bin/sh"],
        Env=["SECRET=hunter2"],
        ExposedPorts={"80/tcp": {}},
    )
    server.tags += ["2", "\u202eevil"]
    found = await client().inspect(f"{server.host}/shop/web:1", "linux/arm64")
    assert (found.digest, found.platforms, found.platform) == (digest, ("linux/amd64", "linux/arm64"), "linux/arm64")
    assert found.layers == ((digest_of(b"linux/arm64"), 4_200_000),)
    assert (found.labels, found.command, found.ports) == ((("made", "here"),), ("/bin/sh",), ("80/tcp",))
    assert found.tags[:2] == ("1", "2") and "\u202e" not in found.tags[2]
    assert found.created_at == 1704164645.0 and "hunter2" not in repr(found)
    with pytest.raises(
        errors.NotFound, match=r"has no image for linux/s390x\. Choose a platform that it has: linux/amd64, linux/arm64"
    ):
        await client().inspect(f"{server.host}/shop/web:1", "linux/s390x")


async def test_a_login_is_sent_where_it_is_asked_for_and_no_further(server):
    server.add("shop/web")
    server.login = "mate:harbour"
    with pytest.raises(errors.EngineError, match=r"asks for a login\. Log in on"):
        await client().digests(f"{server.host}/shop/web:1")
    assert not any(given for _, _, given in server.asked)
    assert await client(MATE).digests(f"{server.host}/shop/web:1")
    wrong = Login(registry="harbour", source="a file", username="mate", password="x")
    with pytest.raises(errors.EngineError, match="refused") as caught:
        await client(wrong).digests(f"{server.host}/shop/web:1")
    assert "mate:x" not in str(caught.value)


async def test_a_token_is_asked_for_one_repository_only(server):
    server.add("shop/web")
    server.login, server.scheme = "mate:harbour", "bearer"
    assert await client(MATE).digests(f"{server.host}/shop/web:1")
    assert server.scopes == ["repository:shop/web:pull"]
    given = [authorization for _, _, authorization in server.asked]
    basic = "Basic " + base64.b64encode(b"mate:harbour").decode()
    assert given == ["", basic, f"Bearer {TOKEN}"]
    with pytest.raises(errors.EngineError, match="asks for a login"):
        await client().digests(f"{server.host}/shop/web:1")


@pytest.mark.parametrize("realm", ["http://169.254.169.254/token", "https://evil.example/token", "", "file:///x"])
async def test_a_hostile_realm_gets_nothing(server, realm):
    async with RegistryServer() as other:
        server.add("shop/web")
        server.login, server.scheme = "mate:harbour", "bearer"
        server.realm = realm or f"http://localhost:{other.host.rpartition(':')[2]}@127.0.0.1/token"
        with pytest.raises(errors.EngineError, match="No password was sent"):
            await client(MATE).digests(f"{server.host}/shop/web:1")
        assert other.asked == []


@pytest.mark.parametrize("where", ["http://169.254.169.254/latest", "https://localhost/x", "https://10.0.0.1/x"])
async def test_a_redirect_into_a_private_network_is_not_followed(server, where):
    server.add("shop/web")
    server.redirect = where
    with pytest.raises(errors.EngineError, match="does not follow"):
        await client().inspect(f"{server.host}/shop/web:1")


async def test_a_redirect_to_another_place_carries_no_login(server):
    async with RegistryServer() as other:
        server.add("shop/web")
        config = next(body for path, (_, body) in server.content.items() if "/blobs/" in path)
        other.content["cdn/blobs/x"] = ("application/json", config)
        server.login = "mate:harbour"
        server.redirect = f"http://{other.host}/v2/cdn/blobs/x"
        found = await client(MATE).inspect(f"{server.host}/shop/web:1")
        assert found.platform == "linux/amd64"
        assert [given for _, _, given in other.asked] == [""]


async def test_what_a_registry_sends_is_compared_with_its_digest(server):
    server.add("shop/web")
    server.claims = "sha256:" + "0" * 64
    with pytest.raises(errors.InvalidResponse, match="does not match its digest"):
        await client().inspect(f"{server.host}/shop/web:1")


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b"<html>", b"\x00\xff", b'{"manifests": 5}', b'{"config": {"digest": "../x"}}']
)
async def test_no_answer_breaks_it(server, body):
    server.content["shop/web/manifests/1"] = ("application/json", body)
    with pytest.raises(errors.QuarterdeckError):
        await client().inspect(f"{server.host}/shop/web:1")


async def test_an_answer_without_an_end_is_cut(server, monkeypatch):
    monkeypatch.setattr("runtimes.registry.registry_session.MAX_MANIFEST", 1000)
    server.content["shop/web/manifests/1"] = ("application/json", b" " * 5000)
    with pytest.raises(errors.InvalidResponse, match="sent an answer of more than"):
        await client().inspect(f"{server.host}/shop/web:1")


async def test_a_registry_that_limits_requests_is_left_alone_until_it_says(server):
    server.add("shop/web")
    server.refuse = web.json_response(
        {"errors": [{"code": "TOOMANYREQUESTS", "message": "You have reached\nyour pull rate limit."}]},
        status=429,
        headers={"Retry-After": "120"},
    )
    clock = Clock()
    reads = client(clock=clock)
    for _ in range(2):
        with pytest.raises(errors.EngineError, match="limits requests"):
            await reads.digests(f"{server.host}/shop/web:1")
    assert len(server.asked) == 1
    server.refuse = None
    clock.now += 121
    assert (await reads.digests(f"{server.host}/shop/web:1")).digest


async def test_a_registry_that_is_away_is_asked_once_in_a_while():
    clock, host = Clock(), f"127.0.0.1:{free_tcp_port()}"
    reads = client(clock=clock)
    for _ in range(2):
        with pytest.raises(errors.Unreachable, match="cannot be reached"):
            await reads.digests(f"{host}/shop/web:1")
    clock.now += BROKEN_SECONDS
    async with RegistryServer() as server:
        server.add("shop/web")
        assert (await reads.digests(f"{server.host}/shop/web:1")).digest


async def test_a_registry_that_hangs_ends_in_time(server, monkeypatch):
    monkeypatch.setattr(registry_requests, "REQUEST_SECONDS", 0.3)
    hangs = RegistryServer()

    async def answer(request):
        await never.wait()

    never = asyncio.Event()
    hangs._answer = answer
    async with hangs:
        with pytest.raises(errors.TimedOut, match="did not answer within"):
            await client().digests(f"{hangs.host}/shop/web:1")
        never.set()


async def test_what_is_not_there_is_not_found(server):
    server.add("shop/web")
    with pytest.raises(errors.NotFound, match="has no image shop/web with the tag or digest none"):
        await client().digests(f"{server.host}/shop/web:none")
    with pytest.raises(errors.Refused, match="does not ask"):
        await client(listed=("docker.io",)).digests(f"{server.host}/shop/web:1")
    assert await client(MATE, listed=()).digests(f"{server.host}/shop/web:1"), "this host has a login for it"


async def test_a_registry_without_tls_must_be_named_so(server, monkeypatch):
    server.add("shop/web")
    port = server.host.rpartition(":")[2]
    monkeypatch.setattr("runtimes.registry.registry_address.is_loopback", lambda host: False)
    with pytest.raises(errors.Unreachable, match="does not use TLS"):
        await client().digests(f"127.0.0.1:{port}/shop/web:1")
    listed = (f"http://127.0.0.1:{port}",)
    assert await client(listed=listed).digests(f"127.0.0.1:{port}/shop/web:1")
    server.login = "mate:harbour"
    with pytest.raises(errors.EngineError, match="uses no TLS. No password was sent"):
        await client(MATE, listed=listed).digests(f"127.0.0.1:{port}/shop/web:1")
    assert not any(given for _, _, given in server.asked)
