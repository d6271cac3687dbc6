"""How a call of the Web API is read: its arguments from query, form or JSON, and what a method declares about itself.

Each module of methods exports `METHODS`; `web_api` collects them. Arguments come as strings from a form and as values
from JSON, so they are read through `Args`, which refuses what Slack would refuse.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.standins.slack import state
from tests.standins.slack.records import Json, Refused

TRUE = frozenset({"1", "true", "True", True})


class Args:
    def __init__(self, values: Json) -> None:
        self.values = values

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        value = self.values.get(name)
        return default if value is None else str(value)

    def need(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise missing(name)
        return value

    def flag(self, name: str) -> bool:
        return self.values.get(name) in TRUE

    def number(self, name: str, default: int = 0) -> int:
        try:
            return int(self.values.get(name, default))
        except (TypeError, ValueError):
            raise Refused(
                "invalid_arguments", rule="argument type", messages=[f"must be an integer [json-pointer:/{name}]"]
            ) from None

    def json(self, name: str, kind: type, error: str = "invalid_arguments") -> Any:
        """A list or object, given as JSON or as its text; None when it is absent."""
        value = self.values.get(name)
        if isinstance(value, str):
            try:
                value = json.loads(value) if value else None
            except ValueError:
                raise Refused(
                    error, rule=f"{name} is JSON", messages=[f"invalid JSON [json-pointer:/{name}]"]
                ) from None
        if value is not None and not isinstance(value, kind):
            raise Refused(error, rule=f"{name} has the right type", messages=[f"wrong type [json-pointer:/{name}]"])
        return value


def missing(name: str) -> Refused:
    return Refused(
        "invalid_arguments",
        rule="required argument",
        messages=[f"missing required field: {name} [json-pointer:/{name}]"],
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One method of the Web API. `get`: GET is allowed; `json`: a JSON body is read (else only a form is).
    `scope` may depend on the arguments."""

    name: str
    run: Callable[[state.Workspace, Args], Json]
    scope: str | Callable[[state.Workspace, Args], str] = ""
    token: str = "bot"
    get: bool = False
    json: bool = True
