"""Several engines, near and far, as people set them up and see them: one of them dies, the others go on."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.daemons.docker import private_dockerd
from tests.daemons.sshd import Authority, private_sshd
from tests.helpers.bot_process import get, series
from tests.helpers.private_root import private_root
from tests.helpers.waiting import free_tcp_port, wait_for

pytestmark = pytest.mark.engine


def rows(bot, line):
    reply = json.loads(bot.do(line, "--json"))
    return next((block["rows"] for block in reply["blocks"] if block["type"] == "table"), [])


@pytest.fixture
def far():
    """A daemon that takes its machine's name to be far7."""
    with private_dockerd(host="far7") as daemon:
        yield daemon


@pytest.fixture
def sshd():
    # Below a private root, so that the server ends with a killed run.
    with private_root() as root, private_sshd(root) as made:
        yield made


def test_a_running_bot_with_two_engines_outlives_the_death_of_one(deck, dockerd, far, sshd):
    dockerd.run("near-web")
    far.run("far-web")
    deck.watch({"url": dockerd.url}, {"url": sshd.url(far.socket), "ssh": sshd.files})
    deck.up()
    wait_for("both streams", lambda: deck.series("stream_up", host="far7") == 1)
    deck.deck("ada", "ps --host far7")
    assert "near-web" not in deck.last("ada", "far-web")["text"]
    deck.deck("ada", "engines far7")
    shown = deck.last("ada", "docker/far7")["text"]
    assert f"ssh://root@127.0.0.1:{sshd.port}{far.socket}" in shown
    assert "up since" in shown
    assert str(sshd.identity) not in shown

    far.kill()
    wait_for("the loss to show", lambda: deck.series("stream_up", host="far7") == 0)
    deck.deck("ada", "engines")
    assert "could not be opened there" in deck.last("ada", "down ")["text"]
    wait_for("the watch to see it", lambda: "what it reported last" in deck.do("ps near-web"), pause=0.5)
    deck.deck("ada", "ps near-web")
    assert "near-web" in deck.last("ada", "These rows are what it reported last.")["text"]
    assert deck.series("stream_up", host=dockerd.api.info()["Name"]) == 1
    assert get(deck.port, "/readyz")[0] == 200, "one engine that answers is enough to work"

    far.start()
    wait_for("the stream to be back", lambda: deck.series("stream_up", host="far7") == 1)
    deck.deck("ada", "start far-web")
    deck.last("ada", "far-web started")
    assert far.state("far-web")["Running"]


def test_a_single_command_knows_far_hosts_by_their_own_names(bot, dockerd, far, sshd):
    dockerd.run("near-web")
    far.run("far-web")
    bot.watch({"url": dockerd.url}, {"url": sshd.url(far.socket), "ssh": sshd.files})
    assert [row["NAME"] for row in rows(bot, "ps --host far7")] == ["far-web"]
    assert {row["NAME"] for row in rows(bot, "ps")} == {"near-web", "far-web"}
    assert [(row["ENGINE"], row["STATE"]) for row in rows(bot, "engines far?")] == []  # one engine, told as fields
    assert {row["ENGINE"]: row["STATE"] for row in rows(bot, "engines")}["docker/far7"] == "answers"
    sshd.kill()
    told = {row["ENGINE"]: row["STATE"] for row in rows(bot, "engines")}
    assert (len(told), told["docker/127.0.0.1"]) == (2, "down")
    assert "docker/127.0.0.1: " in (said := bot.do("engines"))
    assert "cannot be reached by ssh" in said
    assert bot.do("restart near-web -t 0")


def test_a_docker_context_and_dockers_own_variables_lead_to_a_daemon_behind_tls(bot, dockerd, tmp_path):
    authority = Authority(tmp_path)
    cert, key = authority.sign("server", alt="IP:127.0.0.1")
    ours = dict(zip(("cert", "key"), authority.sign("client", use="clientAuth"), strict=True), ca=authority.ca)
    port = free_tcp_port()
    words = ["-H", f"tcp://127.0.0.1:{port}", "--tlsverify", "--tlscacert", authority.ca, "--tlscert", cert, "--tlskey"]
    with private_dockerd(*map(str, [*words, key]), host="far7") as daemon:
        daemon.run("far-web")
        home = tmp_path / "home"
        digest = hashlib.sha256(b"staging").hexdigest()
        meta, pems = home / f".docker/contexts/meta/{digest}", home / f".docker/contexts/tls/{digest}/docker"
        for folder in (meta, pems):
            folder.mkdir(parents=True)
        endpoint = {"docker": {"Host": f"tcp://127.0.0.1:{port}", "SkipTLSVerify": False}}
        (meta / "meta.json").write_text(json.dumps({"Name": "staging", "Metadata": {}, "Endpoints": endpoint}))
        for part, file in ours.items():
            (pems / f"{part}.pem").write_bytes(Path(file).read_bytes())
        bot.env["HOME"] = str(home)
        bot.watch({"url": dockerd.url}, {"context": "staging"})
        assert [row["NAME"] for row in rows(bot, "ps --host far7")] == ["far-web"]
        assert "(context staging)" in bot.call("check")
        (bot.root / "quarterdeck.yaml").unlink()

        bot.env |= {"DOCKER_HOST": f"tcp://127.0.0.1:{port}", "DOCKER_CERT_PATH": str(pems)}
        assert "requires TLS" in bot.do("ps --engine docker", code=5)
        bot.env["DOCKER_TLS_VERIFY"] = "1"
        assert "far-web" in bot.do("ps")
        for name in ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"):
            del bot.env[name]
        bot.env["DOCKER_CONTEXT"] = "staging"
        assert "far-web" in bot.do("ps")


def test_check_tells_what_is_wrong_or_dangerous_about_engines(bot, dockerd):
    bot.watch({"url": "tcp://host7:2375"})
    done = bot.start("check")
    done.wait(60)
    assert "WITHOUT TLS. Everybody who reaches that port is root on host7" in done.log.read_text()
    assert done.returncode == 0
    bot.env["HOME"] = str(bot.root)
    bot.watch({"context": "nowhere"})
    for words in (["check"], ["run"], ["do", "ps"]):
        done = bot.start(*words)
        assert done.wait(60) == 78
        assert "engines.0: There is no docker context “nowhere”" in done.log.read_text()
    (bot.root / "link.sock").symlink_to(dockerd.socket)
    bot.watch({"url": dockerd.url}, {"url": f"unix://{bot.root}/link.sock", "name": "again"})
    done = bot.start("check")
    assert done.wait(60) == 78
    assert "are the same engine. Remove one of them" in done.log.read_text()


def test_one_engine_by_two_addresses_is_watched_once(bot, dockerd, sshd):
    port = free_tcp_port()
    two_ways = {"url": sshd.url(dockerd.socket), "ssh": sshd.files, "name": "again"}
    bot.watch({"url": dockerd.url}, two_ways)
    dockerd.run("web")
    process = bot.start("run", port=port)
    wait_for("the second to be refused", lambda: "every event would count twice" in process.log.read_text())
    wait_for("the first to be watched", lambda: series(port, "quarterdeck_container_state", state="running") == 1)
    page = get(port)[1]
    assert (
        sum(line.startswith("quarterdeck_container_state{") and 'state="running"' in line for line in page.split("\n"))
        == 1
    )


def test_a_bot_killed_leaves_no_ssh_behind(bot, dockerd, sshd):
    bot.watch({"url": sshd.url(dockerd.socket), "ssh": sshd.files})
    process = bot.start("run", port=(port := free_tcp_port()))
    wait_for("readiness", lambda: get(port, "/readyz")[0] == 200)
    assert len(sshd.clients()) == 1
    process.kill()
    process.wait()
    wait_for("ssh to end with us", lambda: not sshd.clients())
