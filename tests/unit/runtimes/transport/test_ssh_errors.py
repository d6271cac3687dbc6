"""What ssh wrote, as the sentence a person reads; and the words ssh is started with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtimes.transport import ssh, ssh_errors
from runtimes.transport.endpoint import Endpoint, Ssh

HOST = Endpoint.parse("ssh://ops@host8:2222/run/d.sock")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["ssh: Could not resolve hostname host8: Name or service not known"], "cannot be resolved"),
        (["ssh: connect to host host8 port 2222: No route to host"], "on port 2222: no route to host"),
        (["ssh: connect to host host8 port 2222: Connection timed out"], "on port 2222: connection timed out"),
        (
            ["Connection timed out during banner exchange", "Connection to h port 2222 timed out"],
            "is not an ssh server, or",
        ),
        (["kex_exchange_identification: Connection closed by remote host"], "is not an ssh server, or"),
        (["Timeout, server host8 not responding."], "The ssh connection to host8 was lost"),
        (["Connection to host8 closed by remote host."], "The ssh connection to host8 was lost"),
        (["Received disconnect from host8: 2: Too many authentication failures"], "`ssh: {identity: /PATH}`"),
        (
            ["No ED25519 host key is known for host8.", "Host key verification failed."],
            "is not in the known_hosts file",
        ),
        (["@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @", "Host key verification failed."], "ssh-keygen -R"),
        (["ops@host8: Permission denied (publickey,password)."], "refused the login as ops"),
        (["Can't open user config file /nope: No such file or directory"], "Can't open user config file /nope"),
        (["Could not request local forwarding.", "unix_listener: forwarding failed"], "{config: /PATH}"),
        ([], "ended without a message. To see the failure, run on Quarterdeck's host: ssh -p 2222 ops@host8"),
    ],
)
def test_each_way_to_fail_has_its_sentence(lines: list[str], words: str) -> None:
    told = ssh_errors.make_connection_error(HOST, Ssh(), lines)
    assert words in told.full_message()
    assert told.hint
    assert told.sent is False


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (['Load key "/k": error in libcrypto'], "ssh cannot use the key /k: error in libcrypto."),
        (['Load key "/k": incorrect passphrase supplied to decrypt private key'], "ssh-agent"),
        (["Permissions 0644 for '/k' are too open.", 'Load key "/k": bad permissions'], "chmod 600 /k"),
        (["Warning: Identity file /k not accessible: No such file or directory."], "cannot be read: no such file"),
    ],
)
def test_a_key_of_no_use_is_told_rather_than_the_refusal_it_led_to(lines: list[str], words: str) -> None:
    refused = [*lines, "ops@host8: Permission denied (publickey)."]
    assert words in ssh_errors.make_connection_error(HOST, Ssh(identity="/k"), refused).full_message()


def test_a_key_that_others_can_read_is_named_without_a_configured_identity() -> None:
    lines = ["Permissions 0644 for '/root/.ssh/id_rsa' are too open.", "ops@host8: Permission denied (publickey)."]
    lines.insert(0, "WARNING: UNPROTECTED PRIVATE KEY FILE!")
    assert ssh_errors.make_connection_error(HOST, Ssh(), lines).full_message() == (
        "ssh does not use the key /root/.ssh/id_rsa, because other users can read it."
        " Run on Quarterdeck's host: chmod 600 /root/.ssh/id_rsa"
    )


def test_what_a_single_connection_met_is_told_apart() -> None:
    def told(line: str) -> str:
        found = ssh_errors.channel_error(HOST, Ssh(), line)
        return "" if found is None else found.full_message()

    assert "ls -l /run/d.sock" in told("channel 3: open failed: connect failed: open failed")
    assert "AllowStreamLocalForwarding" in told("channel 3: open failed: administratively prohibited: open failed")
    assert told("Warning: Permanently added 'host8' to the list of known hosts.") == ""


@given(st.lists(st.text(), max_size=20))
def test_whatever_ssh_says_becomes_one_line_with_a_cure(lines: list[str]) -> None:
    told = ssh_errors.make_connection_error(HOST, Ssh(), lines)
    assert told.message
    assert told.hint


def test_ssh_is_started_strict_and_asks_nobody() -> None:
    words = ssh.ssh_command(HOST, Ssh(identity="/k", known_hosts="/a b", config="/c"), Path("/tmp/s"))
    assert words[-2:] == ["--", "host8"]
    options = {words[at + 1] for at, word in enumerate(words) if word == "-o"}
    wanted = {"BatchMode=yes", "StrictHostKeyChecking=yes", "ExitOnForwardFailure=yes", "ControlMaster=no"}
    assert wanted | {"IdentitiesOnly=yes", 'UserKnownHostsFile="/a b"'} <= options
    for name, value in (("-F", "/c"), ("-i", "/k"), ("-p", "2222"), ("-l", "ops"), ("-L", "/tmp/s:/run/d.sock")):
        assert words[words.index(name) + 1] == value
    bare = ssh.ssh_command(Endpoint.parse("ssh://host8"), Ssh(), Path("/tmp/s"))
    assert not {"-p", "-l", "-i", "-F"} & set(bare)
