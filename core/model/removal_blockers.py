"""Defines the resources that block the removal of networks, volumes, images and containers, and the action that finds
them.

An engine refuses to remove a resource in use. The rules differ: Docker removes a network of stopped containers, Podman
does not. So each adapter returns only those users that make its engine refuse the removal.
"""

from __future__ import annotations

import msgspec

from core.lazy_dataclass import dataclass
from core.model.actions import Action
from core.model.refs import Ref


class ResourceUse(msgspec.Struct, frozen=True, gc=False):
    """Says that `user`, a container, a pod, a service or an image, keeps `target` from being removed. `running`: the
    user runs; `forcible`: the removal succeeds with force."""

    target: Ref
    user: Ref
    running: bool = False
    forcible: bool = False


class ResourceUsers(msgspec.Struct, frozen=True):
    rows: tuple[ResourceUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindUsers(Action[ResourceUsers]):
    """Finds what keeps `resources` from being removed. All are networks, or volumes, or images, or containers of one
    engine. `force`: as in the removal."""

    verb = "engine.users"
    resources: tuple[Ref, ...]
    force: bool = False

    def timeout_seconds(self) -> float:
        return 5.0
