"""What the ssh client wrote, as one sentence with its cure. Pure: lines in, an Unreachable out."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from core import errors
from runtimes.transport.endpoint import Endpoint, Ssh

_CHANNEL = re.compile(r"channel \d+: open failed: (?P<why>.*)")
_NETWORK = re.compile(r"connect to host \S+ port (?P<port>\d+): (?P<why>.+)")
_KEY_FILE = re.compile(r'Load key "(?P<file>[^"]+)": (?P<why>.+)')
_NO_KEY = re.compile(r"Identity file (?P<file>.+) not accessible: (?P<why>.+?)\.?$", re.MULTILINE)
LOST = ("not responding", "Broken pipe", "closed by remote host", "Connection reset")


def channel(endpoint: Endpoint, files: Ssh, line: str) -> errors.Unreachable | None:
    """What a line says about a single connection that could not be forwarded, if it does."""
    found = _CHANNEL.match(line)
    if found is None:
        return None
    host, path = endpoint.host, endpoint.path
    if "prohibited" in found["why"]:
        return errors.Unreachable(
            f"{host} does not let its sockets be forwarded.",
            hint="Its sshd needs AllowStreamLocalForwarding and AllowTcpForwarding to be yes for this user.",
        )
    return errors.Unreachable(
        f"{host} was reached, but the engine's socket {path} could not be opened there.",
        hint="Is the engine running there, and may the user use the socket? Look with:"
        f" {_by_hand(endpoint, files)} ls -l {path}",
    )


def explain(endpoint: Endpoint, files: Ssh, lines: Sequence[str]) -> errors.Unreachable:
    """Why ssh ended, by its last lines."""
    said, host, by_hand = "\n".join(lines), endpoint.host, _by_hand(endpoint, files)
    if "IDENTIFICATION HAS CHANGED" in said:
        return errors.Unreachable(
            f"{host} is not the host it was: its key has changed, or somebody is in between.",
            hint="Nothing was sent. If you know why (a new installation), compare its fingerprint on the host"
            f" (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then forget the old key: ssh-keygen -R"
            f" '{_place(endpoint)}'{f' -f {files.known_hosts}' if files.known_hosts else ''}",
        )
    if "Host key verification failed" in said:
        return errors.Unreachable(
            f"{host} is not known yet, and its key is not taken on trust.",
            hint=f"Connect once by hand as this user ({by_hand}) and compare the"
            " fingerprint with the host's own (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); or write what"
            f" ssh-keyscan{f' -p {endpoint.port}' if endpoint.port else ''} {host} prints into"
            f" {files.known_hosts or '~/.ssh/known_hosts'} after the same comparison.",
        )
    if told := _key(files, said):
        return told
    if "Permission denied" in said:
        who = endpoint.user or "the user ssh chose"
        return errors.Unreachable(
            f"{host} does not let us in as {who}.",
            hint="Put our public key into ~/.ssh/authorized_keys there. A key with a passphrase needs a running"
            " ssh-agent, since nobody can be asked.",
        )
    if "Too many authentication failures" in said:
        return errors.Unreachable(
            f"{host} turned us away after too many keys.", hint="Name the right one: `ssh: {identity: /PATH}`."
        )
    if "Could not resolve hostname" in said:
        return errors.Unreachable(
            f"The host name {host} cannot be resolved.", hint="Check the engine's address in quarterdeck.yaml."
        )
    if found := _NETWORK.search(said):
        return errors.Unreachable(
            f"{host} cannot be reached by ssh on port {found['port']}: {found['why'].lower()}.",
            hint="Is the host up, does sshd listen there, and does a firewall let us through?",
        )
    if "banner exchange" in said or "kex_exchange_identification" in said:
        return errors.Unreachable(
            f"Something listens on {host}, but it does not answer as an sshd does.",
            hint="Check the port; a busy sshd turns some away (MaxStartups).",
        )
    if any(words in said for words in LOST):
        return errors.Unreachable(f"The ssh connection to {host} was lost.", hint="It is opened again on the next use.")
    if "forwarding" in said.lower() and "fail" in said.lower():
        return errors.Unreachable(
            f"ssh could not forward a socket of {host}: {_last(lines)}.",
            hint="Forwardings in ~/.ssh/config count too; name another one with `ssh: {config: /PATH}`.",
        )
    if not lines:
        return errors.Unreachable(f"The ssh connection to {host} ended without a word.", hint=f"Try by hand: {by_hand}")
    return errors.Unreachable(f"ssh to {host} failed: {_last(lines)}.", hint=f"Try by hand: {by_hand}")


def _key(files: Ssh, said: str) -> errors.Unreachable | None:
    """What is wrong with the key file, where ssh said so on the way to being refused."""
    if "UNPROTECTED PRIVATE KEY FILE" in said or "bad permissions" in said:
        file = files.identity or "the key"
        return errors.Unreachable(
            f"ssh does not use {file}: others may read it.", hint=f"chmod 600 {files.identity or 'FILE'}"
        )
    if (found := _NO_KEY.search(said)) and "Permission denied" in said:
        return errors.Unreachable(
            f"The ssh key {found['file']} cannot be read: {found['why'].lower()}.",
            hint="Check `ssh: {identity: …}` in quarterdeck.yaml, and whether this user may read it.",
        )
    if (found := _KEY_FILE.search(said)) and files.identity:
        cure = "Check that it is a private key this user may read."
        if "passphrase" in found["why"]:
            cure = "It has a passphrase: load it into a running ssh-agent, or use a key without one for this alone."
        return errors.Unreachable(f"ssh cannot use the key {found['file']}: {found['why'].lower()}.", hint=cure)
    return None


def _last(lines: Sequence[str]) -> str:
    return lines[-1].rstrip(". \r") if lines else "it said nothing"


def _by_hand(endpoint: Endpoint, files: Ssh) -> str:
    """What a person types to go where we go."""
    words = ["ssh"]
    words += ["-F", files.config] if files.config else []
    words += ["-i", files.identity] if files.identity else []
    words += ["-o", f"UserKnownHostsFile={files.known_hosts}"] if files.known_hosts else []
    words += ["-p", str(endpoint.port)] if endpoint.port else []
    return shlex.join([*words, f"{endpoint.user}@{endpoint.host}" if endpoint.user else endpoint.host])


def _place(endpoint: Endpoint) -> str:
    return f"[{endpoint.host}]:{endpoint.port}" if endpoint.port and endpoint.port != 22 else endpoint.host
