"""The usage of all containers from one response, compared with the reading before."""

import pytest

from core import errors
from core.model.refs import EngineRef
from runtimes.cri import decode, engine
from runtimes.cri.decode_stats import UsageDecoder
from runtimes.cri.snapshot import Snapshot
from runtimes.proto import cri_pb2 as cri

S = 1_000_000_000


def seen(*things, state=1):
    known = {
        thing: decode.decode_container_record(
            cri.Container(id=thing, state=state), cri.ContainerStatus(id=thing, state=state), None
        )
        for thing in things
    }
    return Snapshot(EngineRef(host="h", kind="cri"), 1, known, {}, decode.container_names(known.values()))


def stats(thing, at, used, *, memory=100, left=0, own=0):
    return cri.ContainerStats(
        attributes=cri.ContainerAttributes(id=thing),
        cpu=cri.CpuUsage(
            timestamp=at,
            usage_core_nano_seconds=cri.UInt64Value(value=used),
            usage_nano_cores=cri.UInt64Value(value=own),
        ),
        memory=cri.MemoryUsage(
            working_set_bytes=cri.UInt64Value(value=memory), available_bytes=cri.UInt64Value(value=left)
        ),
    )


def test_the_processor_is_compared_with_the_reading_before():
    decoder = UsageDecoder()
    (row,) = decoder.decode(seen("a"), [stats("a", 10 * S, S)], ()).rows
    assert (row.cpu_percent, row.cpu_seconds) == (None, 1.0)
    (row,) = decoder.decode(seen("a"), [stats("a", 12 * S, 4 * S)], ()).rows
    assert row.cpu_percent == 150.0
    # Asked again at once there is little to compare; the reading before stays to compare with later.
    decoder.decode(seen("a"), [stats("a", 12 * S + 1, 4 * S)], ())
    (row,) = decoder.decode(seen("a"), [stats("a", 14 * S, 5 * S)], ()).rows
    assert row.cpu_percent == 50.0


def test_one_made_anew_or_a_clock_set_back_makes_no_nonsense():
    decoder = UsageDecoder()
    decoder.decode(seen("a"), [stats("a", 10 * S, 9 * S)], ())
    (row,) = decoder.decode(seen("a"), [stats("a", 12 * S, 0)], ()).rows
    assert row.cpu_percent is None
    decoder.decode(seen("a"), [stats("a", 10 * S, S)], ())
    (row,) = decoder.decode(seen("a"), [stats("a", 5 * S, 2 * S)], ()).rows
    assert row.cpu_percent is None
    (row,) = UsageDecoder().decode(seen("b"), [stats("b", 5 * S, 0, own=500_000_000)], ()).rows
    assert row.cpu_percent == 50.0  # the engine's own word, where it is all there is


def test_a_limit_is_what_is_used_and_what_is_left():
    (row,) = UsageDecoder().decode(seen("a"), [stats("a", 1, 1, memory=30, left=70)], ()).rows
    assert (row.memory, row.memory_limit) == (30, 100)
    (row,) = UsageDecoder().decode(seen("a"), [stats("a", 1, 1, memory=30)], ()).rows
    assert (row.memory, row.memory_limit) == (30, None)


def test_what_is_not_told_is_counted_as_missing():
    told = UsageDecoder().decode(seen("a", "b", "c"), [stats("a", 1, 1), cri.ContainerStats()], ())
    assert ([row.ref.id for row in told.rows], told.missing) == (
        ["a"],
        "The engine reported no usage of 2 running containers.",
    )
    told = UsageDecoder().decode(seen("a", "b"), [stats("a", 1, 1), stats("b", 1, 1)], ("b",))
    assert ([row.ref.id for row in told.rows], told.missing) == (["b"], "")
    assert UsageDecoder().decode(seen("a", state=2), [stats("a", 1, 1)], ()).rows == ()


def test_the_very_first_reading_is_taken_once():
    decoder = UsageDecoder()
    assert not decoder.begin(seen(), [])
    assert decoder.begin(seen("a"), [stats("a", 1, 1)])
    assert not decoder.begin(seen("a"), [stats("a", 2, 1)])


def test_without_a_limit_none_is_shown_on_either_version_of_cgroups():
    for left in (0, (1 << 63) - 4096 - 100):
        (row,) = UsageDecoder().decode(seen("a"), [stats("a", S, 0, memory=100, left=left)], ()).rows
        assert (row.memory, row.memory_limit) == (100, None)


async def test_the_usage_is_read_again_if_a_container_is_removed_meanwhile(monkeypatch):
    monkeypatch.setattr(engine, "STATS_PAUSE_SECONDS", 0.0)
    runtime = engine.Cri("unix:///run/none.sock")
    gone = errors.NotFound("failed to convert to cri containerd stats format: failed to get container ID: a: not found")
    answers = [gone, gone, cri.ListContainerStatsResponse(stats=[stats("b", S, S)])]

    async def request(method, request, response, seconds):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(runtime, "_request", request)
    assert [row.attributes.id for row in (await runtime._read_stats(5.0)).stats] == ["b"]
    answers += [gone] * engine.STATS_TRIES
    with pytest.raises(errors.NotFound):
        await runtime._read_stats(5.0)
    assert not answers
    await runtime.aclose()
