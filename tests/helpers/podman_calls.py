"""An adapter for a Podman service, and short words to use it by."""

from datetime import UTC, datetime, timedelta

from core.model import actions
from core.model.background_jobs import ReadJob
from core.ports import Call
from runtimes import engine_registry


def call(seconds=30.0):
    return Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=seconds), invocation="t")


class Desk:
    """Belongs to the loop it is first used on."""

    def __init__(self, url, name="default"):
        self.runtime = engine_registry.open_engine(engine_registry.EngineAddress(kind="podman", url=url, name=name))

    async def do(self, action, seconds=30.0, **fields):
        return await self.runtime.run(action(engine=self.runtime.ref, **fields), call(seconds))

    async def ref(self, name):
        rows = (await self.do(actions.ListContainers)).rows
        return next(row.ref for row in rows if row.ref.name == name)

    async def job(self, action, **fields):
        """A job's outcome and all it told."""
        started, cursor, told = await self.do(action, **fields), "", []
        while True:
            page = await self.do(ReadJob, job=started.job, cursor=cursor, wait=1.0)
            cursor = page.cursor
            told.append(page.progress)
            if page.outcome is not None:
                return page.outcome, told
