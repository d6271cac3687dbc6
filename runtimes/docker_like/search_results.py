"""Decodes the results of an image search with Docker or Podman, and reports why a search failed.

The texts come from strangers: they are shortened and made printable. A registry may send more results than requested.
"""

from __future__ import annotations

import msgspec

from core import errors
from core.model.registry_reads import MAX_FOUND, FoundImage
from core.text import sanitize
from runtimes.formats import json_decoder, json_field_types, pull_push_errors
from runtimes.formats.skipped_data import SkippedDataCounter

MAX_NAME, MAX_DESCRIPTION = 200, 120  # characters
HINT = "Check that the engine's host reaches the registry. If you know the exact name of the image, give: pull NAME"


class _Row(msgspec.Struct):
    """Models a row of Docker (lower case) or of Podman."""

    name: str = ""
    description: str | None = None
    stars: json_field_types.Int64 | None = msgspec.field(name="star_count", default=None)
    official: bool = msgspec.field(name="is_official", default=False)
    podman_name: str = msgspec.field(name="Name", default="")
    podman_description: str | None = msgspec.field(name="Description", default=None)
    podman_stars: json_field_types.Int64 | None = msgspec.field(name="Stars", default=None)
    podman_official: str = msgspec.field(name="Official", default="")


def decode_search_results(
    body: bytes, limit: int, skipped: SkippedDataCounter | None = None, *, registry: str = ""
) -> tuple[FoundImage, ...]:
    """Returns at most `limit` results, in the order of the registry. `registry`: the one that was searched, which
    Docker does not repeat in the names; empty for Docker Hub."""
    rows = json_decoder.decode_rows(_Row, body, skipped)
    return tuple(
        FoundImage(
            name=sanitize.single_line(row.podman_name or _whole_name(registry, row.name), MAX_NAME),
            description=sanitize.single_line(row.description or row.podman_description or "", MAX_DESCRIPTION),
            stars=row.stars if row.stars is not None else row.podman_stars,
            official=row.official or bool(row.podman_official.strip()),
        )
        for row in rows[: min(limit, MAX_FOUND)]
        if row.name or row.podman_name
    )


def _whole_name(registry: str, name: str) -> str:
    return f"{registry}/{name}" if registry and not name.startswith(f"{registry}/") else name


def search_error(term: str, text: str, login: str) -> errors.EngineError:
    """Returns the error of a search that the engine refused. `text`: the engine's report; `login`: what to do about the
    login of the registry."""
    reason = pull_push_errors.registry_reason(term, text)
    hint = login if "unauthorized" in reason.lower() or "authentication" in reason.lower() else HINT
    return errors.EngineError(f"The search for {term} failed: {reason}.", hint=hint)
