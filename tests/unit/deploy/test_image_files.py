"""The Dockerfile, by hadolint, and the software bill of materials, by the library for its format. tests/image builds
and runs the image."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from cyclonedx.model.bom import Bom

from deploy.image import write_sbom
from tests.helpers.paths import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_hadolint_finds_nothing(tmp_path):
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert program, "make installs it with the development tools"

    def lint(file):
        words = [program, "--failure-threshold", "style", str(file)]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert lint(ROOT / "Dockerfile").stdout == ""
    (tmp_path / "Dockerfile").write_text(DOCKERFILE.replace("USER 10001:10001", "USER root"))
    assert "DL3002" in lint(tmp_path / "Dockerfile").stdout


def test_nothing_in_it_is_for_one_architecture():
    assert not re.search(r"--platform|x86.64|amd64|aarch64|arm64", re.sub(r"^#.*", "", DOCKERFILE, flags=re.MULTILINE))


def test_what_it_leaves_out_is_what_the_bill_of_materials_says():
    build, loaded = re.findall(r"uninstall -y ([a-z -]+?) \\", DOCKERFILE)
    assert set(build.split()) == write_sbom.ONLY_TO_BUILD
    assert set(loaded.split()) == write_sbom.NEVER_LOADED


def test_the_bill_of_materials_names_each_package_of_the_lock_with_its_hashes(tmp_path):
    write_sbom.main([str(tmp_path / "one.json")])
    bom = Bom.from_json(json.loads((tmp_path / "one.json").read_text()))
    lock = (ROOT / "requirements.lock").read_text()
    named = {f"{component.name}=={component.version}": component for component in bom.components}
    locked = re.findall(r"^([\w.-]+==[^\s;]+)", lock, re.MULTILINE)
    assert len(locked) > 40
    assert set(named) == set(locked)
    assert sum(len(component.hashes) for component in bom.components) == lock.count("--hash=sha256:")
    assert (
        named[next(one for one in locked if one.startswith("aiohttp=="))]
        .purl.to_string()
        .startswith("pkg:pypi/aiohttp@")
    )
    assert any(component.licenses for component in bom.components)
    assert bom.metadata.component.name == "quarterdeck"
    write_sbom.main([str(tmp_path / "two.json")])
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
