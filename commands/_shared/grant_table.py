"""Renders grants as rows of a table and as sentences."""

from __future__ import annotations

from core.model.policy import Grant
from core.model.policy_selectors import EVERYTHING

COLUMNS = ("ID", "WHO", "MAY", "ON", "IN", "FROM")
WRAPPED = ("MAY",)  # a long list of verbs is continued on further lines, instead of leaving out columns


def make_grant_row(grant: Grant) -> tuple[str, ...]:
    """Returns the cells of one grant in the tables of `grants` and `whoami`."""
    source = f"{grant.by} ({grant.source})" if grant.by else grant.source
    return (grant.id, grant.who, ", ".join(grant.can), str(grant.on), ", ".join(grant.places) or "everywhere", source)


def sentence(grant: Grant, *, now: bool = False, before: bool = False) -> str:
    """Returns what somebody may do: `Bob is now operator, everywhere.` or `Bob now has the permission container.stop,
    everywhere.` `now`, `before`: since this moment, or until it."""
    # A pattern of verbs has a dot, a risk class a colon; all other words are roles.
    roles = all(not set(word) & set(".:*") for word in grant.can)
    if roles:
        verb = "was" if before else "is now" if now else "is"
    else:
        verb = "had" if before else "now has" if now else "has"
        verb += " the permission" if len(grant.can) == 1 else " the permissions"
    on = "" if grant.on == EVERYTHING else f" on {grant.on}"
    where = f", in {', '.join(grant.places)}" if grant.places else "" if on else ", everywhere"
    return f"{grant.subject} {verb} {', '.join(grant.can)}{on}{where}."
