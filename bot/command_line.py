"""Defines the command line: `quarterdeck run`, `console`, `do`, `check`, `health`, `manifest` and `metrics`.

Each subcommand imports only what it needs, so that it starts fast. `bot.cli` runs an ordinary `do` without this module.
`bot.plain_text.EXIT` lists the exit codes of `do`. For every subcommand, exit code 2 means wrong usage and 78 means an
invalid configuration.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from bot import subcommand_runner
from bot.console import command_client
from core.metric_families import ListFormat

app = typer.Typer(
    name="quarterdeck",
    help="Monitors and operates container engines from chat or a console, with permissions, limits and an audit trail.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
ConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        help="Configuration file. Default: ./quarterdeck.yaml, otherwise /etc/quarterdeck/quarterdeck.yaml.",
    ),
]


@app.command()
def run(
    config: ConfigPath = None,
    console: Annotated[
        bool, typer.Option(help="Open the console if this is a terminal and Slack is not configured.")
    ] = True,
) -> None:
    """Watch the engines, serve /metrics, and answer commands from Slack or the console."""
    from bot.console import caller_settings  # noqa: PLC0415

    # Before the configuration is loaded: if the file changes between the two, no caller agrees with this bot.
    sources = caller_settings.read(str(config or ""), os.environ).sources
    settings = subcommand_runner.load_settings(config)
    from bot import listening_socket  # noqa: PLC0415

    # Before the large imports: an early scrape waits instead of being refused.
    listener = listening_socket.open_socket(settings.metrics.listen)
    from bot import run as bot_run  # noqa: PLC0415

    subcommand_runner.run_until_done(bot_run.run_bot(settings, config, listener, sources=sources, console=console))


@app.command()
def console(config: ConfigPath = None) -> None:
    """Open a console for commands. A bot that runs on this machine answers them; without one, the console does."""
    settings = subcommand_runner.load_settings(config)
    from bot.console import interactive  # noqa: PLC0415

    subcommand_runner.run_until_done(interactive.run_console(settings, str(config or "")))


@app.command()
def do(
    line: Annotated[list[str], typer.Argument(help='One command, such as "ps" or "restart web".')],
    config: ConfigPath = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Confirm the command if it needs confirmation.")] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="After a change, wait up to some minutes until the started containers run; fail"
            " if one ended or is unhealthy.",
        ),
    ] = False,
) -> None:
    """Run one command and print the reply. The exit code says how it ended."""
    request = command_client.Request(line, named=str(config or ""), as_json=json, yes=yes, verify=verify)
    raise typer.Exit(subcommand_runner.run_do_subcommand(request))


@app.command()
def check(config: ConfigPath = None) -> None:
    """Check the configuration and print every mistake in it."""
    settings = subcommand_runner.load_settings(config)
    from bot.engine_addresses import read_engine_addresses  # noqa: PLC0415
    from commands.catalogue import load_catalogue  # noqa: PLC0415
    from core.config import load  # noqa: PLC0415
    from runtimes import engine_registry  # noqa: PLC0415

    load.check_slack_commands(settings, load_catalogue().names)
    addresses = read_engine_addresses(settings)
    for warning in (*settings.warnings, *engine_registry.security_warnings(addresses)):
        typer.echo(f"warning: {warning}", err=True)
    engines = ", ".join(
        address.url + (f" (context {address.context})" if address.context else "") for address in addresses
    )
    store = "your own" if settings.store.url else f"embedded, in {settings.state}"
    typer.echo("The configuration is valid.")
    typer.echo(f"  engines  {engines}" + ("" if settings.engines else " (discovered)"))
    typer.echo(f"  store    {store}")
    typer.echo(f"  metrics  {settings.metrics.listen or 'off'}")
    typer.echo(f"  slack    {f'{settings.slack.mode}, {settings.slack.command}' if settings.slack else 'off'}")
    typer.echo(
        f"  policy   {len(settings.grants)} grants, {len(settings.guards)} guards, {len(settings.admins)} admins"
    )


@app.command()
def health(config: ConfigPath = None) -> None:
    """Check that the bot on this host is alive, for a container's health check. Exit code 0 means yes."""
    from bot import health_check  # noqa: PLC0415 (runs every 30 seconds: no event loop, no logging)
    from core.config import load  # noqa: PLC0415

    listen = load.load(config).metrics.listen
    if listen is None:
        good, reason = (
            False,
            (
                "The health check cannot ask the bot, because metrics.listen is off. Set"
                " metrics.listen in quarterdeck.yaml, such as 127.0.0.1:9108."
            ),
        )
    else:
        good, reason = health_check.check_health(listen.host, listen.port)
    typer.echo(reason, err=not good)
    raise typer.Exit(0 if good else 1)


@app.command()
def manifest(
    config: ConfigPath = None,
    url: Annotated[
        str,
        typer.Option(
            help="Public address of Quarterdeck, such as https://deck.example.com. Needed with `slack.mode: http`."
        ),
    ] = "",
) -> None:
    """Print the Slack app's manifest, to paste into Slack when you create the app."""
    from bot.slack import manifest as slack_manifest  # noqa: PLC0415
    from commands.catalogue import load_catalogue  # noqa: PLC0415
    from core.config import load  # noqa: PLC0415

    # Before the app exists there are no tokens. Placeholders replace those that are not configured.
    settings = load.load(config, {**slack_manifest.PLACEHOLDER_TOKENS, **os.environ})
    load.check_slack_commands(settings, load_catalogue().names)
    typer.echo(slack_manifest.make_app_manifest(settings.slack, load_catalogue(), url=url))


@app.command()
def metrics(
    form: Annotated[ListFormat, typer.Option("--format", help="Format of the list.")] = ListFormat.TEXT,
) -> None:
    """List the metrics of /metrics: name, type, labels and meaning."""
    from collectors import metric_list  # noqa: PLC0415

    typer.echo(metric_list.render(metric_list.list_families(), form))


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if version:
        from core.version import read_quarterdeck_version  # noqa: PLC0415

        typer.echo(f"quarterdeck {read_quarterdeck_version()}")
        raise typer.Exit
