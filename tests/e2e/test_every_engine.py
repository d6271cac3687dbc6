"""Every kind of engine at once, in one process: listed, read, changed or honestly refused, watched and exported."""

import contextlib
import json
import socket
import threading

import pytest

from tests.helpers.bot_process import get
from tests.helpers.waiting import wait_for

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

KINDS = ("docker", "swarm", "podman", "containerd", "cri", "oci")


@contextlib.contextmanager
def hanging(path):
    """A socket that takes what is said and never answers."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(path))
        door.listen(64)
        kept = []

        def take():
            with contextlib.suppress(OSError):
                while True:
                    kept.append(door.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield f"unix://{path}"
        door.shutdown(socket.SHUT_RDWR)
        for one in kept:
            one.close()


def told(bot, line, code=0):
    return json.loads(bot.do(line, "--json", code=code))


def rows(bot, line, code=0):
    return next((block["rows"] for block in told(bot, line, code)["blocks"] if block["type"] == "table"), [])


def lines(port, name):
    """The series of this name, and their values."""
    found = [line.rpartition(" ") for line in get(port)[1].splitlines() if line.startswith(f"quarterdeck_{name}{{")]
    return {labels: float(value) for labels, _, value in found}


def test_all_of_them_are_watched_and_obey_in_one_process(deck, grounds):
    named = {"rootless": "1001"}
    deck.watch(
        *(
            {"kind": daemon.kind, "url": daemon.url, "name": named.get(name, "default")}
            for name, daemon in grounds.items()
        )
    )
    deck.up()

    def live():
        found = lines(deck.port, "mirror_live")
        return len(found) == len(grounds) + 1 and all(found.values())

    wait_for("every mirror to be live", live)
    assert all(lines(deck.port, "stream_up").values())

    deck.deck("ada", "engines")
    shown = deck.last("ada", "docker/")["text"]
    for kind in KINDS:
        assert f"{kind}/" in shown
    assert "/1001" in shown

    found = {row["NAME"]: row["ENGINE"] for row in rows(deck, "ps") if not row["NAME"].startswith("api.1.")}
    cri = next(name for name in found if "web-cri" in name)
    # Each once, though what runs them below is watched too.
    assert set(found) == {f"web-{name}" for name in grounds if name != "cri"} | {cri}
    assert "podman/" in found["web-rootless"] and found["web-rootless"].endswith("/1001")

    for name in ("docker", "podman", "rootless", "cri"):
        assert f"hello from {name}" in deck.do(f"logs {cri if name == 'cri' else f'web-{name}'}")
    assert [row["NAME"] for row in rows(deck, "ps web-rootless@podman/1001")] == ["web-rootless"]
    for name, nearest in (("oci", "do not store logs"), ("containerd", "log")):
        said = deck.do(f"logs web-{name}", code=2)
        assert "does not support container.logs" in said and nearest in said, said

    for name in grounds:
        said = deck.do(f"exec {cri if name == 'cri' else f'web-{name}'} echo hi in {name}")
        assert f"hi in {name}" in said and "code 0" in said, said
    for line, instead in (("cp web-oci:/etc/hosts", "exec NAME cat PATH"), ("commit web-containerd", "nerdctl commit")):
        assert instead in deck.do(line, code=2)

    for name in ("docker", "podman", "rootless"):
        before = grounds[name].started(f"web-{name}")
        deck.deck("ada", f"restart web-{name} -t 1")
        deck.last("ada", f"web-{name} restarted")
        assert grounds[name].started(f"web-{name}") != before
    assert "The kubelet then starts a new one" in deck.do(f"restart {cri}", code=2)
    assert "does not support container.restart" in deck.do("restart web-oci", code=2)

    assert [(row["SERVICE"], row["RUNNING"]) for row in rows(deck, "services api")] == [("api", "1/1")]
    assert [row["STATUS"] for row in rows(deck, "nodes")] == ["ready"]
    deck.deck("ada", "scale api=2")
    deck.last("ada", "from 1 to 2")

    holders = {row["ENGINE"].partition("/")[0] for row in rows(deck, "images busybox")}
    assert holders == {"docker", "podman", "containerd", "cri"}
    using = {row["NAME"] for row in rows(deck, "stats")}
    assert {"web-docker", "web-podman", "web-containerd", "web-oci", cri} <= using
    happened = {row["NAME"] for row in rows(deck, "events --since 10m --limit 500")}
    assert {f"web-{name}" for name in ("docker", "podman", "rootless")} <= happened
    deck.deck("ada", "stop web-containerd web-oci -t 1")
    deck.last("ada", "2 stopped")
    wait_for(
        "the page to tell of it",
        lambda: (
            sum(
                value
                for labels, value in lines(deck.port, "container_state").items()
                if 'state="exited"' in labels and ("web-oci" in labels or "web-containerd" in labels)
            )
            == 2
        ),
    )
    exported = lines(deck.port, "container_info")
    for kind in ("docker", "podman", "podman/1001", "containerd", "cri", "oci"):
        held = [labels for labels in exported if f'engine="{kind}"' in labels and 'name="api.' not in labels]
        assert len(held) == 1, (kind, exported)
    counted = lines(deck.port, "events_total")
    for kind in ("docker", "podman", "podman/1001", "containerd", "oci", "swarm"):
        assert any(f'engine="{kind}"' in labels for labels in counted), (kind, counted)


def test_dead_and_hanging_ones_cost_their_own_deadlines_and_are_rows_and_metrics(deck, dockerd, short_tmp):
    dockerd.run("web")
    apis = ("docker", "podman", "containerd", "cri")
    with contextlib.ExitStack() as stack:
        engines = [{"url": dockerd.url}]
        for kind in apis:
            with socket.socket(socket.AF_UNIX) as gone:
                gone.bind(str(short_tmp / f"{kind}.dead"))
            engines.append({"kind": kind, "url": f"unix://{short_tmp}/{kind}.dead", "name": "dead"})
            url = stack.enter_context(hanging(short_tmp / f"{kind}.hangs"))
            engines.append({"kind": kind, "url": url, "name": "hangs"})
        engines.append({"kind": "oci", "url": f"file://{short_tmp}/nothing", "name": "dead"})
        deck.watch(*engines)
        deck.up()
        assert sum(lines(deck.port, "stream_up").values()) == 1
        deck.deck("ada", "ps")
        deck.last("ada", "No result from")
        assert "web" in deck.last("ada", "web")["text"]
        found = told(deck, "ps")
        (table,) = (block for block in found["blocks"] if "rows" in block)
        assert [row["NAME"] for row in table["rows"]] == ["web"]
        said = " ".join(block["text"] for block in found["blocks"] if "rows" not in block)
        assert said.count("No result from") == len(engines) - 1, said
        states = {row["ENGINE"]: row["STATE"] for row in rows(deck, "engines")}
        assert len(states) == len(engines), sorted(states)
        assert sum(state.startswith("down") for state in states.values()) == len(engines) - 1, states
        assert get(deck.port, "/readyz")[0] == 200
