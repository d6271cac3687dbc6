"""The one way all parts of Docker ask their daemon; runtimes.docker knows how."""

from __future__ import annotations

import abc
import urllib.parse
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from core.model.containers import Container
from core.model.refs import Ref
from runtimes.base.engine import EngineAdapter
from runtimes.docker import decode
from runtimes.transport import http_client


class EngineClient(EngineAdapter, abc.ABC):
    @abc.abstractmethod
    def _words(self) -> decode.Decoder: ...

    @abc.abstractmethod
    async def _ask(
        self, method: str, target: str, seconds: float, *, about: str = "", what: str = "container", body: Any = None
    ) -> http_client.Response:
        """One exchange; raises NotFound (of `about`, a `what`), Rejected and the other EngineErrors."""

    @abc.abstractmethod
    def _stream(
        self,
        method: str,
        target: str,
        seconds: float,
        *,
        about: str = "",
        what: str = "container",
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        pause: bool = True,
    ) -> AbstractAsyncContextManager[http_client.Stream]:
        """A response as it arrives, `seconds` to its begin. Raises as `_ask` where it is a refusal."""

    @abc.abstractmethod
    async def describe(self, ids: Sequence[str], deadline: float) -> dict[str, Container | None]: ...


def path_of(ref: Ref) -> str:
    return urllib.parse.quote(ref.id, safe="")
