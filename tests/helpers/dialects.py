"""How each answer of each engine is decoded, with samples of it: for tests that damage the samples."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from core import errors
from core.model.events import Event
from core.model.refs import EngineRef, Kind, Ref
from runtimes.compose import services
from runtimes.containerd import decode as containerd
from runtimes.containerd import decode_events, json_models
from runtimes.containerd import decode_info as containerd_info
from runtimes.cri import decode as cri_decode
from runtimes.cri import decode_info as cri_info
from runtimes.cri import derive_events, log_lines
from runtimes.cri import disk_use as cri_disk_use
from runtimes.docker import decode as docker
from runtimes.docker import disk_use as docker_disk_use
from runtimes.docker import info, pull_progress
from runtimes.docker import json_models as docker_models
from runtimes.docker_like import decode as docker_like
from runtimes.formats import exec_output_decoder, json_decoder, log_decoder
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.oci import decode as oci
from runtimes.oci import decode_errors
from runtimes.podman import decode as podman
from runtimes.podman import disk_use as podman_disk_use
from runtimes.podman import log_frame_joiner
from runtimes.podman import stats as podman_stats
from runtimes.proto import containerd_containers_pb2, containerd_task_types_pb2, containerd_types_pb2, cri_pb2
from runtimes.swarm import decode as swarm
from runtimes.swarm import json_models as swarm_models
from runtimes.swarm import service_summary, snapshot_diff
from runtimes.swarm.state import build_state
from runtimes.systemd import systemctl_parse
from runtimes.transport import http_parser
from runtimes.transport.grpc_channel import GrpcChannel
from tests.helpers import disk_use_answers
from tests.helpers import sample_answers as samples

ENGINE = EngineRef(host="h", kind="docker")
REF = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="a" * 64, name="web")
NOW = samples.NOW


class Dialect(NamedTuple):
    samples: Sequence[bytes]
    decode: Callable[[bytes], Any]


def skipped() -> SkippedDataCounter:
    return SkippedDataCounter(lambda: "an engine")


# ── messages of protobuf ─────────────────────────────────────────────────────────────────────────────────────────────


def read_message(shape: Any, data: bytes) -> Any:
    """As the channel reads it: damaged messages are repaired first."""
    channel = GrpcChannel("unix:///run/x.sock", engine="an engine")
    return asyncio.run(channel._decode(shape, data))


def decode_envelope(data: bytes) -> Any:
    decoder = decode_events.EventDecoder(containerd.ContainerDecoder(ENGINE, skipped()))
    one = read_message(containerd_types_pb2.Envelope, data)
    return [decoder.is_relevant(one), decoder.unknown_container(one), decoder.decode(one), decoder.decode(one)]


def decode_containers(data: bytes) -> Any:
    decoder = containerd.ContainerDecoder(ENGINE, skipped())
    found = read_message(containerd_containers_pb2.ListContainersResponse, data).containers
    task = containerd_task_types_pb2.Process(id="web", pid=3, status=containerd_task_types_pb2.Status.RUNNING)
    documents = [containerd_info.container_document("default", one, task) for one in found]
    return [decoder.row("default", one, task, NOW) for one in found], documents


def decode_task(data: bytes) -> Any:
    task = read_message(containerd_task_types_pb2.Process, data)
    one = containerd_containers_pb2.Container(id="web")
    return containerd.ContainerDecoder(ENGINE).row("default", one, task, NOW), containerd_info.container_document(
        "d", one, task
    )


def decode_cri_status(data: bytes) -> Any:
    status = read_message(cri_pb2.ContainerStatus, data)
    record = cri_decode.decode_container_record(status, status, None)
    name = cri_decode.container_names([record])[record.id]
    row = cri_decode.container_row(ENGINE, record, name, NOW)
    events = list(derive_events.derive_change_events(None, record, row.ref, int(NOW * 1e9)))
    return row, events, cri_info.make_masked_document(status, {"a": "{", "b": '{"password": "x"}'})


def decode_cri_pods(data: bytes) -> Any:
    pods = read_message(cri_pb2.ListPodSandboxResponse, data).items
    names = cri_decode.pod_names(pods)
    events = derive_events.pod_change_events(ENGINE, {}, {pod.id: pod for pod in pods}, int(NOW * 1e9))
    return [cri_decode.pod_row(ENGINE, pod, names[pod.id], (), "") for pod in pods], events


# ── JSON and text ────────────────────────────────────────────────────────────────────────────────────────────────────


def decode_docker_list(data: bytes) -> Any:
    decoder = docker.Decoder(ENGINE, skipped())
    rows = decoder.containers(data)
    return rows, services.group_compose_services(ENGINE, rows), services.worker_services(ENGINE, rows)


def decode_info(data: bytes) -> Any:
    found = json_decoder.decode_json(docker_models.Info, data, skipped())
    document = json_decoder.decode_json_object(data)
    return found.identity(), info.notes(document), info.rootless(document), info.runtime(document, document)


def decode_docker_stats(data: bytes) -> Any:
    found = json_decoder.decode_json(docker_models.Stats, data, skipped())
    return found.ended, docker.usage(REF, found, 1.0, 5)


def decode_progress(data: bytes) -> Any:
    progress = pull_progress.PullProgress(skipped())
    progress.feed(data)
    progress.finish()
    return progress.summary(), progress.error, progress.digest


def decode_podman_events(data: bytes) -> Any:
    try:
        return podman.Decoder(ENGINE, skipped(), has_health=True).events(data, replay_before=5)
    except errors.Rejected as error:  # a line with a cause: the engine refused the request
        return error.text


def decode_services(data: bytes) -> Any:
    rows = json_decoder.decode_rows(swarm_models.Service, data, skipped())
    tasks = json_decoder.decode_rows(swarm_models.Task, samples.TASKS[0])
    found = [swarm.service(ENGINE, row, tasks) for row in rows]
    parts = json_decoder.decode_rows(swarm_models.StackPart, data)
    return found, swarm.stacks(found, {"networks": parts}), compare(services=rows)


def decode_service_document(data: bytes) -> Any:
    with json_decoder.reading("The service"):
        return service_summary.make_summary_fields(json_decoder.decode_rows(dict[str, Any], data)[0])


def decode_tasks(data: bytes) -> Any:
    rows = json_decoder.decode_rows(swarm_models.Task, data, skipped())
    failing = swarm.failing(REF, rows, must_run=True)
    return (
        [swarm.task(ENGINE, row, None, "m1", skipped()) for row in rows],
        swarm.why(rows, failing),
        compare(tasks=rows),
    )


def decode_nodes(data: bytes) -> Any:
    rows = json_decoder.decode_rows(swarm_models.Node, data, skipped())
    return [swarm.node(ENGINE, row, 1) for row in rows], compare(nodes=rows)


def compare(**parts: Any) -> list[Event]:
    """The events between an empty snapshot of a Swarm and this one, and those of this one alone."""
    before, after = snapshot_diff.Snapshot(), snapshot_diff.Snapshot(**parts)
    _, found = snapshot_diff.step(ENGINE, snapshot_diff.baseline(before), after, 100.0)
    build_state(ENGINE, after, NOW)
    return [*found, *snapshot_diff.replays(ENGINE, after, 0)]


def decode_runc(data: bytes) -> Any:
    return decode_oci(oci.decode_runc_state(data))


def decode_crun(data: bytes) -> Any:
    return decode_oci(oci.decode_crun_status(data, "/cg", True))


def decode_spec(data: bytes) -> Any:
    return decode_oci(oci.with_spec(oci.decode_runc_state(samples.RUNC[0]), data))


def decode_oci(state: oci.DecodedState) -> Any:
    owners = oci.owners("/run/runc", state)
    return (
        owners,
        oci.container_row(REF, state, "running", started=5, ended=None, oom=False),
        oci.display_name(state.bundle),
    )


def decode_log(data: bytes) -> Any:
    whole, joined, joiner = log_decoder.LogDecoder(5), log_decoder.LogDecoder(5), log_frame_joiner.LogFrameJoiner()
    for at in range(0, len(data), 7):
        whole.feed(data[at : at + 7])
        joined.feed(joiner.feed(data[at : at + 7]))
    whole.finish()
    joined.finish()
    return list(whole.lines), list(joined.lines), whole.newest


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def decode_exec(data: bytes) -> Any:
    output = exec_output_decoder.ExecOutputDecoder()
    output.feed(data)
    return output.text(exec_output_decoder.STDOUT), output.text(exec_output_decoder.STDERR), output.dropped


def decode_cri_log(data: bytes) -> Any:
    parser = log_lines.LineParser(5, since_ns=1)
    parser.feed(data)
    parser.finish()
    return parser.take()


def decode_http(data: bytes) -> Any:
    parser = http_parser.ResponseParser()
    body = b"".join(parser.feed(data[at : at + 9]) for at in range(0, len(data), 9))
    return body, parser.status, parser.headers, parser.finish()


DIALECTS: dict[str, Dialect] = {
    "docker containers": Dialect(samples.DOCKER_LIST, decode_docker_list),
    "docker inspection": Dialect(
        samples.inspections("compose-*"), lambda data: docker.Decoder(ENGINE, skipped()).container(data)
    ),
    "docker events": Dialect(
        samples.captured("docker-20.10.events.jsonl", "docker-26.1.events.jsonl"),
        lambda data: docker.Decoder(ENGINE, skipped()).events(data, replay_before=5),
    ),
    "docker event stream": Dialect(
        samples.captured("docker-20.10.events.jsonl", "docker-26.1.events.jsonl"),
        lambda data: docker.Decoder(ENGINE, skipped()).events(data, replay_before=5, fold=True),
    ),
    "docker info": Dialect([*samples.exchanged("GET /info"), *samples.exchanged("GET /version")], decode_info),
    "docker networks": Dialect(
        samples.exchanged("GET /networks"), lambda data: docker.networks(ENGINE, data, skipped())
    ),
    "docker volumes": Dialect(samples.exchanged("GET /volumes"), lambda data: docker.volumes(ENGINE, data, skipped())),
    "docker images": Dialect(
        samples.exchanged("GET /images/json"),
        lambda data: asyncio.run(docker_like.images(ENGINE, data, skipped())),
    ),
    "docker statistics": Dialect(samples.STATS, decode_docker_stats),
    "docker disk use": Dialect(
        disk_use_answers.DOCKER,
        lambda data: docker_disk_use.decode(json_decoder.decode_json(docker_disk_use.Report, data, skipped())),
    ),
    "docker progress": Dialect(samples.exchanged("POST /images/"), decode_progress),
    "docker api version": Dialect([b"1.41", b"1.24"], lambda data: docker.api_version(data.decode("latin-1"))),
    "podman containers": Dialect(
        samples.PODMAN_LIST, lambda data: podman.Decoder(ENGINE, skipped()).containers(data, samples.NOW)
    ),
    "podman inspection": Dialect(
        samples.inspections("podman-4.3-[ersw]*"), lambda data: podman.Decoder(ENGINE, skipped()).container(data)
    ),
    "podman events": Dialect(
        samples.captured(*(f"podman-{one}.events.jsonl" for one in ("4.3.libpod", "5.4.libpod", "5.4.compat"))),
        decode_podman_events,
    ),
    "podman event file": Dialect(
        samples.PODMAN_FILE, lambda data: podman.Decoder(ENGINE, skipped()).file_events(data, replay_before=5)
    ),
    "podman statistics": Dialect(
        samples.PODMAN_STATS, lambda data: podman_stats.CpuPercentMeter().read(data, {REF.id: REF}, host_memory=5)
    ),
    "podman disk use": Dialect(
        disk_use_answers.PODMAN,
        lambda data: podman_disk_use.decode(json_decoder.decode_json(podman_disk_use.Report, data, skipped())),
    ),
    "swarm events": Dialect(
        samples.captured("swarm-manager.events.jsonl"),
        lambda data: swarm.decode_events(ENGINE, data, skipped(), replay_before=5),
    ),
    "swarm services": Dialect(samples.SERVICES, decode_services),
    "swarm service": Dialect(samples.SERVICES, decode_service_document),
    "swarm tasks": Dialect(samples.TASKS, decode_tasks),
    "swarm nodes": Dialect(samples.NODES, decode_nodes),
    "containerd events": Dialect(samples.envelopes(), decode_envelope),
    "containerd containers": Dialect(samples.containers(), decode_containers),
    "containerd task": Dialect(samples.tasks(), decode_task),
    "containerd ports": Dialect(
        samples.encoded([{"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": "0.0.0.0"}]),
        lambda data: json_models.published_ports(data.decode("latin-1")),
    ),
    "cri container": Dialect(samples.messages("ContainerStatus"), decode_cri_status),
    "cri pods": Dialect(samples.messages("ListPodSandboxResponse"), decode_cri_pods),
    "cri file systems": Dialect(
        [disk_use_answers.file_systems({"/images": 5}, {"/containers": 6}).SerializeToString()],
        lambda data: cri_disk_use.decode(read_message(cri_pb2.ImageFsInfoResponse, data)),
    ),
    "cri log": Dialect(samples.CRI_LOG, decode_cri_log),
    "runc state": Dialect(samples.RUNC, decode_runc),
    "crun status": Dialect(samples.CRUN, decode_crun),
    "oci specification": Dialect(samples.SPEC, decode_spec),
    "oci errors": Dialect(
        samples.CRUN_ERRORS,
        lambda data: (decode_errors.error_reason(_text(data)), decode_errors.exec_error(_text(data))),
    ),
    "systemd units": Dialect(samples.UNITS, lambda data: systemctl_parse.parse_services(_text(data))),
    "log frames": Dialect(samples.FRAMES, decode_log),
    "exec output": Dialect(samples.FRAMES, decode_exec),
    "http": Dialect(samples.RESPONSES, decode_http),
}
