"""What containerd gets when it asks for a login: only the registry in the image's name gets it."""

from __future__ import annotations

import pytest

from runtimes.base.registry_auth import Login
from runtimes.containerd.pull_login import response_to
from runtimes.proto import containerd_transfer_types_pb2 as types


@pytest.mark.parametrize(
    ("registry", "host", "given"),
    [
        ("r.example:5000", "r.example:5000", True),
        ("r.example:5000", "r.example", False),
        ("r.example", "mirror.example", False),
        ("docker.io", "registry-1.docker.io", True),
        ("docker.io", "auth.docker.io.evil.example", False),
    ],
)
def test_a_login_goes_to_its_own_registry_only(registry: str, host: str, given: bool) -> None:
    login = Login(registry=registry, source="file", username="mate", password="harbour")
    answer = response_to(host, login)
    assert (answer.username, answer.secret) == (("mate", "harbour") if given else ("", ""))
    assert answer.authType == (types.CREDENTIALS if given else types.NONE)


def test_a_token_is_given_as_a_token() -> None:
    answer = response_to("r.example", Login(registry="r.example", source="file", identity_token="tkn"))
    assert (answer.authType, answer.secret, answer.username) == (types.REFRESH, "tkn", "")
