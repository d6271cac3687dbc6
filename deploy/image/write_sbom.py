"""Writes a software bill of materials of requirements.lock: `python -m deploy.image.write_sbom FILE` (CycloneDX, JSON).

It names each package with its version, its hashes, its purl, the condition under which it is installed, and its licence
as far as the package is installed here. It is the same for the same lock, apart from licences.
"""

from __future__ import annotations

import re
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[2]
# The format of pip-compile: the package, an optional condition, then a line for each hash.
ENTRY = re.compile(
    r"^([A-Za-z0-9._-]+)==(\S+?)(?: ; (.*?))? \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.MULTILINE
)
# Packages that the image does not contain; see the Dockerfile.
ONLY_TO_BUILD = {"hatchling", "editables", "packaging", "pathspec", "pluggy", "tomlkit", "trove-classifiers"}
NEVER_LOADED = {"rich", "pygments", "markdown-it-py", "mdurl", "valkey"}


def make_bill_of_materials(lock: str, name: str, version: str) -> Bom:
    """What the text of a lock file names, as parts of the program `name`."""
    program = Component(name=name, version=version, type=ComponentType.APPLICATION, bom_ref=name)
    bom = Bom(components=packages(lock), serial_number=uuid.uuid5(uuid.NAMESPACE_URL, lock))
    bom.metadata.component = program
    # With a time, the file would change every day, although its content does not.
    bom.metadata.timestamp = datetime(2000, 1, 1, tzinfo=UTC)
    bom.register_dependency(program, bom.components)
    return bom


def packages(lock: str) -> Iterator[Component]:
    for name, version, condition, hashes in ENTRY.findall(lock):
        purl = PackageURL("pypi", name=name, version=version)
        properties = [Property(name="quarterdeck:installed-if", value=condition)] if condition else []
        if name in ONLY_TO_BUILD | NEVER_LOADED:
            properties.append(Property(name="quarterdeck:image", value="left out"))
        licence = licence_of(name)
        yield Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            bom_ref=str(purl),
            purl=purl,
            licenses=[LicenseFactory().make_from_string(licence)] if licence else [],
            hashes=[
                HashType(alg=HashAlgorithm.SHA_256, content=found)
                for found in re.findall(r"sha256:([0-9a-f]{64})", hashes)
            ],
            properties=properties,
        )


def licence_of(package: str) -> str:
    """The licence from the metadata of the package if it is installed here; otherwise empty."""
    try:
        found = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return ""
    said = next((found[key].strip() for key in ("License-Expression", "License") if key in found), "")
    return said if len(said) < 100 else ""  # some have the whole text there


def main(arguments: list[str]) -> None:
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    bom = make_bill_of_materials((ROOT / "requirements.lock").read_text(), "quarterdeck", version[1])
    Path(arguments[0]).write_text(JsonV1Dot6(bom).output_as_string(indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
