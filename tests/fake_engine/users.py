"""What uses the images, networks and volumes of the engine in memory, and keeps them from being removed."""

from __future__ import annotations

from typing import Any

from core import errors
from core.model import containers, removal_blockers
from core.model.refs import Kind, Ref
from runtimes.base.base_adapter import does
from tests.fake_engine.core import FakeEngine


class Users(FakeEngine):
    """`mounts`: the names of volumes, networks and containers that a container uses, by its id. `built_on`: the images
    that were built on an image, by its id."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.mounts: dict[str, Any] = {}
        self.built_on: dict[str, tuple[Ref, ...]] = {}

    @does(removal_blockers.FindUsers)
    async def find_users(self, action: removal_blockers.FindUsers, seconds: float) -> removal_blockers.ResourceUsers:
        """As Docker has it: networks of running containers, volumes of any, and last names of images."""
        await self._answer("users", seconds)
        children = [
            removal_blockers.ResourceUse(target=target, user=child)
            for target in action.resources
            for child in self.built_on.get(target.id, ())
        ]
        return removal_blockers.ResourceUsers(
            rows=tuple(children)
            + tuple(
                removal_blockers.ResourceUse(
                    target=target,
                    user=one.ref,
                    running=one.state in containers.LIVE_STATES,
                    forcible=target.kind is Kind.IMAGE and one.state not in containers.LIVE_STATES,
                )
                for target in action.resources
                for one in self._holders(target, force=action.force)
            )
        )

    def _holders(self, target: Ref, *, force: bool = False) -> list[containers.Container]:
        """What keeps this from being removed."""
        tags = [tag for tag, thing in self.tags.items() if thing == target.id]
        if target.kind is Kind.IMAGE and target.name in tags and len(tags) > 1:
            return []
        return [
            one
            for one in self.containers.values()
            if (
                one.image_id == target.id
                if target.kind is Kind.IMAGE
                else target.name in self.mounts.get(one.ref.id, ())
            )
            and (one.state in containers.LIVE_STATES or not (force or target.kind is Kind.NETWORK))
        ]

    def _refuse_used(self, target: Ref) -> None:
        if holders := self._holders(target):
            raise errors.Rejected(409, f"{target.kind} {target.name} is in use by {holders[0].ref.name}")
