"""Defines the sections `grants` (who may do what) and `guards` (rules that restrict what grants allow) of the
configuration.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from core.config import field_types
from core.config.base_section import Section
from core.model import policy, policy_selectors


class Match(Section):
    """The resources that a grant or guard applies to. Every part that is set must match; all are globs."""

    engine: field_types.NonEmptyStr = Field(
        default="", description="The engine: its kind, or kind/host, such as docker/prod-1."
    )
    host: field_types.NonEmptyStr = Field(default="", description="The engine's own name for its host.")
    name: field_types.NonEmptyStr = Field(default="", description="The container's name.")
    project: field_types.NonEmptyStr = Field(default="", description="The compose project or stack.")
    service: field_types.NonEmptyStr = Field(default="", description="The compose or Swarm service.")
    label: dict[str, str] = Field(default={}, description="Container labels, written label.NAME.")

    @model_validator(mode="before")
    @classmethod
    def _collect_labels(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        flat = {key: value for key, value in data.items() if not str(key).startswith("label.")}
        labels = {key[len("label.") :]: value for key, value in data.items() if key not in flat}
        if labels and isinstance(flat.get("label", {}), dict):
            flat["label"] = flat.get("label", {}) | labels
        return flat

    def selector(self) -> policy_selectors.Selector:
        return policy_selectors.Selector(
            engine=self.engine,
            host=self.host,
            name=self.name,
            project=self.project,
            service=self.service,
            labels=tuple(sorted(self.label.items())),
        )


class Grant(Section):
    """Allows some people some verbs, on some resources, in some channels."""

    who: field_types.Subject = Field(
        description="everyone, group:NAME, or an identity such as console:alice or slack:T1/U1."
    )
    can: field_types.Permissions = Field(
        description="Verb patterns (container.*), roles (viewer, operator, admin or your own) or risk"
        " classes (risk:read). A risk class does not include exec, run and others that use"
        " the inside of containers."
    )
    on: Match = Field(
        default=Match(),
        description="The resources: engine, host, name, project, service, label.NAME, each with a glob."
        " All must match. Default: all resources.",
    )
    places: field_types.Channels = Field(
        default=(),
        alias="in",
        description="Where the grant applies: ids of Slack channels, or console. Default: everywhere.",
    )


class Guard(Section):
    """Restricts what grants allow: asks for a confirmation or an approval, or denies."""

    can: field_types.Restrictions = Field(
        description="What the guard restricts: as in grants, or ends (everything that ends or suspends"
        " running processes: stop, kill, pause, rm, scale down, drain, unit stop…)."
    )
    on: Match = Field(default=Match(), description="The resources, as in grants. Default: all resources.")
    ask: policy.Ask = Field(description="confirm (the requester confirms), approve (another person approves) or deny.")
    who: field_types.Subject = Field(
        default="everyone", description="The people whom it restricts, as in grants. Default: everyone."
    )
    approvers: field_types.Subjects = Field(
        default=(),
        alias="from",
        description="Who may approve. Default: everybody who may give the command themselves. If several"
        " guards ask for an approval, each guard needs one; one person can approve for"
        " several.",
    )

    @model_validator(mode="after")
    def _approvers_only_for_approve(self) -> Guard:
        if self.approvers and self.ask is not policy.Ask.APPROVE:
            raise field_types.make_invalid_value_error(
                f"`from` has no effect with `ask: {self.ask}`", "Write `ask: approve`, or remove `from`."
            )
        return self
