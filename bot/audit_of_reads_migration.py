"""Moves the audit rows of reads to a separate stream. Earlier versions wrote the rows of reads and changes to one
stream.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from core import errors
from core.store.client import Store

log = structlog.get_logger(__name__)
ROWS_AT_ONCE = 500


async def move_read_rows(store: Store, now: datetime) -> None:
    """Moves the rows once for each store, and logs how many. If the store fails, the rest stays where it is: searches
    leave it out."""
    moved, before = 0, None
    try:
        if not await store.claim_reads_moved(now.isoformat()):
            return
        while rows := await store.read_audit(count=ROWS_AT_ONCE, before=before):
            before = rows[-1].id
            moved += await store.move_reads([row for row in reversed(rows) if row.fields.get("phase") == "read"])
    except errors.StoreError as error:
        log.warning(
            "Old audit rows of commands that only read could not be moved to a stream of their own.",
            moved=moved,
            reason=error.full_message(),
        )
        return
    if moved:
        log.info("Old audit rows of commands that only read were moved to a stream of their own.", rows=moved)
