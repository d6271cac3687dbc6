"""A program run in a container, on every engine that can."""

from pathlib import Path

import pytest

from core import errors
from core.model import inside_containers
from core.model.refs import Kind, Ref
from tests.contract.grounds import over


def run(ground, target, *command, **more):
    return inside_containers.Exec(engine=ground.runtime.ref, target=target, command=command, **more)


@over(inside_containers.Exec)
async def test_a_program_is_run_and_tells_its_code_and_its_words(ground):
    ground.daemon.run("it")
    target = await ground.ref("it")
    ran = await ground.do(run(ground, target, "sh", "-c", "echo out; echo err >&2; exit 7"))
    assert ran.exit_code == 7
    if "streams apart" in ground.lacks:
        assert sorted((ran.stdout + ran.stderr).split()) == ["err", "out"]
    else:
        assert (ran.stdout, ran.stderr) == ("out\n", "err\n")
    assert (ran.cut, ran.took > 0) == (0, True)
    # Its words are words: no shell looks at them.
    ran = await ground.do(run(ground, target, "echo", "$HOME; `id`", "a  b"))
    assert (ran.exit_code, ran.stdout) == (0, "$HOME; `id` a  b\n")
    assert (await ground.do(run(ground, target, "true"))).stdout == ""


@over(inside_containers.Exec)
async def test_a_program_runs_as_somebody_somewhere_with_more_variables(ground):
    ground.daemon.run("it")
    target = await ground.ref("it")
    more = {"user": "1000:1000", "workdir": "/bin", "environment": (("MADE", "a b=c"), ("HOME", "/nowhere"))}
    if ground.runtime.ref.kind == "cri":
        for name, value in more.items():
            with pytest.raises(errors.BadUsage, match="CRI cannot"):
                await ground.do(run(ground, target, "env", **{name: value}))
        return
    ran = await ground.do(run(ground, target, "sh", "-c", "id -u; id -g; pwd; echo $MADE; echo $HOME", **more))
    assert ran.stdout.split("\n")[:5] == ["1000", "1000", "/bin", "a b=c", "/nowhere"], ran
    assert Path("/dev/null").stat().st_uid == 0, "the host's own device stays as it is"
    for wrong in ({"workdir": "tmp"}, {"environment": (("", "x"),)}, {"environment": (("A=B", "x"),)}, {"user": "\0"}):
        with pytest.raises(errors.BadUsage):
            await ground.do(run(ground, target, "env", **wrong))


@over(inside_containers.Exec)
async def test_what_a_program_writes_is_bounded_and_need_not_be_text(ground):
    ground.daemon.run("it")
    target = await ground.ref("it")
    ran = await ground.do(run(ground, target, "sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' x"))
    assert ran.exit_code == 0
    assert 60_000 < len(ran.stdout) <= 65_536
    assert ran.cut == 1_000_000 - len(ran.stdout)
    ran = await ground.do(run(ground, target, "printf", "\\377\\000ok"))
    assert ran.stdout.endswith("ok") and ran.exit_code == 0


@over(inside_containers.Exec)
async def test_a_program_that_takes_too_long_is_left_and_said_to_be(ground):
    ground.daemon.run("it")
    target = await ground.ref("it")
    with pytest.raises(errors.TimedOut) as caught:
        await ground.do(run(ground, target, "sleep", "300", timeout=1))
    assert caught.value.sent
    assert "1 s" in caught.value.full_message()
    assert ground.daemon.status("it") == "running"


@over(inside_containers.Exec)
async def test_a_program_that_is_not_there_is_no_success(ground):
    ground.daemon.run("it")
    target = await ground.ref("it")
    try:
        ran = await ground.do(run(ground, target, "no-such-program"))
    except errors.Rejected as error:
        assert "no-such-program" in error.full_message()
    else:
        assert ran.exit_code in (126, 127)
        assert "no-such-program" in ran.stdout + ran.stderr


@over(inside_containers.Exec)
async def test_nothing_is_run_in_what_does_not_run(ground):
    ground.daemon.run("it")
    target = await ground.ref("it")
    ground.daemon.stop("it")
    with pytest.raises((errors.Rejected, errors.NotFound)):
        await ground.do(run(ground, target, "true"))
    gone = Ref(engine=ground.runtime.ref, kind=Kind.CONTAINER, id="f" * 64, name="gone")
    with pytest.raises(errors.NotFound, match="has no container"):
        await ground.do(run(ground, gone, "true"))
    ground.daemon.run("other")
    with pytest.raises((errors.BadUsage, errors.Rejected)):
        await ground.do(run(ground, await ground.ref("other")))
