"""Defines the `engines` section of the configuration: addresses, certificates, ssh files and allowed verbs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from core.config import field_types
from core.config.base_section import Section

AbsolutePath = Annotated[Path, AfterValidator(field_types.absolute_path)]


class Tls(Section):
    """Certificates for an engine at tcp://, as PEM files. The engine's certificate is always verified."""

    ca: AbsolutePath | None = Field(
        default=None, description="The authority to trust. Default: the system's authorities."
    )
    cert: AbsolutePath | None = Field(
        default=None, description="Quarterdeck's certificate, if the engine requires one."
    )
    key: AbsolutePath | None = Field(default=None, description="The key of `cert`.")

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Tls:
        if (self.cert is None) != (self.key is None):
            given, missing = ("cert", "key") if self.key is None else ("key", "cert")
            raise field_types.make_invalid_value_error(
                f"has a `{given}` but no `{missing}`", "Set both: a certificate needs its key."
            )
        return self


class Ssh(Section):
    """Files for the ssh client, if its own configuration does not name them."""

    identity: AbsolutePath | None = Field(default=None, description="The only private key to use.")
    known_hosts: AbsolutePath | None = Field(default=None, description="The file with the keys of known hosts.")
    config: AbsolutePath | None = Field(default=None, description="The file to read instead of ~/.ssh/config.")


class Engine(Section):
    """One engine to watch: its address, its credentials, and the verbs its host allows."""

    kind: str = Field(
        default="",
        pattern=r"^[a-z]*$",
        description="docker, podman, containerd, cri or oci. Default: the kind that usually listens at this address.",
    )
    url: Annotated[str, AfterValidator(field_types.engine_url)] = Field(
        default="",
        description="unix:///PATH, tcp://HOST:PORT (set `tls` too; without it, anybody who reaches the port is root on"
        " the host), ssh://USER@HOST[:PORT][/PATH], context://NAME; for oci file:///STATE-DIRECTORY.",
    )
    context: str = Field(
        default="",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$",
        description="The name of a docker context, instead of a url.",
    )
    tls: Tls | None = Field(
        default=None,
        description="For tcp://: {ca: FILE, cert: FILE, key: FILE}. With {}, Quarterdeck trusts the"
        " certificate authorities of the system.",
    )
    ssh: Ssh | None = Field(
        default=None, description="For ssh://: {identity: FILE, known_hosts: FILE, config: FILE}, all optional."
    )
    name: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9][\w.-]*$",
        description="A name that distinguishes two engines of one kind on one host.",
    )
    swarm: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][\w.-]*)?$",
        description="Name of the Swarm that this engine manages. Default: the beginning of the Swarm's id.",
    )
    allow: field_types.VerbPatterns = Field(
        default=(),
        description="Verb patterns that Quarterdeck may use on this engine, whatever the grants allow."
        " Default: all verbs except host.reach, which must be named here.",
    )

    @property
    def context_name(self) -> str:
        """The name of the docker context; empty for any other address."""
        return self.context or (self.url.removeprefix("context://") if self.url.startswith("context://") else "")

    @model_validator(mode="after")
    def _one_address(self) -> Engine:
        if bool(self.url) == bool(self.context):
            what = "has both a `url` and a `context`" if self.url else "has neither a `url` nor a `context`"
            raise field_types.make_invalid_value_error(what, "Set exactly one of them.")
        if self.tls is not None and not self.url.startswith(("tcp://", "http://")):
            raise field_types.make_invalid_value_error(
                "has `tls`, which only tcp:// addresses use",
                "Remove `tls`. A docker context has its own certificates; a socket and ssh need none.",
            )
        if self.ssh is not None and not self.url.startswith("ssh://"):
            raise field_types.make_invalid_value_error(
                "has `ssh`, which only ssh:// addresses use", "Remove `ssh`, or write url: ssh://USER@HOST."
            )
        return self
