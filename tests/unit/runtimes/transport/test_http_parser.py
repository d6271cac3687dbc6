"""The pure half of the engine client: addresses, requests as bytes, and responses cut into blocks anywhere."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import errors
from runtimes.transport import http_parser
from runtimes.transport.endpoint import Endpoint
from runtimes.transport.http_parser import ResponseParser, encode_request


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    wire: bytes
    status: int
    body: bytes
    keep: bool = True
    head: bool = False


@st.composite
def responses(draw: st.DrawFn, *, last: bool = False) -> Recorded:
    body = draw(st.binary(max_size=400) | st.sampled_from([b"\r\n", b"0\r\n\r\n", b"a\r\n\r\nb" * 40, b"x" * 5000]))
    interim = draw(st.sampled_from([b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"]))
    kind = draw(st.sampled_from(["length", "chunked", "none", "head", *(["close"] if last else [])]))
    if kind == "none":
        return Recorded(wire=interim + b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", status=204, body=b"")
    if kind == "head":
        return Recorded(wire=interim + b"HTTP/1.1 200\r\nContent-Length: 9\r\n\r\n", status=200, body=b"", head=True)
    if kind == "close":
        return Recorded(wire=interim + b"HTTP/1.0 200 OK\r\n\r\n" + body, status=200, body=body, keep=False)
    if kind == "length":
        head = b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % len(body)
        return Recorded(wire=interim + head + body, status=404, body=body)
    pieces, left = [], body
    while left:
        size = draw(st.integers(1, len(left)))
        line = draw(st.sampled_from([b"%x", b"%X", b"000%x", b"%x;a=b", b'%x ;q="1;2"'])) % size
        pieces.append(line + b"\r\n" + left[:size] + b"\r\n")
        left = left[size:]
    pieces.append(draw(st.sampled_from([b"0\r\n", b"0;last\r\n", b"000\r\n"])))
    pieces.append(draw(st.sampled_from([b"\r\n", b"Digest: x\r\n\r\n", b"A: 1\r\nB: 2\r\n\r\n"])))
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
    return Recorded(wire=interim + head + b"".join(pieces), status=200, body=body)


@given(
    recorded=st.lists(responses(), max_size=3),
    last=responses(last=True),
    cuts=st.lists(st.integers(0, 8000), max_size=12),
    every=st.sampled_from([0, 0, 1, 2, 7]),
)
@settings(max_examples=150, deadline=None)
def test_any_split_parses_the_same(recorded: list[Recorded], last: Recorded, cuts: list[int], every: int) -> None:
    expected = [*recorded, last]
    wire = b"".join(one.wire for one in expected)
    edges = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire)), *(range(0, len(wire), every or 10**9))})
    blocks = [wire[a:b] for a, b in itertools.pairwise(edges)]
    for one in expected:
        parser, body = ResponseParser(bodiless=one.head), b""
        while blocks and not parser.done:
            body += parser.feed(blocks.pop(0))
        assert parser.finish()
        assert (parser.status, body, parser.keep_alive) == (one.status, one.body, one.keep)
        if parser.rest:
            blocks.insert(0, parser.rest)
    assert blocks == []


# Bodies of sizes with two and three digits, in which there are bytes like those between two chunks.
USUAL = [
    b"x" * 28,
    b"\r\n1c\r\n" + b"x" * 22,
    b"\n\r\n11c\r\n" + b"y" * 276,
    b"z" * 282 + b"\r\n",
    b"11c\r\n" + b"x" * 279,
]


@given(
    pieces=st.lists(
        st.sampled_from(
            [
                *(b"%x\r\n%b\r\n" % (len(line), line) for line in (b"{}\n", b'{"a":"b"}\n' * 9, b"x" * 5000)),
                *(b"%x\r\n%b\r\n" % (len(body), body) for body in USUAL),
                *(
                    b"1c\r\n" + b"x" * 27 + b"\r\n",
                    b"1c\r\n" + b"x" * 29 + b"\r\n",
                    b"11c\r\n" + b"x" * 283 + b"\r\n\r\n",
                    b"1C\r\n" + b"x" * 28 + b"\r\n",
                    b"00\r\n\r\n",
                    b"000\r\nx\r\n",
                    b"4\r\na\r\nb\r\n",
                    b"2\r\n\r\n\r\n",
                    b"3\r\nabcd\r\n",
                    b"4\r\nabc\r\n",
                    b"0\r\n\r\n",
                    b"\r\n",
                    b"3;x\r\n{}\n\r\n",
                ),
            ]
        ),
        max_size=12,
    ),
    torn=st.integers(0, 6),
)
@example(pieces=[b"3\r\n{}\n\r\n"] * 4, torn=1)  # the LF after the last chunk is missing
@example(pieces=[b"3\r\n{}\n\r\n"] * 3 + [b"3\r\nabcd\r\n"], torn=2)  # the first wrong byte is the last one
@example(pieces=[b"1c\r\n" + b"x" * 28 + b"\r\n"] * 4 + [b"1c\r\n" + b"x" * 27 + b"\r\n"], torn=0)  # too short
@settings(max_examples=300, deadline=None)
def test_many_chunks_at_once_are_read_as_one_by_one(pieces: list[bytes], torn: int) -> None:
    wire = b"".join(pieces)
    wire = wire[: len(wire) - torn]

    def read(size: int) -> tuple[bytes, bytes, bool] | str:
        parser, body = ResponseParser(), b""
        parser.feed(CHUNKED)
        try:
            for at in range(0, len(wire), size):
                body += parser.feed(wire[at : at + size])
        except errors.InvalidResponse as error:
            return error.message
        return body + parser.unfinished_line(), parser.rest, parser.done

    assert read(1 << 20) == read(1)


def test_headers_are_lower_cased_trimmed_and_joined() -> None:
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 200 OK\r\nAPI-Version:  1.41 \r\nX-A: 1\r\nx-a: 2\r\nEmpty:\r\nContent-Length: 0\r\n\r\n")
    assert parser.done
    assert parser.headers == {"api-version": "1.41", "x-a": "1, 2", "empty": "", "content-length": "0"}


@pytest.mark.parametrize(
    ("head", "keep"),
    [
        (b"HTTP/1.1 200 OK\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: foo, Close\r\n", False),
        (b"HTTP/1.0 200 OK\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", True),
    ],
)
def test_the_server_says_whether_a_connection_is_kept(head: bytes, keep: bool) -> None:
    parser = ResponseParser()
    parser.feed(head + b"Content-Length: 0\r\n\r\n")
    assert parser.done
    assert parser.keep_alive is keep


def test_chunked_beside_a_length_is_read_as_chunked_and_ends_the_connection() -> None:
    parser = ResponseParser()
    body = parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n")
    assert (body, parser.done, parser.keep_alive) == (b"x", True, False)


def test_bytes_past_the_end_are_set_apart() -> None:
    parser = ResponseParser()
    body = parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200")
    assert (body, parser.rest) == (b"x", b"HTTP/1.1 200")


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "wire",
    [
        b"\x00\x00\x12\x04\x00\x00",  # an HTTP/2 server's greeting
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nName : x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1_0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * http_parser.MAX_HEAD,
        CHUNKED + b"-1\r\n",
        CHUNKED + b"0x1\r\nx\r\n",
        CHUNKED + b"1_0\r\n",
        CHUNKED + b"\r\n",
        CHUNKED + b"ffffffffffffffff\r\n",
        CHUNKED + b"1\r\nxy\r\n",
        CHUNKED + b"1;" + b"e" * http_parser.MAX_SIZE_LINE,
        CHUNKED + b"0\r\nT: " + b"t" * http_parser.MAX_HEAD,
    ],
)
@pytest.mark.parametrize("step", [7, 10**6])
def test_what_breaks_the_grammar_is_garbled(wire: bytes, step: int) -> None:
    parser = ResponseParser()
    with pytest.raises(errors.InvalidResponse, match=r"[.?]$"):
        for start in range(0, len(wire), step):
            parser.feed(wire[start : start + step])


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
        CHUNKED,
        CHUNKED + b"3\r\nabc\r\n",
        CHUNKED + b"3\r\nabc",
        CHUNKED + b"0\r\n",
        CHUNKED + b"0\r\nTrailer: x\r\n",
    ],
)
def test_a_response_without_its_end_is_cut(wire: bytes) -> None:
    parser = ResponseParser()
    parser.feed(wire)
    assert parser.finish() is False


def test_the_memo_of_sizes_stays_small() -> None:
    parser = ResponseParser()
    parser.feed(CHUNKED)
    before = len(http_parser._SIZES)
    for size in range(4096, 4200):
        parser.feed(b"%x;extension=%d\r\n" % (size, size) + b"x" * size + b"\r\n")
        parser.feed(b"%x\r\n" % size + b"x" * size + b"\r\n")
    assert len(http_parser._SIZES) == before


# Requests


def test_a_request_is_written_in_full() -> None:
    wire = encode_request("POST", "/v1.41/containers/create?name=a%20b", b"{}", {"X-Registry-Auth": "e30="})
    assert wire == (
        b"POST /v1.41/containers/create?name=a%20b HTTP/1.1\r\nHost: docker\r\nUser-Agent: quarterdeck\r\n"
        b"X-Registry-Auth: e30=\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )


def test_bodies_are_announced_where_one_is_expected() -> None:
    assert b"Content-Length" not in encode_request("GET", "/", None, None)
    assert b"Content-Length: 0\r\n\r\n" in encode_request("POST", "/", None, None)
    assert b"Content-Type: application/x-tar\r\n" in encode_request(
        "PUT", "/", b"x", {"Content-Type": "application/x-tar"}
    )
    assert b"application/json" not in encode_request("PUT", "/", b"x", {"content-type": "application/x-tar"})


@given(
    target=st.text(st.characters(codec="utf-8") | st.sampled_from("\r\n \t\0\x7f/"), max_size=30).map(
        lambda t: "/" + t
    ),
    value=st.text(st.characters(codec="utf-8") | st.sampled_from("\r\n \0"), max_size=30),
)
@settings(max_examples=200, deadline=None)
def test_nothing_can_begin_a_second_request(target: str, value: str) -> None:
    try:
        wire = encode_request("GET", target, None, {"X-A": value})
    except errors.BadUsage as error:
        assert error.hint
        assert any(not "!" <= c <= "~" for c in target) or any(not " " <= c <= "~" and c != "\t" for c in value)
    else:
        assert wire.split(b"\r\n") == [
            f"GET {target} HTTP/1.1".encode(),
            b"Host: docker",
            b"User-Agent: quarterdeck",
            f"X-A: {value}".encode(),
            b"",
            b"",
        ]
        assert wire.count(b"\n") == wire.count(b"\r") == 5


@pytest.mark.parametrize(
    ("method", "target", "headers"),
    [
        ("GET /x HTTP/1.1\r\nA: b\r\n\r\nPOST", "/", {}),
        ("get", "/", {}),
        ("GET\n", "/", {}),
        ("GET", "", {}),
        ("GET", "containers", {}),
        ("GET", "http://elsewhere/", {}),
        ("GET", "/x\n", {}),
        ("GET", "/\u010d\u010a", {}),  # letters whose low bytes are CR and LF
        ("GET", "/", {"A b": "c"}),
        ("GET", "/", {"A:": "c"}),
        ("GET", "/", {"": "c"}),
        ("GET", "/", {"A\r\nB": "c"}),
        ("GET", "/", {"A": "c\n"}),
        ("GET", "/", {"Host": "x"}),
        ("POST", "/", {"content-length": "0"}),
        ("POST", "/", {"Transfer-Encoding": "chunked"}),
        ("POST", "/", {"Connection": "upgrade"}),
    ],
)
def test_words_that_do_not_belong_there_are_refused(method: str, target: str, headers: dict[str, str]) -> None:
    with pytest.raises(errors.BadUsage):
        encode_request(method, target, None, headers)


def test_a_refused_header_does_not_show_its_value() -> None:
    with pytest.raises(errors.BadUsage) as caught:
        encode_request("POST", "/", None, {"X-Registry-Auth": "hunter2\r\n"})
    assert "hunter2" not in caught.value.full_message()


# Addresses


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("unix:///var/run/docker.sock", Endpoint(scheme="unix", path="/var/run/docker.sock")),
        ("unix:///run/a b#c?d%20.sock", Endpoint(scheme="unix", path="/run/a b#c?d%20.sock")),
        ("tcp://127.0.0.1:2375", Endpoint(scheme="tcp", host="127.0.0.1", port=2375)),
        ("tcp://[::1]:2375", Endpoint(scheme="tcp", host="::1", port=2375)),
        (
            "ssh://me@host7:2222/run/user/1000/docker.sock",
            Endpoint(scheme="ssh", user="me", host="host7", port=2222, path="/run/user/1000/docker.sock"),
        ),
        ("ssh://host7/var/run/docker.sock", Endpoint(scheme="ssh", host="host7", path="/var/run/docker.sock")),
        ("ssh://[::1]:22/d.sock", Endpoint(scheme="ssh", host="::1", port=22, path="/d.sock")),
    ],
)
def test_an_address_reads_and_writes_the_same(url: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(url) == endpoint
    assert str(endpoint) == url


def test_http_is_another_word_for_tcp() -> None:
    assert Endpoint.parse("http://host7:2375/") == Endpoint.parse("tcp://host7:2375")


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("", "unix:///"),
        ("/var/run/docker.sock", "unix:///var/run/docker.sock"),
        ("unix://", "three slashes"),
        ("unix:///", "three slashes"),
        ("unix://docker.sock", "three slashes"),
        ("unix:///a\nb", "by hand"),
        ("tcp://host7", "tcp://HOST:2375"),
        ("tcp://:2375", "tcp://HOST:2375"),
        ("tcp://host7:99999", "tcp://HOST:2375"),
        ("tcp://host7:x", "tcp://HOST:2375"),
        ("tcp://[::1:2375", "tcp://HOST:2375"),
        ("tcp://a b:2375", "tcp://HOST:2375"),
        ("tcp://host7:2375/v1.41", "tcp://host7:2375."),
        ("https://host7:2376", "tcp://HOST:2376, and add `tls:`"),
        ("ssh://", "ssh://USER@HOST"),
        ("ssh://-oProxyCommand=x", "ssh://USER@HOST"),
        ("ssh://-l@host7", "ssh://USER@HOST"),
        ("ssh://me@host7:99999", "ssh://USER@HOST"),
        ("ssh://me@host7/a:b", "ssh://USER@HOST"),
        ("ssh://me@host7/a b", "ssh://USER@HOST"),
        ("ssh://me@host7?x", "ssh://USER@HOST"),
        ("npipe:////./pipe/docker_engine", "unix:///"),
    ],
)
def test_a_wrong_address_says_what_is_right(url: str, cure: str) -> None:
    with pytest.raises(errors.BadUsage) as caught:
        Endpoint.parse(url)
    assert cure in caught.value.hint


def test_ssh_without_a_path_means_the_usual_socket() -> None:
    for url in ("ssh://host7", "ssh://host7/"):
        assert str(Endpoint.parse(url)) == "ssh://host7/var/run/docker.sock"


@given(st.text())
def test_no_word_of_an_ssh_address_can_be_taken_for_an_option(rest: str) -> None:
    try:
        found = Endpoint.parse(f"ssh://{rest}")
    except errors.BadUsage:
        return
    assert not found.host.startswith("-")
    assert not found.user.startswith("-")
    assert found.path.startswith("/")
    assert not set(found.path) & set(": \\\"'")
    assert Endpoint.parse(str(found)) == found


@pytest.mark.parametrize("url", ["tcp://me:hunter2@host7:2375", "ssh://me:hunter2@host7"])
def test_a_password_in_an_address_is_not_repeated(url: str) -> None:
    with pytest.raises(errors.BadUsage) as caught:
        Endpoint.parse(url)
    assert "hunter2" not in caught.value.full_message()


def test_a_header_of_blanks_takes_linear_time() -> None:
    # With a pattern that goes back for each blank, this would take minutes.
    blanks = b"\t" * 60_000
    with pytest.raises(errors.InvalidResponse, match="not an HTTP header"):
        ResponseParser().feed(b"HTTP/1.1 200 OK\r\na:" + blanks + b"\0\r\n\r\n")
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 200 OK\r\na:" + blanks + b"b\t c" + b" \t\r\ncontent-length: 0\r\n\r\n")
    assert parser.done and parser.headers["a"] == "b\t c"
