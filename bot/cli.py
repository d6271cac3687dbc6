"""The command line: run, console, do, check, health, manifest. Light on purpose: what a word does not need is not
imported.

Exit codes of `do`: see bot.plain_text.EXIT; 2 for anything said wrong, 78 for a broken configuration.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from core import errors

app = typer.Typer(
    name="quarterdeck",
    help="Watch and operate container engines: from chat, from a console, with permissions, limits and an audit trail.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
ConfigPath = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration file. Absent: ./quarterdeck.yaml, then /etc/quarterdeck/."),
]
BAD_CONFIG = 78  # EX_CONFIG of sysexits.h
FAILED = 5  # as bot.plain_text.EXIT has it


@app.command()
def run(
    config: ConfigPath = None,
    console: Annotated[bool, typer.Option(help="Open the console when this is a terminal.")] = True,
) -> None:
    """Watch the engines, serve /metrics, and talk."""
    settings = _load(config)
    from bot import http  # noqa: PLC0415

    door = http.bind(settings.metrics.listen)  # before anything heavy: an early scrape waits instead of being refused
    from bot import run as bot_run  # noqa: PLC0415

    _run(bot_run.run(settings, config, door, console=console))


@app.command()
def console(config: ConfigPath = None) -> None:
    """Open a console to the engines. It shares the store of a bot that runs here."""
    settings = _load(config)
    from bot.console import oneshot  # noqa: PLC0415

    _run(oneshot.console(settings))


@app.command()
def do(
    line: Annotated[list[str], typer.Argument(help='One command, such as "ps" or "restart web".')],
    config: ConfigPath = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Say yes when asked to confirm.")] = False,
) -> None:
    """Give one command and print the reply; the exit code tells how it ended."""
    settings = _load(config)
    from bot.console import oneshot  # noqa: PLC0415

    raise typer.Exit(_run(oneshot.do(settings, line, as_json=json, yes=yes)))


@app.command()
def check(config: ConfigPath = None) -> None:
    """Read the configuration and tell every mistake in it."""
    settings = _load(config)
    from bot import app as composition  # noqa: PLC0415
    from commands.catalogue import load_catalogue  # noqa: PLC0415
    from core.config import load  # noqa: PLC0415
    from runtimes import registry as runtimes_registry  # noqa: PLC0415

    load.check_slack_commands(settings, load_catalogue().names)
    doors = composition.doors(settings)
    for warning in (*settings.warnings, *runtimes_registry.warnings(doors)):
        typer.echo(f"warning: {warning}", err=True)
    engines = ", ".join(door.url + (f" (context {door.context})" if door.context else "") for door in doors)
    store = "your own" if settings.store.url else f"embedded, in {settings.state}"
    typer.echo("The configuration is fine.")
    typer.echo(f"  engines  {engines}" + ("" if settings.engines else " (found here)"))
    typer.echo(f"  store    {store}")
    typer.echo(f"  metrics  {settings.metrics.listen or 'off'}")
    typer.echo(f"  slack    {f'{settings.slack.mode}, {settings.slack.command}' if settings.slack else 'off'}")
    typer.echo(
        f"  policy   {len(settings.grants)} grants, {len(settings.guards)} guards, {len(settings.admins)} admins"
    )


@app.command()
def health(config: ConfigPath = None) -> None:
    """Ask the bot that runs here whether it lives; exit code 0 means yes. For the health check of a container."""
    from bot import health as answers  # noqa: PLC0415 (asked every half minute: no loop, no logging)
    from core.config import load  # noqa: PLC0415

    settings = load.load(config)
    found = answers.ask(settings.metrics.listen)
    typer.echo(found.reason, err=not found.good)
    raise typer.Exit(0 if found.good else 1)


@app.command()
def manifest(
    config: ConfigPath = None,
    url: Annotated[str, typer.Option(help="The public https address, for slack.mode http.")] = "",
) -> None:
    """Print the Slack app's manifest, to paste where the app is made."""
    from bot.slack import manifest as made  # noqa: PLC0415
    from commands.catalogue import load_catalogue  # noqa: PLC0415
    from core.config import load  # noqa: PLC0415

    # Before there is an app there are no tokens: these stand in for those not written anywhere.
    settings = load.load(config, {**made.NO_TOKENS_YET, **os.environ})
    load.check_slack_commands(settings, load_catalogue().names)
    typer.echo(made.manifest(settings.slack, load_catalogue(), url=url))


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if version:
        import importlib.metadata  # noqa: PLC0415

        typer.echo(f"quarterdeck {importlib.metadata.version('quarterdeck')}")
        raise typer.Exit


def main() -> None:
    try:
        app()
    except errors.ConfigError as error:
        print(error.full_message(), file=sys.stderr)  # noqa: T201
        sys.exit(BAD_CONFIG)
    except errors.QuarterdeckError as error:
        print(error.full_message(), file=sys.stderr)  # noqa: T201
        # An address or a name in the settings that cannot be one is a mistake of the configuration too.
        sys.exit(BAD_CONFIG if isinstance(error, errors.UserError) else FAILED)


def _load(path: Path | None) -> Any:
    from core import logs  # noqa: PLC0415
    from core.config import load  # noqa: PLC0415

    settings = load.load(path)
    logs.configure(settings.log.level, settings.log.format)
    return settings


def _run(work: Any) -> Any:
    import asyncio  # noqa: PLC0415

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
