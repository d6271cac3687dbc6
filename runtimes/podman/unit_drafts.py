"""Drafts and verifies the unit files for one container. Writes nothing to systemd's directories.

There are two styles. `quadlet`: Quarterdeck writes a short file, from which Podman's generator makes the unit at each
boot and reload. `generate`: Podman writes the unit itself. If a `podman` command line created the container, the unit
contains that command line and creates the container again. Otherwise the unit only starts the existing container. Every
user can read a unit. So if the command line contains values of environment variables, the unit only starts the
container.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from core import errors, processes
from core.lazy_dataclass import dataclass
from core.text import redact
from runtimes.podman import quadlet_draft, quadlet_quoting
from runtimes.podman.inspect_models import InspectedContainer, InspectedImage
from runtimes.systemd import systemctl, unit_file_writer
from runtimes.systemd.systemctl import Systemd

GENERATORS = (
    Path("/usr/libexec/podman/quadlet"),
    Path("/usr/lib/podman/quadlet"),
    Path("/usr/local/libexec/podman/quadlet"),
)
STYLES = ("quadlet", "generate")
_PROGRESS = "Loading source unit file"


def draft_quadlet_unit(
    container: InspectedContainer,
    image: InspectedImage,
    *,
    owner: systemctl.UnixUser | None,
    version: tuple[int, ...],
    pod: str,
) -> UnitDraft:
    """Drafts a unit of the style `quadlet`. `owner`: the ordinary user whose systemd will run it; None: the
    machine's."""
    directory = unit_file_writer.directory_for("quadlet", owner)
    environment = f"{container.name}.env"
    header = unit_file_writer.first_line(container.name)
    made = quadlet_draft.draft_quadlet_text(
        container,
        image,
        version=version,
        environment_file=str(directory.path / environment),
        header=header,
        pod=pod,
        user=owner is not None,
    )
    files = [DraftFile(directory=directory, name=f"{container.name}.container", text=made.text)]
    if made.environment:
        hidden = [(name, redact.MASK if value else "") for name, value in made.environment]
        environment_file = DraftFile(
            directory=directory,
            name=environment,
            text=quadlet_draft.environment_text(made.environment, header),
            mode=0o600,
            shown=quadlet_draft.environment_text(hidden, header),
        )
        files.insert(0, environment_file)
    unit = f"{container.name}.service"
    return UnitDraft(unit=unit, style="quadlet", files=files, notes=made.notes, losses=made.losses)


def draft_generated(
    container: InspectedContainer, generated: dict[str, str], *, owner: systemctl.UnixUser | None, adopt_reason: str
) -> UnitDraft:
    """Drafts a unit of the style `generate`. `generated`: the units that Podman wrote, by name; `adopt_reason`: from
    `why_adopt`."""
    directory = unit_file_writer.directory_for("generate", owner)
    header = unit_file_writer.first_line(container.name)
    files = []
    for name, text in sorted(generated.items()):
        if not systemctl.is_service_name(f"{name}.service"):
            raise errors.InvalidResponse(
                f"Podman returned an invalid name of a unit for {container.name}: “{name[:80]}”.",
                hint="Check that Quarterdeck supports this version of the engine.",
            )
        files.append(DraftFile(directory=directory, name=f"{name}.service", text=f"# {header}\n{text}"))
    if len(files) != 1:
        raise errors.InvalidResponse(
            f"Podman wrote {len(files)} units for {container.name}, but exactly one was expected.",
            hint="Check that Quarterdeck supports this version of the engine.",
        )
    notes = [adopt_reason] if adopt_reason else []
    return UnitDraft(unit=files[0].name, style="generate", files=files, adopts=bool(adopt_reason), notes=notes)


def why_adopt(container: InspectedContainer) -> str:
    """Returns why a unit of the style `generate` has to start the existing container; empty if the unit can create the
    container again."""
    if not container.config.create_command:
        return "It was not made by podman's command line, so the unit starts the existing container."
    if container.contains_env_values():
        return (
            "The command line that made it contains values of environment variables, which every user could read in the"
            " unit. So the unit starts the existing container."
        )
    if container.anonymous_volumes():
        return "It has a volume without a name, which would be lost with it, so the unit starts the existing container."
    return ""


def generator() -> Path | None:
    """Returns the path of Quadlet's generator; None if it is not installed."""
    return next((path for path in GENERATORS if path.exists()), None)


def check_style(style: str, version: tuple[int, ...]) -> None:
    """Raises UserError for a style that does not exist or that this Podman does not support."""
    if style not in STYLES:
        raise errors.BadUsage(
            f"“{style}” is not a style of unit.", hint=f"Write --style {' or --style '.join(STYLES)}."
        )
    if style == "quadlet" and version < quadlet_quoting.FIRST_VERSION:
        shown = ".".join(map(str, version))
        raise errors.UserError(
            f"Podman {shown} has no Quadlet: Quadlet needs 4.4 or later.",
            hint="Use `unit install` or `units --draft` with --style generate, or upgrade Podman.",
        )
    if style == "quadlet" and generator() is None:
        raise errors.UserError(
            f"Quadlet's generator ({GENERATORS[0]}) is not installed on this machine.",
            hint="Install all of Podman's packages, or use `unit install` or `units --draft` with --style generate.",
        )


async def verify(draft: UnitDraft, systemd: Systemd, seconds: float) -> tuple[list[str], list[str]]:
    """Returns notes and faults that Quadlet's generator and systemd-analyze found, as far as they are installed."""
    notes: list[str] = []
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="quarterdeck-unit-"))
    try:
        text = draft.files[-1].text
        if draft.style == "quadlet":
            notes, text = await _generate(draft.files[-1], directory, systemd, seconds / 2)
            if not text:
                return [], notes or ["Quadlet's generator makes no unit from its file."]
        unit = directory / draft.unit
        await asyncio.to_thread(unit.write_text, text)
        try:
            result = await systemd.verify(unit, seconds / 2)
        except errors.Unreachable:
            return [*notes, "The unit is not verified: systemd-analyze is not installed."], []
        # It also reports faults of other units that this one mentions.
        faults = [line.replace(f"{directory}/", "") for line in result.stderr.splitlines() if draft.unit in line][:20]
        return (notes, faults) if result.code and faults else ([*notes, *faults], [])
    finally:
        await asyncio.to_thread(shutil.rmtree, directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftFile:
    """Holds one file of a draft. `shown`: its text without the values of environment variables, for display; empty:
    `text` itself."""

    directory: unit_file_writer.Directory
    name: str
    text: str
    mode: int = 0o644
    shown: str = ""

    @property
    def path(self) -> Path:
        return self.directory.path / self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitDraft:
    """Holds the files of one unit. `files`: in the order in which they are written; the unit itself is the last.
    `adopts`: the unit starts the existing container. `losses`: what the unit would destroy."""

    unit: str
    style: str
    files: Sequence[DraftFile]
    adopts: bool = False
    notes: Sequence[str] = ()
    losses: Sequence[str] = ()


async def _generate(file: DraftFile, directory: Path, systemd: Systemd, seconds: float) -> tuple[list[str], str]:
    """Runs Quadlet's generator. Returns its messages and the unit that it makes; no unit if it cannot read the file."""
    program = generator()
    if program is None:
        return [], ""
    source = directory / "source"
    await asyncio.to_thread(source.mkdir)
    await asyncio.to_thread((source / file.name).write_text, file.text)
    result = await processes.run(
        (str(program), *(("-user",) if systemd.uid else ()), "-dryrun"),
        timeout=seconds,
        name="Quadlet's generator",
        env={"QUADLET_UNIT_DIRS": str(source)},
        max_output=systemctl.MAX_OUTPUT,
    )
    _, _, text = result.stdout.partition("---\n")
    messages = [line for line in result.stderr.splitlines() if _PROGRESS not in line]
    notes = [line.partition("]: ")[2].replace(f"{source}/", "") for line in messages]
    return [note for note in notes if note][:20], text
