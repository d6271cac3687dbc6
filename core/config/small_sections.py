"""Defines eight short sections of the configuration, from `store` to `audit`.

The larger sections have their own modules; see `core.config.schema`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, SecretStr

from core.config import field_types
from core.config.base_section import Section


class Store(Section):
    """The database for everything that must survive a restart: grants, open questions, the audit trail."""

    url: Annotated[SecretStr, AfterValidator(field_types.store_url)] | None = Field(
        default=None,
        description="Your own Redis or Valkey. Default: Quarterdeck runs a small Valkey in the state directory, on a"
        " private socket. If the address contains a password, `url_file` is safer.",
        examples=['url: "redis://:PASSWORD@redis:6379/0"'],
    )
    url_file: Path | None = Field(
        default=None, description="A file that contains the address.", examples=["url_file: /run/secrets/store_url"]
    )
    timeout: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="Maximum time for one answer of the store, in seconds. It is short, because people"
        " wait for the answer.",
    )
    max_megabytes: int = Field(
        default=512,
        ge=64,
        le=65_536,
        description="Maximum memory of the store in the state directory, in MiB. One fifth of it is"
        " reserved for changes and grants. For your own server, set its `maxmemory` instead.",
    )


class Limits(Section):
    """The maximum number of commands per person: N/s, N/min or N/h. Each risk class has its own limit."""

    read: field_types.Rate = Field(
        default=field_types.RateLimit(60, 60),
        description="Commands that only read. The limit is high, because people repeat `ps` during an incident.",
    )
    change: field_types.Rate = Field(
        default=field_types.RateLimit(12, 60),
        description="Commands that start, stop, restart or otherwise change something.",
    )
    destroy: field_types.Rate = Field(
        default=field_types.RateLimit(6, 60), description="Commands with changes that cannot be undone."
    )


class Confirm(Section):
    """When Quarterdeck asks for a confirmation. It always asks before a change that cannot be undone."""

    ttl: Annotated[timedelta, BeforeValidator(field_types.duration)] = Field(
        default=timedelta(minutes=5),
        ge=timedelta(seconds=10),
        le=timedelta(days=1),
        description="Time in which a question can be answered.",
    )
    more_than: int = Field(
        default=3,
        ge=0,
        description="Quarterdeck asks before a change of more than this number of targets at once. With"
        " 0, it asks before every change.",
    )


class Metrics(Section):
    """The HTTP server for /metrics (Prometheus), /healthz and /readyz."""

    listen: Annotated[field_types.ListenAddress | None, PlainValidator(field_types.listen_address)] = Field(
        default=field_types.ListenAddress("127.0.0.1", 9108),
        description="HOST:PORT, :PORT for all addresses, or off. Default: loopback, because it requires no password.",
    )
    container_labels: Annotated[tuple[field_types.NonEmptyStr, ...], BeforeValidator(field_types.split_list)] = Field(
        default=(),
        description="Container labels that become metric labels. Default: none, because each value creates new series.",
        examples=["container_labels: [app, team]"],
    )
    max_containers: int = Field(
        default=2000,
        ge=1,
        le=100_000,
        description="Maximum number of containers per engine that have their own series. Further"
        " containers are only counted.",
    )


class Upkeep(Section):
    """What Quarterdeck reads from the engines at long intervals, for the metrics page."""

    disk_use: Annotated[
        Annotated[timedelta, Field(ge=timedelta(minutes=15), le=timedelta(days=7))] | None,
        BeforeValidator(field_types.duration_or_off),
    ] = Field(
        default=timedelta(minutes=15),
        description="Interval at which each engine measures the disk use of its images, volumes and"
        " containers, or off. At least 15m, because a large engine needs minutes for the"
        " measurement.",
    )


class Log(Section):
    """The log on stderr."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error."
    )
    format: Literal["auto", "console", "json"] = Field(
        default="auto",
        description="console, json (one object per line) or auto (console on a terminal, otherwise json).",
    )


class History(Section):
    """The history of events in the store, which `events` shows after a restart: the life of containers, services and
    images."""

    keep: int = Field(default=100_000, ge=100, le=1_000_000, description="Maximum number of events, about 1 KiB each.")
    keep_for: Annotated[timedelta, BeforeValidator(field_types.duration)] = Field(
        default=timedelta(hours=24),
        ge=timedelta(minutes=10),
        le=timedelta(days=30),
        description="Maximum age of an event.",
    )
    keep_megabytes: int = Field(
        default=96,
        ge=1,
        le=8_192,
        description="Maximum size of the events and their index, in MiB. In the store of the state"
        " directory, they use at most one sixth of `store.max_megabytes`.",
    )


class Audit(Section):
    """The audit trail in the store: who did what."""

    keep: int = Field(
        default=100_000, ge=1, description="Maximum number of rows, about 1 KiB each; the oldest are deleted first."
    )
    keep_reads: int = Field(
        default=50_000,
        ge=1,
        description="Maximum number of rows about commands that only read. Equal commands within ten"
        " minutes are one row.",
    )
    keep_megabytes: int = Field(
        default=128,
        ge=1,
        le=32_768,
        description="Maximum size of the rows and their index, in MiB. In the store of the state"
        " directory, they use at most half of `store.max_megabytes`. Rows about commands that"
        " only read may use one quarter of this size in addition.",
    )
    keep_for: Annotated[timedelta, BeforeValidator(field_types.duration)] | None = Field(
        default=None,
        ge=timedelta(hours=1),
        description="Maximum age of a row. Default: no limit.",
        examples=["keep_for: 365d"],
    )
