"""Renders the end of followed logs: how many lines came, and why each log ended."""

from __future__ import annotations

from collections.abc import Sequence

from commands._shared import formatting, targets
from commands.spec import Result
from core.model.background_jobs import FollowResult
from core.model.replies import Ending, Reply, Text, Tone


def render_follow_ends(results: Sequence[Result]) -> Reply:
    """Renders a sentence for each log that was followed."""
    labels = targets.display_names([targets.target_of_result(result) for result in results])
    blocks: list[Text] = []
    ended = [result.value for result in results if isinstance(result.value, FollowResult)]
    for label, result in zip(labels, results, strict=True):
        if isinstance(result.value, FollowResult):
            end = result.value
            skipped = f", {end.skipped:,} of them not shown" if end.skipped else ""
            received = f"{formatting.count(end.lines, 'line')}{skipped}"
            text = f"Followed {label} for {formatting.span(end.seconds)}: {received}; {end.why.removesuffix('.')}."
            blocks.append(Text(text=text, tone=Tone.BAD if end.failed else Tone.PLAIN))
        elif result.error is not None:
            blocks.append(Text(text=f"{label}: {result.error.full_message()}", tone=Tone.BAD))
    return Reply(blocks=blocks, ending=Ending.FAILED if all(end.failed for end in ended) else Ending.OK)
