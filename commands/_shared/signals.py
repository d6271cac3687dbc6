"""The names of Linux signals by their numbers."""

from __future__ import annotations

# Linux numbers (signal(7), x86 and arm): the engine's host counts, not the one we run on.
_WORDS = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG"
    " XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
NAMES = tuple(_WORDS.split())
SIGNALS = dict(enumerate(NAMES, start=1))
