"""What is shown of a registry's catalogue, whoever wrote it."""

import json

import pytest

from core import errors
from core.model.registry_reads import MAX_FOUND
from runtimes.docker_like import search_results


def decoded(rows, limit=25):
    return search_results.decode_search_results(json.dumps(rows).encode(), limit)


def test_both_engines_rows_are_understood():
    docker = {"name": "nginx", "description": "A server", "star_count": 7, "is_official": True}
    podman = {"Name": "docker.io/library/nginx", "Description": "A server", "Stars": 7, "Official": "[OK]"}
    (one, two) = decoded([docker, podman])
    assert (one.name, two.name) == ("nginx", "docker.io/library/nginx")
    assert {(row.description, row.stars, row.official) for row in (one, two)} == {("A server", 7, True)}


def test_a_name_can_be_pulled_as_it_is_shown():
    body = json.dumps([{"name": "shop/web"}, {"name": "r.example/shop/api"}, {"Name": "r.example/x"}]).encode()
    found = search_results.decode_search_results(body, 25, registry="r.example")
    assert [row.name for row in found] == ["r.example/shop/web", "r.example/shop/api", "r.example/x"]


def test_text_of_strangers_is_cut_and_printable_and_rows_are_bounded():
    row = {"name": "\x1b]0;evil\x07nginx" + "n" * 1000, "description": "a\nb\u202e" + "c" * 1000, "star_count": None}
    found = decoded([row] * 500, 1000)
    assert len(found) == MAX_FOUND and found[0].stars is None
    assert found[0].name.isprintable() and len(found[0].name) < 300
    assert found[0].description.isprintable() and len(found[0].description) < 200


@pytest.mark.parametrize("rows", [[], None, [{}], [{"name": ""}], [{"description": "x"}], [5, "x", None]])
def test_what_has_no_name_is_left_out(rows):
    assert decoded(rows) == ()


def test_an_unreachable_catalogue_is_said_in_its_words():
    text = 'Get "https://index.docker.io/v1/search?n=25&q=nginx": dial tcp: lookup index.docker.io: no such host'
    error = search_results.search_error("nginx", text, "Log in.")
    assert isinstance(error, errors.EngineError) and not error.sent
    assert "no such host" in error.message and "reaches the registry" in error.hint
    assert search_results.search_error("nginx", "unauthorized: authentication required", "Log in.").hint == "Log in."
