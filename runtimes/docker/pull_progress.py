"""Decodes the progress of a pull or a push from Docker's stream of JSON lines.

The HTTP status is always 200; a failure is reported in one of the lines. Lines that cannot be decoded are left out. The
texts for the status of a layer differ between Docker's two image stores. With containerd's store, a layer ends at
`Download complete`, with the field `hidecounts`. Unknown texts are ignored.
"""

from __future__ import annotations

import re

import msgspec

from runtimes.formats import json_decoder, json_field_types, skipped_data
from runtimes.formats.skipped_data import SkippedDataCounter
from runtimes.transport.line_splitter import LineSplitter

MAX_LAYERS = 2000
UNFINISHED = frozenset(
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
FINISHED = frozenset({"Pull complete", "Already exists", "Pushed", "Layer already exists", "Mounted from"})
PAUSED = frozenset({"Waiting", "Retrying", "Retrying in"})
TRANSFERRING = frozenset({"Downloading", "Pushing"})
_DIGEST = re.compile(r"\bdigest: (sha256:[0-9a-f]{64})", re.IGNORECASE)
_UP_TO_DATE = "Status: Image is up to date"


class _Detail(msgspec.Struct):
    current: json_field_types.Int64 = 0
    total: json_field_types.Int64 = 0
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


class PullProgress:
    """Decodes the chunks of the stream, which are passed to `feed`.

    `error`: the message of the registry or the engine about a failure. `digest`: the digest of the image, as soon as
    the engine has sent it. `up_to_date`: whether the image existed already.
    """

    def __init__(self, skipped: SkippedDataCounter | None = None) -> None:
        self._skipped = skipped
        self.error = ""
        self.digest = ""
        self.up_to_date = False
        self._splitter = LineSplitter()
        self._finished: dict[str, bool] = {}  # by layer
        self._bytes: dict[str, tuple[int, int]] = {}  # by layer: transferred, and in total

    def feed(self, chunk: bytes) -> None:
        for line in self._splitter.feed(chunk).split(b"\n"):
            if line.strip():
                self._decode(line)

    def finish(self) -> None:
        """The stream has ended: what is left without a newline is a line too."""
        self.feed(b"\n")

    def summary(self) -> str:
        """Such as `2 of 5 layers, 12.1 of 40.0 MB`; empty before the first layer."""
        if not self._finished:
            return ""
        layers = f"{sum(self._finished.values())} of {len(self._finished)} layer{'s' * (len(self._finished) != 1)}"
        total = sum(size for _, size in self._bytes.values())
        done = sum(current for current, _ in self._bytes.values())
        return f"{layers}, {done / 1e6:.1f} of {total / 1e6:.1f} MB" if total else layers

    def _decode(self, line: bytes) -> None:
        for step in json_decoder.decode_lines(_Step, line, self._skipped, skipped_data.LINE):
            self._apply(step)

    def _apply(self, step: _Step) -> None:
        if step.error or step.detailed:
            self.error = (step.detailed.message if step.detailed else "") or step.error
        if step.aux is not None and step.aux.digest:
            self.digest = step.aux.digest
        if found := _DIGEST.search(step.status):
            self.digest = found[1]
        if step.status.startswith(_UP_TO_DATE):
            self.up_to_date = True
        if step.id:
            self._layer(step, step.detail or _Detail())

    def _layer(self, step: _Step, detail: _Detail) -> None:
        status = "Mounted from" if step.status.startswith("Mounted from") else step.status
        status = "Retrying in" if status.startswith("Retrying in") else status
        if status in FINISHED or (status == "Download complete" and detail.hidden):
            self._finished[step.id] = True
        elif status in UNFINISHED and (step.id in self._finished or len(self._finished) < MAX_LAYERS):
            self._finished.setdefault(step.id, False)
        else:
            return  # `Pulling from busybox` has the tag as its id
        if status in TRANSFERRING and detail.total > 0:
            self._bytes[step.id] = (min(detail.current, detail.total), detail.total)
        elif (
            status not in TRANSFERRING
            and step.id in self._bytes
            and status not in ("Waiting", "Retrying in", "Retrying")
        ):
            total = self._bytes[step.id][1]
            self._bytes[step.id] = (total, total)
