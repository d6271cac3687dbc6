"""Represents an engine that discovery found but that Quarterdeck's user has no permission to use, such as another
user's state directory.

Only the command `engines` shows it, with the reason. Quarterdeck does not contact it; it has no metrics and does not
affect `/readyz`. When the permission is given, it becomes a normal engine.
"""

from __future__ import annotations

from core.model.actions import DescribeEngine
from core.model.engines import Engine
from core.model.refs import EngineRef
from runtimes.base import machine_name
from runtimes.base.base_adapter import BaseAdapter, does


class PermissionDeniedEngine(BaseAdapter):
    """Describes one engine by its kind, name and address. `reason`: why it cannot be used."""

    def __init__(self, *, kind: str, name: str, address: str, reason: str) -> None:
        super().__init__(EngineRef(host=machine_name.machine_name(), kind=kind, name=name))
        self.address = address
        self.reason = reason

    @does(DescribeEngine)
    async def describe_engine(self, action: DescribeEngine, seconds: float) -> Engine:
        return Engine(ref=self.ref, address=self.address, verbs=(), not_permitted=self.reason)
