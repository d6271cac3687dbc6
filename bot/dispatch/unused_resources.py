"""Selects the unused resources of an engine that one person may list and remove by a prune.

Protected resources, those of Quarterdeck, and those that this person is not permitted to remove are left out. The
prune removes the rest, and the reply counts those that were left out. Resources that the person may not list are
neither removed nor counted. The build cache belongs to the whole engine, so it needs the permission to prune that.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from bot.dispatch.visible_rows import ROWS_PER_TURN
from core.model import effects
from core.model.actions import Action, Effect
from core.model.policy import Decision, Verdict
from core.model.prune import Prune, UnusedResource, UnusedResources
from core.model.refs import Key, Ref
from core.model.target_facts import TargetFacts
from core.ports import UnusedFound
from runtimes.inventory.fleet import FleetRows

OWN = "part of Quarterdeck, or protected"
DENIED = "not allowed to you"


async def select_removable_resources(
    prune: Prune,
    found: UnusedResources,
    listings: Sequence[FleetRows],
    *,
    row_of: Callable[[Key], Any],
    visible: Callable[[Any], bool],
    own: Callable[[Any], bool],
    decide: Callable[[Prune, Ref], Decision],
    decide_effect: Callable[[Prune, Effect], Decision],
) -> UnusedFound:
    """Returns what `prune` may remove of what was found. `listings`: the lists that the rows are of; raises the error
    of an engine that did not send one. `row_of`: the listed row of a resource; `own`: whether a row is a part of
    Quarterdeck or protected; `decide` and `decide_effect`: the decisions on a prune of one resource."""
    for listing in listings:
        if prune.engine in listing.missing:
            raise listing.missing[prune.engine]
    rows: list[UnusedResource] = []
    kept: Counter[str] = Counter()
    for number, one in enumerate(found.rows, 1):
        if number % ROWS_PER_TURN == 0:
            await asyncio.sleep(0)
        row = row_of(one.ref.key)
        if row is None or not visible(row):
            continue
        alone = effects.with_effects(dataclasses.replace(prune, pinned=(one,)), TargetFacts(row=row))
        assert isinstance(alone, Prune)
        if own(row):
            kept[OWN] += 1
        elif Verdict.DENY in (
            decide(alone, one.ref).verdict,
            *(decide_effect(alone, effect).verdict for effect in alone.effects or ()),
        ):
            kept[DENIED] += 1
        else:
            rows.append(one)
    cache = found.cache if prune.prunes_cache else ()
    if cache and decide(prune, Action.targets(prune)[0]).verdict is Verdict.DENY:
        cache = ()
    return UnusedFound(rows=rows, kept=kept, measured=found.measured, cache=cache)
