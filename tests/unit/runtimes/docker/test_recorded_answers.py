"""Docker's words for images, networks, volumes, use, progress and itself, as recorded from five daemons: 20.10, and
26.1 and 28.5 with each of their two image stores."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from core.model import actions, images
from core.model.refs import EngineRef, Kind, Ref
from runtimes.base.base_adapter import BaseAdapter, does
from runtimes.docker import decode, engine, info, json_models
from runtimes.docker.pull_progress import PullProgress
from runtimes.docker_like import decode as shared
from runtimes.formats import image_reference, pull_push_errors
from runtimes.formats.exec_output_decoder import STDERR, STDOUT, ExecOutputDecoder
from tests.helpers.paths import CAPTURES

DAEMONS = (
    "docker-20.10",
    "docker-26.1",
    "docker-26.1.containerd-store",
    "docker-28.5",
    "docker-28.5.containerd-store",
)
ENGINE = EngineRef(host="host7", kind="docker")
LOG_IN = "Log in with docker login r{1}.example"


def exchanges(daemon: str, begins: str) -> list[dict[str, object]]:
    lines = (CAPTURES / f"{daemon}.exchanges.jsonl").read_text().splitlines()
    return [one for one in map(json.loads, lines) if one["ask"].startswith(begins)]


def body(daemon: str, begins: str, number: int = 0) -> bytes:
    return str(exchanges(daemon, begins)[number]["body"]).encode()


def progress(data: bytes, size: int = 1 << 20) -> PullProgress:
    made = PullProgress()
    for at in range(0, len(data), size):
        made.feed(data[at : at + size])
    made.finish()
    return made


each = pytest.mark.parametrize("daemon", DAEMONS)


@each
async def test_images_are_told_alike(daemon):
    rows = await shared.images(ENGINE, body(daemon, "GET /images/json"))
    row = next(row for row in rows if "127.0.0.1:5000/busybox:1" in row.tags)
    assert (row.ref.kind, row.ref.name, row.ref.engine) == (Kind.IMAGE, "127.0.0.1:5000/busybox:1", ENGINE)
    assert row.ref.id.startswith("sha256:")
    assert row.digests[0].startswith("127.0.0.1:5000/busybox@sha256:")
    # From API 1.51 on, the daemon counts the containers of an image.
    counted = 0 if daemon.startswith("docker-28") else None
    assert (row.created_at, row.labels, row.containers) == (1704164645.0, {"made": "here"}, counted)
    assert row.size > 3_000_000


@each
async def test_fields_that_newer_daemons_leave_out_or_add_are_not_missed(daemon):
    rows = json.loads(body(daemon, "GET /images/json"))
    for row in rows:
        for field in (
            "ParentId",
            "VirtualSize",
            "SharedSize",
            "Containers",
            "Labels",
            "RepoDigests",
            "RepoTags",
            "Size",
        ):
            row.pop(field, None)
        row["Manifests"] = [{"new": "field"}]
    told = await shared.images(ENGINE, json.dumps(rows).encode())
    assert len(told) == len(rows)
    assert told[0].tags == () and len(told[0].ref.name) == 12


async def test_an_image_without_a_name_goes_by_its_short_id():
    row = {
        "Id": "sha256:" + "a1" * 32,
        "RepoTags": ["<none>:<none>"],
        "RepoDigests": ["<none>@<none>"],
        "Containers": 3,
    }
    (told,) = await shared.images(ENGINE, json.dumps([row]).encode())
    assert (told.ref.name, told.tags, told.digests, told.containers) == ("a1a1a1a1a1a1", (), (), 3)
    assert await shared.images(ENGINE, b'[{"Id": 7}]') == ()


@each
def test_networks_and_volumes_are_told_alike(daemon):
    rows = {row.ref.name: row for row in decode.networks(ENGINE, body(daemon, "GET /networks"))}
    side = rows["side"]
    assert (side.driver, side.scope, side.subnets, side.internal) == ("bridge", "local", ("10.99.77.0/24",), True)
    assert side.labels == {"a": "b"}
    assert rows["none"].subnets == ()
    (volume,) = decode.volumes(ENGINE, body(daemon, "GET /volumes"))
    assert (volume.ref.id, volume.driver, volume.labels) == ("v1", "local", {"a": "b"})
    assert volume.place == "/var/lib/docker/volumes/v1/_data"
    assert volume.created_at > 1_700_000_000
    assert decode.volumes(ENGINE, b'{"Volumes":null}') == ()
    (odd,) = decode.volumes(ENGINE, b'{"Volumes":[{"Name":"x","CreatedAt":"yesterday"}]}')
    assert odd.created_at == 0.0


@each
def test_use_is_told_alike_and_an_ended_container_is_seen(daemon):
    running, ended = (
        msgspec.json.decode(one["body"], type=json_models.Stats)
        for one in exchanges(daemon, "GET /containers/")
        if "/stats" in str(one["ask"])
    )
    machine = json.loads(body(daemon, "GET /info"))["MemTotal"]
    row = decode.usage(Ref(engine=ENGINE, kind=Kind.CONTAINER, id="x", name="it"), running, 1.5, machine)
    assert (row.cpu_percent, row.memory_limit, row.processes) == (1.5, None, 2)
    assert row.cpu_seconds > 0 and row.memory > 0
    assert (row.network_received, row.network_sent) == (None, None)
    assert not running.ended and ended.ended


def test_use_on_version_2_of_cgroups():
    data = {
        "memory_stats": {"usage": 100, "stats": {"inactive_file": 30}, "limit": 5000},
        "cpu_stats": {"cpu_usage": {"total_usage": 2_000_000_000}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "read", "value": 5}, {"op": "write", "value": 6}]},
        "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}},
    }
    stats = msgspec.convert(data, json_models.Stats)
    ref = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="x", name="it")
    row = decode.usage(ref, stats, None, 5000)
    assert (row.memory, row.memory_limit, row.cpu_seconds, row.processes) == (70, None, 2.0, None)
    assert (row.network_received, row.network_sent, row.block_read, row.block_written) == (11, 22, 5, 6)
    assert decode.usage(ref, stats, None, 9999).memory_limit == 5000


# ── progress ─────────────────────────────────────────────────────────────────────────────────────────────────────


@each
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_pull_is_followed_to_its_digest(daemon, size):
    told = progress(body(daemon, "POST /images/create", 0), size)
    assert (told.error, told.up_to_date) == ("", False)
    assert told.digest.startswith("sha256:") and len(told.digest) == 71
    assert told.summary().startswith("2 of 2 layers")
    again = progress(body(daemon, "POST /images/create", 1), size)
    assert (again.error, again.up_to_date, again.digest, again.summary()) == ("", True, told.digest, "")


def test_a_pull_tells_how_far_it_is():
    lines = body("docker-26.1", "POST /images/create").splitlines(keepends=True)
    told, said = PullProgress(), []
    for line in lines:
        told.feed(line)
        if told.summary() not in said:
            said.append(told.summary())
    assert said[0] == ""
    assert said[1] == "0 of 1 layer"
    assert any(one.startswith("0 of 2 layers, 0.0 of ") for one in said)
    assert said[-1] == "2 of 2 layers, 4.1 of 4.1 MB"


@each
def test_a_push_is_followed_to_its_digest_or_its_failure(daemon):
    told = progress(body(daemon, "POST /images/127.0.0.1:5000/other/push?tag=2"))
    assert told.error == "" and told.digest.startswith("sha256:") and told.summary() == "2 of 2 layers"
    told = progress(body(daemon, "POST /images/127.0.0.1:5000/other/push?tag=nope"))
    assert told.error == "tag does not exist: 127.0.0.1:5000/other:nope"
    told = progress(body(daemon, "POST /images/127.0.0.1:5001/other/push"))
    assert told.error.endswith("no basic auth credentials") and told.summary() == "0 of 2 layers"


def test_steps_we_do_not_know_change_nothing():
    told = progress(
        b'{"status":"Quantum folding","id":"abc","progressDetail":{"current":1,"total":2}}\n{"new":1}\n\n{}'
    )
    assert (told.summary(), told.error, told.digest) == ("", "", "")
    told = progress(b'{"status":"Downloading","id":"abc","progressDetail":{"current":9,"total":-1}}\n')
    assert told.summary() == "0 of 1 layer"
    assert progress(b'{"errorDetail":{},"error":"bad"}').error == "bad"


@pytest.mark.parametrize("bad", [b"<html>", b"[1]", b'{"status":7}', b"x" * (1 << 21), b'{"id":"\xff","status":{}}'])
def test_a_line_of_progress_that_cannot_be_decoded_hides_no_other(bad):
    told = progress(bad + b'\n{"status":"Waiting","id":"abc"}\n', 4096)
    assert told.summary() == "0 of 1 layer"


def test_layers_are_bounded():
    told = progress(b"".join(b'{"status":"Waiting","id":"%d"}\n' % number for number in range(5000)))
    assert told.summary() == "0 of 2000 layers"


# ── what it tells of itself ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("daemon", "runtime"), [("docker-20.10", "runc 1.1.5"), ("docker-26.1", "runc 1.1.5")])
def test_the_runtime_is_named_with_its_version(daemon, runtime):
    answer, version = json.loads(body(daemon, "GET /info")), json.loads(body(daemon, "GET /version"))
    assert info.runtime(answer, version) == runtime
    assert info.runtime({"DefaultRuntime": "crun"}, version) == "crun"
    assert info.runtime({}, {"Components": ["odd", {"Name": ""}]}) == ""


def test_notes_tell_what_should_be_known():
    notes = info.notes
    assert notes({}) == () == notes({"Warnings": None, "Swarm": {"LocalNodeState": "inactive"}})
    assert notes({"LiveRestoreEnabled": True, "Warnings": ["WARNING: No swap limit support"]}) == (
        "Its containers continue while the daemon restarts (live-restore).",
        "No swap limit support",
    )
    assert "unlocks" in notes({"Swarm": {"LocalNodeState": "locked"}})[0]
    assert notes({"Swarm": {"LocalNodeState": "error", "Error": "no quorum"}})[1].endswith("no quorum")
    assert notes({"Swarm": {"LocalNodeState": "active"}}) == ("It is a worker of a Swarm.",)
    manager = {"LocalNodeState": "active", "ControlAvailable": True, "Nodes": 3, "Managers": 1}
    assert notes({"Swarm": manager}) == ("It is a manager of a Swarm of 3 nodes, 1 of them managing.",)
    assert info.rootless({"SecurityOptions": ["name=seccomp", "name=rootless"]})
    assert not info.rootless({"SecurityOptions": None})


# ── exec ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def frame(stream: int, data: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


@given(st.lists(st.tuples(st.sampled_from((STDOUT, STDERR)), st.binary(max_size=40)), max_size=12), st.integers(1, 50))
def test_streams_come_apart_however_they_are_cut(frames, size):
    data, keep = b"".join(frame(*one) for one in frames), 60
    streams = ExecOutputDecoder(keep)
    for at in range(0, len(data), size):
        streams.feed(data[at : at + size])
    whole = {stream: b"".join(part for one, part in frames if one == stream) for stream in (STDOUT, STDERR)}
    for stream, text in whole.items():
        assert streams.text(stream) == text[:keep].decode("utf-8", "replace")
    assert streams.dropped == sum(max(0, len(text) - keep) for text in whole.values())


# ── names of images ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "registry", "repository", "version"),
    [
        ("nginx", "", "nginx", "latest"),
        ("nginx:1.27", "", "nginx", "1.27"),
        ("library/nginx", "", "library/nginx", "latest"),
        ("localhost/busybox:1", "localhost", "localhost/busybox", "1"),
        ("127.0.0.1:5000/a/b_c/d-e:V1.0", "127.0.0.1:5000", "127.0.0.1:5000/a/b_c/d-e", "V1.0"),
        ("reg.example.com/x", "reg.example.com", "reg.example.com/x", "latest"),
        ("host:5000/x", "host:5000", "host:5000/x", "latest"),
        ("[::1]:5000/x:2", "[::1]:5000", "[::1]:5000/x", "2"),
        ("x@sha256:" + "0" * 64, "", "x", "sha256:" + "0" * 64),
        ("x:1@sha256:" + "0" * 64, "", "x", "sha256:" + "0" * 64),
    ],
)
def test_names_are_taken_apart(text, registry, repository, version):
    found = image_reference.parse_image_reference(text)
    assert (found.registry, found.repository, found.tag_or_digest) == (registry, repository, version)
    assert image_reference.parse_image_reference(str(found)) == found


@given(st.text(max_size=60))
def test_whatever_is_let_through_can_stand_in_an_address(text):
    try:
        found = image_reference.parse_image_reference(text)
    except errors.BadUsage:
        return
    assert str(found).isascii() and str(found).isprintable()
    assert not set(str(found)) & set(" ?#&%\\\"'`$;<>|") and ".." not in found.repository.split("/")


# ── the table of parts ───────────────────────────────────────────────────────────────────────────────────────────


def test_an_adapter_of_parts_has_the_verbs_of_all_and_its_own_stand_before():
    class Left(BaseAdapter):
        @does(actions.Start)
        async def start(self, action, seconds):
            return "left"

        @does(actions.Stop)
        async def stop(self, action, seconds): ...

    class Right(BaseAdapter):
        @does(images.ListImages)
        async def list_images(self, action, seconds): ...

        @does(actions.Start)
        async def begin(self, action, seconds): ...

    class Whole(Left, Right):
        @does(actions.Stop)
        async def end(self, action, seconds): ...

    assert Whole(ENGINE).verbs == {"container.start", "container.stop", "image.list"}
    assert Whole._table[actions.Stop] == "end"
    assert Whole._table[actions.Start] == "start"  # as Python finds methods: the first part named wins
    assert Right(ENGINE).verbs == {"image.list", "container.start"}
    assert {"image.pull", "volume.list", "container.exec", "container.stats", "engine.info", "service.scale"} <= {
        action.verb for action in engine.Docker._table
    }


# ── what only a newer one shows ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("daemon", ["docker-28.5", "docker-28.5.containerd-store"])
def test_a_container_of_docker_28_is_read(daemon):
    decoder = decode.Decoder(ENGINE)
    (listed,) = decoder.containers(body(daemon, "GET /containers/json"))
    inspected = decoder.container(body(daemon, f"GET /containers/{listed.ref.id}/json"))
    assert (listed.ref.name, listed.state, listed.image) == ("it", "running", "localhost/busybox:1")
    assert (inspected.ref, inspected.state, inspected.exit_code) == (listed.ref, "exited", 137)


@pytest.mark.parametrize("daemon", ["docker-28.5", "docker-28.5.containerd-store"])
def test_a_pull_from_docker_28_fails_in_the_registrys_words(daemon):
    told = [
        pull_push_errors.make_pull_push_error(
            name, json.loads(str(exchange["body"]))["message"], login=LOG_IN
        ).full_message()
        for exchange, name in zip(
            exchanges(daemon, "POST /images/create")[2:],
            ("127.0.0.1:5001/busybox:1", "127.0.0.1:5000/nope:1", "127.0.0.1:1/nope:1"),
            strict=True,
        )
    ]
    assert [text.partition(". ")[2] for text in told] == [
        LOG_IN,
        "Check the spelling of the tag."
        if daemon == "docker-28.5"
        else "Check the spelling of the image and of its registry. A registry reports a private image as missing, too.",
        "Check that the engine's host can reach the registry, and try again.",
    ]
    assert "nope:1" not in told[1] and "busybox:1" not in told[0]
