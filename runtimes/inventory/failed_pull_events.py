"""Reports the failed pulls of Quarterdeck's own commands as events, because most engines send no event for them.

It reads the pages of the jobs that pull an image. A failed pull becomes an event of the image with the action
`pull-error`, which newer versions of Podman also send.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from core.model.actions import Action
from core.model.background_jobs import JobPage, JobStarted, ReadJob
from core.model.create_container import CreateContainer
from core.model.events import Event, EventKind, Origin
from core.model.image_names import with_default_tag
from core.model.images import PullImage
from core.model.refs import Kind, Ref
from core.model.replies import Status
from core.ports import Call

PULL_ERROR = "pull-error"
NOT_PULLED = "was not pulled"  # what the outcome of a new container says if its image could not be pulled
MAX_JOBS = 256
MAX_WHY = 300  # characters


class FailedPullEvents:
    """Watches the jobs of one engine. `listener` receives each event. `now_ns`: our clock."""

    def __init__(self, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._now_ns = now_ns
        self._jobs: OrderedDict[str, tuple[PullImage | CreateContainer, str]] = OrderedDict()
        self.listener: Callable[[Event], None] = lambda event: None

    def observe(self, action: Action[Any], call: Call, value: Any) -> None:
        """Takes the result of an action on the engine."""
        if isinstance(action, PullImage | CreateContainer) and isinstance(value, JobStarted):
            self._jobs[value.job] = (action, call.who)
            if len(self._jobs) > MAX_JOBS:
                self._jobs.popitem(last=False)
        elif isinstance(action, ReadJob) and isinstance(value, JobPage) and value.outcome is not None:
            started, who = self._jobs.pop(action.job, (None, ""))
            detail = value.outcome.detail
            if started is None or value.outcome.status != Status.FAILED:
                return
            if isinstance(started, CreateContainer) and NOT_PULLED not in detail:
                return
            name = with_default_tag(started.image)
            subject = Ref(engine=started.engine, kind=Kind.IMAGE, id=name, name=name)
            attrs = {"why": detail[:MAX_WHY], "by": who}
            self.listener(Event(self._now_ns(), EventKind.OTHER, subject, Origin.LIVE, "image", PULL_ERROR, attrs))
