"""Defines permissions: grants allow, guards restrict, and a decision gives the verdict with its reason.

The default is deny. The field `can` of a grant or guard lists verb patterns (`container.*`, `*.list`), role names
(`operator`) or risk classes (`risk:change`). A bare `*` never includes the `policy.*` verbs and `host.reach`; they must
be named. The order of grants and guards does not matter: a guard can only make a verdict stricter.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING

from core.lazy_dataclass import dataclass
from core.model.policy_selectors import EVERYTHING, Selector

if TYPE_CHECKING:
    from core.model.healing import HealingPolicy


class Verdict(enum.IntEnum):
    """What the policy says about an action, from the mildest to the strictest; a plan gets its strictest verdict."""

    ALLOW = 0
    CONFIRM = 1
    APPROVE = 2
    DENY = 3


class Ask(enum.StrEnum):
    CONFIRM = "confirm"
    APPROVE = "approve"
    DENY = "deny"


VERDICT_OF = {Ask.CONFIRM: Verdict.CONFIRM, Ask.APPROVE: Verdict.APPROVE, Ask.DENY: Verdict.DENY}

# The prefixes of verbs that change permissions, and that reach the host of an engine. In a grant, and in the `allow`
# list of an engine, only a pattern with the same prefix covers them.
NAMED_ONLY = ("policy.", "host.")
# The verbs that read what is inside containers, volumes, secrets and pods, themselves or by a new program, and the one
# that shows a join token. A grant of a risk class, such as `risk:read`, does not cover them: it is given to people who
# look and restart.
INSIDE = frozenset(
    {
        *("container.exec", "container.copy", "container.export", "container.commit"),
        *("container.create", "service.create", "service.update", "pod.join"),
        *("secret.use", "config.use", "swarm.token"),
    }
)
# In the `can` list of a guard: whatever ends or freezes running processes, also as an effect (core.model.effects).
ENDS = "ends"

# The built-in roles: named sets of verbs. The configuration adds more under `roles:`. Some verbs have effects beyond
# their target, so only admins and grants that name them have these: `container.exec` (a program in a container is often
# root there, and reads its secrets and mounts), `container.copy`, `container.export` and `container.commit` (they read
# its files), `container.rename` (permissions go by name), `container.update`, `image.push`, `image.tag` and
# `service.update` (they decide which code runs where), `unit.install`, `unit.enable`, `unit.disable`, `unit.reload`,
# `unit.enable-linger` and `unit.disable-linger` (what the host starts at boot), `freeze.lift-any` (it ends what another
# person asked for), `swarm.*`, and all verbs that create or remove.
VIEWER = (
    "container.list",
    "container.inspect",
    "container.logs",
    "container.stats",
    "container.top",
    "container.diff",
    "container.wait",
    "event.list",
    "service.list",
    "service.inspect",
    "service.logs",
    "task.list",
    "stack.list",
    "secret.list",
    "config.list",
    "node.list",
    "node.inspect",
    "pod.list",
    "pod.inspect",
    "image.list",
    "image.inspect",
    "image.history",
    "image.outdated",
    "network.list",
    "network.inspect",
    "volume.list",
    "volume.inspect",
    "namespace.list",
    "unit.list",
    "unit.inspect",
    "unit.linger",
    "engine.list",
    "engine.info",
    "engine.disk-use",
    "engine.unused",
    "engine.users",
    "incident.list",
    "incident.inspect",
    "silence.list",
    "maintenance.list",
    "rule.list",
    "freeze.show",
    "rule.test",
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
    "project.restart",
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
    "image.search",
    "image.inspect-remote",
    "incident.acknowledge",
    "incident.silence",
    "incident.snooze",
    "silence.remove",
    "maintenance.add",
    "maintenance.end",
    "freeze.set",
    "freeze.lift",
)
ROLES: Mapping[str, tuple[str, ...]] = {"viewer": VIEWER, "operator": OPERATOR, "admin": ("*", "policy.*")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Allows `who` (`everyone`, `group:<name>` or an identity such as `slack:T1/U1`) the verbs `can`. `places`: the
    channels where it applies; empty means all. `source`: `config`, `store` or `builtin`. `id` is its name in decisions
    and in `revoke`."""

    id: str
    who: str
    can: tuple[str, ...]
    on: Selector = EVERYTHING
    places: tuple[str, ...] = ()
    source: str = "config"
    by: str = ""

    def __str__(self) -> str:
        where = f" in {', '.join(self.places)}" if self.places else ""
        return f"{self.subject} has the permission {', '.join(self.can)} on {self.on}{where}"

    @property
    def subject(self) -> str:
        """Who has the permission, as the first word of a sentence."""
        return self.who if ":" in self.who else self.who[:1].upper() + self.who[1:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Restricts what grants allow: it asks for a confirmation or an approval, or denies. `can` may also contain
    `risk:change`, `risk:destroy` or `ends`. A guard also sees the effects of an action. `approvers`: who may approve,
    as in `Grant.who`, for `ask: approve`."""

    id: str
    can: tuple[str, ...]
    ask: Ask
    on: Selector = EVERYTHING
    who: str = "everyone"
    approvers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All rules that apply. `version` increases with every stored grant. `self_ids`: Quarterdeck's own containers;
    `self_name`: the beginning of its own id, if no more is known; `store_host`: the host name of its store;
    `replica_ids`: the containers of the processes that share the store, as whole ids or their first 12 digits.
    `healing`: what self-healing does; see core.model.healing."""

    grants: tuple[Grant, ...] = ()
    guards: tuple[Guard, ...] = ()
    roles: Mapping[str, Sequence[str]] = field(default_factory=lambda: ROLES)
    self_ids: frozenset[str] = frozenset()
    self_name: str = ""
    store_host: str = ""
    replica_ids: frozenset[str] = frozenset()
    version: int = 0
    healing: tuple[HealingPolicy, ...] = ()

    def is_own(self, container_id: str) -> bool:
        """Whether this process, or another one that shares the store, runs in this container."""
        return container_id in self.self_ids or self.runs_replica(container_id)

    def runs_replica(self, container_id: str) -> bool:
        """Whether a process that shares the store runs, or lately ran, in this container."""
        return container_id in self.replica_ids or container_id[:12] in self.replica_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A verdict. `rule`: the id of the grant or guard that decided; `reason`: a sentence for people; `hint`: what would
    help. `approvers`: one list for each guard that asks for an approval and names approvers; somebody of each
    must approve."""

    verdict: Verdict
    rule: str
    reason: str
    hint: str = ""
    approvers: tuple[tuple[str, ...], ...] = ()
