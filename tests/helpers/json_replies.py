"""What a program reads: the JSON of a reply, checked against the schema that the code makes."""

from __future__ import annotations

import functools
import json
from typing import Any

import jsonschema

from bot import plain_text
from bot.dispatch import json_schema
from core.model.replies import Reply
from tests.helpers.deck import WORDS


@functools.cache
def _validator() -> Any:
    # Nothing else than these fields, so that the schema tells all of them.
    kind = jsonschema.Draft202012Validator
    return kind(json_schema.SchemaMaker(strict=True).document(WORDS), format_checker=kind.FORMAT_CHECKER)


def read(reply: Reply) -> dict[str, Any]:
    """The JSON of a reply. Raises ValidationError if it is not as the schema says."""
    document: dict[str, Any] = json.loads(plain_text.to_json(reply))
    _validator().validate(document)
    return document
