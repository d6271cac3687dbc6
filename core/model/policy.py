"""The vocabulary of permission: grants say who may, guards say what must be asked first, a decision says why.

Default deny. `can` holds verb patterns (`container.*`, `*.list`), role names (`operator`) or `risk:` classes; a bare
`*` never covers the `policy.*` verbs, which must be named. Order never matters: adding a guard can only make a verdict
stricter.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.model.selectors import EVERYTHING, Selector


class Verdict(enum.IntEnum):
    ALLOW = 0
    CONFIRM = 1
    APPROVE = 2
    DENY = 3


class Ask(enum.StrEnum):
    CONFIRM = "confirm"
    APPROVE = "approve"
    DENY = "deny"


VERDICT_OF = {Ask.CONFIRM: Verdict.CONFIRM, Ask.APPROVE: Verdict.APPROVE, Ask.DENY: Verdict.DENY}

# Named sets of verbs that config and chat may grant by name; config adds its own under `roles:`. Left to admins and
# grants that name them are the verbs that reach further than the thing they are about: `container.exec` (whoever runs a
# program in a container is root in it, and reads its secrets and all it mounts), `image.push`, `image.tag` and
# `service.update` (which code runs where), `unit.install` (files on the host, started at boot), `swarm.*`, and whatever
# makes or removes.
VIEWER = (
    "container.list",
    "container.inspect",
    "container.logs",
    "container.stats",
    "event.list",
    "service.list",
    "service.inspect",
    "service.logs",
    "task.list",
    "stack.list",
    "node.list",
    "node.inspect",
    "pod.list",
    "pod.inspect",
    "image.list",
    "image.inspect",
    "network.list",
    "network.inspect",
    "volume.list",
    "volume.inspect",
    "namespace.list",
    "unit.list",
    "engine.list",
    "engine.info",
)
OPERATOR = (
    *VIEWER,
    "container.start",
    "container.stop",
    "container.restart",
    "container.pause",
    "container.unpause",
    "container.kill",
    "container.healthcheck",
    "service.scale",
    "service.rollback",
    "pod.start",
    "pod.stop",
    "pod.restart",
    "pod.pause",
    "pod.unpause",
    "node.drain",
    "node.activate",
    "unit.draft",
    "unit.start",
    "unit.stop",
    "unit.restart",
    "image.pull",
)
ROLES: Mapping[str, tuple[str, ...]] = {"viewer": VIEWER, "operator": OPERATOR, "admin": ("*", "policy.*")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """`who`: `everyone`, `group:<name>` or an identity (`slack:T1/U1`, `console:alice`). `places`: channels it holds
    in; none means all. `source`: `config`, `store` or `builtin`. `id` names it in decisions and in `revoke`."""

    id: str
    who: str
    can: tuple[str, ...]
    on: Selector = EVERYTHING
    places: tuple[str, ...] = ()
    source: str = "config"
    by: str = ""

    def __str__(self) -> str:
        where = f" in {', '.join(self.places)}" if self.places else ""
        return f"{self.who} may {', '.join(self.can)} on {self.on}{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A brake on what grants allow. `can` may also hold `risk:change` or `risk:destroy`. `approvers`: subjects as in
    `Grant.who`, for `ask: approve`."""

    id: str
    can: tuple[str, ...]
    ask: Ask
    on: Selector = EVERYTHING
    who: str = "everyone"
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All that `decide` looks at. `version` moves with every stored grant. `self_ids` are the containers we run in;
    `self_name` begins the id of one, where no more is known; `store_host` is what our store's machine is called."""

    grants: tuple[Grant, ...] = ()
    guards: tuple[Guard, ...] = ()
    roles: Mapping[str, Sequence[str]] = field(default_factory=lambda: ROLES)
    self_ids: frozenset[str] = frozenset()
    self_name: str = ""
    store_host: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`rule` is the id of the grant or guard that decided, `reason` the sentence for people, `hint` what would help."""

    verdict: Verdict
    rule: str
    reason: str
    hint: str = ""
    approvers: tuple[str, ...] = ()
