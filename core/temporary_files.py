"""Explains why a temporary file could not be written."""

from __future__ import annotations

import errno


def write_error_hint(error: OSError) -> str:
    """Returns what helps against an error of the folder for temporary files (TMPDIR, usually /tmp)."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Free space in that folder, or start Quarterdeck with TMPDIR set to a larger folder."
    return "Let Quarterdeck's user write to that folder, or start Quarterdeck with TMPDIR set to another folder."
