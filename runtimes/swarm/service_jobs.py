"""Creates and updates Swarm services, as jobs that wait for the tasks.

Before the request, everything that it names is checked: networks, volumes, and its access to the hosts. The image is
pinned to its digest, so that all nodes run the same one. If the Swarm's answer to a creation is lost, the service is
searched by its label `quarterdeck.request`. If it is not found, the outcome is UNKNOWN and names the label. A service
whose tasks do not run stays as it is, and the outcome explains how to remove it.
"""

from __future__ import annotations

import asyncio
import time
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from core import errors
from core.model import image_names
from core.model.create_container import REQUEST_LABEL
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.model.results import Outcome
from core.model.service_actions import CreateService, UpdateService
from runtimes.base.jobs import Job
from runtimes.base.multi_request_change import NO_ANSWER
from runtimes.formats import json_decoder
from runtimes.swarm import decode, rollouts, secrets_and_configs, service_host_access, service_specs, spec_conflicts
from runtimes.swarm.killed_tasks import KilledTasks
from runtimes.swarm.rollouts import Rollout
from runtimes.swarm.service_host_access import KnownNetworks
from runtimes.swarm.service_updates import SendRequest, ServiceUpdater, pinned_image

CREATE_SECONDS, FIND_SECONDS = 30.0, 5.0
NOT_WAITED = "its tasks are not waited for"


class _Made(msgspec.Struct):
    id: str = msgspec.field(name="ID", default="")
    warnings: list[str] | None = msgspec.field(name="Warnings", default=None)


class _Listed(msgspec.Struct):
    id: str = msgspec.field(name="ID", default="")


async def create_service(
    send: SendRequest, action: CreateService, label: str, networks: KnownNetworks, job: Job
) -> Outcome:
    """Creates a service and waits for its tasks. `label`: the value of its request label."""
    began = time.monotonic()
    job.progress("checking the request")
    try:
        await service_host_access.check_create(send, action, networks)
        image = await pinned_image(send, image_names.with_default_tag(action.image))
    except NO_ANSWER as error:
        raise error.with_sent(False) from error
    await asyncio.to_thread(service_specs.load_docker_package)
    body = service_specs.new_spec(action, image, {REQUEST_LABEL: label})
    job.progress("creating the service")
    try:
        made = await _create(send, action, body, label)
    except asyncio.CancelledError:
        job.end(Outcome(status=Status.UNKNOWN, detail=f"was stopped. {_look_for(action, label)}"))
        raise
    name = action.name or await _name(send, made.id)
    target = Ref(engine=action.engine, kind=Kind.SERVICE, id=made.id, name=name)
    more = "".join(
        [f"; {made.id[:12]}", *(f"; {text.strip()[:200]}" for text in (made.warnings or ())[:3]), image.note]
    )
    if not action.wait:
        return rollouts.ended(began, Status.DONE, f"{NOT_WAITED}{more}")
    rollout = Rollout(
        target=target,
        tasks_before=(),
        ends=began + action.timeout,
        seconds=action.timeout,
        request=f"the service {name} was created",
        undo=f"The service exists, and the Swarm goes on trying; to end that: service rm {name}",
    )
    status, detail = await rollouts.wait_for_update(ServiceUpdater(send, target), rollout, job, back=False)
    return rollouts.ended(began, status, f"{detail}{more}")


async def update(send: SendRequest, action: UpdateService, networks: KnownNetworks, job: Job) -> Outcome:
    """Updates a service and waits for its tasks."""
    began, service, target = time.monotonic(), ServiceUpdater(send, action.target), action.target
    wanted = image_names.with_default_tag(action.settings.image) if action.settings.image else ""
    image = await pinned_image(send, wanted) if wanted else None
    note = image.note if image is not None else ""
    await asyncio.to_thread(service_specs.load_docker_package)
    before, grace = await service.tasks(), 0.0
    was = ""

    async def change(raw: dict[str, Any]) -> dict[str, Any] | None:
        nonlocal was, grace
        grace = decode.stop_grace(raw)
        spec: dict[str, Any] = raw["Spec"]
        _check_kind(action, raw)
        _check_number(action, raw)
        _check_values(action, spec)
        was = _image(spec)
        known = await networks.find(send, service_host_access.networks_of(spec))
        changed = service_specs.changed_spec(action, spec, image, {key: one.name for key, one in known.items()})
        await check_reach(send, action, spec, changed, networks)
        return changed if spec_conflicts.find_changed_settings(spec, changed) else None

    job.progress("changing the service")
    if not await service.update(change, image=wanted):
        return rollouts.ended(began, Status.NOOP, f"is set to that already{note}")
    if not action.wait:
        return rollouts.ended(began, Status.DONE, f"{NOT_WAITED}{service.note}{note}")
    killed = KilledTasks(target, before, grace)
    rollout = Rollout(
        target=target,
        tasks_before={task.id for task in before},
        ends=began + action.timeout,
        seconds=action.timeout,
        request=f"{action.settings.image or 'a change'} was asked for",
        undo=f"The Swarm goes on trying; to go back: service rollback {target.name}",
        killed=killed,
    )
    status, detail = await rollouts.wait_for_update(service, rollout, job, back=False)
    head = f"from {was.partition('@')[0]} to {action.settings.image}; " if wanted and detail else ""
    return rollouts.ended(began, status, f"{head}{detail}{service.note}{note}", killed)


async def check_reach(
    send: SendRequest,
    action: UpdateService,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    networks: KnownNetworks,
) -> None:
    """Raises NotPermitted if the tasks would take something from their hosts that the action does not declare."""
    found = await service_host_access.reaches_of_spec(send, after, networks)
    if not action.changes_program:
        had = await service_host_access.reaches_of_spec(send, before, networks)
        found = tuple(reach for reach in found if reach not in had)
    service_host_access.check_declared(action.target.name, found, action.declared_reaches())


def roll_back_check(
    send: SendRequest, target: Ref, declared: tuple[str, ...], networks: KnownNetworks
) -> Callable[[Mapping[str, Any]], Awaitable[None]]:
    """Returns a function that raises NotPermitted if the earlier version of a service takes more from its hosts than
    the present one and `declared`."""

    async def check(raw: Mapping[str, Any]) -> None:
        now = await service_host_access.reaches_of_spec(send, raw["Spec"], networks)
        then = await service_host_access.reaches_of_spec(send, raw["PreviousSpec"], networks)
        service_host_access.check_declared(target.name, then, (*now, *declared))

    return check


def _check_kind(action: UpdateService, raw: Mapping[str, Any]) -> None:
    """Raises UserError for what this kind of service does not have."""
    if (raw["Spec"].get("TaskTemplate") or {}).get("ContainerSpec") is None:
        raise errors.UserError(
            f"{action.target.name} runs no containers: it is a service of a plugin or of a network attachment.",
            hint="Choose a service that runs containers. List services with: services",
        )
    if action.replicas is not None:
        decode.replicas(action.target, raw)


def _check_number(action: UpdateService, raw: Mapping[str, Any]) -> None:
    """Raises Expired if tasks would end although nobody was asked, because the service was scaled up meanwhile."""
    if action.replicas is None or action.effects is None or action.destroys():
        return
    was = decode.replicas(action.target, raw)
    if was > action.replicas:
        text = (
            f"{action.target.name} has {was} replicas now, so a change to {action.replicas} would end tasks."
            " Nothing was done."
        )
        raise errors.Expired(text, hint="Give the command again.")


def _check_values(action: UpdateService, spec: Mapping[str, Any]) -> None:
    """Raises NotPermitted if another program could read a secret or config that the policy has not seen, because
    somebody gave it to the service meanwhile."""
    if action.effects is None or not action.changes_program:
        return
    seen = {ref.id for ref in action.values}
    unseen = [ref for ref in secrets_and_configs.values_of_spec(action.engine, spec) if ref.id not in seen]
    if unseen:
        raise errors.NotPermitted(
            f"Nothing was done: after you gave the command, somebody else added the {unseen[0].kind}"
            f" {unseen[0].name} to {action.target.name}, so the permission {unseen[0].kind}.use must be checked again.",
            rule=f"{unseen[0].kind}.use",
            hint="Give the command again.",
        )


def _image(spec: Mapping[str, Any]) -> str:
    return str(((spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Image") or "")


async def _create(send: SendRequest, action: CreateService, body: Mapping[str, Any], label: str) -> _Made:
    try:
        answer = await send("POST", "/services/create", CREATE_SECONDS, body=body, image=action.image)
        made = json_decoder.decode_json(_Made, answer.body)
    except NO_ANSWER as error:
        if not error.sent:
            raise
        if (found := await _find_created(send, label)) is None:
            raise errors.EngineError(error.message, sent=True, hint=_look_for(action, label)) from error
        return _Made(id=found, warnings=["the Swarm's answer was lost, and the service was found by its label"])
    if not made.id:
        raise errors.EngineError(
            "The Swarm did not return the id of the new service.", sent=True, hint=_look_for(action, label)
        )
    return made


async def _find_created(send: SendRequest, label: str) -> str | None:
    filters = urllib.parse.quote(msgspec.json.encode({"label": [f"{REQUEST_LABEL}={label}"]}).decode())
    try:
        answer = await send("GET", f"/services?filters={filters}", FIND_SECONDS)
        rows = await json_decoder.decode_all_rows(_Listed, answer.body)
    except errors.QuarterdeckError:
        return None
    return rows[0].id if len(rows) == 1 else None


async def _name(send: SendRequest, service: str) -> str:
    """Returns the name that the Swarm chose; the start of the id if it does not answer."""
    try:
        answer = await send("GET", f"/services/{urllib.parse.quote(service, safe='')}", FIND_SECONDS)
        spec = json_decoder.decode_json_object(answer.body).get("Spec") or {}
    except errors.QuarterdeckError:
        return service[:12]
    return str(spec.get("Name") or service[:12])


def _look_for(action: CreateService, label: str) -> str:
    """Returns how to find a service that may have been created. Without a name of its own, only its label shows it."""
    if action.name:
        return f"Look for it with: services {action.name}"
    return f"Look for the label {REQUEST_LABEL}={label} in: services --format '{{{{.Name}}}} {{{{.Labels}}}}'"
