"""What an engine says of a failed pull or push, in the registry's words, once, with one cure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import errors
from runtimes.formats import pull_push_errors

LOGIN = "Log in with podman login."
NAME = "127.0.0.1:5000/shop/nope:1"
SPELLING = "Check the spelling of the image and of its registry. A registry reports a private image as missing, too."
REACH = "Check that the engine's host can reach the registry, and try again."


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        (  # Docker 20.10 and 26
            f"manifest for {NAME} not found: manifest unknown: manifest unknown",
            "manifest unknown",
            "Check the spelling of the tag.",
        ),
        (
            'Head "http://127.0.0.1:5000/v2/shop/nope/manifests/1": no basic auth credentials',
            "no basic auth credentials",
            LOGIN,
        ),
        (
            "pull access denied for shop/nope, repository does not exist or may require 'docker login': denied:"
            " requested access to the resource is denied",
            "pull access denied for shop/nope, repository does not exist or may require 'docker login': denied:"
            " requested access to the resource is denied",
            f"Check the spelling, and whether the image is private. {LOGIN}",
        ),
        (
            'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
            'Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
            REACH,
        ),
        (
            "toomanyrequests: You have reached your pull rate limit. See https://www.docker.com/increase-rate-limit",
            "toomanyrequests: You have reached your pull rate limit. See https://www.docker.com/increase-rate-limit",
            "The registry limits transfers: wait, or log in to it.",
        ),
        # Docker with containerd's image store, and containerd itself
        (f'failed to resolve reference "{NAME}": {NAME}: not found', "not found", SPELLING),
        (
            f'failed to resolve reference "{NAME}": pull access denied, repository does not exist or may require'
            " authorization: authorization failed: no basic auth credentials",
            "pull access denied, repository does not exist or may require authorization: authorization failed: no basic"
            " auth credentials",
            LOGIN,
        ),
        (
            f'failed to resolve reference "{NAME}": failed to do request: Head "https://127.0.0.1:5000/v2/": http:'
            " server gave HTTP response to HTTPS client",
            'Head "https://127.0.0.1:5000/v2/": http: server gave HTTP response to HTTPS client',
            "Configure this registry on the engine's host: its certificate authority, or that it has no TLS.",
        ),
        (  # containerd's CRI
            f'rpc error: code = NotFound desc = failed to pull and unpack image "{NAME}": failed to resolve reference'
            f' "{NAME}": {NAME}: not found',
            "not found",
            SPELLING,
        ),
        (  # Podman 4 and 5, in the stream; Podman 6, as a refusal with status 404
            f"initializing source docker://{NAME}: reading manifest 1 in 127.0.0.1:5000/shop/nope: name unknown:"
            " repository name not known to registry",
            "name unknown: repository name not known to registry",
            SPELLING,
        ),
        (
            f"unable to copy from source docker://{NAME}: initializing source docker://{NAME}: reading manifest 1 in"
            " 127.0.0.1:5000/shop/nope: manifest unknown",
            "manifest unknown",
            "Check the spelling of the tag.",
        ),
        (
            f"initializing source docker://{NAME}: reading manifest 1 in 127.0.0.1:5000/shop/nope: authentication"
            " required",
            "authentication required",
            LOGIN,
        ),
        (  # CRI-O 1.37
            f"unable to pull image or OCI artifact: pull image err: initializing source docker://{NAME}: reading"
            " manifest 1 in 127.0.0.1:5000/shop/nope: manifest unknown; artifact err: provided artifact is a container"
            " image",
            "manifest unknown",
            "Check the spelling of the tag.",
        ),
        (
            'RegistryUnavailable: pinging container registry 127.0.0.1:1: Get "https://127.0.0.1:1/v2/": dial tcp'
            " 127.0.0.1:1: connect: connection refused",
            'Get "https://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused',
            REACH,
        ),
        # None of the known ones
        ("the moon is full", "the moon is full", "Try it by hand on the engine's host, or look at the engine's log."),
        ("", "the engine gives no reason", "Try it by hand on the engine's host, or look at the engine's log."),
    ],
)
def test_a_failure_is_told_once_in_the_registrys_words(text: str, reason: str, hint: str) -> None:
    error = pull_push_errors.make_pull_push_error(NAME, text, login=LOGIN)
    assert (error.message, error.hint) == (f"{reason}.", hint)
    assert NAME not in error.full_message()
    assert isinstance(error, errors.NotFound) == (" not found" in f" {reason}" or "unknown" in reason)


def test_a_refusal_as_missing_is_one_whatever_its_words() -> None:
    error = pull_push_errors.make_pull_push_error(NAME, "nothing like that", login=LOGIN, code=404)
    assert isinstance(error, errors.NotFound)


@given(st.text(max_size=300))
def test_any_text_makes_one_sentence(text: str) -> None:
    error = pull_push_errors.make_pull_push_error(NAME, text, login=LOGIN)
    assert error.message.endswith(".")
    assert len(error.message) <= pull_push_errors.MAX_REASON + 2
    assert error.hint


def test_a_report_of_many_layers_is_unwrapped_in_linear_time() -> None:
    text = f"initializing source docker://{NAME}: " * 3_000 + "manifest unknown"
    assert pull_push_errors.registry_reason(NAME, text) == "manifest unknown"


@pytest.mark.parametrize(
    ("asked", "full", "digest", "detail"),
    [
        ("web:1", "web:1", "sha256:ab", "sha256:ab"),
        ("web:1", "web:1", "", ""),
        ("web:1", "docker.io/library/web:1", "sha256:ab", "as docker.io/library/web:1, sha256:ab"),
        ("web:1", "docker.io/library/web:1", "", "as docker.io/library/web:1"),
    ],
)
def test_a_success_names_the_image_again_only_if_it_got_another_name(
    asked: str, full: str, digest: str, detail: str
) -> None:
    assert pull_push_errors.done_detail(asked, full, digest) == detail
