"""Creates containers on Docker: defines the paths and the bodies of the requests. `docker_like.create` defines the
steps.
"""

from __future__ import annotations

import abc
import urllib.parse
from collections.abc import Mapping
from typing import Any

from core.model.create_container import CreateContainer
from runtimes.docker import create_body, images
from runtimes.docker_like import create as shared


class CreateVerbs(images.ImageVerbs, shared.CreateVerbs, abc.ABC):
    """Serves the verb that creates containers for Docker."""

    def _create_body(self, action: CreateContainer, labels: Mapping[str, str]) -> Mapping[str, Any]:
        return create_body.create_body(action, labels, self.api)

    def _network_path(self, name: str) -> str:
        return f"/networks/{urllib.parse.quote(name, safe='')}"

    def _volume_path(self, name: str) -> str:
        return f"/volumes/{urllib.parse.quote(name, safe='')}"
