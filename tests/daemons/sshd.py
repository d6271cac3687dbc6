"""Other hosts for tests, on loopback: a throw-away certificate authority, and a private sshd."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.requirements import need
from tests.helpers.waiting import free_tcp_port, wait_for

DAY = 86_400


class Authority:
    """Signs certificates into its folder."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        need("openssl", "openssl")
        self.folder = folder
        self.ca, self.key = folder / f"{name}.pem", folder / f"{name}-key.pem"
        openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", f"/CN=test {name}", "-keyout", self.key, "-out", self.ca,
        )  # fmt: skip

    def sign(self, name: str, *, alt: str = "", use: str = "serverAuth", days: int = 2) -> tuple[Path, Path]:
        """A certificate and its key; `days` below 0 makes one that has expired. `alt`: such as `IP:127.0.0.1`."""
        cert, key, asked, more = (self.folder / f"{name}{end}" for end in (".pem", "-key.pem", ".csr", ".ext"))
        openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={name}", "-keyout", key, "-out", asked,
        )  # fmt: skip
        more.write_text(f"extendedKeyUsage={use}\n" + (f"subjectAltName={alt}\n" if alt else ""))
        openssl(
            "x509", "-req", "-in", asked, "-CA", self.ca, "-CAkey", self.key, "-CAcreateserial", *validity(days),
            "-extfile", more, "-out", cert,
        )  # fmt: skip
        return cert, key


def validity(days: int) -> list[str]:
    """The options for so many days from now, or for a time that is over. OpenSSL 3.5 refuses days below 0, and OpenSSL
    3.0 knows nothing else."""
    told = subprocess.run(["openssl", "x509", "-help"], capture_output=True, text=True, check=False)
    if days < 0 and "-not_after" in told.stdout + told.stderr:
        return ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"]
    return ["-days", str(days)]


def openssl(*words: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Sshd:
    """One private sshd as root on loopback, that lets in who holds `identity`; `known_hosts` knows its key."""

    def __init__(self, root: Path) -> None:
        need("ssh", "sshd", "ssh", "ssh-keygen", root=True)
        self.root, self.port = root, free_tcp_port()
        self.identity, self.known_hosts = root / "id", root / "known_hosts"
        self.process: subprocess.Popen[bytes] | None = None
        for key in ("id", "host", "stranger"):
            keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", str(root / key)]
            subprocess.run(keygen, check=True, capture_output=True)
        shutil.copy(root / "id.pub", root / "authorized_keys")
        self.know("host")

    def know(self, key: str) -> None:
        """Makes that key the one this host is known by."""
        words = (self.root / f"{key}.pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {words[0]} {words[1]}\n")

    @property
    def files(self) -> dict[str, str]:
        """For `registry.Ssh`, or `ssh:` in a configuration; no configuration of this machine's users counts."""
        return {"identity": str(self.identity), "known_hosts": str(self.known_hosts), "config": "/dev/null"}

    def url(self, path: Path) -> str:
        return f"ssh://root@127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd parts with its powers there, and a package makes it
        (self.root / "conf").write_text(
            f"ListenAddress 127.0.0.1\nHostKey {self.root}/host\nPidFile none\nStrictModes no\nUsePAM no\n"
            f"AuthorizedKeysFile {self.root}/authorized_keys\nPasswordAuthentication no\nPermitRootLogin yes\n"
            "KbdInteractiveAuthentication no\nAllowStreamLocalForwarding yes\nMaxStartups 100\n"
        )
        sshd = shutil.which("sshd")
        assert sshd is not None
        with (self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sshd, "-D", "-e", "-f", self.root / "conf", "-p", str(self.port)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        wait_for("sshd to listen", self._listens)

    def _listens(self) -> bool:
        with socket.socket() as door, contextlib.suppress(OSError):
            door.settimeout(1)
            door.connect(("127.0.0.1", self.port))
            return door.recv(4).startswith(b"SSH")
        return False

    def clients(self) -> list[int]:
        """The ssh processes that lead here."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if entry.name.isdigit() and words[0] == b"ssh" and str(self.port).encode() in words:
                    found.append(int(entry.name))
        return found

    def kill(self) -> None:
        """The listener and every connection it has open."""
        assert self.process is not None
        session = os.getsid(self.process.pid)
        self.process.kill()
        self.process.wait(60)
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and (entry / "comm").read_text().startswith("sshd"):
                    # A connection's processes are in sessions of their own, but hang on the listener's port.
                    if os.getsid(int(entry.name)) == session or self._serves(int(entry.name)):
                        os.kill(int(entry.name), signal.SIGKILL)

    def _serves(self, pid: int) -> bool:
        """Whether one of its sockets is a connection to our port, by /proc."""
        port = f":{self.port:04X}"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        ours = {f"socket:[{line[9]}]" for line in lines if line[1].endswith(port)}
        return any(str(one.readlink()) in ours for one in Path(f"/proc/{pid}/fd").iterdir())

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


@contextlib.contextmanager
def private_sshd(root: Path) -> Iterator[Sshd]:
    made = Sshd(root)
    try:
        made.start()
        yield made
    finally:
        made.stop()
