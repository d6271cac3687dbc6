"""Changes text so that it mentions nobody in any chat, for systems that may forward it to a chat.

Slack takes `<!channel>` and `<@U0123>` as mentions; Mattermost, Discord and others take `@here` and `@name`. The
character that begins a mention is replaced by one that looks like it. An `@` after a letter or a digit, as in
`web@sha256:…` and in an address, begins no mention and stays.
"""

from __future__ import annotations

import re

_SLACK = re.compile(r"<(?=[!@#])")
_AT = re.compile(r"(?<!\w)@(?=\w)")


def remove_mentions(text: str) -> str:
    """Returns the text with `‹` and `＠` in place of the signs that begin a mention."""
    if "@" not in text and "<" not in text:
        return text
    return _AT.sub("＠", _SLACK.sub("‹", text))
