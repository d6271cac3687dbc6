"""A real dockerd reached as one on another host is: over TLS and over ssh. What a person reads when that fails; that
nothing is lost or done twice when the way there breaks."""

import asyncio
import contextlib
import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core import errors
from core.model import actions
from core.model.events import EventKind
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.ports import Call
from runtimes import engine_registry
from runtimes.transport import endpoint
from tests.daemons.docker import Dockerd, private_dockerd
from tests.daemons.sshd import Authority, Sshd, openssl, private_sshd
from tests.helpers.waiting import free_tcp_port
from tests.helpers.watched_engine import WatchedEngine

pytestmark = pytest.mark.engine


def call(seconds=60.0):
    return Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=seconds), invocation="t")


@contextlib.asynccontextmanager
async def opened(door):
    engine = engine_registry.open_engine(door)
    try:
        yield engine
    finally:
        await engine.aclose()


async def fault(door):
    """Why that engine does not answer, as `engines` says it."""
    async with opened(door) as engine:
        told = await engine.run(actions.DescribeEngine(engine=engine.ref), call())
        # A change meets the same wall, and is known not to have been done.
        nowhere = Ref(engine=engine.ref, kind=Kind.CONTAINER, id="a" * 64, name="web")
        with pytest.raises(errors.Unreachable) as caught:
            await engine.run(actions.Stop(engine=engine.ref, target=nowhere), call())
        assert not caught.value.sent
        assert caught.value.hint
        return told.fault


async def work(engine, daemon):
    """Reads and changes through the adapter, and the daemon's own word on them."""
    rows = (await engine.run(actions.ListContainers(engine=engine.ref), call())).rows
    (web,) = [row for row in rows if row.ref.name == "web"]
    before = daemon.state("web")["StartedAt"]
    done = await engine.run(actions.Restart(engine=engine.ref, target=web.ref, timeout=1), call())
    assert done.status == Status.DONE
    assert daemon.state("web")["StartedAt"] != before
    page = await engine.run(actions.ReadLogs(engine=engine.ref, target=web.ref), call())
    assert "hello" in [line.text for line in page.lines]
    told = await engine.run(actions.DescribeEngine(engine=engine.ref), call())
    assert (told.fault, told.version) == ("", daemon.api.version()["Version"])


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Secured:
    """A dockerd that also listens with TLS, and everybody's certificates."""

    def __init__(self, daemon, port, authority):
        self.daemon, self.port, self.authority = daemon, port, authority
        self.ca = str(authority.ca)
        self.cert, self.key = map(str, authority.sign("client", use="clientAuth"))

    def door(self, host="127.0.0.1", port=0, **files):
        files = {"ca": self.ca, "cert": self.cert, "key": self.key} | files
        return engine_registry.EngineAddress(
            kind="docker", url=f"tcp://{host}:{port or self.port}", tls=endpoint.Tls(**files)
        )


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("tls"))
    cert, key = authority.sign("server", alt="IP:127.0.0.1")
    port = free_tcp_port()
    words = ["-H", f"tcp://127.0.0.1:{port}", "--tlsverify", "--tlscacert", authority.ca]
    with private_dockerd(*map(str, words), "--tlscert", str(cert), "--tlskey", str(key)) as daemon:
        yield Secured(daemon, port, authority)


async def test_an_engine_behind_tls_is_an_engine_like_any_other(secured):
    secured.daemon.clear()
    secured.daemon.run("web", "echo hello; exec sleep 3600")
    async with opened(secured.door()) as engine:
        await work(engine, secured.daemon)
        assert engine.ref.host == secured.daemon.api.info()["Name"]
        events = engine.events(None)
        assert await anext(events) == ()
        await asyncio.to_thread(secured.daemon.api.pause, "web")
        assert EventKind.PAUSED in [event.kind for event in await anext(events)]
        await events.aclose()


async def test_more_than_a_block_comes_through_tls_whole(secured):
    secured.daemon.clear()
    secured.daemon.run("web", "seq 60000")
    secured.daemon.api.wait("web")
    async with opened(secured.door()) as engine:
        (row,) = (await engine.run(actions.ListContainers(engine=engine.ref), call())).rows
        page = await engine.run(actions.ReadLogs(engine=engine.ref, target=row.ref, tail=100_000), call())
    texts = [line.text for line in page.lines]
    assert texts == [str(number) for number in range(60_001 - len(texts), 60_001)]
    assert len(texts) > 5_000


async def test_who_cannot_prove_themselves_is_told_what_is_missing(secured):
    assert "is not signed by a CA in" in await fault(secured.door(ca=str(Authority(secured.authority.folder, "b").ca)))
    assert "a CA that this system trusts" in await fault(secured.door(ca=""))
    assert "is not valid for the host localhost" in await fault(secured.door(host="localhost"))
    assert "requires a client certificate" in await fault(secured.door(cert="", key=""))
    cert, key = map(str, Authority(secured.authority.folder, "c").sign("foreign", use="clientAuth"))
    # Newer daemons send the alert for an unknown CA, older ones that for a bad certificate.
    told = await fault(secured.door(cert=cert, key=key))
    assert f"refused the client certificate {cert}" in told or f"signed the client certificate {cert}" in told
    cert, key = map(str, secured.authority.sign("old", use="clientAuth", days=-1))
    told = await fault(secured.door(cert=cert, key=key))
    assert "has not expired" in told or "it has expired" in told
    plain = engine_registry.EngineAddress(kind="docker", url=f"tcp://127.0.0.1:{secured.port}")
    assert "requires TLS. Add `tls:" in await fault(plain)


async def test_an_engine_whose_own_certificate_is_bad_is_not_believed(secured, own_certificate):
    old = secured.authority.sign("gone", alt="IP:127.0.0.1", days=-1)
    assert "has expired" in await fault(secured.door(port=await own_certificate(*old)))


async def test_a_port_without_tls_is_said_to_have_none(secured, own_certificate):
    assert "does not use TLS" in await fault(secured.door(port=await own_certificate()))


async def test_files_that_are_of_no_use_are_named(secured, tmp_path):
    assert f"The key file {tmp_path}/no cannot be read" in await fault(secured.door(key=f"{tmp_path}/no"))
    _, other = secured.authority.sign("other", use="clientAuth")
    assert f"{other} does not belong to the certificate" in await fault(secured.door(key=str(other)))
    junk = tmp_path / "junk"
    junk.write_text("hunter2")
    assert f"{junk} contains no certificate" in await fault(secured.door(ca=str(junk)))
    told = await fault(secured.door(key=str(junk)))
    assert "does not contain a certificate, or" in told
    assert "hunter2" not in told
    locked = tmp_path / "locked"
    openssl("pkcs8", "-topk8", "-in", secured.key, "-passout", "pass:hunter2", "-out", locked)
    assert "is encrypted, and Quarterdeck cannot ask" in await fault(secured.door(key=str(locked)))


async def test_a_renewed_certificate_holds_from_the_next_connection_on(secured, tmp_path):
    ours = tmp_path / "cert.pem", tmp_path / "key.pem"
    for new, old in zip(ours, secured.authority.sign("lapsed", use="clientAuth", days=-1), strict=True):
        new.write_bytes(Path(old).read_bytes())
    async with opened(secured.door(cert=str(ours[0]), key=str(ours[1]))) as engine:
        with pytest.raises(errors.Unreachable):
            await engine.run(actions.ListContainers(engine=engine.ref), call())
        for new, valid in zip(ours, (secured.cert, secured.key), strict=True):
            new.write_bytes(Path(valid).read_bytes())
        await engine.run(actions.ListContainers(engine=engine.ref), call())


@pytest.fixture
async def own_certificate():
    """A server with that certificate, or without TLS where none is given, that says nothing more."""
    import ssl

    servers = []

    async def serve(cert=None, key=None):
        context = None
        if cert is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(cert, key)

        async def nothing(reader, writer):
            writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            writer.close()

        servers.append(await asyncio.start_server(nothing, "127.0.0.1", 0, ssl=context))
        return servers[-1].sockets[0].getsockname()[1]

    yield serve
    for server in servers:
        server.close()
        await server.wait_closed()


# ── ssh ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def sshd(short_tmp):
    with private_sshd(short_tmp) as made:
        yield made


def by_ssh(sshd: Sshd, path: Path, **files):
    return engine_registry.EngineAddress(kind="docker", url=sshd.url(path), ssh=endpoint.Ssh(**(sshd.files | files)))


async def test_an_engine_behind_ssh_is_an_engine_like_any_other(dockerd, sshd):
    dockerd.run("web", "echo hello; exec sleep 3600")
    async with opened(by_ssh(sshd, dockerd.socket)) as engine:
        await asyncio.gather(*(engine.run(actions.ListContainers(engine=engine.ref), call()) for _ in range(20)))
        assert len(sshd.clients()) == 1
        await work(engine, dockerd)
    assert sshd.clients() == []


async def test_a_host_that_is_not_surely_the_right_one_is_refused(dockerd, sshd):
    sshd.know("stranger")
    told = await fault(by_ssh(sshd, dockerd.socket))
    assert "The host key of 127.0.0.1 has changed" in told
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}' -f {sshd.known_hosts}" in told
    sshd.known_hosts.write_text("")
    told = await fault(by_ssh(sshd, dockerd.socket))
    assert "is not in the known_hosts file" in told
    assert f"this adds the key to {sshd.known_hosts}" in told
    assert sshd.known_hosts.read_text() == ""


async def test_a_key_that_is_refused_or_of_no_use_is_told(dockerd, sshd, tmp_path):
    assert "refused the login as root" in await fault(
        by_ssh(sshd, dockerd.socket, identity=str(sshd.root / "stranger"))
    )
    told = await fault(by_ssh(sshd, dockerd.socket, identity=f"{tmp_path}/none"))
    assert f"The ssh key {tmp_path}/none cannot be read: no such file" in told
    sshd.identity.chmod(0o644)
    assert f"chmod 600 {sshd.identity}" in await fault(by_ssh(sshd, dockerd.socket))


async def test_a_far_socket_that_is_not_there_is_not_taken_for_a_dead_host(sshd, short_tmp):
    told = await fault(by_ssh(sshd, short_tmp / "none.sock"))
    assert f"127.0.0.1 was reached, but the engine's socket {short_tmp}/none.sock could not be opened" in told
    assert f"root@127.0.0.1 ls -l {short_tmp}/none.sock" in told


async def test_a_host_without_sshd_is_told_with_its_port(dockerd, sshd):
    sshd.stop()
    assert f"cannot be reached by ssh on port {sshd.port}: connection refused" in await fault(
        by_ssh(sshd, dockerd.socket)
    )


async def test_sshd_killed_and_back_is_resumed(dockerd, sshd):
    dockerd.run("web", "echo hello; exec sleep 3600")
    async with WatchedEngine(by_ssh(sshd, dockerd.socket)) as eye:
        sshd.kill()
        await eye.until(lambda: not eye.mirror.live)
        await asyncio.to_thread(dockerd.api.pause, "web")
        row = eye.row("web").ref
        with pytest.raises(errors.Unreachable) as caught:
            await eye.runtime.run(actions.Unpause(engine=eye.runtime.ref, target=row), call())
        assert not caught.value.sent
        await eye.until(lambda: eye.mirror._stream_fault)
        sshd.start()
        # What happened while nobody could look is told too.
        await eye.until(lambda: eye.mirror.live and EventKind.PAUSED in eye.kinds("web"))
        done = await eye.runtime.run(actions.Unpause(engine=eye.runtime.ref, target=row), call())
        assert done.status == Status.DONE
        await work(eye.runtime, dockerd)


async def test_the_ssh_process_killed_is_started_anew(dockerd, sshd):
    async with opened(by_ssh(sshd, dockerd.socket)) as engine:
        await engine.run(actions.ListContainers(engine=engine.ref), call())
        (before,) = sshd.clients()
        os.kill(before, signal.SIGKILL)
        while sshd.clients():
            await asyncio.sleep(0.01)
        await engine.run(actions.ListContainers(engine=engine.ref), call())
        (after,) = sshd.clients()
        assert after != before


async def test_a_dockerd_restarted_behind_ssh_is_resumed_and_no_change_is_called_unknown(own_dockerd, sshd):
    own_dockerd.run("web", "echo hello; exec sleep 3600")
    async with WatchedEngine(by_ssh(sshd, own_dockerd.socket)) as eye:
        (client,) = sshd.clients()
        ref = eye.row("web").ref
        await asyncio.to_thread(own_dockerd.kill)
        await eye.until(lambda: not eye.mirror.live)
        with pytest.raises(errors.Unreachable, match="could not be opened there") as caught:
            await eye.runtime.run(actions.Start(engine=eye.runtime.ref, target=ref), call())
        assert not caught.value.sent
        await asyncio.to_thread(own_dockerd.start)
        await eye.until(lambda: eye.mirror.live and eye.row("web").state == "exited")
        assert sshd.clients() == [client]
        await eye.runtime.run(actions.Start(engine=eye.runtime.ref, target=ref), call())
        await eye.until(lambda: eye.row("web").state == "running")


# ── several ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_one_engine_by_two_ways_is_in_once(dockerd, sshd):
    """Whichever answers first; the other says why it is left out."""
    doors = [engine_registry.EngineAddress(kind="docker", url=dockerd.url), by_ssh(sshd, dockerd.socket)]
    both = engine_registry.EngineRegistry()
    first, second = map(both.open, doors)
    try:
        await first.run(actions.ListContainers(engine=first.ref), call())
        for _ in range(2):
            with pytest.raises(errors.DuplicateEngine, match=f"{dockerd.url} are the same engine"):
                await second.run(actions.ListContainers(engine=second.ref), call())
        told = await second.run(actions.DescribeEngine(engine=second.ref), call())
        assert "List only one of the two addresses" in told.fault
    finally:
        await first.aclose()
        await second.aclose()


async def test_two_engines_of_one_host_and_name_are_told_apart_or_refused(dockerd: Dockerd, secured):
    near = engine_registry.EngineAddress(kind="docker", url=dockerd.url)
    both = engine_registry.EngineRegistry()
    first, second = map(both.open, [near, secured.door()])
    try:
        await first.run(actions.ListContainers(engine=first.ref), call())
        with pytest.raises(errors.DuplicateEngine, match="Give one of them another `name`"):
            await second.run(actions.ListContainers(engine=second.ref), call())
    finally:
        await first.aclose()
        await second.aclose()
