"""Renders grants as rows of a table, for the commands `grants` and `whoami`."""

from __future__ import annotations

from core.model.policy import Grant

COLUMNS = ("ID", "WHO", "MAY", "ON", "IN", "FROM")


def grant_row(grant: Grant) -> tuple[str, ...]:
    """Returns the cells of one grant in the tables of `grants` and `whoami`."""
    source = f"{grant.by} ({grant.source})" if grant.by else grant.source
    return (grant.id, grant.who, ", ".join(grant.can), str(grant.on), ", ".join(grant.places) or "everywhere", source)
