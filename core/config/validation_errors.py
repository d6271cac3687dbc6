"""Translates pydantic's validation errors into Problems in plain English.

A Problem quotes only names and choices from the configuration, never values: a value may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from core.config.raw_settings import RawSettings, section_of

MESSAGES = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
}
LISTS = ("tuple_type", "list_type")
SHAPES = (*LISTS, "model_type", "model_attributes_type", "dict_type")
LETTERS = "Use letters, digits, _, . and -, and begin with a letter or a digit."
# What a pattern of a setting allows, in words. LETTERS is right for all others.
PATTERNS = {
    r"^[a-z]*$": "Write docker, podman, containerd, cri or oci.",
    r"^[a-z][a-z0-9-]{0,40}$": "Use at most 41 lower-case letters, digits and -, and begin with a letter.",
    r"^https?://[^\s/]+(/[^\s]*)?/$": "Write https://HOST/PATH/, with a / at its end.",
}


def add_problem(found: RawSettings, model: type[BaseModel], error: Mapping[str, Any]) -> None:
    """Adds the Problem for one of pydantic's errors to `found`."""
    loc = [part for part in error["loc"] if part != "[key]"]
    path = ".".join(str(part) for part in loc)
    given = error.get("input")
    if error["type"] == "too_short" and given:
        return  # its items are wrong, and each has a Problem already
    if given is None and any(problem.path == f"{path}_file" for problem in found.problems):
        return  # its file is wrong, which has a Problem already
    if given is None and error["type"] not in ("missing", "sentence"):
        what, hint = "has no value", "Write a value. If it begins with #, put it in quotes: # begins a comment."
    else:
        what, hint = _sentence(model, error, loc)
        if error["type"] in SHAPES and isinstance(given, str) and not found.origin(path)[1]:
            hint = "In an environment variable write it as JSON, in quotes."
    found.add_problem(path, what, hint)


def _sentence(model: type[BaseModel], error: Mapping[str, Any], loc: list[str | int]) -> tuple[str, str]:
    """Returns the end of a sentence about the setting, and the hint."""
    context, given = error.get("ctx", {}), error.get("input")
    match error["type"]:
        case "sentence":
            what, hint = context["what"], context["hint"]
        case "extra_forbidden":
            what, hint = "is not a known setting", _unknown_key(model, loc, given)
        case "literal_error" | "enum":
            expected = str(context["expected"]).replace("'", "")
            what = f"must be {expected}"
            hint = did_you_mean(given, expected.replace(" or ", ", ").split(", ")) if isinstance(given, str) else ""
        case kind if kind in SHAPES:
            what, hint = _shape(kind, model, loc)
        case "too_long":
            what, hint = f"must have at most {context['max_length']} items", "Remove some of them."
        case "too_short" | "string_too_short":
            what, hint = "must not be empty", "Give it a value, or remove the setting."
        case "string_type":
            what, hint = "must be text", "Put it in quotes." if isinstance(given, bool | int | float) else ""
        case "string_pattern_mismatch":
            what, hint = "is not valid", PATTERNS.get(context["pattern"], LETTERS)
        case "missing":
            what, hint = "is missing", _meaning(model, loc)
        case kind:
            what, hint = MESSAGES.get(kind, re.sub(r"^\w+ should", "must", error["msg"])), ""
    return what, hint


def _section_at(model: type[BaseModel], loc: list[str | int]) -> type[BaseModel] | None:
    """Returns the section in which this place is."""
    inner: type[BaseModel] | None = model
    for part in loc:
        if isinstance(part, str) and inner is not None:
            names = _names(inner)
            if part in names:  # otherwise it is the name of one of several sections
                inner = section_of(names[part].annotation)
    return inner


def _names(section: type[BaseModel] | None) -> Mapping[str, FieldInfo]:
    fields = {} if section is None else section.model_fields
    return {described.alias or name: described for name, described in fields.items()}


def _meaning(model: type[BaseModel], loc: list[str | int]) -> str:
    """Returns what belongs into a missing setting, from its description."""
    described = _names(_section_at(model, loc[:-1])).get(str(loc[-1]))
    text = (described.description or "") if described is not None else ""
    return f"Add it: {text[:1].lower()}{text[1:]}" if text else ""


def _shape(kind: str, model: type[BaseModel], loc: list[str | int]) -> tuple[str, str]:
    """Returns the sentence and the hint for a value that must be a list or a mapping."""
    if kind in LISTS:
        return "must be a list", "Write [VALUE, VALUE], or one value on each line after “- ”."
    name = next(iter(_names(_section_at(model, loc))), "NAME")
    return "must be a mapping of names to values", f"Write on an indented line below it, for example: {name}: VALUE"


def _unknown_key(model: type[BaseModel], loc: list[str | int], given: Any) -> str:
    word, known = str(loc[-1]), list(_names(_section_at(model, loc[:-1])))
    near = did_you_mean(word, known)
    if len(loc) > 1 and loc[-2] == "on":
        return f"To match a container label write `label.{word}: {given}`. {near}".strip()
    return near or f"Use one of these settings: {', '.join(known)}."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    import difflib  # noqa: PLC0415 (needed only when something is wrong)

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else ""
