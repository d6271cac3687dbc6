"""Names every key in the store: the whole layout is here.

A client puts `{qd}:` in front of each name. The braces are a hash tag: on a Redis Cluster all keys share one slot, so
one script may use any of them. Names do not change between versions: a rolling upgrade reads what the older version
wrote.

    name                     type     expires    what it holds
    once:ID                  string   1 hour     set when invocation ID was seen; a second delivery is dropped
    rate:RISK:WHO            string   when full  GCRA rate limit: when this person's bucket is full again, in µs
    inv:ID                   hash     1 day      an unfinished invocation: record, phase, detail, replica, posted,
                                                 and `outcome:N` = status for each action N that has ended
    inv                      zset     1 day      ids of unfinished invocations by time in ms
    replica:NAME             string   seconds    set while that bot process is alive
    containers               zset     trimmed    ids of the containers in which bot processes run or lately ran, by time
    hold:KIND:ENGINE/ID      hash     seconds    a lease: fence, record (who holds it), invocation
    fence                    string   never      counter: the last fencing number given with a lease
    question:TOKEN           string   minutes    a pending confirmation or approval
    job:JOB, stop:JOB        string   seconds    who reads a job; somebody asked to stop it
    freeze                   hash     its end    by, record: who froze all changes, and everything else about it
    freeze:announced         string   never      the freeze that was announced last, until its end was announced
    grants                   hash     never      grants given in chat, by id
    policy:version           string   never      grows with each change of `grants`
    claim                    hash     minutes    the first admin's one-time code, as a digest
    slack:shape:TEAM         string   days       which table format a workspace accepts
    audit                    stream   trimmed    the audit rows
    audit:index              zset     trimmed    KIND, NAME and row of each audit row: by who, target and phase
    audit:state              hash     never      bytes: of the rows and their index, estimated; trimmed: rows removed
    audit:repeats            hash     trimmed    how often a folded refusal was repeated, by row
    audit:fold:KEY           string   minutes    the audit row on which refusals are counted, by a digest
    audit:refusals:KEY       string   minutes    counter: rows of refusals in the window, of one person or of all
    audit:reads              stream   trimmed    the audit rows of commands that only read; beside it the same keys as
                                                 for the audit: audit:reads:index, :state, :repeats and :fold:KEY
    audit:reads:moved        string   never      when the rows of reads were moved from the audit to audit:reads
    hold:schedule            hash     seconds    the lease of the process that runs the shared jobs
    hold:posting             hash     seconds    the lease of the process that posts incidents
    hold:disk-use:ENGINE     hash     minutes    the lease of the process that measures an engine's disk use
    disk-use:ENGINE          string   minutes    an engine's disk use, as last measured; gone: it may be measured again
    people                   hash     never      the name under which each person last gave a command, by id
    names                    hash     never      what Slack last called other people, groups and channels, by id
    cursor:ENGINE            string   30 days    time in ns up to which an engine's events were read
    recent:ENGINE            string   30 days    which events near the cursor were processed, as digests
    watched:ENGINE           hash     30 days    when each watcher last watched, in ns; negative: it stopped then
    watch:began:ENGINE       string   30 days    since when an engine is watched, except for its gaps, in ns
    known:ENGINE             hash     30 days    one record for each container that the engine had, by its id
    incidents                hash     trimmed    incidents by key
    silences                 hash     trimmed    silences of incidents, by id
    maintenance              hash     trimmed    maintenance windows, by id
    mutes                    hash     trimmed    until when in seconds since the epoch a person is muted, by id
    alerts:channel           string   never      the channel that `alerts here` named, and who named it
    healing                  hash     never      what self-healing did, by healing policy
    runs:good                hash     trimmed    with which settings each owner's container ran well last
    incidents:changed        zset     trimmed    keys of the incidents that people must still be told about, by change
    incidents:messages       zset     trimmed    CHANNEL, TS and key of each incident that a message of a chat is about
    incidents:log            zset     trimmed    keys of all incidents by the time of the last change, in µs, each once
    incidents:last           string   never      the greatest time in incidents:log
    outlet:NAME              string   never      up to which time of incidents:log a system was told (webhook and such)
    outlet:NAME:queue        zset     trimmed    keys of the incidents that it must still be told about, by time in µs
    post:NAME                string   2 days     a message that is being posted or is there: its token, time and place;
                                                 also which incidents a summary named first (NAME ends in ` of`), and
                                                 which entry of a thread says a turn of an incident (` in`)
    alerts:received          hash     trimmed    open alerts of an Alertmanager by fingerprint, as they first came
    watched                  string   30 days    when any process last watched, in ms
    engines:watched          zset     trimmed    when any process last watched each engine, in ms
    hold:outlets             hash     seconds    the lease of the process that tells other systems about incidents
    call:ENGINE:ID           string   minutes    who ended a container through a process that does not watch its engine
    events                   hash     trimmed    the history of events, by a digest of what makes an event one fact
    events:times             zset     trimmed    TIME, ENGINE, TYPE, ACTION, KIND and key of each event
    events:names             zset     trimmed    NAME, TIME and key of each event, by its resource
    events:state             hash     never      bytes: of the events, estimated; cut_until: the time of the newest one
                                                 removed by the limits; lost, lost_until: events that were not stored
"""

from __future__ import annotations

from typing import NamedTuple

NAMESPACE = "qd"
UNFINISHED = "inv"
CONTAINERS = "containers"
FENCE = "fence"
FREEZE = "freeze"
FREEZE_ANNOUNCED = "freeze:announced"
GRANTS = "grants"
POLICY_VERSION = "policy:version"
CLAIM = "claim"
PEOPLE = "people"
NAMES = "names"
EVENTS = "events"
EVENT_TIMES = "events:times"
EVENT_NAMES = "events:names"
EVENT_STATE = "events:state"
READS_MOVED = "audit:reads:moved"


class AuditKeys(NamedTuple):
    """The keys of one audit, in the order in which the scripts take them."""

    rows: str
    names: str
    state: str
    repeats: str


AUDIT = AuditKeys("audit", "audit:index", "audit:state", "audit:repeats")
READS = AuditKeys("audit:reads", "audit:reads:index", "audit:reads:state", "audit:reads:repeats")
"""Commands that only read have an audit of their own, so that they cannot push changes out."""
INCIDENTS = "incidents"
HEALING = "healing"
GOOD_RUNS = "runs:good"
SILENCES = "silences"
INCIDENTS_CHANGED = "incidents:changed"
INCIDENT_MESSAGES = "incidents:messages"
MAINTENANCE = "maintenance"
MUTES = "mutes"
ALERT_CHANNEL = "alerts:channel"
INCIDENT_LOG = "incidents:log"
INCIDENT_LAST = "incidents:last"
RECEIVED_ALERTS = "alerts:received"
WATCHED_AT = "watched"
WATCHED_ENGINES = "engines:watched"


def seen_invocation(invocation: str) -> str:
    """Returns the key that marks an invocation as seen."""
    return f"once:{invocation}"


def rate(risk: str, who: str) -> str:
    return f"rate:{risk}:{who}"


def invocation(id: str) -> str:  # noqa: A002
    return f"inv:{id}"


def replica(name: str) -> str:
    return f"replica:{name}"


def lease(target: str) -> str:
    return f"hold:{target}"


def question(token: str) -> str:
    return f"question:{token}"


def job(job: str) -> str:
    return f"job:{job}"


def job_stop(job: str) -> str:
    return f"stop:{job}"


def slack_shape(team: str) -> str:
    return f"slack:shape:{team}"


def audit_fold(key: str) -> str:
    return f"audit:fold:{key}"


def read_fold(key: str) -> str:
    return f"audit:reads:fold:{key}"


def audit_refusals(key: str) -> str:
    return f"audit:refusals:{key}"


def call(engine: str, container: str) -> str:
    return f"call:{engine}:{container}"


def cursor(engine: str) -> str:
    return f"cursor:{engine}"


def recent_events(engine: str) -> str:
    return f"recent:{engine}"


def watch_began(engine: str) -> str:
    return f"watch:began:{engine}"


def watched(engine: str) -> str:
    return f"watched:{engine}"


def known_containers(engine: str) -> str:
    return f"known:{engine}"


def post(name: str) -> str:
    return f"post:{name}"


def outlet_position(outlet: str) -> str:
    return f"outlet:{outlet}"


def outlet_queue(outlet: str) -> str:
    return f"outlet:{outlet}:queue"


def disk_use(engine: str) -> str:
    return f"disk-use:{engine}"
