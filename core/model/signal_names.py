"""Lists the names of Linux signals by their numbers."""

from __future__ import annotations

# Linux numbers (signal(7), x86 and arm). The signal is sent on the engine's host, so this host's numbers do not matter.
_NAMES = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG"
    " XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
NAMES = tuple(_NAMES.split())
SIGNALS = dict(enumerate(NAMES, start=1))
