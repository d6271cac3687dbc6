"""What every engine that holds images promises of them, with a registry beside it."""

import asyncio
import base64
import json
import os

import pytest

from core import errors
from core.model import background_jobs, images
from core.model.refs import Kind, Ref
from core.model.replies import Status
from tests.contract.grounds import over
from tests.daemons.registry import PASSWORD, USER, Narrow
from tests.helpers.waiting import free_tcp_port


async def listed(ground):
    found = await ground.do(images.ListImages(engine=ground.runtime.ref))
    return {tag: row for row in found.rows for tag in row.tags}


async def pulled(ground, name):
    return (await ground.outcome(images.PullImage(engine=ground.runtime.ref, image=name)))[0]


def ref(ground, thing, name):
    return Ref(engine=ground.runtime.ref, kind=Kind.IMAGE, id=thing, name=name)


@over(images.PullImage, images.ListImages, images.InspectImage)
async def test_an_image_is_pulled_and_told_of_and_pulled_in_vain(ground, registry):
    name = registry.push_busybox(f"first-{ground.runtime.ref.kind}", layers=[{"big": os.urandom(300_000)}])
    assert name not in await listed(ground)
    outcome = await pulled(ground, name)
    assert (outcome.status, outcome.took > 0) == (Status.DONE, True), outcome
    assert outcome.detail.startswith("sha256:"), "the reply names the image already"
    row = (await listed(ground))[name]
    assert (row.ref.kind, row.ref.name, row.ref.engine) == (Kind.IMAGE, name, ground.runtime.ref)
    assert row.size > 300_000
    assert "image labels" in ground.lacks or row.labels["made"] == "here"
    assert row.created_at in (0.0, 1704164645.0)
    assert any(digest.rpartition("@")[2] in outcome.detail for digest in row.digests)
    document = await ground.do(images.InspectImage(engine=ground.runtime.ref, target=row.ref))
    assert "hunter2" not in repr(document.data)
    again = await pulled(ground, name)
    assert again.status in (Status.NOOP, Status.DONE) and "sha256:" in again.detail and name not in again.detail
    assert again.status == Status.NOOP or "up to date" in ground.lacks
    await ground.do(images.RemoveImage(engine=ground.runtime.ref, target=row.ref))
    assert name not in await listed(ground)
    with pytest.raises(errors.NotFound):
        await ground.do(images.RemoveImage(engine=ground.runtime.ref, target=row.ref))


@over(images.PullImage, images.ListImages)
async def test_an_image_is_pulled_by_its_digest(ground, registry):
    kind = ground.runtime.ref.kind
    name = registry.push_busybox(f"pinned-{kind}")
    digest = registry.digest(f"pinned-{kind}")
    outcome = await pulled(ground, f"{name.rpartition(':')[0]}@{digest}")
    assert outcome.status == Status.DONE and digest in outcome.detail
    rows = (await ground.do(images.ListImages(engine=ground.runtime.ref))).rows
    (row,) = [row for row in rows if any(digest in one for one in row.digests)]
    await ground.do(images.RemoveImage(engine=ground.runtime.ref, target=row.ref))
    with pytest.raises(errors.NotFound):
        await ground.do(images.InspectImage(engine=ground.runtime.ref, target=row.ref))


@over(images.TagImage, images.PullImage, images.RemoveImage, images.ListImages)
async def test_a_tag_is_a_further_name_and_is_taken_away_alone(ground, registry):
    name = registry.push_busybox(f"tagged-{ground.runtime.ref.kind}")
    await pulled(ground, name)
    row = (await listed(ground))[name]
    other = f"{registry.host}/else/where:2"
    tag = images.TagImage(engine=ground.runtime.ref, target=row.ref, tag=other)
    assert (await ground.do(tag)).status == Status.DONE
    assert (await ground.do(tag)).status == Status.NOOP
    assert (await listed(ground))[other].ref.id == row.ref.id
    await ground.do(images.RemoveImage(engine=ground.runtime.ref, target=ref(ground, row.ref.id, other)))
    assert other not in await listed(ground) and name in await listed(ground)
    # By its id: the image with all its names.
    assert (await ground.do(tag)).status == Status.DONE
    short = row.ref.id.rpartition(":")[2][:12]
    await ground.do(images.RemoveImage(engine=ground.runtime.ref, target=ref(ground, row.ref.id, short)))
    assert not {other, name} & set(await listed(ground))


@over(images.PushImage, images.TagImage, images.PullImage, images.ListImages)
async def test_an_image_is_pushed_where_its_name_says(ground, registry):
    kind = ground.runtime.ref.kind
    name = registry.push_busybox(f"source-{kind}", layers=[{"big": os.urandom(300_000)}])
    await pulled(ground, name)
    row = (await listed(ground))[name]
    other = f"{registry.host}/pushed-{kind}:9"
    await ground.do(images.TagImage(engine=ground.runtime.ref, target=row.ref, tag=other))
    target = ref(ground, row.ref.id, other)
    outcome, _ = await ground.outcome(images.PushImage(engine=ground.runtime.ref, target=target))
    assert outcome.status == Status.DONE, outcome
    assert registry.digest(f"pushed-{kind}", "9")
    assert registry.digest(f"pushed-{kind}", "9") in outcome.detail
    # Its name means another image by the time it is pushed: that one was not meant.
    aside = ref(ground, "sha256:" + "0" * 64, other)
    with pytest.raises(errors.NotFound):
        await ground.do(images.PushImage(engine=ground.runtime.ref, target=aside))
    for each in (other, name):
        await ground.do(images.RemoveImage(engine=ground.runtime.ref, target=ref(ground, row.ref.id, each)))


@over(images.PullImage)
async def test_what_a_registry_does_not_have_or_give_is_a_failure_in_its_words(ground, registry, locked_registry):
    registry.push_busybox("there")
    for name in (f"{registry.host}/nowhere:1", f"{registry.host}/there:none"):
        outcome = await pulled(ground, name)
        assert outcome.status == Status.FAILED, outcome
        assert "not found" in outcome.detail or "unknown" in outcome.detail
        assert name not in outcome.detail and outcome.detail.count("Check") == 1, outcome.detail
    outcome = await pulled(ground, locked_registry.push_busybox("secret"))
    assert outcome.status == Status.FAILED
    assert any(word in outcome.detail for word in ("auth", "login"))
    gone = f"127.0.0.1:{free_tcp_port()}"
    outcome = await pulled(ground, f"{gone}/there:1")
    assert outcome.status == Status.FAILED
    assert "refused" in outcome.detail and gone in outcome.detail


def log_in(monkeypatch, folder, registry, password=PASSWORD, **more):
    """As `docker login` leaves it."""
    folder.mkdir(exist_ok=True)
    entry = {"auth": base64.b64encode(f"{USER}:{password}".encode()).decode()}
    (folder / "config.json").write_text(json.dumps({"auths": {registry.host: entry}, **more}))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


@over(images.PullImage, images.ListImages)
async def test_an_image_behind_a_login_is_pulled_with_the_login_of_this_host(
    ground, locked_registry, tmp_path, monkeypatch
):
    name = locked_registry.push_busybox(f"private-{tmp_path.name}", layers=[{"one": os.urandom(64)}])
    log_in(monkeypatch, tmp_path / "right", locked_registry)
    if "our logins" in ground.lacks:
        outcome = await pulled(ground, name)
        assert outcome.status == Status.FAILED and "podman login" in outcome.detail, outcome
        assert "Quarterdeck sends this engine no login, because its socket belongs to" in outcome.detail
        return
    log_in(monkeypatch, tmp_path / "wrong", locked_registry, password="not-harbour")
    outcome = await pulled(ground, name)
    assert outcome.status == Status.FAILED and name not in await listed(ground)
    assert f"login of {USER} from {tmp_path}/wrong/config.json" in outcome.detail and "not-harbour" not in repr(outcome)
    log_in(monkeypatch, tmp_path / "right", locked_registry)
    outcome = await pulled(ground, name)
    assert outcome.status == Status.DONE and outcome.detail.startswith("sha256:"), outcome
    row = (await listed(ground))[name]
    document = await ground.do(images.InspectImage(engine=ground.runtime.ref, target=row.ref))
    assert PASSWORD not in repr(document)


@over(images.PullImage, images.ListImages)
async def test_a_credential_helper_is_asked_for_the_login(ground, locked_registry, tmp_path, monkeypatch):
    name = locked_registry.push_busybox(f"helped-{tmp_path.name}", layers=[{"one": os.urandom(64)}])
    program, seen = tmp_path / "bin/docker-credential-cabin", tmp_path / "seen"
    program.parent.mkdir()
    answer = json.dumps({"ServerURL": "", "Username": USER, "Secret": PASSWORD})
    # What it was started with, and what it could read.
    program.write_text(f"#!/bin/sh\n(echo \"$*\"; env; cat) > {seen}\necho '{answer}'\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {locked_registry.host: "cabin"}}))
    outcome = await pulled(ground, name)
    if "our logins" in ground.lacks:
        assert outcome.status == Status.FAILED and not seen.exists()
        return
    assert outcome.status == Status.DONE, outcome
    told = seen.read_text()
    assert told.startswith("get\n") and told.endswith(locked_registry.host) and PASSWORD not in told


@over(images.PushImage, images.TagImage, images.PullImage, images.ListImages)
async def test_an_image_is_pushed_with_the_login_of_this_host(ground, registry, locked_registry, tmp_path, monkeypatch):
    name = registry.push_busybox(f"to-lock-{tmp_path.name}")
    await pulled(ground, name)
    row = (await listed(ground))[name]
    target = ref(ground, row.ref.id, f"{locked_registry.host}/pushed-{tmp_path.name}:9")
    await ground.do(images.TagImage(engine=ground.runtime.ref, target=row.ref, tag=target.name))
    outcome, _ = await ground.outcome(images.PushImage(engine=ground.runtime.ref, target=target))
    assert outcome.status == Status.FAILED and "login" in outcome.detail, outcome
    log_in(monkeypatch, tmp_path, locked_registry)
    outcome, _ = await ground.outcome(images.PushImage(engine=ground.runtime.ref, target=target))
    assert outcome.status == (Status.FAILED if "our logins" in ground.lacks else Status.DONE), outcome


HOSTILE = (
    "",
    " ",
    "a b",
    "UPPER",
    "../../containers/x",
    "x/../y",
    "x?fromSrc=http://evil/",
    "x&repo=y",
    "x#y",
    "x\r\nHost: evil",
    "x%2e%2e",
    "-flag",
    "--all-tags",
    "x:",
    "x:-1",
    "x@sha256:short",
    "ä",
    "x" * 5000,
    "$(id)",
    "`id`",
    "x;y",
    "x\0y",
)


@over(images.PullImage)
@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_no_name_of_an_image_is_refused_before_the_engine_sees_it(ground, name):
    with pytest.raises(errors.BadUsage):
        await ground.do(images.PullImage(engine=ground.runtime.ref, image=name))


@over(images.TagImage, images.PullImage, images.ListImages)
@pytest.mark.parametrize("name", ["a b", "UPPER", "../x", "x?repo=y", "x@sha256:" + "0" * 64])
async def test_what_is_no_tag_is_refused_too(ground, registry, name):
    whole = registry.push_busybox(f"named-{ground.runtime.ref.kind}")
    await pulled(ground, whole)
    target = (await listed(ground))[whole].ref
    with pytest.raises(errors.BadUsage):
        await ground.do(images.TagImage(engine=ground.runtime.ref, target=target, tag=name))
    await ground.do(images.RemoveImage(engine=ground.runtime.ref, target=target))


@over(images.PullImage, images.ListImages)
async def test_the_same_image_is_pulled_twice_at_once(ground, registry):
    name = registry.push_busybox(f"twice-{ground.runtime.ref.kind}", layers=[{"big": os.urandom(2_000_000)}])
    both = await asyncio.gather(pulled(ground, name), pulled(ground, name))
    assert {outcome.status for outcome in both} <= {Status.DONE, Status.NOOP}
    assert Status.DONE in {outcome.status for outcome in both}
    row = (await listed(ground))[name]
    await ground.do(images.RemoveImage(engine=ground.runtime.ref, target=row.ref))


@over(images.PullImage, images.ListImages)
async def test_a_pull_tells_how_far_it_is_and_stopped_it_is_not_known_how_it_ended(ground, registry):
    kind = ground.runtime.ref.kind
    registry.push_busybox(f"slow-{kind}", layers=[{"big": os.urandom(4_000_000)}])
    async with Narrow(registry, 1_500_000) as narrow:
        name = f"{narrow.host}/slow-{kind}:1"
        started = await ground.do(images.PullImage(engine=ground.runtime.ref, image=name))
        await asyncio.wait_for(narrow.held.wait(), 60)
        page = await ground.do(background_jobs.ReadJob(engine=ground.runtime.ref, job=started.job, wait=5.0))
        async with asyncio.timeout(60):  # what it says first may be that it tries
            while "layer" not in page.progress and "progress" not in ground.lacks:
                page = await ground.do(
                    background_jobs.ReadJob(engine=ground.runtime.ref, job=started.job, cursor=page.cursor, wait=5.0)
                )
        assert page.outcome is None
        await ground.do(background_jobs.StopJob(engine=ground.runtime.ref, job=started.job, who="t"))
        page = await ground.do(background_jobs.ReadJob(engine=ground.runtime.ref, job=started.job))
        assert page.outcome.status == Status.UNKNOWN
        assert "was stopped" in page.outcome.detail
    assert name not in await listed(ground)


@over(images.PullImage)
async def test_a_pull_that_takes_too_long_says_so(ground, registry):
    kind = ground.runtime.ref.kind
    registry.push_busybox(f"late-{kind}", layers=[{"big": os.urandom(4_000_000)}])
    async with Narrow(registry, 1_500_000) as narrow:
        action = images.PullImage(engine=ground.runtime.ref, image=f"{narrow.host}/late-{kind}:1", timeout=1)
        outcome, _ = await ground.outcome(action)
    assert outcome.status == Status.UNKNOWN
    assert "1 s" in outcome.detail


@over(images.RemoveImage, images.ListImages)
async def test_an_image_in_use_is_kept(ground):
    ground.daemon.run("up")
    row = (await listed(ground))["localhost/busybox:1"]
    with pytest.raises(errors.Rejected):
        await ground.do(images.RemoveImage(engine=ground.runtime.ref, target=row.ref))
    assert "localhost/busybox:1" in await listed(ground)
