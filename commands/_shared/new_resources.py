"""Chooses the engine on which a new resource is created, and reads the labels of the resource from `--label`."""

from __future__ import annotations

from collections.abc import Sequence

from commands.spec import Context
from core import errors
from core.model.refs import EngineRef
from core.ports import Query
from core.text import command_line


def choose_engine(context: Context, verb: str, what: str) -> EngineRef:
    """Returns the engine that --engine and --host choose among those with the verb. `what`: the end of a sentence about
    such engines, `create networks`. Raises SeveralEngines and NotFound."""
    args = context.args
    found = context.find.engines(Query(engine=args["engine"] or "", host=args["host"] or "", verb=verb))
    if len(found) > 1:
        raise errors.SeveralEngines(what, [str(engine) for engine in found])
    return found[0]


def labels(texts: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """`team=a` → (`team`, `a`). Raises BadUsage for a label without a name."""
    pairs = [text.partition("=") for text in texts]
    if nameless := next((text for text, (name, _, _) in zip(texts, pairs, strict=True) if not name), ""):
        raise errors.BadUsage(
            f"The label “{command_line.abbreviate(nameless)}” has no name.", hint="Write --label NAME=VALUE."
        )
    return tuple((name, value) for name, _, value in pairs)
