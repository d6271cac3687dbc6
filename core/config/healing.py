"""Defines the section `healing` of the configuration: which commands Quarterdeck runs automatically when an alert rule
fires.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from core.config import field_types
from core.config.base_section import Section
from core.config.permissions import Match
from core.model import healing

Wait = Annotated[
    timedelta,
    BeforeValidator(field_types.duration),
    Field(ge=timedelta(seconds=1), le=timedelta(days=1)),
]
LISTS = {"restart": "container.list", "stop": "container.list", "scale": "service.list"}
VERBS = {"restart": "container.restart", "stop": "container.stop", "scale": "service.scale"}


def _per_hour(value: field_types.RateLimit) -> field_types.RateLimit:
    if value.period != 3600:
        raise field_types.make_invalid_value_error("must be a number for each hour", "Write for example 6/h.")
    return value


class HealingRule(Section):
    """What Quarterdeck does when an alert fires. It may do that, and nothing else, on what `on` matches; every guard
    still applies. A guard that asks for a confirmation counts as answered if it was there when this rule was saved."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,40}$")] = Field(
        description="Name of the policy: lower-case letters, digits and -. In the audit and in guards it"
        " is called rule:NAME."
    )
    rules: Annotated[
        tuple[field_types.NonEmptyStr, ...], BeforeValidator(field_types.split_list), Field(min_length=1)
    ] = Field(description="The alert rules that start it, such as crash-loop or unhealthy (globs allowed).")
    on: Match = Field(
        description="The containers on which it acts: at least one of engine, host, name, project, service, label.NAME."
    )
    do: Literal["restart", "stop", "scale"] = Field(description="What it does: restart, stop or scale.")
    replicas: int | None = Field(default=None, ge=1, le=1000, description="For `do: scale`: the number of replicas.")
    dependents: bool = Field(
        default=False,
        description="For `do: restart`: whether it also restarts the services of the Compose project that"
        " depend on the container, in their order.",
    )
    wait: Wait = Field(
        default=timedelta(seconds=30), description="Time before the first try. The time doubles with every further try."
    )
    max_wait: Wait = Field(default=timedelta(minutes=10), description="The longest wait between two tries.")
    tries: int = Field(default=3, ge=1, le=20, description="Number of tries for one incident, after which it gives up.")
    budget: Annotated[field_types.Rate, AfterValidator(_per_hour)] = Field(
        default=field_types.RateLimit(6, 3600),
        description="Maximum number of its tries in one hour, for all containers together, such as 6/h.",
    )
    pause: Wait = Field(
        default=timedelta(hours=1), description="Time after it gave up in which it does nothing about the incident."
    )
    at_most: int = Field(default=5, ge=1, le=50, description="Maximum number of containers that it changes at once.")

    @model_validator(mode="after")
    def _check(self) -> HealingRule:
        if self.on.selector() == Match().selector():
            raise field_types.make_invalid_value_error(
                "`on` matches everything", "Name at least one part, such as label.heal: yes."
            )
        if (self.do == "scale") != (self.replicas is not None):
            raise field_types.make_invalid_value_error(
                "`replicas` belongs to `do: scale`", "Write both, or neither of them."
            )
        if self.dependents and self.do != "restart":
            raise field_types.make_invalid_value_error(
                "`dependents` belongs to `do: restart`", "Write `do: restart`, or remove `dependents`."
            )
        return self

    @property
    def verbs(self) -> tuple[str, ...]:
        """What the rule may do: its verb, and finding on what it acts."""
        return (VERBS[self.do], LISTS[self.do])

    def policy(self) -> healing.HealingPolicy:
        """Returns the rule as the code uses it."""
        return healing.HealingPolicy(
            name=self.name,
            rules=self.rules,
            on=self.on.selector(),
            do=self.do,
            verb=VERBS[self.do],
            replicas=self.replicas or 0,
            dependents=self.dependents,
            wait=self.wait.total_seconds(),
            max_wait=self.max_wait.total_seconds(),
            tries=self.tries,
            budget=self.budget.count,
            pause=self.pause.total_seconds(),
            at_most=self.at_most,
        )
