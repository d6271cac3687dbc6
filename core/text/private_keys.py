"""Masks private keys, which span several lines: PEM, PGP and PuTTY keys, plain or in base64.

If one of a key's markers is missing, because a log was cut, the lines next to the other marker that look like a key are
masked.
"""

from __future__ import annotations

import base64
import re

from core.text.known_secrets import MASK
from core.text.lazy_pattern import compile_later

HINTS = ("private key", "private-lines", "ls0tls1crudj")

# BEGIN and END are complete markers; the body has 64 characters a line, or is one line with literal \n in between.
_MARKER = compile_later(r"-----(BEGIN|END) [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_BODY = compile_later(r"(?<![^\s])(?:\\[nr])*+[A-Za-z0-9+/]{40,}+={0,2}(?:\\[nr]\S*+)?(?![^\s\"',])")
_LAST_BODY = compile_later(r"(?<![^\s])[A-Za-z0-9+/]{1,63}+={0,2}\s*$")
# PEM in base64, as in kubeconfigs and secrets of Kubernetes: "-----BEGIN " is always this.
_ENCODED = compile_later(r"LS0tLS1CRUdJT[A-Za-z0-9+/_-]{24,}+={0,2}")
_PUTTY = compile_later(r"^(\s*Private-Lines: [0-9]{1,3}\s*)$", re.MULTILINE)
_CONTINUED = compile_later(r"^[ \t]*[A-Za-z0-9+/_-]{40,}+={0,2}$|^[ \t]*[A-Za-z0-9+/_-]+={1,2}$")


def mask_private_keys(text: str) -> str:
    """Masks private keys from BEGIN to END."""
    return _mask_encoded(_mask_putty(_mask_pem(text)))


def unclosed_key_marker(text: str) -> str:
    """Returns the BEGIN marker of a private key that does not end in this text, or an empty string."""
    markers = list(_MARKER.finditer(text))
    return markers[-1][0] if markers and markers[-1][1] == "BEGIN" else ""


def _mask_pem(text: str) -> str:
    parts: list[str] = []
    at, inside = 0, False
    for marker in _MARKER.finditer(text):
        between, begins = text[at : marker.start()], marker[1] == "BEGIN"
        if inside and not begins:
            parts.append(MASK if between.strip() else between)
        elif inside or not begins:
            parts.append(_mask_key_body(between))
        else:
            parts.append(between)
        parts.append(marker[0])
        at, inside = marker.end(), begins
    rest = text[at:]
    parts.append(_mask_key_body(rest) if inside else rest)
    return "".join(parts)


def _mask_key_body(text: str) -> str:
    """Masks lines that look like the body of a key: long base64 runs, and the short last one."""
    lines: list[str] = []
    running = False
    for line in text.split("\n"):
        body = _BODY.search(line) or (_LAST_BODY.search(line) if running else None)
        if body is None:
            lines.append(line)
        elif not running:
            lines.append(line[: body.start()] + MASK)
        running = body is not None
    return "\n".join(lines)


def _mask_putty(text: str) -> str:
    if _PUTTY.search(text) is None:
        return text
    head, *rest = _PUTTY.split(text)
    bodies = [_mask_key_body(body) for body in rest[1::2]]
    return head + "".join(part for pair in zip(rest[::2], bodies, strict=True) for part in pair)


def _mask_encoded(text: str) -> str:
    """Masks PEM in base64 if it is a private key, and the lines that continue it. A certificate stays."""
    if "LS0tLS1CRUdJT" not in text:
        return text
    lines: list[str] = []
    running = False
    for line in text.split("\n"):
        if running and _CONTINUED.match(line):
            continue
        running = False
        for found in _ENCODED.finditer(line):
            running = running or (_is_private(found[0]) and found.end() == len(line.rstrip()))
        lines.append(_ENCODED.sub(lambda found: f"LS0tLS1CRUdJT{MASK}" if _is_private(found[0]) else found[0], line))
    return "\n".join(lines)


def _is_private(encoded: str) -> bool:
    head = base64.b64decode(
        encoded[:80].translate({0x2D: "+", 0x5F: "/"}).rstrip("=")[: 4 * (min(len(encoded), 80) // 4)] + "=="
    )
    return b"PRIVATE" in head or b"PRIVA" in head[-12:] or (len(encoded) < 80 and b"CERTIFICATE" not in head)
