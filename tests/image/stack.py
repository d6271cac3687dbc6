"""The images of the Compose file's other services, made of Debian's programs: HAProxy, Prometheus and Alertmanager.

Each has the place of its data, the user and the entrypoint of the official image.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.daemons.docker import Dockerd
from tests.helpers.requirements import need
from tests.image import rootfs

HAPROXY, PROMETHEUS, ALERTMANAGER = "localhost/haproxy:1", "localhost/prometheus:1", "localhost/alertmanager:1"
NOBODY = 65534


def add_images(daemon: Dockerd) -> None:
    need("promtool", "prometheus")
    need("alertmanager", "prometheus-alertmanager")
    need("haproxy", "haproxy")
    _add(daemon, HAPROXY, "haproxy", user=99)
    _add(daemon, PROMETHEUS, "prometheus", data="prometheus", entrypoint="/bin/prometheus")
    _add(
        daemon, ALERTMANAGER, "prometheus-alertmanager", data="alertmanager", entrypoint="/bin/prometheus-alertmanager"
    )


def _add(
    daemon: Dockerd, image: str, program: str, *, user: int = NOBODY, data: str = "", entrypoint: str = ""
) -> None:
    tree = rootfs.Tree()
    tree.file(Path(shutil.which(program) or program), f"bin/{program}")
    tree.link("bin/wget", "busybox")
    # Debian's Alertmanager reads its templates from there; the official one has them inside.
    for template in Path("/usr/share/prometheus/alertmanager").glob("*.tmpl"):
        tree.file(template, str(template).lstrip("/"))
    if data:
        tree.folder(data, owner=user)
    changes = [f"USER {user}:{user}", "ENV PATH=/bin", f'ENTRYPOINT ["/bin/{program}"]']
    name, _, tag = image.rpartition(":")
    daemon.api.import_image_from_data(tree.packed(), repository=name, tag=tag, changes=changes)
