"""Provides the base class of engine adapters that connect to an address: stores the options and finds the engine's
identity at the first answer.
"""

from __future__ import annotations

import abc
import asyncio
from typing import ClassVar

from core import errors
from core.model.refs import EngineRef
from runtimes.base import machine_name
from runtimes.base.container_wait import WaitVerbs
from runtimes.base.engine_options import EngineOptions
from runtimes.base.registry_auth import RegistryLogins
from runtimes.base.run_verification import VerifyVerbs

DEFAULTS = EngineOptions()


class IdentifyingAdapter(WaitVerbs, VerifyVerbs, abc.ABC):
    """Stores an engine's address and options, and finds out the engine's identity when it first answers.

    The constructor does not contact the engine.

    `version` and `engine_id` are empty until the engine has answered once. `engine_id` identifies the engine across
    restarts and addresses; its event cursor is stored under it.
    """

    kind: ClassVar[str]

    def __init__(self, url: str, options: EngineOptions = DEFAULTS, *, host: str = "") -> None:
        """`host` is the host in the address; without one, the engine runs on this machine."""
        # Until the engine has reported its own host name, the one in its address is used.
        ref = EngineRef(host=host or machine_name.machine_name(), kind=self.kind, name=options.name)
        super().__init__(ref, allow=options.allow)
        self.url = url
        self.version = ""
        self.logins = RegistryLogins(self.kind, url, has_tls=options.tls is not None)
        self._identity = options.identity
        self._id = ""
        self._identified = False
        self._identifying = asyncio.Lock()

    @property
    def engine_id(self) -> str:
        return self._id

    async def aclose(self) -> None:
        await super().aclose()
        self.logins.close()

    async def _identify(self, seconds: float, *, again: bool = False) -> None:
        """Finds out which engine answers, on the first call only. `again` asks again, because another engine may answer
        at that address meanwhile. Raises DuplicateEngine and the other EngineErrors."""
        if self._identified and not again:
            return
        async with self._identifying:
            if self._identified and not again:
                return
            try:
                await self._ask_identity(seconds)
            except errors.EngineError as error:
                # Only this question was sent; the request that needs its answer was not.
                raise error.with_sent(False) from error

    @abc.abstractmethod
    async def _ask_identity(self, seconds: float) -> None:
        """Asks the engine for its identity and version, and calls `_register`."""

    def _register(self, address: str, engine_id: str, ref: EngineRef) -> None:
        """Stores the identity with which the engine at `address` answered. Raises DuplicateEngine."""
        if self._identity is not None:
            # An engine that is rejected here stays unidentified, and the next call asks again.
            self._id, self._identified = "", False
            self._identity.enter(address, engine_id, ref)
        self._id, self._identified = engine_id, True
