"""The program to run is the container's own process with another command, and with no more rights."""

from __future__ import annotations

import json
from typing import Any

import pytest

from core import errors
from core.model.inside_containers import Exec
from core.model.refs import EngineRef, Kind, Ref
from runtimes.formats import oci_process

ENGINE = EngineRef(host="h", kind="oci")
WEB = Ref(engine=ENGINE, kind=Kind.CONTAINER, id="w", name="web")
OWN = {
    "args": ["sleep", "9"],
    "env": ["PATH=/bin", "MODE=live", "odd"],
    "cwd": "/srv",
    "user": {"uid": 33, "gid": 33, "additionalGids": [4]},
    "terminal": True,
    "consoleSize": {"height": 1},
    "capabilities": {"bounding": ["CAP_CHOWN"]},
    "noNewPrivileges": True,
}


def process(**more: Any) -> dict[str, Any]:
    action = Exec(engine=ENGINE, target=WEB, command=("ls", "a b"), **more)
    found: dict[str, Any] = json.loads(oci_process.encode_process(json.dumps({"process": OWN}).encode(), action))
    return found


def test_only_the_command_differs() -> None:
    own = {name: value for name, value in OWN.items() if name != "consoleSize"}
    assert process() == own | {"args": ["ls", "a b"], "terminal": False}


def test_what_is_asked_for_is_changed_and_the_rights_stay() -> None:
    found = process(user="1000", workdir="/tmp", environment=(("MODE", "test=1"), ("NEW", "")))
    assert found["env"] == ["PATH=/bin", "odd", "MODE=test=1", "NEW="]
    assert (found["cwd"], found["user"]) == ("/tmp", {"uid": 1000, "gid": 0})
    assert (found["capabilities"], found["noNewPrivileges"]) == (OWN["capabilities"], True)


@pytest.mark.parametrize(("user", "uid", "gid"), [("root", 0, 0), ("1:2", 1, 2), ("root:root", 0, 0), ("7:root", 7, 0)])
def test_users_are_numbers_or_root(user: str, uid: int, gid: int) -> None:
    assert process(user=user)["user"] == {"uid": uid, "gid": gid}


@pytest.mark.parametrize("user", ["alice", "1:users", "-1", "1:2:3", " 1"])
def test_no_other_user_is_guessed(user: str) -> None:
    with pytest.raises(errors.BadUsage, match="only as numbers.*exec web id USER"):
        process(user=user)


@pytest.mark.parametrize("spec", [b"", b"[]", b"{}", b'{"process": 1}', b"no JSON"])
def test_what_is_no_specification_is_an_invalid_response(spec: bytes) -> None:
    with pytest.raises(errors.InvalidResponse):
        oci_process.encode_process(spec, Exec(engine=ENGINE, target=WEB, command=("ls",)))
