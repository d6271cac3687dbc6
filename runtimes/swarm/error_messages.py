"""Recognises the meaning of a manager's error message, by its first words.

The rest of the message may quote the requester's input, such as a constraint or a name. So its words are ignored. If a
manager forwards a request to the leader, the message begins with `rpc error` twice.
"""

from __future__ import annotations

import re

_RPC = re.compile(r"rpc error: code = (?P<code>\w+) desc = ")
# The leader, or the way to it, was lost: it is not known whether the request was carried out.
_LOST_CODES = ("DeadlineExceeded", "Unavailable", "Canceled")
_LOST = re.compile(r"context deadline exceeded|(?:raft: )?(?:failed to process the request: )?node lost leader status")
_WRAPPING = ("Unknown", "Internal")  # codes whose text may be another error


def is_no_manager(text: str) -> bool:
    """Whether the node is not a manager any more."""
    return _own_words(text)[1].startswith("This node is not a swarm manager")


def is_leaderless(text: str) -> bool:
    """Whether the Swarm has no leader, so nothing was done."""
    return _own_words(text)[1].startswith("The swarm does not have a leader")


def is_lost(text: str) -> bool:
    """Whether the manager does not know the result of a request that it passed on."""
    code, words = _own_words(text)
    return code in _LOST_CODES or _LOST.match(words) is not None


def is_out_of_sequence(text: str) -> bool:
    """Whether somebody else changed the object after it was read."""
    return _own_words(text)[1].startswith("update out of sequence")


def own_words(text: str) -> str:
    """Returns a refusal without the codes of the manager's own protocol."""
    return _own_words(text)[1]


def _own_words(text: str) -> tuple[str, str]:
    """Returns the innermost code, empty if there is none, and the words after it."""
    code, words = "", text
    while (found := _RPC.match(words)) is not None:
        code, words = found["code"], words[found.end() :]
        if code not in _WRAPPING:
            break
    return code, words
