"""Converts the messages of the ssh client to one Unreachable error with a hint. Does no I/O."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from core import errors
from runtimes.transport.endpoint import CHECK_ADDRESS, Endpoint, Ssh

_CHANNEL = re.compile(r"channel \d+: open failed: (?P<reason>.*)")
_NETWORK = re.compile(r"connect to host \S+ port (?P<port>\d+): (?P<reason>.+)")
_KEY_FILE = re.compile(r'Load key "(?P<file>[^"]+)": (?P<reason>.+)')
_OPEN_KEY = re.compile(r"Permissions \S+ for '(?P<file>[^']+)' are too open")
_NO_KEY = re.compile(r"Identity file (?P<file>.+) not accessible: (?P<reason>.+?)\.?$", re.MULTILINE)
_HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
LOST = ("not responding", "Broken pipe", "closed by remote host", "Connection reset")


def make_connection_error(endpoint: Endpoint, files: Ssh, lines: Sequence[str]) -> errors.Unreachable:
    """Returns the error for an ssh process that ended, from the last lines that ssh wrote."""
    text, host, command = "\n".join(lines), endpoint.host, _command(endpoint, files)
    if "IDENTIFICATION HAS CHANGED" in text:
        return errors.Unreachable(
            f"The host key of {host} has changed, or another machine answers in its place.",
            hint="Nothing was sent. If the host was installed again: 1. Show the new fingerprint on the host:"
            f" ssh-keygen -lf {_HOST_KEY}. 2. As the user that runs Quarterdeck, compare it with the one that this"
            f" shows: {command}. 3. As the same user, remove the old key: ssh-keygen -R '{_known_host(endpoint)}'"
            f"{f' -f {files.known_hosts}' if files.known_hosts else ''}",
        )
    if "Host key verification failed" in text:
        return errors.Unreachable(
            f"The host key of {host} is not in the known_hosts file, and Quarterdeck accepts no unknown keys.",
            hint=f"1. As the user that runs Quarterdeck, run: {command}. 2. Compare the fingerprint that it shows with"
            f" the one that ssh-keygen -lf {_HOST_KEY} shows on the host. 3. If they are the same, answer yes: this"
            f" adds the key to {files.known_hosts or '~/.ssh/known_hosts'}.",
        )
    if found := _key_error(files, text):
        return found
    if "Permission denied" in text:
        user = endpoint.user or "the user that ssh chose"
        return errors.Unreachable(
            f"{host} refused the login as {user}.",
            hint=f"Add Quarterdeck's public key to the file ~/.ssh/authorized_keys of that user on {host}. A key with a"
            " passphrase needs a running ssh-agent, because ssh cannot ask for it.",
        )
    if "Too many authentication failures" in text:
        return errors.Unreachable(
            f"ssh offered too many keys, so {host} refused the login.",
            hint="Set the right key for this engine in quarterdeck.yaml: `ssh: {identity: /PATH}`.",
        )
    if "Could not resolve hostname" in text:
        return errors.Unreachable(
            f"The host name {host} cannot be resolved.",
            hint=f"{CHECK_ADDRESS}, and the DNS of Quarterdeck's host.",
        )
    if found_network := _NETWORK.search(text):
        return errors.Unreachable(
            f"{host} cannot be reached by ssh on port {found_network['port']}: {found_network['reason'].lower()}.",
            hint="Check that the host is up, that sshd listens there, and that no firewall blocks the port.",
        )
    if "banner exchange" in text or "kex_exchange_identification" in text:
        return errors.Unreachable(
            f"The server at {host} is not an ssh server, or it closed the connection.",
            hint="Check the port in the engine's address. If it is right, try again: a busy sshd refuses some"
            " connections (MaxStartups).",
        )
    if any(part in text for part in LOST):
        return errors.Unreachable(
            f"The ssh connection to {host} was lost.", hint="Try again: the next command opens a new connection."
        )
    if "forwarding" in text.lower() and "fail" in text.lower():
        return errors.Unreachable(
            f"ssh could not forward a socket of {host}: {_last(lines)}.",
            hint=f"Remove the LocalForward lines for {host} from ~/.ssh/config. Or name another ssh configuration in"
            " quarterdeck.yaml: `ssh: {config: /PATH}`.",
        )
    if not lines:
        return errors.Unreachable(
            f"ssh to {host} ended without a message.", hint=f"To see the failure, run on Quarterdeck's host: {command}"
        )
    return errors.Unreachable(
        f"ssh to {host} failed: {_last(lines)}.", hint=f"To see the failure, run on Quarterdeck's host: {command}"
    )


def channel_error(endpoint: Endpoint, files: Ssh, line: str) -> errors.Unreachable | None:
    """Returns the error of a single connection that could not be forwarded, if the line reports one."""
    found = _CHANNEL.match(line)
    if found is None:
        return None
    host, path = endpoint.host, endpoint.path
    if "prohibited" in found["reason"]:
        return errors.Unreachable(
            f"{host} does not allow its sockets to be forwarded.",
            hint=f"On {host}, set AllowStreamLocalForwarding and AllowTcpForwarding to yes in"
            " sshd_config for the user that ssh logs in as.",
        )
    return errors.Unreachable(
        f"{host} was reached, but the engine's socket {path} could not be opened there.",
        hint=f"Check that the engine runs on {host} and that the ssh user may use the socket:"
        f" {_command(endpoint, files)} ls -l {path}",
    )


def _key_error(files: Ssh, text: str) -> errors.Unreachable | None:
    """Returns the error of the key file, which is the cause of the refused login that ssh reports later."""
    if "UNPROTECTED PRIVATE KEY FILE" in text or "bad permissions" in text:
        named = _OPEN_KEY.search(text)
        file = files.identity or (named["file"] if named else "FILE")
        return errors.Unreachable(
            f"ssh does not use the key {file}, because other users can read it.",
            hint=f"Run on Quarterdeck's host: chmod 600 {file}",
        )
    if (found := _NO_KEY.search(text)) and "Permission denied" in text:
        return errors.Unreachable(
            f"The ssh key {found['file']} cannot be read: {found['reason'].lower()}.",
            hint="Check `ssh: {identity: …}` in quarterdeck.yaml, and that Quarterdeck's user may read the file.",
        )
    if (found := _KEY_FILE.search(text)) and files.identity:
        cure = "Check that the file is a private key, and that Quarterdeck's user may read it."
        if "passphrase" in found["reason"]:
            cure = "It has a passphrase: load it into a running ssh-agent, or use a key without one for Quarterdeck."
        return errors.Unreachable(f"ssh cannot use the key {found['file']}: {found['reason'].lower()}.", hint=cure)
    return None


def _last(lines: Sequence[str]) -> str:
    return lines[-1].rstrip(". \r")


def _command(endpoint: Endpoint, files: Ssh) -> str:
    """Returns the command that makes the same connection by hand."""
    arguments = ["ssh"]
    arguments += ["-F", files.config] if files.config else []
    arguments += ["-i", files.identity] if files.identity else []
    arguments += ["-o", f"UserKnownHostsFile={files.known_hosts}"] if files.known_hosts else []
    arguments += ["-p", str(endpoint.port)] if endpoint.port else []
    return shlex.join([*arguments, f"{endpoint.user}@{endpoint.host}" if endpoint.user else endpoint.host])


def _known_host(endpoint: Endpoint) -> str:
    """Returns the host's name in known_hosts."""
    return f"[{endpoint.host}]:{endpoint.port}" if endpoint.port and endpoint.port != 22 else endpoint.host
