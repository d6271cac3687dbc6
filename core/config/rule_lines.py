"""Validates an alert rule, or a change of one, that was typed in a command, with the same checks as the configuration
file.

A regular expression is only accepted at a console and in the configuration file. A malicious expression can run for
hours in Python's engine, and nothing can interrupt it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from core import errors
from core.config import validation_errors
from core.config.alerts import NewRule, RuleChange
from core.config.base_section import Section
from core.config.raw_settings import RawSettings
from core.text import command_line

S = TypeVar("S", bound=Section)
_CONDITION = re.compile(r"\s*([\w./:-]+?)\s*(=~|!~|!=|=)(.*)", re.DOTALL)


def validate_new_rule(settings: Mapping[str, Any], where: Iterable[str], *, regexes: bool) -> NewRule:
    """Returns the rule with these settings. `where`: conditions such as `exit_code!=0`. `regexes`: whether a condition
    may be a regular expression. Raises BadUsage."""
    conditions = {}
    for text in where:
        found = _CONDITION.fullmatch(text)
        if found is None:
            raise errors.BadUsage(
                f"--where {command_line.abbreviate(text)} has no comparison.",
                hint="Write a field, = or != and a value, for example --where exit_code!=0 or --where 'name=web-*'",
            )
        if found[2].endswith("~") and not regexes:
            raise errors.BadUsage(
                f"--where {command_line.abbreviate(text)} is a regular expression, which is only accepted at a"
                " console.",
                hint="Write = or != and a value, in which * stands for anything, such as --where 'name=web-*'",
            )
        conditions[found[1]] = found[2] + found[3]
    return _validated(NewRule, {**settings, "where": conditions})


def rule_change(settings: Mapping[str, Any]) -> RuleChange:
    """Returns the change with these settings. Raises BadUsage."""
    return _validated(RuleChange, settings)


def _validated(section: type[S], settings: Mapping[str, Any]) -> S:
    given = {name: value for name, value in settings.items() if value is not None and value != ""}
    try:
        return section.model_validate(given)
    except ValidationError as error:
        found = RawSettings()
        for one in error.errors(include_url=False):
            validation_errors.add_problem(found, section, one)
        problem = found.problems[0]
        raise errors.BadUsage(f"--{problem.path.replace('.', ' ')}: {problem.what}.", hint=problem.hint) from None
