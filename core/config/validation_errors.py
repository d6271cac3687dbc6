"""Translates pydantic's validation errors into Problems in plain English.

A Problem quotes only names and choices from the configuration, never values: a value may be a secret.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from core.config.raw_settings import RawSettings, section_of

MESSAGES = {
    "missing": "is missing",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
}


def add_problem(found: RawSettings, model: type[BaseModel], error: Mapping[str, Any]) -> None:
    """Adds the Problem for one of pydantic's errors to `found`."""
    loc = [part for part in error["loc"] if part != "[key]"]
    path = ".".join(str(part) for part in loc)
    context, given = error.get("ctx", {}), error.get("input")
    if error["type"] == "too_short" and given:
        return  # its items are wrong, and each has a Problem already
    if given is None and any(problem.path == f"{path}_file" for problem in found.problems):
        return  # its file is wrong, which has a Problem already
    match error["type"]:
        case "sentence":
            what, hint = context["what"], context["hint"]
        case "extra_forbidden":
            what, hint = "is not a known setting", _unknown_key(model, loc, given)
        case "literal_error" | "enum":
            expected = str(context["expected"]).replace("'", "")
            what = f"must be {expected}"
            hint = did_you_mean(given, expected.replace(" or ", ", ").split(", ")) if isinstance(given, str) else ""
        case "model_type" | "model_attributes_type" | "dict_type" | "tuple_type" | "list_type" as kind:
            what = "must be a list" if kind in ("tuple_type", "list_type") else "must be a mapping of names to values"
            variable = isinstance(given, str) and not found.origin(path)[1]
            hint = "In an environment variable write it as JSON, in quotes." if variable else ""
        case "too_long":
            what, hint = f"must have at most {context['max_length']} items", "Remove some of them."
        case "too_short" | "string_too_short":
            what, hint = "must not be empty", "Give it a value, or remove the setting."
        case "string_type":
            what, hint = "must be text", "Put it in quotes." if isinstance(given, bool) else ""
        case kind:
            what, hint = MESSAGES.get(kind, error["msg"].replace("Input should", "must")), ""
    if given is None and error["type"] not in ("missing", "sentence"):
        what, hint = "has no value", "Write a value. If it begins with #, put it in quotes: # begins a comment."
    found.add_problem(path, what, hint)


def _unknown_key(model: type[BaseModel], loc: list[str | int], given: Any) -> str:
    inner: type[BaseModel] | None = model
    for part in loc[:-1]:
        if isinstance(part, str) and inner is not None:
            names = {described.alias or name: described for name, described in inner.model_fields.items()}
            if part in names:  # otherwise it is the name of one of several sections
                inner = section_of(names[part].annotation)
    word = str(loc[-1])
    known = [] if inner is None else [described.alias or name for name, described in inner.model_fields.items()]
    near = did_you_mean(word, known)
    if len(loc) > 1 and loc[-2] == "on":
        return f"To match a container label write `label.{word}: {given}`. {near}".strip()
    return near or f"Use one of these settings: {', '.join(known)}."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    import difflib  # noqa: PLC0415 (needed only when something is wrong)

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else ""
