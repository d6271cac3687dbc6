"""The systemd unit, by systemd's own tools, which need no running systemd."""

import re
import subprocess

from tests.helpers.paths import ROOT
from tests.helpers.requirements import need
from tests.helpers.unit_syntax import sections

UNIT = ROOT / "deploy/systemd/quarterdeck.service"


def analyze(*words):
    need("systemd-analyze", "systemd-analyze")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False)


def test_systemd_knows_every_setting(tmp_path):
    """It only warns about a setting that it does not know, or a value that it cannot read."""
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text(), flags=re.MULTILINE)
    (tmp_path / UNIT.name).write_text(text)
    done = analyze("verify", "--man=no", str(tmp_path / UNIT.name))
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / UNIT.name).write_text(text.replace("[Service]", "[Service]\nProtectSisters=yes"))
    assert "ProtectSisters" in analyze("verify", "--man=no", str(tmp_path / UNIT.name)).stderr


def test_its_exposure_is_what_the_documentation_says():
    said = re.search(r"`systemd-analyze security`\D+(\d\.\d)", (ROOT / "docs/deploy.md").read_text())
    shown = analyze("security", "--offline=yes", "--no-pager", str(UNIT)).stdout
    found = re.search(r"Overall exposure level for quarterdeck.service: (\d\.\d) OK", shown)
    # Newer versions of systemd count a little less.
    assert found and float(said[1]) - 0.1 <= float(found[1]) <= float(said[1]), shown


def test_it_does_not_start_again_with_a_configuration_that_is_wrong():
    from bot import subcommand_runner

    assert ("RestartPreventExitStatus", str(subcommand_runner.INVALID_CONFIG)) in sections(UNIT.read_text())[
        "[Service]"
    ]


def test_its_user_can_be_made():
    need("systemd-sysusers", "systemd-sysusers")
    words = ["systemd-sysusers", "--dry-run", str(ROOT / "deploy/systemd/quarterdeck-user.conf")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    assert "Creating user 'quarterdeck'" in done.stdout + done.stderr
