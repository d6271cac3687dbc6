"""`exec NAME PROGRAM …`: runs one program in a container to its end, and shows its output and exit code.

There is no terminal and no input. The output goes to the requester alone; the channel sees who ran which program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from commands._shared import formatting, service_values, targets
from commands.spec import ENGINE, HOST, ONE_CONTAINER, SHARE, Arg, ArgType, Command, Context, Result, timeout_option
from core import errors
from core.model.actions import Action, Risk
from core.model.inside_containers import EXEC_SECONDS, MAX_EXEC_SECONDS, Exec
from core.model.replies import Block, Ending, Lines, Reply, Text, Tone
from core.model.results import ExecResult, Outcome
from core.text import command_line

SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh", "fish", "busybox sh"})
# What only a shell understands, as words of their own.
SHELL_WORDS = frozenset({"|", "||", "&&", ";", ">", ">>", "<", "&", "2>&1"})
NOT_FOUND_CODES = {126: "The program could not be executed.", 127: "The program was not found in the container."}


async def plan(context: Context) -> Sequence[Action[Any]]:
    args = context.args
    command: tuple[str, ...] = args["command"]
    _check_command(args["target"], command)
    (ref,) = await targets.select_targets(context, "exec", 1)
    return [
        Exec(
            engine=ref.engine,
            target=ref,
            command=command,
            user=args["user"] or "",
            workdir=args["workdir"] or "",
            environment=tuple(service_values.parse_pair("--env", text) for text in args["env"]),
            timeout=args["timeout"],
        )
    ]


def _check_command(target: str, command: Sequence[str]) -> None:
    """Raises BadUsage for a shell without a command, which would need a terminal, and for what only a shell
    understands."""
    name = command[0].rpartition("/")[2]
    if name in SHELLS and not command[1:]:
        raise errors.BadUsage(
            f"{command_line.abbreviate(command[0])} alone would wait for input, and `exec` cannot send any.",
            hint=f"Add what it must run, for example: exec {command_line.quote([target, *command])} -c 'ls /'",
        )
    if found := next((word for word in command if word in SHELL_WORDS), None):
        line = " ".join(command)
        raise errors.BadUsage(
            f"“{found}” belongs to a shell, and exec starts the program without one.",
            hint=f"Start a shell: exec {command_line.quote([target])} sh -c {command_line.quote([line])}",
        )


def render(context: Context, results: Sequence[Result]) -> Reply:
    (result,) = results
    name, private = targets.target_of_result(result).name, not context.args["share"]
    program = command_line.abbreviate(context.args["command"][0])
    if result.error is not None:
        return formatting.error_reply(result.error)
    if isinstance(result.value, Outcome):  # the request was sent, and its answer was lost
        text = f"It is not known how {program} ended in {name}: {result.value.detail} It is not repeated."
        return Reply(blocks=(Text(text=text, tone=Tone.WARN),), ending=Ending.UNKNOWN)
    ran: ExecResult = result.value
    failed = ran.exit_code != 0
    text = f"{program} in {name} ended with code {ran.exit_code} after {ran.took:.1f} s."
    text += f" {NOT_FOUND_CODES[ran.exit_code]}" if ran.exit_code in NOT_FOUND_CODES else ""
    blocks: list[Block] = [Text(text=text, tone=Tone.BAD if failed else Tone.GOOD)]
    blocks += [
        Lines(title=title, lines=output.removesuffix("\n").split("\n"))
        for title, output in (("", ran.stdout), ("stderr", ran.stderr))
        if output
    ]
    if ran.cut:
        left_out = f"The rest of its output is left out: {formatting.size(ran.cut)}. Let the program write less."
        blocks.append(Text(text=left_out, tone=Tone.WARN))
    elif not (ran.stdout or ran.stderr):
        blocks.append(Text(text="The program wrote no output."))
    return Reply(blocks=blocks, ending=Ending.FAILED if failed else Ending.OK, private=private, everyone=not private)


command = Command(
    name="exec",
    summary="run one program in a container, without a terminal",
    examples=(
        "exec web ls /etc",
        "exec -u 1000 -w /tmp -e MODE=test web env",
        "exec web --timeout 120 sh -c 'ls -la / | head -5'",
    ),
    plan=plan,
    render=render,
    risk=Risk.CHANGE,
    doing="running a program in",
    verbs=(Exec.verb,),
    args=(
        replace(
            ONE_CONTAINER,
            help=f"{ONE_CONTAINER.help}; if the container can access its host, this also needs the permission"
            " host.reach",
        ),
        Arg(name="command", required=True, remainder=True, help="the program and its arguments; no shell is used"),
        Arg(name="--user", short="u", placeholder="USER[:GROUP]", help="run as this user of the container"),
        Arg(
            name="--workdir",
            short="w",
            hidden_names=("--cwd",),
            placeholder="PATH",
            help="directory that the program starts in",
        ),
        Arg(name="--env", short="e", many=True, placeholder="NAME=VALUE", help="set an environment variable"),
        Arg(
            name="--no-tty",
            short="T",
            type=ArgType.FLAG,
            help="run without a terminal (always done, so this option changes nothing)",
        ),
        timeout_option(EXEC_SECONDS, MAX_EXEC_SECONDS, "longest time that the program may run"),
        SHARE,
        HOST,
        ENGINE,
    ),
)
