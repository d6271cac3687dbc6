"""The state of a Swarm for monitoring, from recorded answers."""

from __future__ import annotations

import msgspec

from core.model.refs import EngineRef
from core.model.swarm_status import NodeState, ServiceState
from runtimes.formats import json_decoder
from runtimes.swarm import json_models
from runtimes.swarm.snapshot_diff import Snapshot
from runtimes.swarm.state import build_state
from tests.helpers import sample_answers as samples

ENGINE = EngineRef(host="c", kind="swarm")


def snapshot(state: str = "running", desired: str = "running") -> Snapshot:
    tasks = json_decoder.decode_rows(json_models.Task, samples.TASKS[0])
    for task in tasks:
        task.status.state, task.desired = state, desired
    return Snapshot(
        services=json_decoder.decode_rows(json_models.Service, samples.SERVICES[0]),
        nodes=json_decoder.decode_rows(json_models.Node, samples.NODES[0]),
        tasks=tasks,
    )


def test_services_have_their_replicas_and_their_update() -> None:
    (service,) = build_state(ENGINE, snapshot(), 5.0).services
    assert service == ServiceState("s1", "shop_web", "replicated", "shop", desired=3, running=1, update="paused")
    (service,) = build_state(ENGINE, snapshot("failed", "shutdown"), 5.0).services
    assert (service.desired, service.running) == (3, 0)


def test_nodes_have_the_engines_words() -> None:
    state = build_state(ENGINE, snapshot(), 5.0)
    assert state.nodes == (NodeState("n1", "m1", "manager", "down", "active", reachability="reachable", leader=True),)
    assert state.read_at == 5.0


def test_a_worker_has_no_reachability_and_a_manager_without_one_is_unknown() -> None:
    found = snapshot()
    (node,) = found.nodes
    worker, silent = (json_decoder.decode_rows(json_models.Node, samples.NODES[0])[0] for _ in range(2))
    worker.id, worker.manager = "n2", None
    silent.id = "n3"
    assert silent.manager is not None
    silent.manager.reachability = ""
    state = build_state(ENGINE, Snapshot(nodes=[node, worker, silent]), 5.0)
    assert [row.reachability for row in state.nodes] == ["reachable", "", "unknown"]


def test_a_job_and_a_global_service_have_the_tasks_that_should_run() -> None:
    found = snapshot()
    (service,) = found.services
    service.spec.mode = msgspec.convert({"Global": {}}, json_models._Mode)
    (row,) = build_state(ENGINE, found, 5.0).services
    assert (row.mode, row.desired, row.running) == ("global", 1, 1)
