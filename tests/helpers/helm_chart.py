"""Renders the Helm chart with Helm's own library, and reads what a cluster would get."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import helm_python
import kubernetes_validate.utils
import yaml

from tests.helpers.paths import ROOT

CHART = ROOT / "charts/quarterdeck"
EXAMPLES = sorted(CHART.glob("examples/*.yaml"))
MOUNTED_SECRETS = "/run/secrets/quarterdeck"
NOTES = "quarterdeck/templates/NOTES.txt"
Object = dict[str, Any]
# The smallest values with which the bot is installed.
BOT = {"bot": {"config": {"engines": [{"url": "tcp://docker7:2376"}]}}}


# Otherwise 2 MB of schemas are read again for each object.
kubernetes_validate.utils.schema_contents = functools.cache(kubernetes_validate.utils.schema_contents)


def example(name: str) -> dict[str, Any]:
    """Returns the values of one documented example."""
    values: dict[str, Any] = helm_python.values_from_yaml((CHART / f"examples/{name}.yaml").read_text())
    return values


def merged(values: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values with others on top, as `helm install -f … --set …` merges them."""
    result = copy.deepcopy(dict(values))
    for key, value in more.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


class Rendered:
    """What one installation creates. Raises the errors of helm_python for values that are refused."""

    def __init__(
        self, values: Mapping[str, Any], *, release: str = "deck", namespace: str = "ops", chart: Path = CHART
    ) -> None:
        with helm_python.Chart.load(chart) as loaded:
            self.files = loaded.render(dict(values), name=release, namespace=namespace)
        self.notes = self.files.pop(NOTES)
        self.objects: Sequence[Object] = [
            found for text in self.files.values() for found in yaml.safe_load_all(text) if found
        ]

    def all(self, kind: str) -> list[Object]:
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind: str, ending: str = "") -> Object:
        """Returns the only object of a kind whose name ends like that."""
        (found,) = [each for each in self.all(kind) if each["metadata"]["name"].endswith(ending)]
        return found

    def pods(self) -> dict[str, Object]:
        """Returns the specification of each pod, with its labels, by its part of the chart: bot, exporter …"""
        found = {}
        for each in self.objects:
            pod = each if each["kind"] == "Pod" else each.get("spec", {}).get("template")
            if isinstance(pod, dict) and "containers" in pod.get("spec", {}):
                found[_part(pod)] = pod
        return found

    def configuration(self, part: str) -> str:
        """Returns the text of the quarterdeck.yaml that the bot or the exporter gets."""
        (found,) = [
            each for each in self.all("ConfigMap") if "quarterdeck.yaml" in each["data"] and _part(each) == part
        ]
        text: str = found["data"]["quarterdeck.yaml"]
        return text


def _part(found: Object) -> str:
    name: str = found["metadata"]["labels"]["app.kubernetes.io/component"]
    return name


def containers(pod: Object) -> list[Object]:
    spec = pod["spec"]
    return [*spec.get("initContainers", ()), *spec["containers"]]
