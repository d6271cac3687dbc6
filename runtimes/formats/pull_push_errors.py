"""Converts an engine's report of a failed pull or push into one short reason and one hint.

Engines put the registry's own message into several layers of text, each with the image's name again: `initializing
source docker://r.example/web:9: reading manifest 9 in r.example/web: manifest unknown`. The reply names the image
already, so only the innermost message is used. A text without a known layer stays as it is.
"""

from __future__ import annotations

import re

from core import errors

MAX_REASON = 400  # characters
_WRAPPERS = re.compile(
    r"""(?:
    rpc\ error:\ code\ =\ \w+\ desc\ =\ |
    Error\ response\ from\ daemon:\ |
    unable\ to\ pull\ image\ or\ OCI\ artifact:\ |
    (?:pull\ image|pull\ artifact)\ err:\ |
    RegistryUnavailable:\ |
    failed\ to\ pull\ and\ unpack\ image\ "[^"]*":\ |
    failed\ to\ (?:pull|push|copy|resolve)(?:\ (?:image|reference|ref))?(?:\ "[^"]*")?:\ |
    (?:error\ )?(?:initializing|creating|copying)\ (?:source|destination|image)(?:\ docker://\S+)?:\ |
    unable\ to\ copy\ from\ source\ docker://\S+:\ |
    (?:copying\ system\ image\ from\ manifest\ list|trying\ to\ reuse\ blob\ \S+\ at\ destination):\ |
    writing\ blob:\ |
    (?:reading|fetching)\ manifest\ \S+\ in\ \S+:\ |
    manifest\ for\ \S+\ not\ found:\ |
    pinging\ container\ registry\ \S+:\ |
    (?:Requesting\ bearer\ token|unable\ to\ retrieve\ auth\ token):\ |
    (?:httpReadSeeker:\ )?failed\ open:\ |
    failed\ to\ (?:do\ request|authorize|fetch\ (?:anonymous|oauth)\ token):\ |
    (?:[Hh]ead|[Gg]et)\ "[^"]*":\ (?=[Gg]et\ |no\ basic|unauthorized|authentication|denied)
    )""",
    re.VERBOSE,
)
_SECOND_ATTEMPT = re.compile(r";\ (?:artifact|pull artifact) err:.*|\n.*", re.DOTALL)
_LOGIN = ("unauthorized", "no basic auth credentials", "authentication required", "authorization failed")
_NOT_FOUND = ("manifest unknown", "name unknown", "not found")
_HINTS = (
    (("toomanyrequests", "too many requests", "rate limit"), "The registry limits transfers: wait, or log in to it."),
    (("denied", "may require", "forbidden"), "Check the spelling, and whether the image is private. {login}"),
    (("manifest unknown",), "Check the spelling of the tag."),
    (
        ("no matching manifest", "no match for platform", "no image found in manifest list"),
        "Choose a tag that was built for the machine of this engine.",
    ),
    (
        ("x509", "certificate", "http response to https", "tls:"),
        "Configure this registry on the engine's host: its certificate authority, or that it has no TLS.",
    ),
    (("no space left", "disk quota"), "Free disk space on the engine's host."),
    (
        ("name unknown", "not found", "does not exist", "invalid repository name"),
        "Check the spelling of the image and of its registry. A registry reports a private image as missing, too.",
    ),
    (
        (
            "connection refused", "no such host", "timeout", "server misbehaving", "unreachable", "connection reset",
            ": eof", "unexpected eof", "no route to host", "bad gateway", "service unavailable", "server error",
        ),
        "Check that the engine's host can reach the registry, and try again.",
    ),
)  # fmt: skip
_DEFAULT_HINT = "Try it by hand on the engine's host, or look at the engine's log."


def make_pull_push_error(name: str, text: str, *, login: str, code: int = 0) -> errors.QuarterdeckError:
    """Returns the error for a failed pull or push of the image `name`. `text`: the engine's report. `login`: what to
    do about the login of the registry. `code`: the status of the engine's refusal, 0 if it
    sent none."""
    reason = registry_reason(name, text)
    low = reason.lower()
    if any(word in low for word in _LOGIN):
        hint = login
    else:
        hint = next((hint for words, hint in _HINTS if any(word in low for word in words)), _DEFAULT_HINT)
    hint = hint.replace("{login}", login)
    if code == 404 or any(word in low for word in _NOT_FOUND):
        return errors.NotFound(f"{reason}.", hint=hint)
    return errors.EngineError(f"{reason}.", hint=hint)


def done_detail(asked: str, full: str, digest: str) -> str:
    """Returns the detail of a successful transfer: the digest, and the image's full name if it is not the one that was
    asked for. The reply begins with the name that was asked for."""
    if full == asked:
        return digest
    return f"as {full}, {digest}" if digest else f"as {full}"


def unchanged_detail(digest: str) -> str:
    """Returns the detail of a pull that changed nothing. It continues the sentence that begins with the name."""
    return f"is up to date: {digest}" if digest else "is up to date"


def registry_reason(name: str, text: str) -> str:
    """Returns the innermost words of a report, without the image's name and without a full stop."""
    reason = _SECOND_ATTEMPT.sub("", text.strip()).strip()
    names = re.compile(rf"(?:docker://)?(?:docker\.io/(?:library/)?)?{re.escape(name)}(?:@\S+)?: ")
    begin, before = 0, -1
    while begin != before:
        before = begin
        for wrapper in (_WRAPPERS, names):
            if (match := wrapper.match(reason, begin)) is not None and match.end() < len(reason):
                begin = match.end()
    reason = reason[begin:].strip()
    parts = reason.split(": ")
    # Registries send a code and its text, which are often the same words.
    parts = [part for index, part in enumerate(parts) if index == 0 or part.lower() != parts[index - 1].lower()]
    reason = ": ".join(parts).rstrip(". ")
    if len(reason) > MAX_REASON:
        reason = f"{reason[:MAX_REASON]}…"
    return reason or "the engine gives no reason"
