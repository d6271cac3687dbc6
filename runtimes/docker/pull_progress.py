"""The progress stream of a pull or a push: lines of JSON in, how far it is and how it ended out. Pure.

Its HTTP status is 200 whatever happens later: a failure is a line. Words differ between Docker's two image stores (with
containerd's a layer ends at `Download complete`, marked `hidecounts`); a word we do not know changes nothing.
"""

from __future__ import annotations

import re

import msgspec

from core import errors
from runtimes.transport.lines import LineSplitter

MOST_LAYERS = 2000
BEGUN = frozenset(
    {
        "Pulling fs layer",
        "Waiting",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Preparing",
        "Pushing",
        "Retrying",
        "Retrying in",
    }
)
ENDED = frozenset({"Pull complete", "Already exists", "Pushed", "Layer already exists", "Mounted from"})
MOVING = frozenset({"Downloading", "Pushing"})
_DIGEST = re.compile(r"\bdigest: (sha256:[0-9a-f]{64})", re.IGNORECASE)
_UP_TO_DATE = "Status: Image is up to date"


class _Detail(msgspec.Struct):
    current: int = 0
    total: int = 0
    hidden: bool = msgspec.field(name="hidecounts", default=False)


class _Error(msgspec.Struct):
    message: str = ""


class _Aux(msgspec.Struct):
    digest: str = msgspec.field(name="Digest", default="")


class _Step(msgspec.Struct):
    status: str = ""
    id: str = ""
    detail: _Detail | None = msgspec.field(name="progressDetail", default=None)
    error: str = ""
    detailed: _Error | None = msgspec.field(name="errorDetail", default=None)
    aux: _Aux | None = None


class Progress:
    """Feed it what arrives. `fault`: the registry's or the engine's words for a failure; `digest` once it was told;
    `current`: there was nothing to fetch."""

    def __init__(self) -> None:
        self.fault = ""
        self.digest = ""
        self.current = False
        self._splitter = LineSplitter("The engine")
        self._ended: dict[str, bool] = {}
        self._bytes: dict[str, tuple[int, int]] = {}

    def feed(self, chunk: bytes) -> None:
        for line in self._splitter.feed(chunk).split(b"\n"):
            if line.strip():
                self._take(line)

    def finish(self) -> None:
        if self._splitter.rest.strip():
            self._take(self._splitter.rest)
            self._splitter.rest = b""

    def say(self) -> str:
        """Such as `2 of 5 layers, 12.1 of 40.0 MB`; empty while there is nothing to tell."""
        if not self._ended:
            return ""
        layers = f"{sum(self._ended.values())} of {len(self._ended)} layer{'s' * (len(self._ended) != 1)}"
        whole = sum(total for _, total in self._bytes.values())
        done = sum(current for current, _ in self._bytes.values())
        return f"{layers}, {done / 1e6:.1f} of {whole / 1e6:.1f} MB" if whole else layers

    def _take(self, line: bytes) -> None:
        try:
            step = msgspec.json.decode(line, type=_Step)
        except msgspec.DecodeError as error:
            raise errors.InvalidResponse("The engine sent progress that is not the JSON we expect.") from error
        if step.error or step.detailed:
            self.fault = (step.detailed.message if step.detailed else "") or step.error
        if step.aux is not None and step.aux.digest:
            self.digest = step.aux.digest
        if found := _DIGEST.search(step.status):
            self.digest = found[1]
        if step.status.startswith(_UP_TO_DATE):
            self.current = True
        if step.id:
            self._layer(step, step.detail or _Detail())

    def _layer(self, step: _Step, detail: _Detail) -> None:
        status = "Mounted from" if step.status.startswith("Mounted from") else step.status
        status = "Retrying in" if status.startswith("Retrying in") else status
        if status in ENDED or (status == "Download complete" and detail.hidden):
            self._ended[step.id] = True
        elif status in BEGUN and (step.id in self._ended or len(self._ended) < MOST_LAYERS):
            self._ended.setdefault(step.id, False)
        else:
            return  # `Pulling from busybox` carries the tag as its id
        if status in MOVING and detail.total > 0:
            self._bytes[step.id] = (min(detail.current, detail.total), detail.total)
        elif status not in MOVING and step.id in self._bytes and status not in ("Waiting", "Retrying in", "Retrying"):
            total = self._bytes[step.id][1]
            self._bytes[step.id] = (total, total)
