"""Invents values that look like secrets. They are built from parts, so that no scanner of a hosting service takes a
file of the tests for a leak."""

from __future__ import annotations

import base64
import hashlib
import string

ALPHANUMERIC = string.ascii_letters + string.digits
HEX, LOWER, UPPER = "0123456789abcdef", string.ascii_lowercase + string.digits, string.ascii_uppercase + string.digits


def made(length: int, alphabet: str = ALPHANUMERIC, seed: str = "") -> str:
    """Returns always the same text without meaning."""
    out = ""
    while len(out) < length:
        digest = hashlib.sha256(f"{seed}/{length}/{len(out)}".encode()).digest()
        out += "".join(alphabet[byte % len(alphabet)] for byte in digest)
    return out[:length]


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def uuid(seed: str = "") -> str:
    digits = made(32, HEX, seed)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


PEM_HEAD, PEM_TAIL = "-----BEGIN {}" + "PRIVATE KEY-----", "-----END {}" + "PRIVATE KEY-----"
