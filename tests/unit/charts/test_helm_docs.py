"""What the documents tell people to type for the Helm chart: each `helm install` installs something, and the Secrets
that are created before it are those that its pods mount."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import helm_python
import pytest

from tests.helpers.helm_chart import CHART, EXAMPLES, Rendered, containers, merged
from tests.helpers.paths import ROOT

DOCUMENTS = [ROOT / "docs/kubernetes.md", CHART / "README.md", *EXAMPLES]
# Without those of bot-by-url.yaml, to which it points, and the one that lets nodes pull the image.
ELSEWHERE = {"external-redis": {"quarterdeck-slack", "quarterdeck-engines"}}


def typed(document: Path, begins: str) -> list[list[str]]:
    """The command lines in a document, as words; those that go on in the next line are joined."""
    text = re.sub(r"\\\n[# ]*", " ", document.read_text())
    return [shlex.split(line) for line in re.findall(rf"^[#$ ]+({re.escape(begins)}.*)", text, re.MULTILINE)]


def installed(words: list[str]) -> Rendered:
    """What a line installs. Fails for a flag that this function does not know."""
    release, chart, *flags = words[2:]
    assert chart == "charts/quarterdeck"
    values: dict[str, Any] = {}
    namespace = "default"
    while flags:
        match flags:
            case ["-f", file, *flags]:
                values = merged(values, helm_python.values_from_yaml((ROOT / file).read_text()))
            case ["--set", given, *flags]:
                values = merged(values, helm_python.parse_set_string(given))
            case ["-n", namespace, *flags]:
                pass
            case ["--create-namespace", *flags]:
                pass
            case _:
                pytest.fail(f"unknown: {flags}")
    return Rendered(values, release=release, namespace=namespace)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.name)
def test_every_documented_line_installs_pods(document: Path) -> None:
    lines = typed(document, "helm install")
    assert lines
    for words in lines:
        rendered = installed(words)
        assert set(rendered.pods()) & {"bot", "exporter"}
        assert "WARNING" not in rendered.notes


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda one: one.stem)
def test_the_secrets_that_an_example_creates_are_those_that_its_pods_use(example: Path) -> None:
    created = {words[4]: keys(words[5:]) for words in typed(example, "kubectl create secret generic")}
    (words,) = typed(example, "helm install")
    rendered = installed(words)
    own = {secret["metadata"]["name"] for secret in rendered.all("Secret")}
    used = secrets_of(rendered) - own - ELSEWHERE.get(example.stem, set())
    assert set(created) == used
    if "quarterdeck-redis-url" in created:
        assert created["quarterdeck-redis-url"] == {"url"}
        services = {service["metadata"]["name"] for service in rendered.all("Service")}
        assert "@quarterdeck-redis:6379" in example.read_text() and "quarterdeck-redis" in services
    for name, wanted in mounted_keys(rendered).items():
        assert wanted <= created.get(name, wanted), name


def keys(flags: list[str]) -> set[str]:
    """The keys of a Secret that `kubectl create secret generic NAME …` creates."""
    return {value.partition("=")[0] for flag in flags for _, _, value in [flag.partition("=")] if value}


def secrets_of(rendered: Rendered) -> set[str]:
    found = set()
    for pod in rendered.pods().values():
        found |= {one["secret"]["secretName"] for one in pod["spec"].get("volumes", ()) if "secret" in one}
        for container in containers(pod):
            found |= {
                one["valueFrom"]["secretKeyRef"]["name"]
                for one in container.get("env", ())
                if "secretKeyRef" in one.get("valueFrom", {})
            }
    return found


def mounted_keys(rendered: Rendered) -> dict[str, set[str]]:
    """The files of mounted Secrets that the configurations name, by the Secret."""
    found: dict[str, set[str]] = {}
    for part, pod in rendered.pods().items():
        if part not in ("bot", "exporter"):
            continue
        volumes = {
            one["name"]: one["secret"]["secretName"] for one in pod["spec"].get("volumes", ()) if "secret" in one
        }
        for mount in pod["spec"]["containers"][0].get("volumeMounts", ()):
            if (secret := volumes.get(mount["name"])) is not None:
                named = re.findall(rf"{re.escape(mount['mountPath'])}/([\w.-]+)", rendered.configuration(part))
                found.setdefault(secret, set()).update(named)
    return found
