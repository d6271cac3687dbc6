"""Which registries are asked, and where a login and a redirect may lead."""

import pytest

from core import errors
from core.model.registry_reads import PUBLIC_REGISTRIES
from runtimes.registry import registry_address
from runtimes.registry.registry_address import parse


@pytest.mark.parametrize(
    ("name", "whole", "host"),
    [
        ("nginx", "docker.io/library/nginx:latest", "registry-1.docker.io"),
        ("docker.io/nginx:1", "docker.io/library/nginx:1", "registry-1.docker.io"),
        ("index.docker.io/shop/web:2", "docker.io/shop/web:2", "registry-1.docker.io"),
        ("ghcr.io/shop/web", "ghcr.io/shop/web:latest", "ghcr.io"),
        ("registry.example:5000/web:1", "registry.example:5000/web:1", "registry.example:5000"),
        (f"quay.io/a/b@sha256:{'0' * 64}", f"quay.io/a/b@sha256:{'0' * 64}", "quay.io"),
        (f"quay.io/a/b:1@sha256:{'0' * 64}", f"quay.io/a/b@sha256:{'0' * 64}", "quay.io"),
    ],
)
def test_a_name_says_which_registry_has_it(name, whole, host):
    found = parse(name, PUBLIC_REGISTRIES)
    assert (str(found), found.host) == (whole, host)


def test_what_was_built_here_has_no_registry():
    with pytest.raises(errors.BadUsage, match="has no registry"):
        parse("localhost/web:1", PUBLIC_REGISTRIES)


@pytest.mark.parametrize("name", ["nginx", "ghcr.io/a/b", "QUAY.IO/a/b"])
def test_a_listed_registry_is_asked(name):
    registry_address.check_allowed(parse(name, PUBLIC_REGISTRIES), PUBLIC_REGISTRIES, has_login=False)


@pytest.mark.parametrize(
    "name",
    ["169.254.169.254/latest/meta-data", "10.0.0.1:6379/x", "evil.example/x", "docker.io.evil.example/x", "[::1]:80/x"],
)
def test_any_other_host_is_not_asked_unless_this_host_is_logged_in(name):
    found = parse(name, PUBLIC_REGISTRIES)
    with pytest.raises(errors.Refused, match="registries"):
        registry_address.check_allowed(found, PUBLIC_REGISTRIES, has_login=False)
    registry_address.check_allowed(found, PUBLIC_REGISTRIES, has_login=True)


def test_the_list_takes_globs_ports_and_registries_without_tls():
    listed = ("*.example.com", "http://10.0.0.7:5000", "[::1]:5000")
    for name in ("reg.example.com/x", "10.0.0.7:5000/x", "[::1]:5000/x"):
        registry_address.check_allowed(parse(name, listed), listed, has_login=False)
    assert parse("10.0.0.7:5000/x", listed).may_be_plain and parse("127.0.0.1:5000/x", ()).may_be_plain
    assert not parse("reg.example.com/x", listed).may_be_plain
    with pytest.raises(errors.Refused):
        registry_address.check_allowed(parse("nginx", listed), listed, has_login=False)


@pytest.mark.parametrize(
    ("registry", "realm", "fine"),
    [
        ("docker.io", "https://auth.docker.io/token", True),
        ("ghcr.io", "https://ghcr.io/token", True),
        ("registry.gitlab.com", "https://gitlab.com/jwt/auth", True),
        ("registry.example.com", "https://gitlab.example.com/jwt/auth", True),
        ("127.0.0.1:5000", "http://127.0.0.1:5001/token", True),
        ("registry.example.com", "https://evil.example/token", False),
        ("registry.example.com", "https://registry.example.com.evil.example/token", False),
        ("registry.example.com", "http://registry.example.com/token", False),
        ("registry.example.com", "https://user@registry.example.com/token", False),
        ("quay.io", "https://evil.io/token", False),
        ("10.0.0.7:5000", "https://10.0.0.8/token", False),
        ("10.0.0.7:5000", "https://1.0.0.7/token", False),
        ("127.0.0.1:5000", "http://169.254.169.254/token", False),
        ("quay.io", "", False),
        ("quay.io", "file:///etc/passwd", False),
    ],
)
def test_a_login_goes_only_to_a_server_of_the_registry(registry, realm, fine):
    name = parse(f"{registry}/a/b", ())
    if fine:
        registry_address.check_realm(name, realm)
        return
    with pytest.raises(errors.EngineError, match="No password was sent"):
        registry_address.check_realm(name, realm)


@pytest.mark.parametrize(
    ("url", "fine"),
    [
        ("https://cdn.example/layer?signature=x", True),
        ("https://quay.io/v2/x", True),
        ("https://8.8.8.8/x", True),
        ("http://cdn.example/layer", False),
        ("https://169.254.169.254/latest", False),
        ("https://127.0.0.1/x", False),
        ("https://localhost/x", False),
        ("https://[::1]/x", False),
        ("https://[::ffff:10.0.0.1]/x", False),
        ("https://a@cdn.example/x", False),
        ("ftp://cdn.example/x", False),
        ("https:///x", False),
    ],
)
def test_a_redirect_leads_to_public_places_only(url, fine):
    name = parse("quay.io/a/b", ())
    if fine:
        registry_address.check_redirect(name, url)
        return
    with pytest.raises(errors.EngineError, match="does not follow"):
        registry_address.check_redirect(name, url)
