"""Masks secrets in the output of a command: in the engines' documents before they are rendered, then in the whole
reply.

A search of a megabyte of text takes part of a second, so long texts are searched in separate threads. If a text takes
much longer, it is left out, and the reply says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from bot.dispatch import redact_records, reply_formatting, reply_limits
from commands.spec import Result
from core import errors, secret_search_threads, unexpected_errors
from core.model.actions import Action
from core.model.replies import Fields, Lines, Records, Reply, Table, Text
from core.model.results import Document
from core.text import redact, redact_json

LARGE = 16_000  # characters: up to 60 ms in the worst case
_PER_TEXT = 100  # characters, that take about as long as what is done once for each text


async def redact_reply(reply: Reply, plan: Sequence[Action[Any]], bugs: unexpected_errors.BugReporter) -> Reply:
    """Returns the reply within its limit of characters, with its secrets hidden. A reply that cannot be searched for
    secrets is not shown.

    In `api-token: docker/vm cannot …` a target's name is a label, and not the name of a secret.
    """
    refs = [ref for action in plan for ref in action.targets()]
    names = {name for ref in refs for name in (ref.name, f"{ref.name}@{ref.engine}")}
    reply = replace(reply, records=await _make_records(reply, bugs), make_records=None)
    try:
        reply = reply_limits.limit_reply(reply)
        if sum(map(_size, reply.blocks)) < LARGE:
            return redact.redact_reply(reply, names)
        return await secret_search_threads.run_search(lambda: redact.redact_reply(reply, names))
    except Exception as error:
        return reply_formatting.make_internal_error_reply(bugs.report(error, "redact"))


async def _make_records(reply: Reply, bugs: unexpected_errors.BugReporter) -> Records | None:
    """Returns the records of a reply that a program reads. A bug costs only the records."""
    make = reply.make_records
    if make is None:
        return None
    with bugs.logged("records"):
        return await secret_search_threads.run_search(lambda: redact_records.redact(make()))
    return None  # type: ignore[unreachable]  # after a bug


async def redact_documents(results: Sequence[Result], bugs: unexpected_errors.BugReporter) -> Sequence[Result]:
    """Returns the results with the secrets in the engines' documents hidden, so that no field of `--format` and no line
    of JSON shows a secret without its name. A document that cannot be searched for secrets becomes an error; the other
    results remain."""
    if not any(isinstance(result.value, Document) for result in results):
        return results
    return await secret_search_threads.run_search(lambda: [_redacted(result, bugs) for result in results])


def _redacted(result: Result, bugs: unexpected_errors.BugReporter) -> Result:
    document = result.value
    if not isinstance(document, Document):
        return result
    try:
        data = redact_json.redact_document(document.data)
        summary = redact_json.redact_document(document.summary)
    except errors.QuarterdeckError as error:
        return replace(result, value=None, error=error)
    except Exception as error:
        ref = bugs.report(error, "redact")
        message = f"The document of {document.ref} could not be searched for secrets because of a bug (ref {ref})."
        return replace(result, value=None, error=errors.InvalidResponse(message, hint=unexpected_errors.HINT))
    return replace(result, value=msgspec.structs.replace(document, data=data, summary=summary))


def _size(block: Any) -> int:
    match block:
        case Text():
            return len(block.text)
        case Lines():
            return sum(map(len, block.lines))
        case Table():
            return sum(_PER_TEXT + len(str(cell)) for row in block.rows for cell in row)
        case Fields():
            return sum(_PER_TEXT + len(name) + len(value) for name, value in block.fields.items())
    return 0
