"""Files copied out of containers, file systems exported and images made of them, on every engine that can."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile

import pytest

from core import errors
from core.model import images
from core.model.inside_containers import CommitContainer, CopyFile, Exec, ExportContainer
from core.model.refs import Kind, Ref
from core.model.replies import Status
from tests.contract.grounds import over

SCRIPT = (
    "mkdir /made /made/dir; printf 'hello\\n' > /made/text; head -c 300000 /dev/urandom > /made/data;"
    " : > /made/empty; ln -s /made/text /made/link; ln /made/text /made/hard; mkfifo /made/pipe;"
    " head -c 2000000 /dev/zero > /made/large; printf ready > '/made/a b&c'; exec sleep 3600"
)


async def up(ground):
    ground.daemon.run("up", SCRIPT)
    target = await ground.ref("up")
    ready = Exec(engine=ground.runtime.ref, target=target, command=("sh", "-c", "cat '/made/a b&c'"))
    async with asyncio.timeout(60):
        while (await ground.do(ready)).stdout != "ready":
            await asyncio.sleep(0.05)
    return target


def copy(ground, target, path, **more):
    return CopyFile(engine=ground.runtime.ref, target=target, path=path, **more)


@over(CopyFile)
async def test_a_file_is_copied_as_it_is(ground):
    target = await up(ground)
    copied = await ground.do(copy(ground, target, "/made/text"))
    assert (copied.text, copied.size, copied.content.read()) == ("hello\n", 6, b"hello\n")
    assert copied.sha256 == hashlib.sha256(b"hello\n").hexdigest()
    assert (await ground.do(copy(ground, target, "/made/hard"))).text == "hello\n"
    assert (await ground.do(copy(ground, target, "/made/a b&c"))).text == "ready"
    empty = await ground.do(copy(ground, target, "/made/empty"))
    assert (empty.text, empty.size) == ("", 0)
    data = await ground.do(copy(ground, target, "/made/data"))
    ran = await ground.do(
        Exec(engine=ground.runtime.ref, target=target, command=("busybox", "sha256sum", "/made/data"))
    )
    assert (data.text, data.size, data.sha256) == (None, 300_000, ran.stdout.split()[0])
    ground.daemon.stop("up")
    assert (await ground.do(copy(ground, target, "/made/text"))).text == "hello\n", "also of a stopped container"


@over(CopyFile)
async def test_what_is_no_ordinary_file_is_not_copied(ground):
    target = await up(ground)
    for path, words in (
        ("/made/dir", "a directory"),
        ("/", "a directory"),
        ("/made/link", "leads to: /made/text"),
        ("/made/pipe", "a named pipe"),
        ("/made/large", "2,000,000 bytes"),
    ):
        with pytest.raises(errors.BadUsage, match=words):
            await ground.do(copy(ground, target, path))
    assert (await ground.do(copy(ground, target, "/made/large", max_bytes=4_000_000))).size == 2_000_000
    with pytest.raises((errors.BadUsage, errors.NotFound), match="a device|has no file"):
        await ground.do(copy(ground, target, "/dev/null"))  # Docker's archive has no /dev
    for path in ("/made/nothing", "/nowhere/at/all"):
        with pytest.raises(errors.NotFound, match=f"has no file {path}"):
            await ground.do(copy(ground, target, path))
    for path in ("etc/hosts", "/made/../etc/hosts", "/a\0b", "/" + "a" * 5_000):
        with pytest.raises(errors.BadUsage):
            await ground.do(copy(ground, target, path))
    gone = Ref(engine=ground.runtime.ref, kind=Kind.CONTAINER, id="f" * 64, name="gone")
    with pytest.raises(errors.NotFound, match="has no container gone"):
        await ground.do(copy(ground, gone, "/made/text"))


@over(ExportContainer)
async def test_a_whole_file_system_is_exported(ground):
    target = await up(ground)
    exported = await ground.do(ExportContainer(engine=ground.runtime.ref, target=target), 120)
    with exported.content as content:
        whole = content.read()
    assert (len(whole), hashlib.sha256(whole).hexdigest()) == (exported.size, exported.sha256)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        names = {name.removeprefix("./") for name in archive.getnames()}
    assert {"made/text", "made/data", "bin/busybox"} <= names or {"made/text", "made/data"} <= names
    gone = Ref(engine=ground.runtime.ref, kind=Kind.CONTAINER, id="f" * 64, name="gone")
    with pytest.raises(errors.NotFound, match="has no container gone"):
        await ground.do(ExportContainer(engine=ground.runtime.ref, target=gone))


async def listed(ground):
    return (await ground.do(images.ListImages(engine=ground.runtime.ref))).rows


@over(CommitContainer, images.ListImages, images.RemoveImage)
async def test_an_image_is_made_of_a_container_with_a_name_and_without(ground):
    target = await up(ground)
    bare, _ = await ground.outcome(CommitContainer(engine=ground.runtime.ref, target=target, pause=False))
    assert bare.status == Status.DONE and bare.took > 0, bare
    short = bare.detail.removeprefix("as ")
    (row,) = [row for row in await listed(ground) if row.ref.bare_id.startswith(short)]
    assert row.tags == ()
    tag = images.TagImage(engine=ground.runtime.ref, target=row.ref, tag="localhost/made/of:bare")
    assert (await ground.do(tag)).status == Status.DONE
    name = f"localhost/made/of-{ground.runtime.ref.kind}:2"
    named, _ = await ground.outcome(
        CommitContainer(
            engine=ground.runtime.ref,
            target=target,
            tag=name,
            message="before the upgrade",
            author="me",
            changes=('CMD ["cat", "/made/text"]', "ENV MADE=here"),
            pause=False,
        )
    )
    assert named.status == Status.DONE and named.detail.endswith(f" ({name})"), named
    (row,) = [row for row in await listed(ground) if name in row.tags]
    document = await ground.do(images.InspectImage(engine=ground.runtime.ref, target=row.ref))
    assert "cat" in document.summary["Command"] and "MADE" in document.summary["Environment"]
    assert document.summary["Author"] == "me"
    for each in await listed(ground):
        for tagged in each.tags:
            if tagged.startswith("localhost/made/of"):
                ref = Ref(engine=ground.runtime.ref, kind=Kind.IMAGE, id=each.ref.id, name=tagged)
                await ground.do(images.RemoveImage(engine=ground.runtime.ref, target=ref))


@over(CommitContainer)
async def test_an_engine_says_why_it_makes_no_image(ground):
    target = await up(ground)
    wrong = CommitContainer(engine=ground.runtime.ref, target=target, changes=("NOSUCH instruction",), pause=False)
    outcome, _ = await ground.outcome(wrong)
    assert outcome.status == Status.FAILED and "nosuch" in outcome.detail.lower(), outcome
    gone = Ref(engine=ground.runtime.ref, kind=Kind.CONTAINER, id="f" * 64, name="gone")
    outcome, _ = await ground.outcome(CommitContainer(engine=ground.runtime.ref, target=gone, pause=False))
    assert outcome.status == Status.FAILED and "has no container gone" in outcome.detail


@over(CommitContainer)
async def test_a_container_runs_on_after_it_was_paused_for_its_image(ground):
    target = await up(ground)
    if "pauses" in ground.lacks:
        with pytest.raises(errors.Unsupported, match="cannot pause"):
            await ground.do(CommitContainer(engine=ground.runtime.ref, target=target, pause=True))
        return
    outcome, _ = await ground.outcome(CommitContainer(engine=ground.runtime.ref, target=target, pause=True))
    assert outcome.status == Status.DONE, outcome
    assert ground.daemon.status("up") == "running"
