"""The files of a unit for a container, before anything is written: made, verified, told.

Two styles. `quadlet`: we write a short file, from which Podman's generator makes the unit at each boot and reload.
`generate`: Podman writes the unit itself, one that makes the container anew where it was made by Podman's command line,
else one that starts the container that is there. The former holds that command line, so it is not taken where this has
environment values: every user can read a unit.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core import errors, processes
from core.text import redact
from runtimes.podman import quadlet, quadlet_syntax
from runtimes.podman.container_spec import Container, Image
from runtimes.systemd import systemctl, unit_files
from runtimes.systemd.systemctl import Systemd

GENERATORS = (
    Path("/usr/libexec/podman/quadlet"),
    Path("/usr/lib/podman/quadlet"),
    Path("/usr/local/libexec/podman/quadlet"),
)
STYLES = ("quadlet", "generate")
_TOLD = "Loading source unit file"


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """`shown`: its text where others see it, values of the environment hidden."""

    folder: unit_files.Folder
    name: str
    text: str
    mode: int = 0o644
    shown: str = ""

    @property
    def path(self) -> Path:
        return self.folder.path / self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """`files`: as they are written, the one systemd reads last. `adopts`: the unit starts the container that is there.
    `losses`: what running it would destroy."""

    unit: str
    style: str
    files: Sequence[File]
    adopts: bool = False
    notes: Sequence[str] = ()
    losses: Sequence[str] = ()


def by_quadlet(
    container: Container, image: Image, *, owner: systemctl.Person | None, version: tuple[int, ...], pod: str
) -> Drafted:
    folder = unit_files.folder("quadlet", owner)
    environment = f"{container.name}.env"
    header = unit_files.mark(container.name)
    made = quadlet.draft(
        container,
        image,
        version=version,
        environment_file=str(folder.path / environment),
        header=header,
        pod=pod,
        user=owner is not None,
    )
    files = [File(folder=folder, name=f"{container.name}.container", text=made.text)]
    if made.environment:
        hidden = [(name, redact.MASK if value else "") for name, value in made.environment]
        told = File(
            folder=folder,
            name=environment,
            text=quadlet.environment_text(made.environment, header),
            mode=0o600,
            shown=quadlet.environment_text(hidden, header),
        )
        files.insert(0, told)
    return Drafted(unit=f"{container.name}.service", style="quadlet", files=files, notes=made.notes, losses=made.losses)


def anew(container: Container) -> str:
    """Why Podman is not asked for a unit that makes the container anew; empty where it is."""
    if not container.config.create_command:
        return "It was not made by podman's command line, so the unit starts the container that is there."
    if container.contains_env_values():
        return (
            "The line that made it holds values of its environment, which every user could read in the unit; so the"
            " unit starts the container that is there."
        )
    if container.volumes_without_name():
        return "A volume of it has no name and would be lost with it, so the unit starts the container that is there."
    return ""


def by_podman(container: Container, told: dict[str, str], *, owner: systemctl.Person | None, why: str) -> Drafted:
    """`told`: what Podman wrote, by unit; `why`: as `anew`."""
    folder = unit_files.folder("generate", owner)
    files = []
    for name, text in sorted(told.items()):
        if not systemctl.is_name(f"{name}.service"):
            raise errors.InvalidResponse("Podman named a unit as no unit can be called.")
        files.append(File(folder=folder, name=f"{name}.service", text=f"# {unit_files.mark(container.name)}\n{text}"))
    if len(files) != 1:
        raise errors.InvalidResponse(f"Podman wrote {len(files)} units for one container.")
    return Drafted(unit=files[0].name, style="generate", files=files, adopts=bool(why), notes=[why] if why else [])


def generator() -> Path | None:
    """Quadlet's, which makes units of its files."""
    return next((path for path in GENERATORS if path.exists()), None)


def refuse_style(style: str, version: tuple[int, ...]) -> None:
    """Raises UserError for what there is not."""
    if style not in STYLES:
        raise errors.BadUsage(f"“{style}” is no style of unit.", hint=f"There are {' and '.join(STYLES)}.")
    if style == "quadlet" and version < quadlet_syntax.FIRST:
        told = ".".join(map(str, version))
        raise errors.UserError(f"Podman {told} has no Quadlet, which came with 4.4.", hint="Take --style generate.")
    if style == "quadlet" and generator() is None:
        raise errors.UserError("Quadlet's generator is not on this machine.", hint="Take --style generate.")


async def verify(drafted: Drafted, asked: Systemd, seconds: float) -> tuple[list[str], list[str]]:
    """Notes and faults, from Quadlet's generator and systemd-analyze as far as they are here."""
    notes: list[str] = []
    folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="quarterdeck-unit-")
    place = Path(folder)
    try:
        text = drafted.files[-1].text
        if drafted.style == "quadlet":
            said = await _generate(drafted.files[-1], place, asked, seconds / 2)
            notes, text = said[0], said[1]
            if not text:
                return [], notes or ["Quadlet's generator makes nothing of it."]
        unit = place / drafted.unit
        await asyncio.to_thread(unit.write_text, text)
        try:
            verdict = await asked.verify(unit, seconds / 2)
        except errors.Unreachable:
            return [*notes, "It is not verified: systemd-analyze is not here."], []
        # It also complains of what the unit only mentions, which is not ours.
        about = [line.replace(f"{place}/", "") for line in verdict.stderr.splitlines() if drafted.unit in line][:20]
        return (notes, about) if verdict.code and about else ([*notes, *about], [])
    finally:
        await asyncio.to_thread(_remove, place)


async def _generate(file: File, place: Path, asked: Systemd, seconds: float) -> tuple[list[str], str]:
    """What Quadlet says to a file, and the unit it makes of it; of a file it cannot read, nothing."""
    program = generator()
    if program is None:
        return [], ""
    source = place / "source"
    await asyncio.to_thread(source.mkdir)
    await asyncio.to_thread((source / file.name).write_text, file.text)
    words = (str(program), *(("-user",) if asked.uid else ()), "-dryrun")
    result = await processes.run(
        words,
        timeout=seconds,
        name="Quadlet's generator",
        env={"QUADLET_UNIT_DIRS": str(source)},
        max_output=systemctl.MAX_OUTPUT,
    )
    _, _, text = result.stdout.partition("---\n")
    notes = [
        line.partition("]: ")[2].replace(f"{source}/", "") for line in result.stderr.splitlines() if _TOLD not in line
    ]
    return [note for note in notes if note][:20], text


def _remove(place: Path) -> None:
    for path in sorted(place.rglob("*"), reverse=True):
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink()
    place.rmdir()
