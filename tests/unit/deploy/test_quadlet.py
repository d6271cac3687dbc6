"""The Quadlet, by Podman's own generator."""

import json
import re
import subprocess

from core.config import load
from runtimes.podman import unit_drafts
from tests.helpers.paths import ROOT
from tests.helpers.requirements import need
from tests.helpers.unit_syntax import argv, sections

FOLDER, DOCUMENT = ROOT / "deploy/quadlet", ROOT / "docs/deploy.md"


def generate(folder, user="-user"):
    """What the generator makes of a folder, for a user's own systemd, and what it complains about."""
    program = unit_drafts.generator()
    if program is None:
        need("quadlet", "quadlet")
    done = subprocess.run(
        [program, "-dryrun", *([user] if user else [])], env={"QUADLET_UNIT_DIRS": str(folder)},
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    units = done.stdout.split("\n---") if done.returncode == 0 else ()
    return {unit.lstrip("-").partition("---")[0]: unit.partition("---\n")[2] for unit in units}, done.stderr


def podman_run():
    """The command line of the container."""
    units, _ = generate(FOLDER)
    service = dict(sections(units["quarterdeck.service"])["[Service]"])
    return argv(service["ExecStart"].replace("%t", "/run/user/1000").replace("%N", "quarterdeck"))


def test_the_container_is_locked_up_and_you_in_it():
    words = podman_run()
    assert words[-1] == "localhost/quarterdeck:latest"
    for flags in (
        ["--read-only"], ["--cap-drop", "all"], ["--security-opt=no-new-privileges"], ["--memory=256m"],
        ["--userns", "keep-id:uid=10001,gid=10001"], ["--publish", "127.0.0.1:9108:9108"],
        ["-v", "/run/user/1000/podman/podman.sock:/run/podman/podman.sock"],
        ["-v", "quarterdeck:/var/lib/quarterdeck"], ["--label", "quarterdeck.protected=true"],
    ):  # fmt: skip
        assert any(words[at : at + len(flags)] == flags for at in range(len(words))), flags
    assert not {"--privileged", "--net", "--network"} & set(words)


def test_its_health_check_is_that_of_the_image():
    """Podman leaves out that of an image in the OCI's format."""
    words = podman_run()
    said = next(
        line for line in (ROOT / "Dockerfile").read_text().splitlines() if line.strip().startswith('CMD ["python3')
    )
    assert json.loads(words[words.index("--health-cmd") + 1]) == json.loads(said.strip().removeprefix("CMD "))


def test_its_volume_is_made_first():
    units, _ = generate(FOLDER)
    assert ("Requires", "quarterdeck-volume.service") in sections(units["quarterdeck.service"])["[Unit]"]
    (start,) = [
        value for key, value in sections(units["quarterdeck-volume.service"])["[Service]"] if key == "ExecStart"
    ]
    assert argv(start)[1:4] == ["volume", "create", "--ignore"]


def test_its_lines_for_slack_and_a_configuration_work_once_they_are_no_comments(tmp_path, monkeypatch):
    """Each value is understood by the generator, and the variables by Quarterdeck."""
    for file in FOLDER.iterdir():
        text = file.read_text().replace("\n#Secret=", "\nSecret=").replace("\n#Environment=", "\nEnvironment=")
        (tmp_path / file.name).write_text(text.replace("\n#Volume=", "\nVolume="))
    units, complaints = generate(tmp_path)
    assert "unsupported" not in complaints
    service = dict(sections(units["quarterdeck.service"])["[Service]"])
    words = argv(service["ExecStart"].replace("%t", "/t").replace("%N", "n").replace("%h", "/h"))
    secrets = {words[at + 1].partition(",")[0] for at, word in enumerate(words) if word == "--secret"}
    variables = dict(words[at + 1].split("=", 1) for at, word in enumerate(words) if word == "--env")
    assert {f"/run/secrets/{name}" for name in secrets} == set(variables.values())
    token = tmp_path / "token"
    token.write_text("xoxb-1111111111-1111111111-abcdefabcdef")
    app = tmp_path / "app"
    app.write_text("xapp-1-A0000000000-1111111111-abcdefabcdef")
    for file in (token, app):
        file.chmod(0o600)
    monkeypatch.chdir(tmp_path)
    settings = load.load(None, {name: str(token if "BOT" in name else app) for name in variables})
    assert settings.slack is not None


def test_as_root_the_lines_of_the_documentation_open_the_socket_to_the_same_user(tmp_path):
    for file in FOLDER.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    (lines,) = re.findall(r"`quarterdeck\.container\.d/root\.conf`.*?```ini\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "quarterdeck.container.d").mkdir()
    (tmp_path / "quarterdeck.container.d/root.conf").write_text(lines)
    units, _ = generate(tmp_path, user="")
    words = dict(sections(units["quarterdeck.service"])["[Service]"])["ExecStart"]
    assert " --user 10001:0 --userns host " in words
    assert " --cap-drop all " in words
