"""A container as a Quadlet file: what it says of recorded ones, and that no text in a container can say more."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import errors
from runtimes.podman import inspect_models, quadlet_draft, quadlet_quoting
from runtimes.podman.inspect_models import InspectedContainer, InspectedImage
from tests.helpers import unit_syntax
from tests.helpers.paths import RECORDED

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=30)
# What has a meaning to one of the readers is met more often than by chance.
HOSTILE = st.one_of(
    TEXT,
    st.lists(
        st.sampled_from(
            ["%", "$", '"', "'", "\\", "\n", "\r", ";", "#", "[Service]", "ExecStartPre=/bin/true", "=", " ", "${A}",
             "%h", "\u2028", "\u0085", "\\x41", ".volume", ":", ",", "\t", "--", "é"]
        ),
        max_size=6,
    ).map("".join),
)  # fmt: skip
KEYS = {
    "[Unit]": {"Description", "StartLimitBurst"},
    "[Container]": {
        "ContainerName", "Image", "EnvironmentFile", "PodmanArgs", "User", "WorkingDir", "HostName", "Timezone",
        "RunInit", "Network", "PublishPort", "Volume", "Tmpfs", "ReadOnly", "Label", "Annotation", "HealthCmd",
        "HealthInterval",
        "HealthTimeout", "HealthStartPeriod", "HealthRetries", "DropCapability", "AddCapability", "Exec",
    },
    "[Service]": {"Restart"},
    "[Install]": {"WantedBy"},
}  # fmt: skip


def recorded(name, image="busybox"):
    container = msgspec.json.decode((RECORDED / f"podman-4.3-{name}.json").read_bytes(), type=InspectedContainer)
    return container, msgspec.json.decode(
        (RECORDED / f"podman-4.3-image-{image}.json").read_bytes(), type=InspectedImage
    )


def draft(container, image=None, version=(5, 4, 2), **more):
    more = {"environment_file": "/etc/containers/systemd/web.env", "header": "Written", **more}
    return quadlet_draft.draft_quadlet_text(container, image or InspectedImage(), version=version, **more)


def container(**more):
    """`more`: of its `Config`, by libpod's names."""
    host = more.pop("HostConfig", {})
    told = {
        "Id": "ab" * 32, "Name": "web", "ImageName": "localhost/busybox:1", "Path": "/bin/sh", "Args": [],
        "Config": {}, "HostConfig": host,
    }  # fmt: skip
    top = {
        key: more.pop(key) for key in ("Mounts", "Path", "Args", "ImageName", "Pod", "Rootfs", "IsInfra") if key in more
    }
    return msgspec.convert(told | top | {"Config": more}, InspectedContainer)


def values(text, key):
    return [value for name, value in unit_syntax.sections(text)["[Container]"] if name == key]


def arguments(text):
    return [unit_syntax.expanded(word) for value in values(text, "PodmanArgs") for word in unit_syntax.split(value)]


def test_a_recorded_container_in_full():
    made = draft(*recorded("web"))
    assert made.text == (RECORDED / "web.container").read_text()
    assert made.environment == [("S", 'a b$c%d"q'), ("TZ", "UTC")]
    assert not made.notes
    assert not made.losses


def test_what_the_image_says_is_left_to_it():
    made = draft(*recorded("entry", "entry"))
    assert values(made.text, "Exec") == ['"echo hi"']
    assert not made.environment
    assert "--privileged" in arguments(made.text)
    assert made.notes == ["It was made with --sysctl, which is not copied; add it as PodmanArgs=--sysctl=…"]
    assert "volume at /vol would be lost" in made.losses[0]
    assert not values(draft(*recorded("sec")).text, "Label")


# A volume may be called like a Quadlet file. Quadlet would look for that file, and fail without it.
VOLUMES_LIKE_FILES = ["data.volume", "0.volume", "web.image", "a.b.volume"]


@pytest.mark.parametrize("name", VOLUMES_LIKE_FILES)
def test_a_volume_with_the_name_of_a_quadlet_file_is_given_as_an_argument(name):
    text = draft(container(Mounts=[{"Type": "volume", "Name": name, "Destination": "/data", "RW": True}])).text
    assert not values(text, "Volume") and f"--volume={name}:/data" in arguments(text)


@pytest.mark.parametrize("name", VOLUMES_LIKE_FILES)
def test_the_generator_mounts_a_volume_with_the_name_of_a_quadlet_file(name):
    text = draft(container(Mounts=[{"Type": "volume", "Name": name, "Destination": "/data", "RW": True}])).text
    assert f"--volume={name}:/data" in run_line(unit_syntax.generated(text))


def test_an_image_with_such_a_name_and_a_tag_stays_an_image():
    assert values(draft(container(ImageName="localhost/web.image:1")).text, "Image") == ["localhost/web.image:1"]


def test_words_that_quadlet_loses_are_given_as_the_program():
    made = draft(*recorded("entry2", "entry"))
    assert not values(made.text, "Exec")
    assert '--entrypoint=["/bin/echo", "", ";"]' in arguments(made.text)


def test_secrets_by_the_line_that_made_it_or_with_a_note():
    made = draft(*recorded("sec"))
    assert arguments(made.text) == ["--secret=sec", "--secret=sec,type=env,target=SEC"]
    assert not made.notes
    assert "are not copied" in draft(*recorded("rest")).notes[0]


def test_an_older_quadlet_is_told_by_arguments_what_it_has_no_key_for():
    text = draft(*recorded("web"), version=(4, 4)).text
    assert not values(text, "WorkingDir")
    assert not values(text, "HealthCmd")
    assert {"--workdir=/bin", "--health-cmd=echo hi || exit 1"} <= set(arguments(text))


def test_values_that_podman_would_take_for_lists_are_left_out_and_said():
    made = draft(container(Annotations={"a": "1,2", "b": "3"}, HostConfig={"Dns": ['1"', "1.1.1.1"]}))
    assert values(made.text, "Annotation") == ["b=3"]
    assert arguments(made.text) == ["--dns=1.1.1.1"]
    assert [note.split()[3] for note in made.notes[-2:]] == ["--dns", "--annotation"]


def test_a_pod_is_named_and_not_made():
    made = draft(container(Pod="cd" * 32, HostConfig={"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}), pod="shop")
    assert arguments(made.text) == ["--pod=shop"]
    assert not values(made.text, "PublishPort")
    assert "has to exist" in made.notes[0]


@pytest.mark.parametrize(
    ("policy", "restart", "burst"),
    [
        ({"Name": "always"}, "always", []),
        ({"Name": "unless-stopped"}, "always", []),
        ({"Name": "on-failure", "MaximumRetryCount": 5}, "on-failure", [("StartLimitBurst", "5")]),
        ({"Name": ""}, "no", []),
        ({"Name": "whatever"}, "no", []),
    ],
)
def test_restarting(policy, restart, burst):
    found = unit_syntax.sections(draft(container(HostConfig={"RestartPolicy": policy})).text)
    assert found["[Service]"] == [("Restart", restart)]
    assert found["[Unit]"][1:] == burst


@pytest.mark.parametrize(
    ("bindings", "expected"),
    [
        ({"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}, ["8080:80"]),
        ({"53/udp": [{"HostIp": "127.0.0.1", "HostPort": "53"}]}, ["127.0.0.1:53:53/udp"]),
        ({"80/tcp": [{"HostIp": "::1", "HostPort": "8080"}]}, ["[::1]:8080:80"]),
        ({"80/tcp": [{"HostIp": "", "HostPort": ""}]}, ["80"]),
        ({"80/tcp": None}, []),
    ],
)
def test_ports(bindings, expected):
    assert values(draft(container(HostConfig={"PortBindings": bindings})).text, "PublishPort") == expected


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (["CMD-SHELL", "curl -f localhost || exit 1"], "curl -f localhost || exit 1"),
        (["CMD", "/bin/check", "a b"], '["/bin/check", "a b"]'),
        (["CMD-SHELL", 'say "$HOME"'], 'say "$HOME"'),
        (['["CMD","/bin/true","x"]'], '["CMD","/bin/true","x"]'),
    ],
)
def test_health_checks(test, said):
    text = draft(container(Healthcheck={"Test": test, "Interval": 1_500_000_000})).text
    plain = [unit_syntax.expanded(value) for value in values(text, "HealthCmd")]
    assert [*plain, *(word.removeprefix("--health-cmd=") for word in arguments(text))] == [said]
    assert values(text, "HealthInterval") == ["1500000000ns"]


def test_no_health_check_where_its_image_has_one():
    assert "--no-healthcheck" in arguments(draft(container(Healthcheck={"Test": ["NONE"]})).text)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"Env": ["A=b\nB=c"]}, "line breaks"),
        ({"Env": ["A=b\r"]}, "line breaks"),
        ({"Env": ["A=" + "x" * 70_000]}, "more than 60,000 bytes"),
        ({"Env": ["#A=b"]}, "name an environment file cannot contain"),
        ({"Env": ["A B=c"]}, "name an environment file cannot contain"),
        ({"Env": ["=c"]}, "name an environment file cannot contain"),
        ({"ImageName": ""}, "from a directory"),
        ({"Rootfs": "/srv/root"}, "from a directory"),
        ({"ImageName": "a\n[Service]"}, "created from the image"),
        ({"ImageName": "base.image"}, "created from the image"),
        ({"IsInfra": True}, "infra container of a pod"),
    ],
)
def test_what_no_unit_can_hold_is_refused(wrong, said):
    with pytest.raises(errors.UserError, match=said):
        draft(container(**wrong))


@given(st.lists(st.tuples(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), HOSTILE), max_size=4))
def test_environment_files_are_read_as_they_were_meant(pairs):
    given_ = dict(pairs)
    try:
        found = quadlet_draft.environment_of(
            container(Env=[f"{name}={value}" for name, value in given_.items()]), InspectedImage()
        )
    except errors.UserError:
        assert any(set("\n\r") & set(value) for value in given_.values())
        return
    text = quadlet_draft.environment_text(found, "Written")
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    read = dict(line.split("=", 1) for line in lines)
    own = {"TERM": "xterm", "HOSTNAME": ""}
    assert read == {name: value for name, value in given_.items() if own.get(name) != value}


HOSTILE_CONTAINERS = st.builds(
    dict,
    Labels=st.dictionaries(HOSTILE, HOSTILE, max_size=3),
    Annotations=st.dictionaries(HOSTILE, HOSTILE, max_size=2),
    User=HOSTILE,
    WorkingDir=HOSTILE,
    Hostname=HOSTILE,
    Timezone=HOSTILE,
    StopSignal=HOSTILE,
    Healthcheck=st.builds(dict, Test=st.lists(HOSTILE, max_size=3)),
    CreateCommand=st.lists(HOSTILE, max_size=4),
    Path=HOSTILE,
    Args=st.lists(HOSTILE, max_size=4),
    Mounts=st.lists(
        st.builds(dict, Type=st.sampled_from(["bind", "volume"]), Name=HOSTILE, Source=HOSTILE, Destination=HOSTILE),
        max_size=2,
    ),
    HostConfig=st.builds(
        dict,
        NetworkMode=HOSTILE,
        PortBindings=st.dictionaries(HOSTILE, st.just([{"HostIp": "1", "HostPort": "%"}]), max_size=2),
        CapAdd=st.lists(HOSTILE, max_size=2),
        Tmpfs=st.dictionaries(HOSTILE, HOSTILE, max_size=2),
        SecurityOpt=st.lists(HOSTILE, max_size=2),
        ExtraHosts=st.lists(HOSTILE, max_size=2),
        CpusetCpus=HOSTILE,
        Devices=st.lists(st.builds(dict, PathOnHost=HOSTILE, PathInContainer=HOSTILE), max_size=1),
    ),
)


@given(HOSTILE_CONTAINERS, st.sampled_from([(4, 4), (5, 4, 2)]))
def test_no_text_in_a_container_adds_a_line_to_its_unit(told, version):
    found = unit_syntax.sections(draft(container(**told), version=version).text)
    assert list(found) == list(KEYS)
    for section, allowed in KEYS.items():
        assert {key for key, _ in found[section]} <= allowed
    for key, value in found["[Container]"]:
        for word in unit_syntax.split(value) if key in ("PodmanArgs", "Exec", "Label", "Annotation") else [value]:
            assert unit_syntax.expanded(word)


@given(HOSTILE_CONTAINERS)
def test_what_a_container_runs_and_is_labelled_with_arrives_as_it_is(told):
    text = draft(container(**told)).text
    labels = [unit_syntax.expanded(word) for value in values(text, "Label") for word in unit_syntax.split(value)]
    own = quadlet_draft.UNIT_LABEL
    assert sorted(labels) == sorted(f"{key}={value}" for key, value in told["Labels"].items() if key and key != own)
    runs = [unit_syntax.expanded(word) for value in values(text, "Exec") for word in unit_syntax.split(value)]
    given_ = [word.removeprefix("--entrypoint=") for word in arguments(text) if word.startswith("--entrypoint=[")]
    made = container(**told)
    assert made.argv() == (json.loads(given_[0]) if given_ else runs)


@pytest.mark.parametrize("text", ["a" + chr(0), chr(0)])
def test_a_null_is_refused(text):
    with pytest.raises(errors.UserError):
        quadlet_quoting.quoted_word(text)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["podman", "run", "-e", "A=b", "x"], True),
        (["podman", "run", "--env=A=b", "x"], True),
        (["podman", "run", "-eA=b", "x"], True),
        (["podman", "run", "--env", "A=b", "x"], True),
        (["podman", "run", "-e", "A", "x"], False),
        (["podman", "run", "--env-file", "f", "x"], False),
        (None, False),
    ],
)
def test_whether_a_command_line_holds_values_of_the_environment(words, told):
    assert container(CreateCommand=words).contains_env_values() is told


def test_its_little_init_is_no_part_of_its_command_line():
    assert inspect_models.InspectedContainer(path="/run/podman-init", args=["--", "/bin/sh", "-c"]).argv() == [
        "/bin/sh",
        "-c",
    ]


# ── the real generator ───────────────────────────────────────────────────────────────────────────────────────────────


def run_line(text):
    lines = [line for line in text.split("\n") if line.startswith("ExecStart=")]
    assert len(lines) == 1
    return unit_syntax.argv(lines[0].removeprefix("ExecStart="))


NASTY = [
    'plain', 'two words', '%h %% $HOME ${HOME} $$', 'say "it\'s"', "back\\slash \\n \\", "line\nbreak\ttab\rreturn",
    "[Service]\nExecStartPre=/bin/rm", "\u2028\u0085\u00a0é\U0001F600\x7f\x01", "#;", ";", "", "-x", "a=b", " lead",
    "trail ",
]  # fmt: skip


def test_the_generator_makes_of_it_what_was_meant():
    labels = {f"l{at}": text for at, text in enumerate(NASTY)}
    made = draft(
        container(
            Labels=labels, Path="/bin/echo", Args=NASTY, WorkingDir="/a b/$x", User="1000:1000", Healthcheck={
                "Test": ["CMD-SHELL", 'check "$A" 50%']}, HostConfig={"SecurityOpt": NASTY},
            Mounts=[{"Type": "bind", "Source": f"/s {text}", "Destination": "/d"} for text in NASTY],
        )
    )  # fmt: skip
    line = run_line(unit_syntax.generated(made.text))
    labelled = [line[at + 1] for at, word in enumerate(line) if word == "--label"]
    assert sorted(labelled) == sorted(f"{key}={value}" for key, value in labels.items())
    assert [word.removeprefix("--security-opt=") for word in line if word.startswith("--security-opt=")] == NASTY
    (entry,) = [word.removeprefix("--entrypoint=") for word in line if word.startswith("--entrypoint=")]
    assert json.loads(entry) == ["/bin/echo", *NASTY]
    assert 'check "$A" 50%' in " ".join(line)
    assert line[-1] == "localhost/busybox:1"


def test_the_generator_hands_on_a_command_line_it_can_hold():
    words = [text for text in NASTY if quadlet_quoting.splits_correctly([text])]
    line = run_line(unit_syntax.generated(draft(container(Path="/bin/echo", Args=words)).text))
    assert line[line.index("localhost/busybox:1") + 1 :] == ["/bin/echo", *words]


@settings(max_examples=40, deadline=None)
@given(HOSTILE_CONTAINERS)
def test_the_generator_runs_what_a_hostile_container_runs_and_nothing_else(told):
    line = run_line(unit_syntax.generated(draft(container(**told)).text))
    assert line[:4] == ["/usr/bin/podman", "run", "--name", "web"]
    entry = [word.removeprefix("--entrypoint=") for word in line if word.startswith("--entrypoint=[")]
    made = container(**told)
    at = len(line) - 1 - (0 if entry else len(made.argv()))
    assert line[at] == "localhost/busybox:1"
    assert (json.loads(entry[0]) if entry else line[at + 1 :]) == made.argv()


@pytest.mark.parametrize("name", ["web", "entry", "entry2", "sec", "rest"])
@pytest.mark.parametrize("user", [False, True])
def test_the_generator_takes_what_was_recorded(name, user):
    text = draft(*recorded(name, "entry" if name.startswith("entry") else "busybox"), user=user).text
    assert "--replace" in run_line(unit_syntax.generated(text, user=user))
