"""A change of a CRI engine that fails: whether anything was changed."""

from datetime import UTC, datetime, timedelta

import pytest

from core import errors
from core.model import actions
from core.model.refs import Kind, Ref
from core.ports import Call
from runtimes.cri import decode, engine
from runtimes.proto import cri_pb2 as cri


@pytest.mark.parametrize(("lost", "sent"), [("ContainerStatus", False), ("StopContainer", True)])
async def test_only_a_change_that_was_sent_may_have_happened(monkeypatch, lost, sent):
    async def request(method, request, response, seconds, *, target=None):
        if method == lost:
            raise errors.TimedOut("The engine did not answer.", sent=True)
        return cri.ContainerStatusResponse(status=cri.ContainerStatus(id="a", state=decode.RUNNING))

    runtime = engine.Cri("unix:///run/none.sock")
    monkeypatch.setattr(runtime, "_request", request)
    target = Ref(engine=runtime.ref, kind=Kind.CONTAINER, id="a", name="web")
    call = Call(id="t", who="t", deadline=datetime.now(UTC) + timedelta(seconds=9), invocation="t")
    with pytest.raises(errors.TimedOut) as caught:
        await runtime.run(actions.Stop(engine=runtime.ref, target=target), call)
    assert caught.value.sent is sent
    await runtime.aclose()
