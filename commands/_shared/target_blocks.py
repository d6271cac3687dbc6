"""Renders the results of a command that reads from several targets, in one group for each target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from commands._shared import formatting, targets
from commands.spec import Result
from core.model.replies import Block, Reply, Text, Tone


def reply_by_target(results: Sequence[Result], blocks_of: Callable[[str, Any], Iterable[Block]]) -> Reply:
    """Returns the blocks of all targets. `blocks_of` takes a target's name as people see it, and its result. A target
    whose action failed has a sentence with the error."""
    labels = targets.display_names([targets.target_of_result(result) for result in results])
    blocks: list[Block] = []
    for label, result in zip(labels, results, strict=True):
        if result.error is not None:
            blocks.append(Text(text=f"{label}: {result.error.full_message()}", tone=Tone.BAD))
        else:
            blocks += blocks_of(label, result.value)
    failed = all(result.error is not None for result in results)
    return Reply(blocks=blocks, ending=formatting.failed_ending(results)) if failed else Reply(blocks=blocks)
