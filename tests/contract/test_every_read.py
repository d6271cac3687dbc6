"""Every verb that only reads, once on every engine whose class has it: it answers, and its answer can be encoded."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from core import errors
from core.model import list_action_by_kind
from core.model.actions import Risk, TargetAction
from core.model.background_jobs import JobStarted, ReadJob, StopAnyJob
from core.model.container_reads import ReadProcesses
from core.model.inside_containers import CopyFile, ExportContainer
from core.model.refs import Kind
from core.model.registry_reads import FindOutdated, InspectRemoteImage, SearchImages
from core.model.removal_blockers import FindUsers
from core.model.verification import VerifyRuns
from runtimes import engine_registry
from tests.contract.grounds import FIELDS

FILES = (CopyFile, ExportContainer)
REGISTRIES = (FindOutdated, InspectRemoteImage, SearchImages)
# Verbs whose target is not a container.
KINDS = {"image": Kind.IMAGE, "network": Kind.NETWORK, "volume": Kind.VOLUME, "pod": Kind.POD}


def reads(name):
    """The actions that only read, of the engine of this field."""
    table = engine_registry.engine_class(FIELDS[name].kind)._table
    # What copies files, asks registries, verifies a change or finds users has tests of its own (test_container_files,
    # test_registry_reads, test_container_reads, test_prune).
    apart = (ReadJob, VerifyRuns, FindUsers, *FILES, *REGISTRIES)
    found = [action for action in table if action.risk is Risk.READ and action not in apart]
    return sorted(found, key=lambda action: action.verb)


@pytest.mark.parametrize("ground", FIELDS, indirect=True)
async def test_every_verb_that_reads_answers(ground, request):
    ground.daemon.run("up", "echo hello; exec sleep 3600")
    if ground.runtime.ref.kind in ("docker", "podman"):
        ground.daemon.network("qd-read", {})
        ground.daemon.volume("qd-read", {})
    (name,) = [name for name in FIELDS if f"[{name}]" in request.node.name]
    answered = set()
    for action in reads(name):
        fields = {field.name for field in dataclasses.fields(action)}
        given = {"target": await target(ground, action)} if "target" in fields else {}
        if "target" in fields and given["target"] is None:
            continue  # this engine has no pod now
        if action is ReadProcesses and type(ground.daemon).__name__ == "Crio":
            continue  # the stand-in has no processes
        try:
            value = await ground.do(action(engine=ground.runtime.ref, **given), 60)
        except (errors.UserError, errors.Unreachable) as error:
            # Units need systemd, which the tests do not have, and not every CRI engine reports how an image was built.
            assert action.verb.startswith("unit.") or "not report build steps" in error.message + error.hint, action
            continue
        assert msgspec.json.encode(value)
        if isinstance(value, JobStarted):
            await ground.do(StopAnyJob(engine=ground.runtime.ref, job=value.job))
        answered.add(action.verb)
    assert {"container.list", "container.inspect", "container.stats", "container.wait", "engine.list"} <= answered


async def target(ground, action):
    """A resource of the kind that the verb is about; None if the engine has none."""
    assert issubclass(action, TargetAction)
    kind = KINDS.get(action.verb.partition(".")[0], Kind.CONTAINER)
    if kind is Kind.CONTAINER:
        return await ground.ref("up")
    rows = (await ground.do(list_action_by_kind.LISTS[kind](engine=ground.runtime.ref))).rows
    return rows[0].ref if rows else None
