"""Represents an engine that discovery found and that Quarterdeck's user may not use, such as another user's state
directory.

Such an engine is only described: the command `engines` lists it with the reason. Nothing contacts it, so it is in no
list, in no metric and not in the readiness. It becomes a usual engine as soon as Quarterdeck may use it.
"""

from __future__ import annotations

from core.model.actions import DescribeEngine
from core.model.engines import Engine
from core.model.refs import EngineRef
from runtimes.base import machine_name
from runtimes.base.base_adapter import BaseAdapter, does


class InaccessibleEngine(BaseAdapter):
    """Describes one engine by its kind, name and address. `reason`: why it cannot be used."""

    def __init__(self, *, kind: str, name: str, address: str, reason: str) -> None:
        super().__init__(EngineRef(host=machine_name.machine_name(), kind=kind, name=name))
        self.address = address
        self.reason = reason

    @does(DescribeEngine)
    async def describe_engine(self, action: DescribeEngine, seconds: float) -> Engine:
        return Engine(ref=self.ref, address=self.address, verbs=(), not_permitted=self.reason)
