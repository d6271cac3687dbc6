"""What the workspace is made of: people, channels, messages and all that the stand-in notes down about the product.

These are the stand-in's own books, so most of them change: a message is edited in place, a delivery gets its ack.
Only what is written once is frozen. Times are seconds of the workspace's clock (`state.Workspace.now`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]

# Web API tiers as Slack documents them: the least number of calls a minute.
TIERS: Mapping[str, int] = {
    "apps.connections.open": 20,
    "chat.delete": 50,
    "chat.postEphemeral": 100,
    "chat.update": 50,
    "conversations.info": 50,
    "conversations.members": 100,
    "conversations.open": 50,
    "files.completeUploadExternal": 100,
    "files.getUploadURLExternal": 100,
    "usergroups.list": 20,
    "usergroups.users.list": 20,
    "users.info": 100,
    "views.open": 100,
    "views.publish": 100,
    "views.push": 100,
    "views.update": 100,
}
SCOPES = (
    "app_mentions:read",
    "channels:read",
    "chat:write",
    "commands",
    "files:write",
    "groups:read",
    "im:history",
    "im:write",
    "usergroups:read",
    "users:read",
)


@dataclass(slots=True, kw_only=True)
class Settings:
    """What a test may turn. Seconds unless said otherwise."""

    ack_seconds: float = 3.0
    """How long the product has to acknowledge a payload. Then the person is told that it did not."""
    patience_seconds: float = 12.0
    """How much later it breaks a rule. A busy machine may hold a process for seconds, which is no fault of it."""
    trigger_seconds: float = 3.0
    response_uses: int = 5
    response_seconds: float = 30 * 60.0
    ping_seconds: float = 10.0
    """How often each socket gets a ping frame."""
    max_sockets: int = 10
    post_rate: float = 1.0
    """chat.postMessage calls a second and channel, once `post_burst` is used up. 0: no limit."""
    post_burst: int = 4
    tiers: dict[str, int] = field(default_factory=lambda: dict(TIERS))
    """Calls a minute by method. A method that is not named has no limit."""
    retry_grace: float = 0.3
    """A call may cross a 429 on the wire; only later ones break the rule of Retry-After."""
    rollout: set[str] = field(default_factory=lambda: {"table", "data_table", "markdown", "action_cell"})
    """Block types, and the type of table cells with a button, that this workspace has already got. Others are
    refused and that is nobody's fault."""
    long_tables: bool = True
    """Whether data tables have 201 rows and 20,000 characters, as since 2026-09; before, they had half of that."""
    retry_delays: tuple[float, ...] = (0.0, 60.0, 300.0)
    """Signed HTTP only: pauses before the three repetitions of an event."""
    echo: bool = True
    """Whether what the bot posts in a DM comes back to it as an event, as it does."""
    grid: Literal["", "workspace", "organization"] = ""
    """Enterprise Grid: the app is installed in one workspace of an organization, or in all of it."""
    seed: int | None = None
    """Makes the choice of sockets repeatable."""


@dataclass(slots=True, kw_only=True)
class User:
    """`team` is the one that Slack names for the person whatever the workspace; `teams` are all that they are in."""

    id: str
    name: str
    team: str = "T0001"
    teams: list[str] = field(default_factory=list)
    is_bot: bool = False
    is_admin: bool = False
    is_restricted: bool = False
    is_ultra_restricted: bool = False
    deleted: bool = False


@dataclass(slots=True, kw_only=True)
class Channel:
    """A conversation. Of a DM with the bot `user` is the person's id."""

    id: str
    name: str
    kind: Literal["public", "private", "im"] = "public"
    members: set[str] = field(default_factory=set)
    archived: bool = False
    shared: bool = False
    user: str = ""


@dataclass(slots=True, kw_only=True)
class Group:
    """`team`: the workspace it is a group of."""

    id: str
    handle: str
    name: str
    users: list[str]
    team: str = "T0001"
    organization: bool = False
    """Made by the organization's administrators and linked to the workspace."""


@dataclass(slots=True, kw_only=True)
class Message:
    """One message as a channel holds it. `only_for` names the one person who sees an ephemeral one."""

    ts: str
    channel: str
    author: str
    text: str = ""
    blocks: list[Json] = field(default_factory=list)
    attachments: list[Json] = field(default_factory=list)
    thread_ts: str = ""
    only_for: str = ""
    files: list[str] = field(default_factory=list)
    edits: int = 0
    deleted: bool = False
    loud: bool = False
    """Posted with parse=full or link_names, so that plain @names in it notify."""
    broadcast: bool = False
    metadata: Json = field(default_factory=dict)
    fired: list[str] = field(default_factory=list)
    """Mentions and dangers it held before an edit took them out."""
    history: list[str] = field(default_factory=list)
    """Renderings it had before each edit."""


@dataclass(slots=True, kw_only=True)
class File:
    id: str
    name: str
    length: int
    content: bytes | None = None
    title: str = ""
    snippet_type: str = ""
    shared: bool = False


@dataclass(slots=True, kw_only=True)
class View:
    """A modal on a person's screen, or their Home tab; `body` is what the product sent plus generated ids."""

    id: str
    user: str
    body: Json
    hash: str
    root: str = ""
    previous: str = ""


@dataclass(slots=True, kw_only=True)
class Trigger:
    id: str
    user: str
    at: float
    used: bool = False
    view: str = ""
    """The modal it came from, for views.push."""


@dataclass(slots=True, kw_only=True)
class ResponseUrl:
    """Where an answer may be sent without a token. `source` is the ts of the message whose button was pressed; a slash
    command has none, which is why its url can replace nothing."""

    path: str
    user: str
    channel: str
    at: float
    source: str = ""
    thread_ts: str = ""
    uses: int = 0


@dataclass(slots=True, kw_only=True)
class Delivery:
    """One payload sent to the product. A redelivery of the same fact may have an `envelope_id` of its own."""

    envelope_id: str
    kind: Literal["slash_commands", "events_api", "interactive"]
    payload: Json
    at: float
    via: str = ""
    """Socket id, or `http`; empty when nobody was there to take it."""
    attempt: int = 0
    reason: str = ""
    acked: bool = False
    answer: Any = None
    timed_out: bool = False
    lost: bool = False
    """The socket died before the ack."""
    status: int = 0
    """Signed HTTP: the status the product answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    method: str
    rule: str
    excerpt: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of the product. `error` is empty when it went well."""

    method: str
    args: Json
    at: float
    status: int
    error: str


@dataclass(slots=True, kw_only=True)
class Fault:
    """What goes wrong in the next `count` calls of `method` (`*`: any).

    kind `429`, `500`, `timeout`, `reset` or the name of a Slack error. `applied`: the call takes effect all the same
    and only its answer is lost.
    """

    method: str
    kind: str
    count: int = 1
    retry_after: int = 1
    seconds: float = 60.0
    applied: bool = False
    channel: str = ""


class Refused(Exception):
    """Slack says no, by its own error name. `rule`: which one the product broke; empty when the world is to blame."""

    def __init__(self, error: str, *, rule: str = "", messages: Sequence[str] = (), **details: Any) -> None:
        self.error, self.rule, self.messages, self.details = error, rule, tuple(messages), details
        super().__init__(error)

    def body(self) -> Json:
        answer: Json = {"ok": False, "error": self.error, **self.details}
        if self.messages:
            answer["errors"] = list(self.messages)
            answer["response_metadata"] = {"messages": [f"[ERROR] {message}" for message in self.messages]}
        return answer


class Impossible(Exception):
    """The test asks for something a person at Slack's screen cannot do."""
