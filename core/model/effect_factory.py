"""Makes the effects that core.model.effects predicts. An effect is what a change also does to another resource. The
guards of the access policy check each effect.
"""

from __future__ import annotations

from collections.abc import Iterator

from core.model import prune
from core.model.actions import Effect, Risk
from core.model.containers import LIVE_STATES, Container
from core.model.refs import Ref

STOP, REMOVE, REMOVE_VOLUME, TAG = "container.stop", "container.remove", "volume.remove", "image.tag"
DESTROYING = frozenset({REMOVE, *prune.REMOVALS.values()})
# The verbs of effects that end or freeze running processes.
ENDING = frozenset({STOP, REMOVE, "container.restart", "container.pause"})


def make_effect(verb: str, ref: Ref, *, certain: bool = True) -> Effect:
    """Makes one effect. `certain`: False if the effect may not happen."""
    risk = Risk.DESTROY if verb in DESTROYING else Risk.CHANGE
    return Effect(verb=verb, risk=risk, ref=ref, ends=verb in ENDING, certain=certain)


def removal(ref: Ref, *, certain: bool = True, volumes: bool = False) -> Iterator[Effect]:
    """`volumes`: also its anonymous volumes. They have no names or labels, so guards see their container."""
    yield make_effect(REMOVE, ref, certain=certain)
    if volumes:
        yield make_effect(REMOVE_VOLUME, ref, certain=certain)


def auto_removal(row: Container | None, ref: Ref, *, ends: bool = True) -> Iterator[Effect]:
    """A container that was created with --rm is removed with its anonymous volumes when it ends. `ends`: it surely
    does."""
    if row is None or row.auto_remove is not False:
        certain = ends and row is not None and row.auto_remove is True and row.state in LIVE_STATES
        yield from removal(ref, certain=certain, volumes=True)
