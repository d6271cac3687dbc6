"""Refuses volumes that a Swarm service may not mount. These are volumes with data of Quarterdeck or of a protected
container, and volumes that are a directory or device of their host.

A named volume belongs to one node. Quarterdeck asks each Docker daemon that it is connected to and that is a node of
this Swarm. Other nodes, and daemons that do not answer, are not asked.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence

import msgspec

from core import errors
from core.model import containers, host_access
from core.model.host_access import MountPoint
from runtimes.base.concurrent_map import map_concurrently
from runtimes.docker_like.create import OWN_LABEL, OWN_TITLE, unknown_users
from runtimes.formats import json_decoder, skipped_data
from runtimes.swarm import json_models
from runtimes.swarm.manager_pool import Manager

SECONDS = 5.0  # of one request


class _Volume(msgspec.Struct):
    options: dict[str, str] | None = msgspec.field(name="Options", default=None)


class _Container(msgspec.Struct):
    labels: dict[str, str] | None = msgspec.field(name="Labels", default=None)


async def refuse_forbidden_volumes(
    daemons: Sequence[Manager], nodes: Sequence[json_models.Node], mounts: Sequence[MountPoint], *, reaches: bool
) -> None:
    """Raises NotPermitted for a volume that may not be mounted. `nodes`: of the Swarm; `reaches`: the request has
    `host.reach` anyway."""
    names = list(dict.fromkeys(mount.source for mount in mounts if mount.source and not mount.is_host_path))
    ids = {node.id for node in nodes}

    async def check(daemon: Manager) -> None:
        try:
            info = json_decoder.decode_json(json_models.Info, (await daemon.ask("GET", "/info", SECONDS)).body)
            if info.swarm.node in ids:
                for name in names:
                    await _check(daemon, name, reaches)
        except errors.EngineError:
            return

    if names:
        await map_concurrently(check, daemons)


async def _check(daemon: Manager, name: str, reaches: bool) -> None:
    filters = urllib.parse.quote(msgspec.json.encode({"volume": [name]}).decode())
    answer = await daemon.ask("GET", f"/containers/json?all=true&filters={filters}", SECONDS)
    left_out = skipped_data.SkippedDataCounter(lambda: str(daemon.ref))
    rows = await json_decoder.decode_all_rows(_Container, answer.body, left_out)
    if left_out.counts:
        raise unknown_users(name)
    if any(_is_own(row.labels or {}) for row in rows):
        raise errors.NotPermitted(
            f"You may not mount the volume {name}: it belongs to a part of Quarterdeck or to a protected container.",
            rule="self-protection",
            hint="Use another volume.",
        )
    try:
        answer = await daemon.ask("GET", f"/volumes/{urllib.parse.quote(name, safe='')}", SECONDS)
    except errors.NotFound:
        return  # the node makes a new one
    source = host_access.host_path_of_volume(json_decoder.decode_json(_Volume, answer.body).options or {})
    if source and not reaches:
        raise errors.NotPermitted(
            f"You may not mount the volume {name}: it is the path {source} of the host {daemon.ref.host}.",
            rule=host_access.VERB,
            hint=f"With the permission {host_access.VERB}, mount the path itself:"
            f" --mount type=bind,source={source},target=PATH",
        )


def _is_own(labels: Mapping[str, str]) -> bool:
    return containers.protected(labels) or labels.get(OWN_LABEL) == OWN_TITLE
