"""A line to an engine over tcp with TLS: the engine proves who it is, and we do where it asks.

Certificates are always verified, the name or address of the engine included; there is no switch for it. The files are
read anew when they have changed, so that a renewed certificate holds from the next connection on. Whatever goes wrong
is one sentence with its cure; the names of files are told, never what is in them.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core import errors
from runtimes.transport import connect as transport_connect
from runtimes.transport.endpoint import Endpoint, Tls

# OpenSSL's numbers for why a certificate is not good enough (X509_V_ERR_…).
NOT_YET, EXPIRED = 9, 10
UNKNOWN_CA = frozenset({2, 18, 19, 20, 21})
OTHER_NAME = frozenset({62, 64})
LISTEN = 2.0  # seconds an engine gets to say what it holds against us
OURS_REFUSED = ("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "HANDSHAKE_FAILURE", "UNSUPPORTED_CERTIFICATE")


class TlsDialer:
    """`blind`, since with TLS 1.3 our side is done before the engine has looked at our certificate."""

    blind = True

    def __init__(self, endpoint: Endpoint, files: Tls) -> None:
        self._endpoint, self._files = endpoint, files
        self._context: ssl.SSLContext | None = None
        self._read: Sequence[int] = ()

    async def connect(self, protocol: asyncio.BaseProtocol) -> None:
        context, host = self._trusted(), self._endpoint.host
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: protocol, host, self._endpoint.port, ssl=context, server_hostname=host
            )
        except ssl.SSLError as error:
            raise self._explain(error) from error
        except ConnectionError as error:
            if isinstance(error, ConnectionRefusedError):
                raise transport_connect.explain(self._endpoint, error) from error
            raise self._hung_up() from error
        except OSError as error:
            raise transport_connect.explain(self._endpoint, error) from error

    async def explain(self, lost: errors.Unreachable, cause: Exception | None) -> errors.Unreachable:
        """An engine that refuses our certificate hangs up on what we wrote meanwhile, and its reason can get lost with
        that; a second connection that only listens hears it."""
        refusal = cause if isinstance(cause, ssl.SSLError) else await self._listen()
        if refusal is None:
            return lost
        told = self._explain(refusal)
        return errors.Unreachable(told.message, sent=lost.sent, hint=told.hint)

    async def _listen(self) -> ssl.SSLError | None:
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(LISTEN):
                reader, writer = await asyncio.open_connection(
                    self._endpoint.host, self._endpoint.port, ssl=self._trusted(), server_hostname=self._endpoint.host
                )
                await reader.read(1)
        except ssl.SSLError as error:
            return error
        except (OSError, errors.Unreachable):  # it is gone, or content with us and waits for our question
            return None
        finally:
            if writer is not None:
                writer.transport.abort()
        return None

    async def aclose(self) -> None:
        return None

    # ── our files ────────────────────────────────────────────────────────────────────────────────────────────────

    def _trusted(self) -> ssl.SSLContext:
        ours = self._files
        written = [_written(file, what) for file, what in _named(ours)]
        if self._context is None or written != self._read:
            context = ssl.create_default_context()
            if ours.ca:
                context = _trusting(ours.ca)
            if ours.cert:
                _introduce(context, ours)
            self._context, self._read = context, written
        return self._context

    # ── what the other end said ──────────────────────────────────────────────────────────────────────────────────

    def _explain(self, error: ssl.SSLError) -> errors.Unreachable:
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._not_believed(error)
        reason = (error.reason or "").upper()
        if any(word in reason for word in OURS_REFUSED):
            return self._we_are_not_believed(reason)
        if "UNKNOWN_CA" in reason or "CERTIFICATE_UNKNOWN" in reason:
            return errors.Unreachable(
                f"{self._endpoint} does not know the authority that signed our certificate {self._files.cert}.",
                hint="Have it signed by the CA the engine was given (dockerd --tlscacert).",
            )
        if "CERTIFICATE_EXPIRED" in reason:
            return errors.Unreachable(
                f"{self._endpoint} refused our certificate {self._files.cert}: it has expired.",
                hint="Renew it; the new one is used from the next connection on.",
            )
        if reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"}:
            return errors.Unreachable(
                f"{self._endpoint} does not speak TLS.",
                hint="Start it with --tlsverify (commonly on port 2376), or leave `tls` out if it is meant to be open.",
            )
        if "UNSUPPORTED_PROTOCOL" in reason or "PROTOCOL_VERSION" in reason:
            return errors.Unreachable(
                f"{self._endpoint} speaks only a TLS older than 1.2, which is not safe.", hint="Upgrade the engine."
            )
        if "EOF" in reason:
            return self._hung_up()
        return errors.Unreachable(f"{self._endpoint} cannot be spoken to over TLS: {reason.lower().replace('_', ' ')}.")

    def _not_believed(self, error: ssl.SSLCertVerificationError) -> errors.Unreachable:
        why = error.verify_code
        if why in UNKNOWN_CA:
            by = f"signed by anybody in {self._files.ca}" if self._files.ca else "signed by anybody this system trusts"
            return errors.Unreachable(
                f"The certificate of {self._endpoint} is not {by}.",
                hint="Give the engine's own CA as `tls: {ca: /PATH/ca.pem}`. If you did, somebody else may be"
                " answering.",
            )
        if why in OTHER_NAME:
            return errors.Unreachable(
                f"The certificate of {self._endpoint} is for another host than {self._endpoint.host}.",
                hint="Use a name it was made for, or make one with this name or address in its subjectAltName.",
            )
        if why == EXPIRED:
            return errors.Unreachable(
                f"The certificate of {self._endpoint} has expired.",
                hint="Renew it on that host, then restart the engine.",
            )
        if why == NOT_YET:
            return errors.Unreachable(
                f"The certificate of {self._endpoint} is not valid yet.", hint="Compare the clocks of the two hosts."
            )
        return errors.Unreachable(
            f"The certificate of {self._endpoint} is not good: {error.verify_message}.", hint="Make it a better one."
        )

    def _we_are_not_believed(self, reason: str) -> errors.Unreachable:
        if self._files.cert:
            return errors.Unreachable(
                f"{self._endpoint} refused our certificate {self._files.cert} ({reason.lower().replace('_', ' ')}).",
                hint="It must be signed by the CA the engine was given, be meant for clients (clientAuth), and not have"
                " expired.",
            )
        return errors.Unreachable(
            f"{self._endpoint} wants a certificate from us.",
            hint="Give one as `tls: {ca: /PATH/ca.pem, cert: /PATH/cert.pem, key: /PATH/key.pem}`.",
        )

    def _hung_up(self) -> errors.Unreachable:
        return errors.Unreachable(
            f"{self._endpoint} hung up before TLS was agreed on.", hint="Is it an engine, started with --tlsverify?"
        )


def _named(files: Tls) -> Sequence[tuple[str, str]]:
    return [(file, what) for file, what in ((files.ca, "CA"), (files.cert, "certificate"), (files.key, "key")) if file]


def _written(file: str, what: str) -> int:
    """When a file was last written, in nanoseconds. Raises Unreachable when it cannot be read."""
    try:
        with Path(file).open("rb") as opened:
            opened.read(1)
        return Path(file).stat().st_mtime_ns
    except PermissionError:
        raise errors.Unreachable(
            f"You may not read the {what} file {file}.", hint="Run as its owner, or let this user read it (chown)."
        ) from None
    except OSError as error:
        raise errors.Unreachable(
            f"The {what} file {file} cannot be read: {error.strerror}.", hint="Check `tls` in quarterdeck.yaml."
        ) from error


def _trusting(ca: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except ssl.SSLError:
        raise errors.Unreachable(
            f"The CA file {ca} holds no certificate.", hint="It must be in PEM form, beginning with BEGIN CERTIFICATE."
        ) from None


def _introduce(context: ssl.SSLContext, files: Tls) -> None:
    def nobody_to_ask(*_: Any) -> str:
        raise _EncryptedKey

    try:
        context.load_cert_chain(files.cert, files.key or None, password=nobody_to_ask)
    except _EncryptedKey:
        raise errors.Unreachable(
            f"The key {files.key} is encrypted, and nobody can be asked for its password.",
            hint=f"Keep a decrypted copy for this user alone: openssl pkey -in {files.key} -out KEY; chmod 600 KEY.",
        ) from None
    except ssl.SSLError as error:
        if "MISMATCH" in (error.reason or ""):
            raise errors.Unreachable(
                f"The key {files.key} does not belong to the certificate {files.cert}.",
                hint="Give the key the certificate was made with.",
            ) from None
        raise errors.Unreachable(
            f"{files.cert} and {files.key} are not a certificate and its key.",
            hint="Both must be in PEM form, beginning with BEGIN CERTIFICATE and BEGIN … PRIVATE KEY.",
        ) from None


class _EncryptedKey(Exception):
    """Raised out of OpenSSL's question for a password."""
