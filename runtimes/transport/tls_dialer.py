"""Connects to an engine over TCP with TLS: verifies the engine's certificate and presents Quarterdeck's own.

The engine's certificate is always verified, including the name or address in it. No option turns this check off.
Changed files are read again, so a renewed certificate is used from the next connection on. Every failure becomes one
error with a hint, which shows the names of files but never their content.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import errors, trusted_files
from runtimes.transport import connect
from runtimes.transport.endpoint import Endpoint, Tls

# OpenSSL's codes for the reason why a certificate was rejected (X509_V_ERR_…).
NOT_YET_VALID, EXPIRED = 9, 10
UNKNOWN_CA = frozenset({2, 18, 19, 20, 21})
OTHER_HOST = frozenset({62, 64})
ALERT_SECONDS = 2.0  # how long an engine may take to send the alert that says why it refused the client's certificate
CLIENT_REFUSED = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "HANDSHAKE_FAILURE", "UNSUPPORTED_CERTIFICATE")


class TlsDialer:
    """Connects to one engine over TLS. `needs_ping` is True, because with TLS 1.3 a connection looks open before the
    engine has checked the client's certificate."""

    needs_ping = True

    def __init__(self, endpoint: Endpoint, files: Tls) -> None:
        self._endpoint, self._files = endpoint, files
        self._context: ssl.SSLContext | None = None
        self._modified_ns: Sequence[int] = ()  # of the files that the context was made of

    async def connect(self, protocol: asyncio.BaseProtocol) -> None:
        context, host = self._current_context(), self._endpoint.host
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: protocol, host, self._endpoint.port, ssl=context, server_hostname=host
            )
        except ssl.SSLError as error:
            raise self._tls_error(error) from error
        except ConnectionError as error:
            if isinstance(error, ConnectionRefusedError):
                raise connect.unreachable(self._endpoint, error) from error
            raise self._closed_early() from error
        except OSError as error:
            raise connect.unreachable(self._endpoint, error) from error

    async def diagnose(self, lost: errors.Unreachable, cause: Exception | None) -> errors.Unreachable:
        """Returns the engine's reason for closing a connection. An engine that refuses the client's certificate sends a
        reason, which can be lost if something is written meanwhile. So a second connection, on which nothing is
        written, receives the reason."""
        refusal = cause if isinstance(cause, ssl.SSLError) else await self._receive_alert()
        if refusal is None:
            return lost
        explained = self._tls_error(refusal)
        return errors.Unreachable(explained.message, sent=lost.sent, hint=explained.hint)

    async def _receive_alert(self) -> ssl.SSLError | None:
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(ALERT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    self._endpoint.host,
                    self._endpoint.port,
                    ssl=self._current_context(),
                    server_hostname=self._endpoint.host,
                )
                await reader.read(1)
        except ssl.SSLError as error:
            return error
        except (OSError, errors.Unreachable):  # the engine is gone; or it accepts the certificate and waits (a timeout)
            return None
        finally:
            if writer is not None:
                writer.transport.abort()
        return None

    async def aclose(self) -> None:
        return None

    # ── the files ────────────────────────────────────────────────────────────────────────────────────────────────

    def _current_context(self) -> ssl.SSLContext:
        files = self._files
        modified_ns = [_modified_ns(file, kind) for file, kind in _configured(files)]
        if self._context is None or modified_ns != self._modified_ns:
            context = _trusting(files.ca)
            if files.cert:
                _load_client_certificate(context, files)
            self._context, self._modified_ns = context, modified_ns
        return self._context

    # ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _tls_error(self, error: ssl.SSLError) -> errors.Unreachable:
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._engine_rejected(error)
        reason = (error.reason or "").upper()
        if any(part in reason for part in CLIENT_REFUSED):
            return self._client_rejected(reason)
        if "UNKNOWN_CA" in reason or "CERTIFICATE_UNKNOWN" in reason:
            return errors.Unreachable(
                f"{self._endpoint} does not trust the CA that signed {self._client_certificate()}.",
                hint="Issue a certificate that is signed by the CA of the engine (dockerd --tlscacert).",
            )
        if "CERTIFICATE_EXPIRED" in reason:
            return errors.Unreachable(
                f"{self._endpoint} refused {self._client_certificate()}: it has expired.",
                hint="Renew the certificate. Quarterdeck uses it from the next connection on.",
            )
        if reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}:
            return errors.Unreachable(
                f"{self._endpoint} does not use TLS.",
                hint="Start the engine with --tlsverify (usually on port 2376). If the engine must not"
                " use TLS, remove `tls` from this engine in quarterdeck.yaml, or DOCKER_TLS_VERIFY.",
            )
        if "UNSUPPORTED_PROTOCOL" in reason or "PROTOCOL_VERSION" in reason:
            return errors.Unreachable(
                f"{self._endpoint} supports only TLS versions before 1.2, which are not safe.",
                hint="Upgrade the engine.",
            )
        if "EOF" in reason:
            return self._closed_early()
        return errors.Unreachable(
            f"The TLS connection to {self._endpoint} failed: {_plain(reason)}.",
            hint="Check `tls` in quarterdeck.yaml, and the log of the engine.",
        )

    def _engine_rejected(self, error: ssl.SSLCertVerificationError) -> errors.Unreachable:
        code = error.verify_code
        if code in UNKNOWN_CA:
            authorities = f"a CA in {self._files.ca}" if self._files.ca else "a CA that this system trusts"
            return errors.Unreachable(
                f"The certificate of {self._endpoint} is not signed by {authorities}.",
                hint="Set the engine's own CA: `tls: {ca: /PATH/ca.pem}`. If that is already set, check"
                " which server answers at this address.",
            )
        if code in OTHER_HOST:
            return errors.Unreachable(
                f"The certificate of {self._endpoint} is not valid for the host {self._endpoint.host}.",
                hint="Use a host name that the certificate contains, or issue one with this name or address in its"
                " subjectAltName.",
            )
        if code == EXPIRED:
            return errors.Unreachable(
                f"The certificate of {self._endpoint} has expired.",
                hint="Renew the certificate on that host, then restart the engine.",
            )
        if code == NOT_YET_VALID:
            return errors.Unreachable(
                f"The certificate of {self._endpoint} is not valid yet.",
                hint="Compare the clocks of the two hosts. If they are right, issue a certificate that is valid today.",
            )
        return errors.Unreachable(
            f"The certificate of {self._endpoint} was rejected: {error.verify_message}.",
            hint="Issue a new certificate for the engine, without this fault.",
        )

    def _client_certificate(self) -> str:
        return f"the client certificate {self._files.cert}" if self._files.cert else "the client certificate"

    def _client_rejected(self, reason: str) -> errors.Unreachable:
        if self._files.cert:
            return errors.Unreachable(
                f"{self._endpoint} refused the client certificate {self._files.cert} ({_plain(reason)}).",
                hint="Issue a new client certificate that has not expired, is signed by the engine's CA, and is meant"
                " for clients (clientAuth).",
            )
        return errors.Unreachable(
            f"{self._endpoint} requires a client certificate.",
            hint="Set a client certificate: `tls: {ca: /PATH/ca.pem, cert: /PATH/cert.pem, key: /PATH/key.pem}`.",
        )

    def _closed_early(self) -> errors.Unreachable:
        return errors.Unreachable(
            f"{self._endpoint} closed the connection during the TLS handshake.",
            hint="Check that an engine listens there and that it was started with --tlsverify.",
        )


def _plain(reason: str) -> str:
    """Returns OpenSSL's name of a reason, such as `CERTIFICATE_REQUIRED`, as text."""
    return reason.lower().replace("_", " ")


def _configured(files: Tls) -> Sequence[tuple[str, str]]:
    return [(file, kind) for file, kind in ((files.ca, "CA"), (files.cert, "certificate"), (files.key, "key")) if file]


def _modified_ns(file: str, kind: str) -> int:
    """Returns when a file was last written, in nanoseconds. Raises Unreachable if the file cannot be read, or if
    somebody else can change it."""
    if reason := trusted_files.find_reason_for_distrust(Path(file)):
        raise errors.Unreachable(f"The {kind} file {file} is not used: it {reason}.", hint=trusted_files.hint())
    try:
        with Path(file).open("rb") as opened:
            opened.read(1)
        return Path(file).stat().st_mtime_ns
    except PermissionError:
        raise errors.Unreachable(
            f"Quarterdeck's user may not read the {kind} file {file}.",
            hint="Run Quarterdeck as the owner of the file, or give the file to Quarterdeck's user (chown).",
        ) from None
    except OSError as error:
        raise errors.Unreachable(
            f"The {kind} file {file} cannot be read: {error.strerror}.", hint="Check `tls` in quarterdeck.yaml."
        ) from error


def _trusting(ca: str) -> ssl.SSLContext:
    """Returns a context that trusts the CAs in a file, or those of the system if `ca` is empty."""
    try:
        context = ssl.create_default_context(cafile=ca or None)
        # Python 3.13 made this the default. It rejects the CAs that `openssl req -x509` and Docker's instructions make,
        # because they do not state what their key is for. Docker's own client accepts them.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context
    except ssl.SSLError:
        raise errors.Unreachable(
            f"The CA file {ca} contains no certificate.",
            hint="Use a file in PEM form, which begins with BEGIN CERTIFICATE.",
        ) from None


def _load_client_certificate(context: ssl.SSLContext, files: Tls) -> None:
    def no_password(*_: Any) -> str:
        raise _EncryptedKey

    try:
        context.load_cert_chain(files.cert, files.key or None, password=no_password)
    except _EncryptedKey:
        raise errors.Unreachable(
            f"The key {files.key} is encrypted, and Quarterdeck cannot ask for its password.",
            hint="As the user that runs Quarterdeck, make a decrypted copy:"
            f" openssl pkey -in {files.key} -out NEW_KEY; chmod 600 NEW_KEY. Then name it in quarterdeck.yaml.",
        ) from None
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise errors.Unreachable(
                f"The key {files.key} does not belong to the certificate {files.cert}.",
                hint="Set `tls: {key: …}` to the key that the certificate was made with.",
            ) from None
        raise errors.Unreachable(
            f"{files.cert} does not contain a certificate, or {files.key} does not contain a key.",
            hint="Use files in PEM form, which begin with BEGIN CERTIFICATE and BEGIN … PRIVATE KEY.",
        ) from None


class _EncryptedKey(Exception):
    """Reports that OpenSSL asked for a password."""
