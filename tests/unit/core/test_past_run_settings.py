"""What changed between two runs of a container: never a value of an environment variable."""

from __future__ import annotations

import pytest

from core.model.past_run_settings import MAX_SHOWN_NAMES, PastRunSettings, differences, settings_of

GOOD = {
    "Image": "web:1",
    "Image ID": "sha256:1",
    "Command": "serve --port 80",
    "Limits": "memory 512 MiB",
    "Environment": "PATH, DB_URL, OLD",
    "State": "running",
}


def changed(**texts: str) -> list[str]:
    now = {name.replace("_", " "): text for name, text in texts.items()}
    return list(differences(settings_of("a", 1.0, GOOD), settings_of("b", 2.0, GOOD | now)))


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({}, []),
        ({"State": "exited"}, []),
        ({"Image": "web:2", "Image_ID": "sha256:2"}, ["Image: web:1 → web:2", "Image ID: sha256:1 → sha256:2"]),
        ({"Limits": "memory 64 MiB"}, ["Limits: memory 512 MiB → memory 64 MiB"]),
        ({"Limits": ""}, ["Limits: memory 512 MiB → none"]),
        ({"Environment": "DB_URL, NEW, PATH"}, ["Environment: NEW added", "Environment: OLD removed"]),
    ],
)
def test_each_setting_that_differs_is_a_line(now: dict[str, str], said: list[str]) -> None:
    assert changed(**now) == said


def test_long_texts_and_many_names_are_cut() -> None:
    many = ", ".join(f"V{number}" for number in range(50))
    added, removed = changed(Environment=many)
    assert added.count("V") <= MAX_SHOWN_NAMES + 1 and f"and {50 - MAX_SHOWN_NAMES} more added" in added
    assert removed == "Environment: PATH, DB_URL, OLD removed"
    (line,) = changed(Command="x" * 10_000)
    assert len(line) < 300


def test_what_is_stored_is_limited() -> None:
    stored = settings_of("a", 1.0, {"Command": "x" * 100_000, "Environment": "y" * 100_000, "Labels": "z"})
    assert isinstance(stored, PastRunSettings)
    assert sum(map(len, stored.texts.values())) < 10_000
    assert "Labels" not in stored.texts
