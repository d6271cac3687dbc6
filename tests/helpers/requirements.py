"""Whether the programs a test needs are here: a visible skip where not, a failure where CI requires them.

`QUARTERDECK_REQUIRE_ENGINES=docker,redis,promtool,ssh,openssl` names those that must be here.
"""

from __future__ import annotations

import os
import shutil

import pytest

REQUIRED = {name for name in os.environ.get("QUARTERDECK_REQUIRE_ENGINES", "").split(",") if name}
os.environ["PATH"] += ":/usr/sbin:/sbin"
# As runtimes.transport.grpc_channel sets it, for tests that import grpc before it does.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


def need(name: str, *programs: str, root: bool = False) -> None:
    """Skips, or fails where CI requires it, when a program the test needs is not here."""
    missing = [program for program in programs if shutil.which(program) is None]
    if root and os.geteuid() != 0:
        missing.append("root")
    if missing:
        reason = f"{name}: needs {', '.join(missing)}"
        if name in REQUIRED:
            pytest.fail(f"{reason}, and QUARTERDECK_REQUIRE_ENGINES requires it")
        pytest.skip(reason)
