"""What every engine that creates containers promises of that."""

import contextlib
import os

import pytest

from core import errors
from core.model import actions
from core.model.create_container import REQUEST_LABEL, CreateContainer
from core.model.host_access import HostAccess, MountPoint, Namespace
from core.model.replies import Status
from core.model.units import DraftUnit
from tests.contract.grounds import over
from tests.daemons.docker import IMAGE

SLEEP = ("/bin/sh", "-c", "exec sleep 3600")


@pytest.fixture
def name(ground, tmp_path):
    given = f"made-{tmp_path.name[-20:].strip('_').lower()}"
    yield given
    with contextlib.suppress(Exception):
        ground.daemon.remove(given)


async def made(ground, **fields):
    outcome, _ = await ground.outcome(CreateContainer(engine=ground.runtime.ref, **{"image": IMAGE, **fields}))
    return outcome


async def inspected(ground, name):
    found = next(row.ref for row in (await ground.do(actions.ListContainers(engine=ground.runtime.ref))).rows
                 if row.ref.name == name)  # fmt: skip
    return (await ground.do(actions.InspectContainer(engine=ground.runtime.ref, target=found))).data, found


@over(CreateContainer)
async def test_a_container_is_created_as_asked_and_started(ground, name):
    volume = f"{name}-data"
    outcome = await made(
        ground,
        name=name,
        command=SLEEP,
        environment=(("MODE", "test run"),),
        labels=(("team", "a"),),
        network="none",
        restart="on-failure:2",
        user="0",
        workdir="/bin",
        access=HostAccess(mounts=(MountPoint(target="/data", source=volume), MountPoint(target="/more"))),
        pull="never",
    )
    assert outcome.status == Status.DONE, outcome
    data, found = await inspected(ground, name)
    assert found.id.startswith(outcome.detail.partition(";")[0])
    assert data["State"]["Running"] is True
    config, host = data["Config"], data["HostConfig"]
    assert (config["Labels"]["team"], config["Labels"][REQUEST_LABEL]) == ("a", "t")
    assert (config["User"], config["WorkingDir"], list(config["Cmd"])) == ("0", "/bin", list(SLEEP))
    assert any(each.startswith("MODE=") for each in config["Env"]) and "test run" not in repr(data)
    assert host["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 2}
    mounts = {mount["Destination"]: mount["Type"] for mount in data["Mounts"]}
    assert mounts == {"/data": "volume", "/more": "volume"}
    again = await made(ground, name=name, command=SLEEP, network="none")
    assert again.status == Status.FAILED and "in use" in again.detail, again


@over(CreateContainer)
async def test_a_created_container_does_not_run(ground, name):
    outcome = await made(ground, name=name, command=SLEEP, network="none", start=False, health="true")
    assert outcome.status == Status.DONE, outcome
    data, _ = await inspected(ground, name)
    assert data["State"]["Running"] is False and data["State"]["Status"] in ("created", "configured")


@over(CreateContainer)
async def test_one_that_cannot_be_started_is_gone_again(ground, name):
    outcome = await made(ground, name=name, command=("/nothing/of/that/name",), network="none")
    assert outcome.status == Status.FAILED and "was removed again." in outcome.detail, outcome
    assert name not in await ground.rows()


@over(CreateContainer)
async def test_an_image_is_pulled_first_and_one_that_is_not_there_leaves_nothing(ground, name, registry):
    image = registry.push_busybox(f"run-{name[-12:]}", layers=[{"one": os.urandom(64)}])
    outcome = await made(ground, name=name, image=f"{registry.host}/none:1", command=SLEEP, network="none")
    assert outcome.status == Status.FAILED and "unknown" in outcome.detail, outcome
    assert name not in await ground.rows()
    outcome = await made(ground, name=name, image=image, command=SLEEP, network="none", remove=True)
    assert outcome.status == Status.DONE, outcome
    assert (await ground.rows())[name].image in (image, f"docker.io/{image}")


@over(CreateContainer, DraftUnit)
async def test_a_unit_of_it_creates_it_again(ground, name):
    """As `podman generate systemd --new`: the engine knows the command line that means the same."""
    outcome = await made(ground, name=name, command=SLEEP, network="none", labels=(("team", "a"),))
    assert outcome.status == Status.DONE, outcome
    _, target = await inspected(ground, name)
    draft = DraftUnit(engine=ground.runtime.ref, target=target, style="generate")
    if not ground.runtime.local:
        with pytest.raises(errors.Unreachable, match="on another machine"):
            await ground.do(draft)
        return
    drafted = await ground.do(draft)
    (text,) = [file.text for file in drafted.files]
    begins = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    assert "podman run" in begins, text
    whole = text.replace("\\\n", " ").replace("\t", " ")
    for words in (f"--name {name}", "-l team=a", "--network none", IMAGE):
        assert words in whole, text


@over(CreateContainer)
async def test_what_reaches_the_host_needs_the_word_of_its_owner(ground, name):
    deep = HostAccess(
        mounts=(MountPoint(target="/x", source="/etc", read_only=True),), namespaces=(Namespace(kind="uts"),)
    )
    with pytest.raises(errors.Disallowed, match=r"host\.reach"):
        await made(ground, name=name, command=SLEEP, network="none", access=deep)
    ground.runtime._allow = ("*", "host.reach")
    outcome = await made(ground, name=name, command=SLEEP, network="none", access=deep)
    assert outcome.status == Status.DONE, outcome
    data, _ = await inspected(ground, name)
    (mount,) = data["Mounts"]
    assert (mount["Type"], mount["Source"], mount["RW"]) == ("bind", "/etc", False)
