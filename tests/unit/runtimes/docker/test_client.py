"""Which version of Docker's API is used, and what is said where there is none in common."""

from __future__ import annotations

import pytest

from core import errors
from core.model.actions import ListContainers
from core.model.refs import EngineRef
from tests.helpers.prepared_daemon import PreparedDaemon

LIST = ListContainers(engine=EngineRef(host="host7", kind="docker"))


@pytest.mark.parametrize(
    ("newest", "oldest", "used"), [("1.41", "1.12", "1.41"), ("1.51", "1.24", "1.51"), ("1.54", "1.44", "1.51")]
)
async def test_the_newest_version_that_both_know_is_used(
    daemon: PreparedDaemon, newest: str, oldest: str, used: str
) -> None:
    daemon.headers["Api-Version"] = newest
    daemon.answers |= {
        "/version": (200, f'{{"MinAPIVersion": "{oldest}"}}'.encode()),
        "/containers/json": (200, b"[]"),
    }
    assert (await daemon.do(LIST)).rows == ()
    assert daemon.asked[-1] == f"/v{used}/containers/json?all=1"


async def test_a_daemon_that_wants_a_newer_version_is_named_with_both(daemon: PreparedDaemon) -> None:
    daemon.headers["Api-Version"] = "1.60"
    daemon.answers["/version"] = (200, b'{"MinAPIVersion": "1.55"}')
    with pytest.raises(errors.InvalidResponse) as caught:
        await daemon.do(LIST)
    text = caught.value.full_message()
    assert "needs Docker API 1.55 or newer, but this Quarterdeck supports at most 1.51." in text
    assert "Upgrade Quarterdeck" in text and "client" not in text
    assert daemon.asked == ["/info", "/version"]


async def test_a_daemon_that_was_upgraded_meanwhile_is_asked_for_its_version_again(daemon: PreparedDaemon) -> None:
    daemon.answers["/containers/json"] = (200, b"[]")
    await daemon.do(LIST)
    daemon.headers["Api-Version"] = "1.60"
    daemon.answers["/version"] = (200, b'{"MinAPIVersion": "1.55"}')
    daemon.refuse(
        "/containers/json",
        400,
        "client version 1.45 is too old. Minimum supported API version is 1.55, please upgrade your client to a newer"
        " version",
    )
    for _ in range(2):
        with pytest.raises(errors.InvalidResponse, match="needs Docker API 1.55 or newer"):
            await daemon.do(LIST)
    assert daemon.asked[-1] == "/version"


async def test_a_daemon_that_was_downgraded_meanwhile_is_asked_for_its_version_again(daemon: PreparedDaemon) -> None:
    daemon.answers["/containers/json"] = (200, b"[]")
    await daemon.do(LIST)
    daemon.headers["Api-Version"] = "1.41"
    daemon.refuse("/containers/json", 400, "client version 1.45 is too new. Maximum supported API version is 1.41")
    with pytest.raises(
        errors.InvalidResponse,
        match=r"does not support Docker API 1.45, which it supported before. It supports 1.41 or",
    ):
        await daemon.do(LIST)
    daemon.answers["/containers/json"] = (200, b"[]")
    await daemon.do(LIST)
    assert daemon.asked[-1] == "/v1.41/containers/json?all=1"
