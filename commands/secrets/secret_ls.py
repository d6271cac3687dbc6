"""`secret ls`: lists secrets by their names and times. Nobody can read their contents here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from commands._shared import formatting, list_commands
from commands.spec import Command
from core.model.refs import Kind
from core.model.secrets_and_configs import ListSecrets, StoredValue


def secret_cells(row: StoredValue, now: datetime) -> Sequence[str]:
    """Returns the cells of one secret in the table."""
    times = (formatting.ago(at or 0.0, now) for at in (row.created_at, row.updated_at))
    return (row.ref.name, row.driver, *times, row.ref.short_id)


command = Command(
    name="secret ls",
    summary="list secrets",
    examples=("secret ls", "secret ls --host 'prod-*'"),
    plan=list_commands.make_plan(Kind.SECRET),
    render=list_commands.make_render(
        list_commands.ListDefinition(
            kind=Kind.SECRET,
            columns=("SECRET", "DRIVER", "CREATED", "UPDATED", "ID"),
            optional=("DRIVER",),
            cells=secret_cells,
            none="There are no secrets.",
        )
    ),
    verbs=(ListSecrets.verb,),
    args=list_commands.arguments("secret, start of its name or id, or a glob like 'shop_*'"),
)
