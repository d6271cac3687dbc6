"""Tests that no value of an environment variable or a credential is left in the shown text of a unit file."""

import pytest

from runtimes.systemd.unit_secrets import hide_values, split_files


@pytest.mark.parametrize(
    "line",
    [
        "Environment=A=hunter2",
        'Environment="A=hunter2 x" B=hunter2',
        "Environment=A='hunter2 x'",
        "Environment = A=hunter2",
        "Environment=A=1 \\\n  B=hunter2",
        'Environment="A=hunter2',
        "ExecStart=/usr/bin/podman run --env A=hunter2 busybox",
        "ExecStart=/usr/bin/podman run -e A=hunter2 busybox",
        "ExecStart=/usr/bin/podman run -eA=hunter2 busybox",
        "ExecStart=/usr/bin/podman run --env=A=hunter2 busybox",
        'ExecStart=/usr/bin/podman run --env "A=x hunter2" busybox',
        "ExecStart=/usr/bin/podman run '--env=A=x hunter2' busybox",
        'ExecStart=/usr/bin/podman run --env A="x hunter2" busybox',
        "ExecStart=/usr/bin/podman run --env A=x\\ hunter2 busybox",
        "ExecStart=/usr/bin/podman run \\\n\t--env \\\n\tA=hunter2 busybox",
        "PodmanArgs=--env A=hunter2",
        "PodmanArgs=-e 'A=it is \"hunter2\"'",
        # systemd skips comments and empty lines between the parts of a continued line.
        "Environment=A=1 \\\n# a note\n  B=hunter2",
        "Environment=A=1 \\\n  ; a note \\\n\n  'B=x hunter2'",
        "Environment=A=1 \\\r\n B=hunter2",
        "#Environment=A=hunter2",
        "SetCredential=A=:x \\\n hunter2",
        "ExecStart=/usr/bin/podman run -dite A=hunter2 busybox",
        'ExecStart=/usr/bin/podman run "-e" "A=x hunter2" busybox',
        "ExecStart=/usr/bin/podman run '--env' \\\n# a note\n 'A=hunter2' busybox",
        "ExecStart=/usr/bin/podman run -e\\\n A=hunter2 busybox",
        'ExecStart=/usr/bin/podman run -e "A=x \\\n# 3" wide\n hunter2" busybox',
        "ExecStart=/usr/bin/podman run --env-merge A=hunter2 busybox",
        "ExecStart=/usr/bin/env A=1 'B=x hunter2' podman run busybox",
        'ExecStart=/bin/sh -c "podman run -e \\"A=x hunter2\\" busybox"',
        "ExecStart=/bin/sh -c 'cd /x; A=1 B=hunter2 podman start web'",
        "# it's what ran before: podman run -e A=hunter2",
    ],
)
def test_a_value_is_hidden_and_its_name_is_not(line):
    shown = hide_values(f"[Service]\n{line}\nRestart=always\n")
    assert "hunter2" not in shown
    assert "••••" in shown
    assert shown.endswith("Restart=always\n")
    assert "A=" in shown or '"A=hunter2' in line


@pytest.mark.parametrize(
    "line",
    [
        "EnvironmentFile=/etc/web.env",
        "ExecStart=/usr/bin/podman run --name=web --label a=b --env-file /x -e HOME -p 8080:80 busybox",
        "# Environment of the shop",
        "ExecStart=/bin/sh -c 'podman run --label a=b busybox' \\\n# a note\n --name=web",
    ],
)
def test_what_is_no_value_stays(line):
    assert hide_values(line) == line


def test_each_file_has_its_path():
    text = (
        "# /run/systemd/generator/web.service\n# Automatically generated\n[Service]\nA=1\n\n"
        "# /etc/x/web.service.d/a.conf\n[Service]\nB=2\n"
    )
    assert split_files(text) == [
        ("/run/systemd/generator/web.service", "# Automatically generated\n[Service]\nA=1\n"),
        ("/etc/x/web.service.d/a.conf", "[Service]\nB=2\n"),
    ]
    assert split_files("") == []
