"""Starts the program `quarterdeck`. Runs `quarterdeck do` directly, and every other subcommand through
`bot.command_line`.

If a bot runs already, an ordinary `do` imports neither typer nor another large module (a test lists what it imports).
Options that are not written as the help shows them, `--help` and mistakes are parsed by typer.
"""

from __future__ import annotations

import sys

from bot import subcommand_runner
from bot.console import command_client

TYPE_CHECKING = False  # the import of `typing` takes longer than this module
if TYPE_CHECKING:
    from collections.abc import Sequence


def main() -> None:
    sys.exit(subcommand_runner.run_subcommand(_run))


def do_request(arguments: Sequence[str]) -> command_client.Request | None:
    """Returns the request of an ordinary `do`; None for what only typer understands. `arguments`: those after `do`."""
    words: list[str] = []
    named, as_json, yes, verify = "", False, False, False
    left = iter(arguments)
    for argument in left:
        if argument == "--":
            words += left
        elif argument == "--json":
            as_json = True
        elif argument in ("--yes", "-y"):
            yes = True
        elif argument == "--verify":
            verify = True
        elif argument in ("--config", "-c"):
            named = next(left, "")
            if not named:
                return None
        elif argument.startswith("-") and argument != "-":
            return None
        else:
            words.append(argument)
    if not words:
        return None
    return command_client.Request(words, named=named, as_json=as_json, yes=yes, verify=verify)


def _run() -> int:
    if sys.argv[1:2] == ["do"] and (request := do_request(sys.argv[2:])) is not None:
        return subcommand_runner.run_do_subcommand(request)
    from bot import command_line  # noqa: PLC0415

    command_line.app()
    return 0


if __name__ == "__main__":
    main()
