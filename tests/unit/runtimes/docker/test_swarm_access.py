"""Tests what is said of a new Swarm whose daemon does not answer after it was made."""

from __future__ import annotations

import json

from core.model.replies import Status
from core.model.swarm import InitSwarm
from tests.helpers.prepared_daemon import PreparedDaemon

INFO = {"ID": "d1", "Name": "host7"}


async def test_a_swarm_that_was_made_is_done_although_its_id_is_not_known(daemon: PreparedDaemon) -> None:
    daemon.answers["/swarm/init"] = (200, b'"node1"')
    local = {"ControlAvailable": True, "Cluster": {"ID": "cluster1"}}
    daemon.answers["/info"] = (200, json.dumps({**INFO, "Swarm": local}).encode())
    outcome = await daemon.do(InitSwarm(engine=daemon.engine.ref))
    assert (outcome.status, outcome.detail) == (Status.DONE, "Swarm cluster1")
    daemon.refuse("/info", 500, "the daemon is busy")
    outcome = await daemon.do(InitSwarm(engine=daemon.engine.ref))
    assert outcome.status == Status.DONE and "its id is not known yet: the daemon is busy" in outcome.detail
