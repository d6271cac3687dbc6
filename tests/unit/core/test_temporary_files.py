"""The cure for a temporary file that could not be written depends on the cause."""

from __future__ import annotations

import errno

import pytest

from core import temporary_files


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.ENOSPC, "Free space"),
        (errno.EDQUOT, "Free space"),
        (errno.EACCES, "write to that folder"),
        (errno.EROFS, "another folder"),
    ],
)
def test_the_cure_fits_the_cause(number: int, cure: str) -> None:
    assert cure in temporary_files.write_error_hint(OSError(number, "…"))
